"""The only room that calls the Kubernetes API server."""

__all__: list[str] = []
