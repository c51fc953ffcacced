"""Finds text in the pixels of images: settings -> images -> pictures -> lines -> places -> document."""
