"""Faults against the standard in objects an application made: mended where there is one answer, else told (or refused under Strict).

Pure. What SDKs write is seldom whole: MONAI Deploy's SRs lack Completion Flag, its SEGs have empty Type 1 values. Nothing that the
application meant is ever changed; what lies elsewhere or belongs to somebody else is `placement`'s and `objects`' and is always refused.
The tables are the modules' (PS3.3 A.35, A.51, A.45, A.8); each line says what is written if the value is missing, or None for: only told.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.valuerep import validate_value

from gantry.findings import Algorithm

from .characters import mend_characters
from .errors import UnacceptedObject
from .identification import contradictions
from .validate.content import check_item
from .validate.items import tree
from .verbatim import copied, items, shallow, text, tolerated

EMPTY_TEXT, EMPTY_SEQUENCE = "", ()


@dataclass(frozen=True)
class Origin:
    """What is known beside the object itself: enough to answer for values that have one answer."""

    image: Dataset
    """An input image: patient and study."""
    algorithms: tuple[Algorithm, ...]
    date: str
    time: str

    def only(self, field: str) -> str | None:
        """A word of the one algorithm; with several nobody can tell which made the object."""
        return getattr(self.algorithms[0], field) if len(self.algorithms) == 1 else None


Answer = Callable[[Dataset, Origin], Any]


def _always(value: Any) -> Answer:
    return lambda _dataset, _origin: value


def _unknown(_dataset: Dataset, _origin: Origin) -> None:
    return None


def _label(segment: Dataset, _origin: Origin) -> str | None:
    """What is segmented, in words."""
    return next((text(code, "CodeMeaning") for code in items(segment, "SegmentedPropertyTypeCodeSequence")), "") or None


_NOT_EMPTY: dict[str, dict[str, Answer]] = {
    "": {"Modality": _unknown, "SeriesNumber": _unknown},
    "SR": {
        "Modality": _always("SR"),
        "InstanceNumber": _always("1"),
        "CompletionFlag": _always("COMPLETE"),
        "VerificationFlag": _always("UNVERIFIED"),
        "ContentDate": lambda _, origin: origin.date,
        "ContentTime": lambda _, origin: origin.time,
        "ValueType": _unknown,
        "ContinuityOfContent": _unknown,
        "ConceptNameCodeSequence": _unknown,
    },
    "SEG": {
        "Modality": _always("SEG"),
        "InstanceNumber": _always("1"),
        "ContentDate": lambda _, origin: origin.date,
        "ContentTime": lambda _, origin: origin.time,
        "ImageType": _always(["DERIVED", "PRIMARY"]),
        "ContentLabel": _always("SEGMENTATION"),
        "SegmentationType": _unknown,
        "SegmentSequence": _unknown,
        "SamplesPerPixel": _always(1),
        "PhotometricInterpretation": _always("MONOCHROME2"),
        "PixelRepresentation": _always(0),
        "Manufacturer": lambda _, origin: origin.only("manufacturer"),
        "ManufacturerModelName": lambda _, origin: origin.only("name"),
        "DeviceSerialNumber": lambda _, origin: origin.only("serial"),
        "SoftwareVersions": lambda _, origin: origin.only("version"),
    },
    "PM": {
        "InstanceNumber": _always("1"),
        "ContentDate": lambda _, origin: origin.date,
        "ContentTime": lambda _, origin: origin.time,
        "ContentLabel": _unknown,
        "RealWorldValueMappingSequence": _unknown,
        "Manufacturer": lambda _, origin: origin.only("manufacturer"),
        "ManufacturerModelName": lambda _, origin: origin.only("name"),
        "DeviceSerialNumber": lambda _, origin: origin.only("serial"),
        "SoftwareVersions": lambda _, origin: origin.only("version"),
    },
    "SC": {"ConversionType": _always("WSD")},
    "PDF": {
        "Modality": _always("DOC"),
        "InstanceNumber": _always("1"),
        "ConversionType": _always("WSD"),
        "BurnedInAnnotation": _unknown,
        "MIMETypeOfEncapsulatedDocument": _always("application/pdf"),
    },
}
"""Type 1 attributes by kind; "" is every kind without a line of its own."""
_PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
    "ReferringPhysicianName",
)  # fmt: skip
"""Type 2 in every object (PS3.3 C.7.1.1, C.7.2.1): what is missing is the study's."""
_PRESENT: dict[str, tuple[str, ...]] = {
    "SR": ("Manufacturer", "ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence"),
    "SEG": ("ContentDescription",),
    "PM": ("ContentDescription",),
    "SC": ("Manufacturer", "InstanceNumber"),
    "PDF": ("Manufacturer", "ContentDate", "ContentTime", "AcquisitionDateTime", "DocumentTitle", "ConceptNameCodeSequence"),
}
"""Type 2 attributes by kind: there, but they may be empty."""
_SEGMENT: dict[str, Answer] = {
    "SegmentNumber": _unknown,
    "SegmentLabel": _label,
    "SegmentAlgorithmType": _always("AUTOMATIC"),
    "SegmentAlgorithmName": lambda _, origin: origin.only("name"),
    "SegmentedPropertyCategoryCodeSequence": _unknown,
    "SegmentedPropertyTypeCodeSequence": _unknown,
}
"""Segment Description (PS3.3 C.8.20.4). Nobody sits at a container, so what it draws is drawn automatically."""
LARGE = frozenset(("PerFrameFunctionalGroupsSequence", "PixelData", "EncapsulatedDocument"))
"""Not searched for malformed values: thousands of items that hold positions and references only, which `placement` has read."""
MOST = 100
"""Faults told of one file."""


