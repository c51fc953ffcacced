"""findings.json, version v1alpha1: what an application says it saw.

Pure declarations; the JSON Schema is generated from them. The application says what it saw and nothing else: UIDs, times, equipment, patient
and study attributes, SR class and series are Gantry's. Bounds are everywhere: the document comes from code nobody here has read.
`reading` reads bytes into these models; what needs the images is checked when the report is built.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from .base import DicomUID, Frames, Identifier, Line, NewUID, Number, Part, Words, given
from .concepts import Concept, Site
from .masks import VOLUME, Mask, Segment
from .shapes import Planar, Region, SegmentRegion, Spatial
from .units import advice, is_ucum

LANGUAGE_TAG = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"


def _ucum(unit: str) -> str:
    if not is_ucum(unit):
        better = advice(unit)
        raise ValueError("not a UCUM unit" + (f'; write "{better}"' if better else ", see https://ucum.org"))
    return unit


Unit = Annotated[str, Field(min_length=1, max_length=16), AfterValidator(_ucum)]


class Algorithm(Part):
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
    device_uid: Annotated[NewUID | None, Field(alias="deviceUID")] = None
    """UID of the algorithm as a device. Absent: derived from manufacturer, name, version and image digest."""
    family: Concept | None = None
    """Family of the algorithm, for example (123110, DCM, Artificial Intelligence)."""
    parameters: Annotated[dict[Identifier, Line | bool | int | Number], Field(max_length=64)] = {}
    """Parameters the analysis was run with."""


class Score(Part):
    """A point on a scale, for example 8 of 0 to 10. What has a unit is a measurement."""

    value: Number
    """The point."""
    minimum: Number | None = None
    """Lowest possible value. Given together with `maximum`."""
    maximum: Number | None = None
    """Highest possible value."""

    @model_validator(mode="after")
    def _lies_on_its_scale(self) -> Self:
        if (self.minimum is None) != (self.maximum is None):
            raise ValueError("a score takes minimum and maximum together, or neither")
        if self.minimum is not None and self.maximum is not None:
            if self.minimum >= self.maximum:
                raise ValueError("the minimum of a score lies below its maximum")
            if not self.minimum <= self.value <= self.maximum:
                raise ValueError("value lies outside of minimum to maximum; correct the scale, or clip the value")
        return self


class Evaluation(Part):
    """A question and its answer: `value` (coded), `text` or `score`."""

    model_config = {"json_schema_extra": {"oneOf": [given(answer) for answer in ("value", "text", "score")]}}
    name: Concept
    """The question."""
    value: Concept | None = None
    """The coded answer."""
    text: Words | None = None
    """The answer in words."""
    score: Score | None = None
    """The answer as a point on a scale, for example ASPECTS."""

    @model_validator(mode="after")
    def _has_one_answer(self) -> Self:
        if sum(answer is not None for answer in (self.value, self.text, self.score)) != 1:
            raise ValueError("an evaluation takes one of value (a code), text and score")
        return self


class Confidence(Part):
    """How certain the algorithm is."""

    value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    """0 to 1."""
    name: Concept | None = None
    """What is certain. Absent: (111012, DCM, Certainty of Finding)."""


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
    frames: Frames = ()
    """Frames of the one image in `images`, counted from 1: in a cine loop or a time-resolved series."""

    @model_validator(mode="after")
    def _frames_have_an_image(self) -> Self:
        _require_one_image(self.images, self.frames)
        return self


class EarlierFinding(Part):
    """A finding of an earlier report of this patient that this one continues."""

    tracking_uid: Annotated[NewUID, Field(alias="trackingUID")]
    """Its Tracking UID, from the earlier report (112040, DCM, Tracking Unique Identifier)."""
    change: Concept | None = None
    """How it changed since, for example (15454001, SCT, Increased size)."""


class Finding(Part):
    """One thing seen, or looked for and explicitly not seen."""

    model_config = {"json_schema_extra": {"not": given("region", "regions")}}
    id: Identifier
    """Unique within this document; radiologists may see it. Never anything of the patient."""
    tracking_uid: Annotated[NewUID | None, Field(alias="trackingUID")] = None
    """UID of this lesion, the same in every report that speaks of it. Absent: that of the one earlier finding if there is one, else a new one."""
    earlier: Annotated[tuple[EarlierFinding, ...], Field(max_length=16)] = ()
    """What this finding was in earlier reports."""
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
    frames: Frames = ()
    """Frames of the one image in `images`, counted from 1."""
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
        _require_one_image(self.images, self.frames)
        return self

    @property
    def tracked(self) -> str | None:
        """The Tracking UID the document gives it: its own, or that of the one finding it continues."""
        if self.tracking_uid or len(self.earlier) != 1:
            return self.tracking_uid
        return self.earlier[0].tracking_uid


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
    plain_language: Words | None = None
    """The impression in words for the patient."""
    evaluations: Annotated[tuple[Evaluation, ...], Field(max_length=64)] = ()
    """Questions and answers about the study, for example a Lung-RADS category."""


class NotEvaluable(Part):
    """What should have been assessed and could not be. It is never reported as absent."""

    model_config = {"json_schema_extra": {"anyOf": [given("reason"), given("text")]}}
    type: Concept
    """What was looked for."""
    sites: Annotated[tuple[Site, ...], Field(max_length=16)] = ()
    """Where it could not be assessed. Absent: anywhere."""
    reason: Concept | None = None
    """Why, for example (111210, DCM, Motion blur)."""
    text: Words | None = None
    """Why, in words."""

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if self.reason is None and self.text is None:
            raise ValueError("takes a reason (a code), text or both: say why it could not be assessed")
        return self


class QualityStatement(Evaluation):
    """A statement about the quality of the images: `value` (coded), `text` or `score`."""

    name: Concept = Concept(scheme="DCM", value="111101", meaning="Image Quality")
    """What about the quality. Absent: (111101, DCM, Image Quality)."""
    images: Annotated[tuple[DicomUID, ...], Field(max_length=1000)] = ()
    """SOP Instance UIDs of the images it is about. Absent: all."""


class Findings(Part):
    """findings.json."""

    schema_version: Literal["v1alpha1"]
    """v1alpha1"""
    language: Annotated[str, Field(max_length=16, pattern=LANGUAGE_TAG)] = "en-US"
    """Language of the texts (RFC 5646)."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1, max_length=16)]
    """The algorithms; the first is the one the report is named after."""
    procedure_reported: Annotated[tuple[Concept, ...], Field(max_length=8)] = ()
    """The examination, best from DICOM CID 100. Absent: by modality."""
    evaluated_for: Annotated[tuple[Concept, ...], Field(max_length=256)] = ()
    """What was looked for. Each one without a finding is reported as absent, unless it is not evaluable."""
    not_evaluable: Annotated[tuple[NotEvaluable, ...], Field(max_length=256)] = ()
    """What could not be assessed, and why."""
    image_quality: Annotated[tuple[QualityStatement, ...], Field(max_length=64)] = ()
    """What is to be said of the quality of the images."""
    summary: Summary = Summary()
    """Statements about the whole study."""
    findings: Annotated[tuple[Finding, ...], Field(max_length=1000)] = ()
    """What was found. Empty is a negative result only if something was evaluated for."""
    masks: Annotated[tuple[Mask, ...], Field(max_length=4)] = ()
    """Masks in /gantry/output that become DICOM segmentations."""

    @model_validator(mode="after")
    def _references_hold(self) -> Self:
        for field, ids in (("algorithms", [a.id for a in self.algorithms]), ("findings", [f.id for f in self.findings])):
            twice = repeated(ids)
            if twice:
                raise ValueError(f'{field}: id "{twice}" stands twice; ids are unique')
        if repeated(algorithm.device_uid for algorithm in self.algorithms if algorithm.device_uid):
            raise ValueError("algorithms: two have one deviceUID; a device is one algorithm in one version")
        twice = repeated(finding.tracked for finding in self.findings if finding.tracked)
        if twice:
            ids = [finding.id for finding in self.findings if finding.tracked == twice]
            raise ValueError(f'findings: "{ids[0]}" and "{ids[1]}" have one tracking UID; give one of them a trackingUID of its own')
        known = {algorithm.id for algorithm in self.algorithms}
        for index, finding in enumerate(self.findings):
            if finding.algorithm and finding.algorithm not in known:
                raise ValueError(f'findings[{index}].algorithm: "{finding.algorithm}" is not the id of one of the algorithms')
        return self

    @model_validator(mode="after")
    def _masks_fit(self) -> Self:
        """Each segment is one finding that has no other place, or says itself what it is."""
        findings, algorithms = {finding.id: finding for finding in self.findings}, {algorithm.id for algorithm in self.algorithms}
        if repeated(mask.file for mask in self.masks):
            raise ValueError("masks: two have one file; put all labels of a file into its segments")
        drawn: set[str] = set()
        for place, mask in enumerate(self.masks):
            for number, segment in enumerate(mask.segments):
                fault = _segment_fault(segment, findings, algorithms, drawn)
                if fault:
                    raise ValueError(f"masks[{place}].segments[{number}].{fault}")
        return self

    @model_validator(mode="after")
    def _nothing_is_both_assessed_and_not(self) -> Self:
        answered = {finding.type.key: finding.id for finding in self.findings}
        for index, each in enumerate(self.not_evaluable):
            if not each.sites and each.type.key in answered:
                raise ValueError(
                    f'notEvaluable[{index}]: finding "{answered[each.type.key]}" answers for the same type; name in sites what could not be assessed'
                )
        return self


