"""Masks named by findings.json: which file, how it lies on the images, and what each label in it means.

Pure declarations. A mask that fits no series of the input is refused when the report is built, where the images are known.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .base import DicomUID, Identifier, Line, Number, Part, given
from .concepts import Concept, Site

MASK_NAME = r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]*\.(nii|nii\.gz|npy)$"
COLOR = r"^#[0-9A-Fa-f]{6}$"
VOLUME = Concept(scheme="SCT", value="118565006", meaning="Volume")
Row = tuple[Number, Number, Number, Number]
Affine = tuple[Row, Row, Row, Row]


class Segment(Part):
    """One label of a mask: a finding, or something of which the report does not speak, for example the organ."""

    model_config = {"json_schema_extra": {"anyOf": [given("finding"), given("category", "type")]}}
    value: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """The label in the file. Needed unless the mask is fractional."""
    finding: Identifier | None = None
    """Id of the finding that it is. The finding needs no region: this is its place."""
    label: Line | None = None
    """Name shown in viewers. Absent: the meaning of the type."""
    category: Concept | None = None
    """Category of what is segmented (CID 7150). Absent: the finding's, else (49755003, SCT, Morphologically Abnormal Structure)."""
    type: Concept | None = None
    """What is segmented (CID 7151). Absent: the finding's type."""
    sites: Annotated[tuple[Site, ...], Field(max_length=16)] = ()
    """Where in the body. Absent: the finding's sites."""
    algorithm: Identifier | None = None
    """Id of the algorithm that drew it. Absent: the finding's, else the first."""
    color: Annotated[str, Field(max_length=7, pattern=COLOR)] | None = None
    """Colour in viewers, #RRGGBB. Absent: one of a palette, by the segment's number."""
    measure: Annotated[tuple[Literal["volume"], ...], Field(max_length=1)] = ()
    """What Gantry is to measure and to write into the finding."""

    @model_validator(mode="after")
    def _says_what_it_is(self) -> Self:
        if self.finding is None and (self.type is None or self.category is None):
            raise ValueError("a segment names its finding, or else says what it is in category and type")
        if self.finding is None and self.measure:
            raise ValueError("measure needs a finding that the number is written into")
        return self


class Mask(Part):
    """A mask in /gantry/output: whole numbers, 0 for nothing, or fractions from 0 to 1."""

    file: Annotated[str, Field(min_length=5, max_length=255, pattern=MASK_NAME)]
    """Name of the file: NIfTI (.nii, .nii.gz) or NumPy (.npy)."""
    series: DicomUID | None = None
    """Series Instance UID of the images it lies on. Needed only if it fits several series."""
    images: Annotated[tuple[DicomUID, ...], Field(max_length=10_000)] = ()
    """Only .npy: SOP Instance UIDs of the images, in the order of the first axis; the others are rows, columns. A multi-frame image: its frames."""
    affine: Affine | None = None
    """Only .npy, in place of `images`: 4 x 4 from array index to mm as NIfTI has it (RAS), array axes in any order."""
    fractional: Literal["probability", "occupancy"] | None = None
    """The values are fractions from 0 to 1 of this meaning. Absent: labels."""
    segments: Annotated[tuple[Segment, ...], Field(min_length=1, max_length=200)]
    """What the labels mean; the order is that of the segment numbers."""

    @model_validator(mode="after")
    def _lies_somewhere(self) -> Self:
        if self.file.endswith(".npy"):
            if (self.affine is None) == (not self.images):
                raise ValueError("an array needs either images (one for each index of the first axis) or affine")
        elif self.affine is not None or self.images:
            raise ValueError("affine and images are for .npy; a NIfTI file has its own")
        return self

    @model_validator(mode="after")
    def _labels_are_told_apart(self) -> Self:
        values = [segment.value for segment in self.segments]
        if self.fractional is None:
            if None in values:
                raise ValueError("segments need a value, the label in the file")
            if len(set(values)) < len(values):
                raise ValueError("two segments have one value")
        elif len(self.segments) > 1 or values != [None]:
            raise ValueError("a fractional mask has one segment, without value; write a file for each")
        elif self.segments[0].measure:
            raise ValueError("only the volume of labels is measured; leave measure out, or write labels")
        return self
