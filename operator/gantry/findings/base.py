"""What every part of findings.json is made of: the base class and bounded texts.

Imports pydantic and nothing of Gantry, so that an application can carry this package without the rest.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict


class Part(BaseModel):
    """Base of every object: camelCase in JSON, snake_case in Python; unknown fields are refused. Built when first used."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, defer_build=True
    )


def given(*fields: str) -> JsonDict:
    """JSON Schema for: these fields are there and not null."""
    return {"required": [*fields], "properties": {field: {"not": {"type": "null"}} for field in fields}}


_CHARACTER = r"[^\\\x00-\x1f\x7f-\x9f]*"
ONE_LINE = rf"^{_CHARACTER}[^\\\x00-\x20\x7f-\x9f]{_CHARACTER}$"
Line = Annotated[str, Field(min_length=1, max_length=64, pattern=ONE_LINE)]
"""One line for a DICOM LO: the backslash separates values there (PS3.5 6.2)."""
_ASCII = r"[\x20-\x5b\x5d-\x7e]*"
OF_A_CODE = rf"^{_ASCII}[\x21-\x5b\x5d-\x7e]{_ASCII}$"
CodeValue = Annotated[str, Field(min_length=1, max_length=64, pattern=OF_A_CODE)]
"""ASCII, though a DICOM SH may be more: programs compare codes, and some count bytes (dciodvfy: at most 16)."""
Scheme = Annotated[str, Field(min_length=1, max_length=16, pattern=OF_A_CODE)]
"""A coding scheme, or its version."""
_TEXT = r"[^\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]*"
SEVERAL_LINES = rf"^{_TEXT}[^\x00-\x20\x7f-\x9f]{_TEXT}$"
Words = Annotated[str, Field(min_length=1, max_length=10_240, pattern=SEVERAL_LINES)]
"""Free text for a DICOM UT: no control characters but line ends (PS3.5 table 6.2-1 has no tab), and not only blanks."""
IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=IDENTIFIER)]
DicomUID = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9]+(\.[0-9]+)*$")]
"""As images have them, also those that break the rules for UIDs."""
NewUID = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+$")]
"""One that is written anew: no component begins with 0 (PS3.5 9.1)."""
Number = Annotated[float, Field(ge=-1e300, le=1e300, allow_inf_nan=False)]
"""Smaller than the largest double: DICOM writes 16 characters, and 1.7976931348623157e+308 rounded to these is infinite."""
Frame = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""Counted from 1, as DICOM counts."""


def _each_once(frames: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(frames)) < len(frames):
        raise ValueError("a frame stands twice")
    return frames


Frames = Annotated[tuple[Frame, ...], Field(max_length=1000), AfterValidator(_each_once)]
