"""Reads findings.json with the authors' own models (`gantry.findings`) and gives a fault its reason in the Run's status."""

from gantry.findings import Findings, FindingsError
from gantry.findings import parse_findings as read

from .errors import InvalidFindings


def parse_findings(document: bytes) -> Findings:
    """Raises InvalidFindings, and nothing else, whatever the bytes are."""
    try:
        return read(document)
    except FindingsError as fault:
        raise InvalidFindings(str(fault), fault.lines) from None
