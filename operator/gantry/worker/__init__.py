"""What runs inside a Run's pod: fetch and publish."""

__all__: list[str] = []
