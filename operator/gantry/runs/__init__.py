"""Pure: what a Run needs next, the Job it becomes, and names. It must not call the API server or read a clock."""

__all__: list[str] = []
