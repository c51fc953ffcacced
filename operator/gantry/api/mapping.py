"""How plain JSON or CSV that an application leaves becomes findings (`report.mapping`): for applications that know nothing of findings.json.

Pure declarations. A path is a JSON Pointer (RFC 6901) within the file, or within one row of it; a CSV file has a row a line, and `/volume` is
the column of that name in its first line.
"""

from typing import Annotated

from pydantic import Field

from .base import Code, Part, Text, cel, rule

Pointer = Annotated[str, Field(max_length=256, pattern=r"^(/([^~/]|~[01])*)*$")]
"""RFC 6901; the empty one is the whole document or row."""
FileName = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^/]([^/]|/[^/])*\.(json|csv)$")]
"""In the output folder of the last step; without a slash, in any folder within it."""


class Presence(Part):
    """Whether the finding is there, by a value of the file."""

    model_config = {
        "json_schema_extra": cel(
            rule(
                "[has(self.atLeast), has(self.atMost), has(self.present)].filter(given, given).size() == 1",
                "give one of atLeast, atMost (numbers) and present (values)",
            ),
            rule("has(self.present) || !has(self.absent)", "absent goes with present: list what means absent beside what means present"),
        )
    }
    path: Pointer
    """Where the value is."""
    at_least: float | None = None
    """It is present from this number on, else absent."""
    at_most: float | None = None
    """It is present up to this number, else absent."""
    present: Annotated[list[Text], Field(min_length=1, max_length=16)] | None = None
    """Values that mean present; true and false are written as such."""
    absent: Annotated[list[Text], Field(min_length=1, max_length=16)] | None = None
    """Values that mean absent. Absent itself: every value that does not mean present. A value in neither list fails the Run."""


class MappedMeasurement(Part):
    """A number of the file that becomes a measurement."""

    name: Code
    """What was measured, for example (118565006, SCT, Volume)."""
    path: Pointer
    """Where the number is."""
    unit: Annotated[str, Field(min_length=1, max_length=16)]
    """UCUM, case sensitive: mm, mm2, cm3, ml, %, [hnsf'U], 1."""
    optional: bool = False
    """True: it may be missing. False: a file without it fails the Run."""


class CodedAnswer(Part):
    """A value of the file and the code it stands for."""

    value: Text
    """As the file has it; numbers, true and false as they are written."""
    code: Code
    """What it means."""


class MappedEvaluation(Part):
    """A value of the file that becomes an answer."""

    name: Code
    """The question."""
    path: Pointer
    """Where the value is."""
    codes: Annotated[list[CodedAnswer], Field(min_length=1, max_length=32)] | None = None
    """Codes for its values; any other value fails the Run. Absent: the value is reported as text."""
    optional: bool = False
    """True: it may be missing. False: a file without it fails the Run."""


class MappedFinding(Part):
    """One finding, or one for each row, made of a file."""

    file: FileName
    """For example metadata.json or lesions.csv. It must be there, once."""
    rows: Pointer | None = None
    """A list within a JSON file: each of its items becomes a finding, and paths begin there. Absent: the whole file is one finding; of a CSV file
    each line is one, always."""
    type: Code
    """What it is."""
    sites: Annotated[list[Code], Field(max_length=4)] = []
    """Where in the body, always the same."""
    presence: Presence | None = None
    """Whether it is there. Absent: it is."""
    confidence: Pointer | None = None
    """Where the certainty is, a number from 0 to 1."""
    measurements: Annotated[list[MappedMeasurement], Field(max_length=16)] = []
    """Numbers about it."""
    evaluations: Annotated[list[MappedEvaluation], Field(max_length=16)] = []
    """Questions and answers about it."""