def conform(dataset: Dataset, *, kind: str, name: str, origin: Origin, strict: bool) -> tuple[Dataset, tuple[str, ...]]:
    """The object, mended in a copy, and a line for each fault. Raises UnacceptedObject with the first when `strict`."""
    with tolerated():
        result = shallow(dataset)
        faults = [f"{name}: {fault}" for fault in list(_faults(result, kind, origin))[:MOST]]
    if strict and faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise UnacceptedObject(f"{faults[0].partition('; Gantry')[0]}{more}; report.conformance of the pipeline is Strict")
    return result, tuple(faults)


def _faults(result: Dataset, kind: str, origin: Origin) -> Iterator[str]:
    """What is wrong, mending on the way."""
    yield from _own_identity(result)
    yield from mend_characters(result, origin.image)
    yield from _of_the_study(result, origin)
    for keyword, answer in (_NOT_EMPTY[""] | _NOT_EMPTY[kind]).items():
        yield from _filled(result, keyword, answer, origin, where="")
    for keyword in _PRESENT[kind]:
        if keyword not in result:
            _put(result, keyword, EMPTY_SEQUENCE if dictionary_VR(keyword) == "SQ" else EMPTY_TEXT)
            yield f"{keyword}: is missing; Gantry wrote it empty"
    yield from _in_items(result, "SegmentSequence", _SEGMENT if kind == "SEG" else {}, origin)
    maker = text(result, "Manufacturer")
    equipment: dict[str, Answer] = {"Manufacturer": lambda _, known: maker or known.only("manufacturer"), "PurposeOfReferenceCodeSequence": _unknown}
    yield from _in_items(result, "ContributingEquipmentSequence", equipment, origin)
    yield from contradictions(result, origin.algorithms)
    if kind == "SR":
        root = tree(result)
        for item in root.walk():
            for problem in check_item(item, text(result, "SOPClassUID")):
                yield f"content item {problem.where}: {problem.what}"
    yield from _malformed(result, origin.image, where="")


