"""Pure: does this study match, which series, and why. It must not talk to Orthanc or read a clock."""

__all__: list[str] = []
