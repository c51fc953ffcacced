"""Finds and measures dense spheres in the lungs of a CT: settings -> volume -> lungs -> spheres -> document."""
