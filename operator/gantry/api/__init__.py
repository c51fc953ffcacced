"""The resources: pydantic models of spec and status, reasons, labels, and the generator of their CRDs. Pure."""

__all__: list[str] = []
