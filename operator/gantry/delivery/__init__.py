"""The loop that takes finished Runs' results to their destinations."""

__all__: list[str] = []
