"""Enforces NetworkPolicy on the one node with nftables; `python3 -m netpol`. Standard library only."""