def _segment_fault(segment: Segment, findings: Mapping[str, Finding], algorithms: set[str], drawn: set[str]) -> str | None:
    """Why a segment does not fit the document; remembers in `drawn` which findings have one."""
    if segment.algorithm and segment.algorithm not in algorithms:
        return f'algorithm: "{segment.algorithm}" is not the id of one of the algorithms'
    if segment.finding is None:
        return None
    finding = findings.get(segment.finding)
    if finding is None:
        return f'finding: "{segment.finding}" is not the id of one of the findings'
    if finding.where or finding.images:
        return f'finding: "{segment.finding}" has a region or images already; a finding has one place'
    if finding.presence == "absent":
        return f'finding: "{segment.finding}" is absent; leave the segment out'
    if segment.finding in drawn:
        return f'finding: "{segment.finding}" has another segment already; write a finding for each'
    if segment.measure and any(measured.name.key == VOLUME.key for measured in finding.measurements):
        return f'measure: "{segment.finding}" has a volume already; leave one of the two out'
    drawn.add(segment.finding)
    return None


def _require_one_image(images: tuple[str, ...], frames: tuple[int, ...]) -> None:
    if frames and len(images) != 1:
        raise ValueError("frames are those of one image: name exactly one in images")


def repeated(ids: Iterable[str]) -> str | None:
    """The first id that stands more than once."""
    return next((name for name, count in Counter(ids).items() if count > 1), None)
