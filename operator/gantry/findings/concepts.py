"""What a code is, and a place in the body: the words that findings and masks share.

Pure declarations.
"""

from typing import Literal

from .base import CodeValue, Line, Part, Scheme


class Concept(Part):
    """A coded concept (PS3.3 section 8.8): scheme, value, meaning."""

    scheme: Scheme
    """Coding scheme designator: SCT, DCM, LN, RADLEX, 99LOCAL."""
    value: CodeValue
    """Code value."""
    meaning: Line
    """Code meaning in words, at most 64 characters."""
    scheme_version: Scheme | None = None
    """Version of the coding scheme, where it matters."""

    @property
    def key(self) -> tuple[str, str]:
        """What tells two concepts apart."""
        return self.scheme, self.value


class Site(Part):
    """Where in the body."""

    location: Concept
    """Anatomic location."""
    laterality: Literal["left", "right", "bilateral", "unilateral"] | None = None
    """Side."""
    modifier: Concept | None = None
    """Topographical modifier."""
