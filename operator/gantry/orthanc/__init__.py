"""The only room that speaks HTTP to Orthanc."""

__all__: list[str] = []
