"""The operator process: feeds, work queue, settings, metrics, health."""

__all__: list[str] = []
