"""The loop that follows one Orthanc and makes Runs."""

__all__: list[str] = []
