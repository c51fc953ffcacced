"""Pure: findings become a DICOM SR; checks of what applications hand over."""

__all__: list[str] = []
