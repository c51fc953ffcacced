"""The document around the content tree: modules of Comprehensive (3D) SR, and what IHE AI Results adds (6.5.3.1).

The tables are the modules' (PS3.3 C.7.1.1, C.7.2.1, C.7.5, C.12.1, C.17.1, C.17.2); a check answers with the problems it finds.
"""

import re
from collections.abc import Iterator

from pydicom import Dataset

from ..context import SOP_CLASS_UIDS
from ..verbatim import items, text
from .items import Item, first_code
from .problems import Problem, Rule

TYPE_1 = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber", "InstanceNumber", "CompletionFlag",
    "VerificationFlag", "ContentDate", "ContentTime", "ValueType", "ContinuityOfContent", "Manufacturer", "ManufacturerModelName",
    "DeviceSerialNumber", "SoftwareVersions",
)  # fmt: skip
TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
    "ReferringPhysicianName", "ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence",
)  # fmt: skip
VALUES = {"Modality": ("SR",), "CompletionFlag": ("COMPLETE", "PARTIAL"), "VerificationFlag": ("VERIFIED", "UNVERIFIED"), "ValueType": ("CONTAINER",)}
UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
PROCESSING = ("109102", "DCM")
DEVICE = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceUID")
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_DATE, _TIME = re.compile(r"[0-9]{8}"), re.compile(r"([0-9]{2}){1,3}(\.[0-9]{1,6})?")


def check_modules(report: Dataset) -> Iterator[Problem]:
    """Attributes that have to be there, and what they may say."""
    for keyword in TYPE_1:
        if not text(report, keyword):
            yield Problem(Rule.ATTRIBUTE, keyword, "is missing or empty", "set it")
    for keyword in TYPE_2:
        if keyword not in report:
            yield Problem(Rule.ATTRIBUTE, keyword, "is missing", "set it; it may be empty")
    for keyword, allowed in VALUES.items():
        if text(report, keyword) and text(report, keyword) not in allowed:
            yield Problem(Rule.ATTRIBUTE, keyword, "has a value the standard does not know", f"write {' or '.join(allowed)}")
    for keyword in UIDS:
        if text(report, keyword) and not _is_uid(text(report, keyword)):
            yield Problem(Rule.ATTRIBUTE, keyword, "is no UID", "write digits and dots, at most 64 characters")
    for keyword, pattern in (("ContentDate", _DATE), ("ContentTime", _TIME)):
        if text(report, keyword) and not pattern.fullmatch(text(report, keyword)):
            yield Problem(Rule.ATTRIBUTE, keyword, "is no date or time of DICOM", "write YYYYMMDD and HHMMSS")
    yield from _check_class(report)


def _is_uid(value: str) -> bool:
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def _check_class(report: Dataset) -> Iterator[Problem]:
    if text(report, "SOPClassUID") not in SOP_CLASS_UIDS.values():
        yield Problem(Rule.SOP_CLASS, "SOPClassUID", "is neither Comprehensive SR nor Comprehensive 3D SR", "use one of these")
    meta = getattr(report, "file_meta", None)
    if meta is None:
        return
    for own, keyword in (("SOPClassUID", "MediaStorageSOPClassUID"), ("SOPInstanceUID", "MediaStorageSOPInstanceUID")):
        if text(meta, keyword) != text(report, own):
            yield Problem(Rule.SOP_CLASS, keyword, f"differs from {own}", "write the file's meta information anew")


def check_state(report: Dataset) -> Iterator[Problem]:
    """IHE AIR: nobody has verified what an algorithm says."""
    for keyword, value in (("CompletionFlag", "COMPLETE"), ("VerificationFlag", "UNVERIFIED")):
        if text(report, keyword) and text(report, keyword) != value:
            yield Problem(Rule.STATE, keyword, f"is not {value}", f"write {value}: a person verifies the report, not an algorithm")


def check_study(report: Dataset, images: list[Dataset]) -> Iterator[Problem]:
    """The archive files a report by these, so they are the images', letter for letter."""
    for keyword in ("StudyInstanceUID", "PatientID", "IssuerOfPatientID", "AccessionNumber"):
        if images and text(report, keyword) not in {text(image, keyword) for image in images}:
            yield Problem(Rule.STUDY, keyword, "is not that of the images", "copy it from them")


def check_equipment(report: Dataset, root: Item, groups: list[Item]) -> Iterator[Problem]:
    """IHE AIR 6.5.3.1, Table 6.5.3.1-1: the same words in Contributing Equipment, TID 1004 and TID 4019."""
    equipment = [each for each in items(report, "ContributingEquipmentSequence") if first_code(each, "PurposeOfReferenceCodeSequence") == PROCESSING]
    if not equipment:
        todo = "add an item with purpose (109102, DCM, Processing Equipment)"
        yield Problem(Rule.EQUIPMENT, "ContributingEquipmentSequence", "names no algorithm", todo)
        return
    for number, each in enumerate(equipment, 1):
        for keyword in DEVICE:
            if not text(each, keyword):
                where = f"ContributingEquipmentSequence[{number}].{keyword}"
                yield Problem(Rule.EQUIPMENT, where, "is missing or empty", "set it: it tells the algorithm and its version")
    yield from _check_observers(root, equipment)
    known = {(text(each, "ManufacturerModelName"), text(each, "SoftwareVersions")) for each in equipment}
    for group in groups:
        names, versions = group.named("111001"), group.named("111003")
        if names and versions and (text(names[0].dataset, "TextValue"), text(versions[0].dataset, "TextValue")) not in known:
            what = "names an algorithm that Contributing Equipment does not"
            yield Problem(Rule.EQUIPMENT, group.place, what, "use the same name and version in both")


def _check_observers(root: Item, equipment: list[Dataset]) -> Iterator[Problem]:
    """A device observer begins with its UID (TID 1004); name, manufacturer and model follow."""
    observed: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for child in root.children:
        if child.name == "121012":
            current = observed.setdefault(text(child.dataset, "UID"), {})
        elif child.name in ("121013", "121014", "121015"):
            current[child.name] = text(child.dataset, "TextValue")
    for number, each in enumerate(equipment, 1):
        where = f"ContributingEquipmentSequence[{number}]"
        device = observed.get(text(each, "DeviceUID"))
        if device is None:
            yield Problem(Rule.EQUIPMENT, where, "is no device observer of the content", "add TID 1004 with the same Device UID (121012)")
            continue
        for keyword, concept in (("Manufacturer", "121014"), ("ManufacturerModelName", "121015")):
            if device.get(concept) != text(each, keyword):
                yield Problem(Rule.EQUIPMENT, f"{where}.{keyword}", f"differs from the device observer's {concept}", "use the same words in both")