def _own_identity(result: Dataset) -> Iterator[str]:
    """The meta header is written anew whatever it says (`objects.reidentify`); a tool of the mercure project leaves the input's there."""
    meta = text(getattr(result, "file_meta", Dataset()), "MediaStorageSOPInstanceUID")
    if meta and meta != text(result, "SOPInstanceUID"):
        yield "MediaStorageSOPInstanceUID: is not the SOP Instance UID of the data set; Gantry wrote the meta header anew"


def _of_the_study(result: Dataset, origin: Origin) -> Iterator[str]:
    for keyword in _PATIENT_AND_STUDY:
        if keyword not in result:
            element = copied(origin.image, keyword)
            result[Tag(keyword)] = element if element is not None else DataElement(Tag(keyword), dictionary_VR(keyword), "")
            yield f"{keyword}: is missing; Gantry copied it from the input"


def _filled(dataset: Dataset, keyword: str, answer: Answer, origin: Origin, *, where: str) -> Iterator[str]:
    if not _is_empty(dataset, keyword):
        return
    value = answer(dataset, origin)
    state = "is empty" if keyword in dataset else "is missing"
    if value is None:
        yield f"{where}{keyword}: {state}"
        return
    _put(dataset, keyword, value)
    yield f"{where}{keyword}: {state}; Gantry wrote {_words(keyword, value)}"


def _words(keyword: str, value: Any) -> str:
    """A word of the standard may be quoted; a name is told as where it comes from."""
    if keyword in ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "SegmentAlgorithmName"):
        return "the algorithm's"
    if keyword in ("ContentDate", "ContentTime"):
        return "the Run's"
    if keyword == "SegmentLabel":
        return "the meaning of its type"
    return "\\".join(value) if isinstance(value, list) else str(value)


def _in_items(result: Dataset, keyword: str, table: dict[str, Answer], origin: Origin) -> Iterator[str]:
    """Faults in the items of a sequence; the items are copies."""
    members = []
    for number, item in enumerate(items(result, keyword), 1):
        copy = shallow(item)
        members.append(copy)
        for name, answer in table.items():
            if name != "SegmentAlgorithmName" or text(copy, "SegmentAlgorithmType") != "MANUAL":
                yield from _filled(copy, name, answer, origin, where=f"{keyword}[{number}].")
    if members:
        _put(result, keyword, members)


def _put(dataset: Dataset, keyword: str, value: Any) -> None:
    vr = dictionary_VR(keyword)
    dataset[Tag(keyword)] = DataElement(Tag(keyword), vr, Items(value) if vr == "SQ" else value, validation_mode=config.IGNORE)


def _is_empty(dataset: Dataset, keyword: str) -> bool:
    if dictionary_VR(keyword) == "SQ":
        return not items(dataset, keyword)
    return not text(dataset, keyword).strip("\\[]', ")


def _malformed(dataset: Dataset, image: Dataset, *, where: str) -> Iterator[str]:
    """Values that their VR does not allow. What equals the input's is the input's fault."""
    for element in dataset:
        if element.tag.is_private or element.keyword in LARGE or not element.keyword:
            continue
        if element.VR == "SQ":
            for number, item in enumerate(element.value or (), 1):
                yield from _malformed(item, Dataset(), where=f"{where}{element.keyword}[{number}].")
        elif not all(_is_valid(element.VR, value) for value in _texts(element)) and text(dataset, element.keyword) != text(image, element.keyword):
            yield f"{where}{element.keyword}: has a value that {element.VR} does not allow"


def _texts(element: DataElement) -> Sequence[str]:
    if element.VR == "PN":
        return ()
    values = element.value if isinstance(element.value, MultiValue | list) else [element.value]
    return [str(getattr(value, "original_string", value)) for value in values if isinstance(value, str | int | float) and not isinstance(value, bool)]


def _is_valid(vr: str, value: str) -> bool:
    if vr not in ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "SH", "TM", "UI"):
        return True
    try:
        validate_value(vr, value, config.RAISE)
    except ValueError:
        return False
    return True
