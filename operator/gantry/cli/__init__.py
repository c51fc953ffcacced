"""The command line for people."""

__all__: list[str] = []
