"""findings.json, version v1alpha1: what an application says it saw.

Pure declarations; the JSON Schema is generated from them. The application says what it saw and nothing else: UIDs, times, equipment, patient
and study attributes, SR class and series are Gantry's. Bounds are everywhere: the document comes from code nobody here has read.
`parse` reads bytes into these models; what needs the images is checked by `source` and `geometry`.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gantry.api import Code
from gantry.api.base import DicomUID, Part

from .shapes import Planar, Region, SegmentRegion, Spatial
from .units import advice, is_ucum

ONE_LINE = r"^[^\\\x00-\x1f\x7f]*[^\\\x00-\x20\x7f][^\\\x00-\x1f\x7f]*$"
Line = Annotated[str, Field(min_length=1, max_length=64, pattern=ONE_LINE)]
"""One line for a DICOM LO: the backslash separates values there (PS3.5 6.2)."""
SEVERAL_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
Words = Annotated[str, Field(min_length=1, max_length=10_240, pattern=SEVERAL_LINES)]
"""Free text for a DICOM UT: no control characters but tab and line ends."""
IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=IDENTIFIER)]
LANGUAGE_TAG = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
Number = Annotated[float, Field(allow_inf_nan=False)]


def _ucum(unit: str) -> str:
    if not is_ucum(unit):
        better = advice(unit)
        raise ValueError("not a UCUM unit" + (f'; write "{better}"' if better else ", see https://ucum.org"))
    return unit


Unit = Annotated[str, Field(min_length=1, max_length=16), AfterValidator(_ucum)]


class Concept(Code):
    """A coded concept (PS3.3 section 8.8): scheme, value, meaning."""

    scheme: Annotated[str, Field(min_length=1, max_length=16, pattern=ONE_LINE)]
    """Coding scheme designator: SCT, DCM, LN, RADLEX, 99LOCAL."""
    value: Annotated[str, Field(min_length=1, max_length=64, pattern=ONE_LINE)]
    """Code value."""
    meaning: Line
    """Code meaning in words, at most 64 characters."""
    scheme_version: Annotated[str, Field(min_length=1, max_length=16, pattern=ONE_LINE)] | None = None
    """Version of the coding scheme, where it matters."""

    @property
    def key(self) -> tuple[str, str]:
        """What tells two concepts apart."""
        return self.scheme, self.value


class FindingsAlgorithm(Part):
    """An algorithm, as the report names it."""

    id: Identifier
    """Name within this document, for `findings[].algorithm`."""
    name: Line
    """Name as radiologists know it."""
    version: Line
    """Version; change it with every new model."""
    manufacturer: Line
    """Manufacturer."""
    serial: Line | None = None
    """Serial number."""
    device_uid: Annotated[DicomUID | None, Field(alias="deviceUID")] = None
    """UID of the algorithm as a device. Absent: derived from manufacturer, name, version and image digest."""
    family: Concept | None = None
    """Family of the algorithm, for example (123110, DCM, Artificial Intelligence)."""
    parameters: Annotated[dict[Identifier, Line | bool | int | Number], Field(max_length=64)] = {}
    """Parameters the analysis was run with."""


class Evaluation(Part):
    """A question and its answer: `value` (coded) or `text`."""

    model_config = {"json_schema_extra": {"oneOf": [{"required": ["value"]}, {"required": ["text"]}]}}
    name: Concept
    """The question."""
    value: Concept | None = None
    """The coded answer."""
    text: Words | None = None
    """The answer in words."""

    @model_validator(mode="after")
    def _has_one_answer(self) -> Self:
        if (self.value is None) == (self.text is None):
            raise ValueError("an evaluation takes either value (a code) or text")
        return self


class Confidence(Part):
    """How certain the algorithm is."""

    value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    """0 to 1."""
    name: Concept | None = None
    """What is certain. Absent: (111012, DCM, Certainty of Finding)."""


class Site(Part):
    """Where in the body."""

    location: Concept
    """Anatomic location."""
    laterality: Literal["left", "right", "bilateral", "unilateral"] | None = None
    """Side."""
    modifier: Concept | None = None
    """Topographical modifier."""


class MeasuredValue(Part):
    """A number with its unit."""

    name: Concept
    """What was measured."""
    value: Number
    """The number."""
    unit: Unit
    """UCUM, case sensitive: mm, mm2, cm3, ml, %, [hnsf'U], 1."""
    derivation: Concept | None = None
    """How it was derived, for example (56851009, SCT, Maximum)."""
    method: Concept | None = None
    """Measurement method."""
    images: Annotated[tuple[DicomUID, ...], Field(max_length=1000)] = ()
    """SOP Instance UIDs of the images it was measured on."""


class Finding(Part):
    """One thing seen, or looked for and explicitly not seen."""

    model_config = {
        "json_schema_extra": {
            "not": {"required": ["region", "regions"], "properties": {"region": {"type": "object"}, "regions": {"type": "array"}}}
        }
    }
    id: Identifier
    """Unique within this document; radiologists may see it. Never anything of the patient."""
    tracking_uid: Annotated[DicomUID | None, Field(alias="trackingUID")] = None
    """UID of the same lesion in earlier reports. Absent: a new one."""
    algorithm: Identifier | None = None
    """Id of the algorithm that made it. Absent: the first."""
    category: Concept | None = None
    """Category, for example (49755003, SCT, Morphologically Abnormal Structure)."""
    type: Concept
    """What it is."""
    presence: Literal["present", "absent", "indeterminate"] | None = None
    """Whether it is there. Absent field: it is there, and the report does not say so in a code."""
    confidence: Confidence | None = None
    """How certain the algorithm is."""
    comment: Words | None = None
    """Free text."""
    sites: Annotated[tuple[Site, ...], Field(max_length=16)] = ()
    """Where in the body."""
    evaluations: Annotated[tuple[Evaluation, ...], Field(max_length=64)] = ()
    """Questions and answers about it."""
    measurements: Annotated[tuple[MeasuredValue, ...], Field(max_length=64)] = ()
    """Numbers about it."""
    images: Annotated[tuple[DicomUID, ...], Field(max_length=1000)] = ()
    """SOP Instance UIDs of the images it was seen on. Only without a region."""
    region: Region | None = None
    """Where on the images: one region."""
    regions: Annotated[tuple[Region, ...], Field(min_length=1, max_length=1000)] | None = None
    """Where on the images: several regions of the one finding, for example an outline on each slice."""

    @property
    def where(self) -> tuple[Region, ...]:
        """All regions."""
        return (self.region,) if self.region else self.regions or ()

    @model_validator(mode="after")
    def _regions_fit(self) -> Self:
        if self.region and self.regions:
            raise ValueError("takes either region or regions, not both")
        if self.where and self.presence == "absent":
            raise ValueError("a finding that is absent has no region")
        if self.where and self.images:
            raise ValueError("images is for findings without a region; a region names its image itself")
        fault = _mixed(self.where)
        if fault:
            raise ValueError(fault)
        return self


def _mixed(regions: tuple[Region, ...]) -> str | None:
    """Why these regions cannot be those of one finding (TID 1410 and 1411 take one sort each)."""
    if len(regions) < 2 or all(isinstance(region, Planar) for region in regions):
        return None
    if any(isinstance(region, SegmentRegion) for region in regions):
        return "takes one segment and no other region; write a finding for each segment"
    kinds = {region.kind for region in regions}
    if not all(isinstance(region, Spatial) for region in regions):
        return "regions are all 2D or all 3D; write two findings"
    if kinds not in ({"polygon3d"}, {"ellipse3d"}):
        return "several 3D regions are all polygon3d or all ellipse3d; write a finding for each of the others"
    return None


class Summary(Part):
    """What concerns the whole study."""

    impression: Words | None = None
    """The impression in words."""
    evaluations: Annotated[tuple[Evaluation, ...], Field(max_length=64)] = ()
    """Questions and answers about the study, for example a Lung-RADS category."""


class Findings(Part):
    """findings.json."""

    schema_version: Literal["v1alpha1"]
    """v1alpha1"""
    language: Annotated[str, Field(max_length=16, pattern=LANGUAGE_TAG)] = "en-US"
    """Language of the texts (RFC 5646)."""
    algorithms: Annotated[tuple[FindingsAlgorithm, ...], Field(min_length=1, max_length=16)]
    """The algorithms; the first is the one the report is named after."""
    procedure_reported: Annotated[tuple[Concept, ...], Field(max_length=8)] = ()
    """The examination, best from DICOM CID 100. Absent: by modality."""
    evaluated_for: Annotated[tuple[Concept, ...], Field(max_length=256)] = ()
    """What was looked for. Each one without a finding is reported as absent."""
    summary: Summary = Summary()
    """Statements about the whole study."""
    findings: Annotated[tuple[Finding, ...], Field(max_length=1000)] = ()
    """What was found. Empty is a negative result only if something was evaluated for."""

    @model_validator(mode="after")
    def _references_hold(self) -> Self:
        for field, ids in (("algorithms", [a.id for a in self.algorithms]), ("findings", [f.id for f in self.findings])):
            twice = repeated(ids)
            if twice:
                raise ValueError(f'{field}: id "{twice}" stands twice; ids are unique')
        known = {algorithm.id for algorithm in self.algorithms}
        for index, finding in enumerate(self.findings):
            if finding.algorithm and finding.algorithm not in known:
                raise ValueError(f'findings[{index}].algorithm: "{finding.algorithm}" is not the id of one of the algorithms')
        return self


def repeated(ids: Iterable[str]) -> str | None:
    """The first id that stands more than once."""
    return next((name for name, count in Counter(ids).items() if count > 1), None)
