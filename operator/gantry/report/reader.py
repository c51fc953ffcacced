"""A dataset -> what a TID 1500 measurement report says, whoever wrote it.

Pure. Reads only; it does not judge whether the report is valid. What a report lacks is absent here, not an error.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset

from .verbatim import tolerated
from .vocabulary import OUTLINE

# Concept names by code value: SNOMED CT, and before it SNOMED RT, as older writers have it (PS3.16 Annex O).
TITLES = frozenset(("126000", "FINDINGS-REPORT"))
_MEASUREMENTS, _GROUP, _EVALUATIONS = "126010", "125007", "C0034375"
_FINDING, _PRESENCE, _CERTAINTY, _COMMENT, _IMPRESSION = "121071", "705057003", "111012", "121106", "121073"
_TRACKING_ID, _TRACKING_UID = "112039", "112040"
_SITE, _LATERALITY, _MODIFIER = {"363698007", "G-C0E3"}, {"272741003", "G-C171"}, {"106233006", "G-A1F8"}
_ALGORITHM, _VERSION, _PARAMETER, _FAMILY = "111001", "111003", "111002", "111000"
_DEVICE_NAME, _DEVICE_MANUFACTURER = "121013", "121014"
_PROCEDURE, _LANGUAGE = "121058", "121049"
_ABSENT = {"2667000", "R-4089B"}
_NOT_EVALUATED = "373121007"
_NOT_EVALUATIONS = {_FINDING, _PRESENCE, _ALGORITHM, _VERSION, _FAMILY, *_SITE}


@dataclass(frozen=True)
class Coded:
    """A coded concept."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Measurement:
    """A number with its UCUM unit; without value: it was not possible to measure."""

    name: Coded
    value: float | None
    unit: str


@dataclass(frozen=True)
class Evaluation:
    """A question and its answer in words."""

    name: Coded
    answer: str


@dataclass(frozen=True)
class Site:
    """Where in the body."""

    location: Coded
    laterality: str | None
    modifier: str | None


@dataclass(frozen=True)
class Region:
    """Where in the images: a 2D or 3D graphic, or a segment."""

    kind: str
    points: tuple[tuple[float, ...], ...]
    """2D: column, row; the top left corner of the top left pixel is 0, 0. 3D: patient coordinates (LPS, mm)."""
    image: str | None
    """SOP Instance UID."""
    frames: tuple[int, ...] = ()
    """On a multi-frame image, counted from 1."""
    segment: int | None = None
    """Segment Number, of a segment."""
    space: str | None = None
    """Frame of Reference UID, in space."""


@dataclass(frozen=True)
class Finding:
    """One measurement group."""

    id: str | None
    tracking_uid: str | None
    type: Coded | None
    presence: Coded | None
    certainty: Measurement | None
    sites: tuple[Site, ...]
    measurements: tuple[Measurement, ...]
    evaluations: tuple[Evaluation, ...]
    regions: tuple[Region, ...]
    comment: str | None
    outline: tuple[Region, ...] = ()
    """What another report of the same result draws of this volume on one slice."""

    @property
    def is_outline(self) -> bool:
        """Whether it only draws what another report of the same result says."""
        return self.comment == OUTLINE

    @property
    def is_absence(self) -> bool:
        """Whether it says only that something was not found."""
        return self.presence is not None and self.presence.value in _ABSENT


@dataclass(frozen=True)
class Algorithm:
    """Who made the findings."""

    name: str
    version: str | None
    manufacturer: str | None
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Patient:
    """Whose report it is."""

    name: str
    id: str
    birth_date: str
    sex: str
    accession: str


@dataclass(frozen=True)
class Report:
    """What the document says."""

    title: str
    procedures: tuple[str, ...]
    study_description: str
    language: str | None
    date: str
    time: str
    status: tuple[str, ...]
    product: str
    algorithms: tuple[Algorithm, ...]
    findings: tuple[Finding, ...]
    absences: tuple[Finding, ...]
    """Groups that say only that something was not found: of a negative report, and of a lesion that is gone."""
    absent: tuple[Coded, ...]
    evaluations: tuple[Evaluation, ...]
    impression: str | None
    patient: Patient


class NotAReport(ValueError):
    """The dataset is no measurement report; the message says what it is."""


def read_report(dataset: Dataset) -> Report:
    """Raises NotAReport. Values that break a rule are taken as they are: whoever shows a report cannot mend it."""
    with tolerated():
        if dataset.get("Modality") != "SR" or "ContentSequence" not in dataset:
            raise NotAReport(f"no structured report but {_text(dataset, 'Modality') or 'an object without modality'}")
        title = _concept(dataset)
        if title is None or title.value not in TITLES:
            raise NotAReport(f"no Imaging Measurement Report (TID 1500) but {title.meaning if title else 'a report without title'}")
        return _report(dataset, title)


def _report(dataset: Dataset, title: Coded) -> Report:
    groups = [group for container in _named(dataset, _MEASUREMENTS) for group in _named(container, _GROUP)]
    statements = [item for container in _named(dataset, _EVALUATIONS) for item in container.get("ContentSequence", ())]
    findings = [_finding(group) for group in groups]
    absent = [finding.type for finding in findings if finding.is_absence and finding.type]
    unknown = {name.value for item in statements if (name := _concept(item)) and _value(item) == _NOT_EVALUATED}
    absent += [name for item in statements if (name := _concept(item)) and _value(item) in _ABSENT]
    return Report(
        title=title.meaning,
        procedures=tuple(_answer(item) for item in _named(dataset, _PROCEDURE)),
        study_description=_text(dataset, "StudyDescription"),
        language=next((_value(item) for item in _named(dataset, _LANGUAGE)), None),
        date=_text(dataset, "ContentDate"),
        time=_text(dataset, "ContentTime"),
        status=tuple(filter(None, (_text(dataset, f"{flag}Flag") for flag in ("Completion", "Verification", "Preliminary")))),
        product=" ".join(filter(None, (_text(dataset, "ManufacturerModelName"), _text(dataset, "SoftwareVersions").replace("\\", ", ")))),
        algorithms=_algorithms(dataset, groups),
        findings=tuple(finding for finding in findings if not finding.is_absence and not _is_unknown(finding, unknown)),
        absences=tuple(finding for finding in findings if finding.is_absence),
        absent=tuple({concept.value: concept for concept in absent}.values()),
        evaluations=tuple(
            Evaluation(name, _statement(item))
            for item in statements
            if (name := _concept(item)) and name.value != _IMPRESSION and _value(item) not in _ABSENT
        ),
        impression=next((_answer(item) for item in statements if _is(item, _IMPRESSION)), None),
        patient=Patient(
            *(_text(dataset, keyword) for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"))
        ),
    )


def _is_unknown(finding: Finding, said: set[str]) -> bool:
    """Whether it repeats only that something was not evaluated, which the statements say with the reason."""
    return finding.presence is not None and finding.presence.value == _NOT_EVALUATED and finding.type is not None and finding.type.value in said


def _statement(item: Dataset) -> str:
    """The answer with what stands below it: a score with its scale, where and why something was not evaluated."""
    if item.get("ValueType") == "NUM":
        number = _measurement(item)
        return f"{number.value:g} {number.unit}" if number.value is not None else "not possible"
    below = [child for child in item.get("ContentSequence", ()) if child.get("ValueType") in ("CODE", "TEXT")]
    details = [" ".join((_answer(child), *(_answer(side) for side in _named(child, *_LATERALITY)))) for child in below]
    return ": ".join(filter(None, (_answer(item), "; ".join(filter(None, details)))))


def _finding(group: Dataset) -> Finding:
    numbers = [_measurement(item) for item in group.get("ContentSequence", ()) if item.get("ValueType") == "NUM"]
    return Finding(
        id=next((_answer(item) for item in _named(group, _TRACKING_ID)), None),
        tracking_uid=next((_text(item, "UID") for item in _named(group, _TRACKING_UID)), None),
        type=next((_code(item) for item in _named(group, _FINDING)), None),
        presence=next((_code(item) for item in _named(group, _PRESENCE)), None),
        certainty=next((number for number in numbers if number.name.value == _CERTAINTY), None),
        sites=tuple(_site(item) for item in _named(group, *_SITE)),
        measurements=tuple(number for number in numbers if number.name.value != _CERTAINTY),
        evaluations=tuple(_group_evaluations(group)),
        regions=tuple(_regions(group)),
        comment=next((_answer(item) for item in _named(group, _COMMENT)), None),
    )


def _measurement(item: Dataset) -> Measurement:
    measured = item.get("MeasuredValueSequence") or [Dataset()]
    unit = (measured[0].get("MeasurementUnitsCodeSequence") or [Dataset()])[0]
    value = measured[0].get("NumericValue")
    return Measurement(_concept(item) or Coded("", "", "?"), None if value is None else float(value), _text(unit, "CodeValue"))


def _group_evaluations(group: Dataset) -> Iterator[Evaluation]:
    for item in group.get("ContentSequence", ()):
        name = _concept(item)
        described = name is not None and name.value not in _NOT_EVALUATIONS | {_COMMENT, _TRACKING_ID, _PARAMETER}
        if name is not None and described and item.get("ValueType") in ("CODE", "TEXT"):
            yield Evaluation(name, _answer(item))


def _site(item: Dataset) -> Site:
    return Site(
        location=_code(item) or Coded("", "", "?"),
        laterality=next((_answer(child) for child in _named(item, *_LATERALITY)), None),
        modifier=next((_answer(child) for child in _named(item, *_MODIFIER)), None),
    )


def _regions(node: Dataset) -> Iterator[Region]:
    """Graphics and segments of a group, those under a Volume Surface too, but not the images that measurements were taken on."""
    for item in node.get("ContentSequence", ()):
        kind = item.get("ValueType")
        if kind in ("SCOORD", "SCOORD3D"):
            image = next((_reference(child) for child in item.get("ContentSequence", ()) if child.get("ValueType") == "IMAGE"), Dataset())
            yield _graphic(item, 2 if kind == "SCOORD" else 3, image)
        elif kind == "IMAGE" and (segments := _integers(_reference(item), "ReferencedSegmentNumber")):
            referred = _reference(item)
            yield Region("segment", (), _instance(referred), _integers(referred, "ReferencedFrameNumber"), segments[0])


def _graphic(item: Dataset, axes: int, image: Dataset) -> Region:
    """A closed polyline is a polygon (PS3.3 C.18.6.1.2): its last point, the first again, is left out."""
    numbers = [float(number) for number in item.get("GraphicData") or ()]
    points = tuple(tuple(numbers[i : i + axes]) for i in range(0, len(numbers) - axes + 1, axes))
    kind = _text(item, "GraphicType").lower()
    if kind in ("polyline", "polygon") and len(points) > 2 and points[0] == points[-1]:
        kind, points = "polygon", points[:-1]
    space = _text(item, "ReferencedFrameOfReferenceUID") or None
    return Region(kind if axes == 2 else f"{kind} in space", points, _instance(image), _integers(image, "ReferencedFrameNumber"), space=space)


def _reference(item: Dataset) -> Dataset:
    return next(iter(item.get("ReferencedSOPSequence") or ()), Dataset())


def _instance(reference: Dataset) -> str | None:
    return _text(reference, "ReferencedSOPInstanceUID") or None


def _integers(dataset: Dataset, keyword: str) -> tuple[int, ...]:
    """One or several whole numbers; what is none is left out."""
    values = _text(dataset, keyword).split("\\")
    return tuple(int(value) for value in values if value.strip().isdecimal() and len(value) <= 12)


def _algorithms(dataset: Dataset, groups: list[Dataset]) -> tuple[Algorithm, ...]:
    """By name: what the groups say of it (TID 4019), with the manufacturer of the device observer of that name (TID 1004)."""
    names, manufacturers = ([_answer(item) for item in _named(dataset, code)] for code in (_DEVICE_NAME, _DEVICE_MANUFACTURER))
    made_by = dict(zip(names, manufacturers, strict=False))
    found = {name: Algorithm(name, None, made_by.get(name), ()) for name in names}
    for group in groups:
        for item in _named(group, _ALGORITHM):
            name = _answer(item)
            version = next((_answer(one) for one in _named(group, _VERSION)), None)
            found[name] = Algorithm(name, version, made_by.get(name), tuple(_answer(one) for one in _named(group, _PARAMETER)))
    return tuple(found.values())


def _named(node: Dataset, *codes: str) -> list[Dataset]:
    """Children whose concept name has one of these code values."""
    return [item for item in node.get("ContentSequence", ()) if _is(item, *codes)]


def _is(item: Dataset, *codes: str) -> bool:
    name = _concept(item)
    return name is not None and name.value in codes


def _concept(item: Dataset) -> Coded | None:
    return _coded(item, "ConceptNameCodeSequence")


def _code(item: Dataset) -> Coded | None:
    return _coded(item, "ConceptCodeSequence")


def _coded(item: Dataset, keyword: str) -> Coded | None:
    sequence = item.get(keyword)
    if not sequence:
        return None
    code = sequence[0]
    value = _text(code, "CodeValue") or _text(code, "LongCodeValue") or _text(code, "URNCodeValue")
    return Coded(_text(code, "CodingSchemeDesignator"), value, _text(code, "CodeMeaning") or value)


def _value(item: Dataset) -> str | None:
    code = _code(item)
    return code.value if code else None


def _answer(item: Dataset) -> str:
    """The value of an item in words."""
    code = _code(item)
    return code.meaning if code else _text(item, "TextValue") or _text(item, "PersonName") or _text(item, "UID")


def _text(dataset: Dataset, keyword: str) -> str:
    """An element as text that may be shown: a control character could steer the reader's terminal."""
    value = dataset.get(keyword)
    if value is None:
        return ""
    words = "\\".join(map(str, value)) if isinstance(value, list) or type(value).__name__ == "MultiValue" else str(value)
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in words.replace("\r\n", "\n"))
