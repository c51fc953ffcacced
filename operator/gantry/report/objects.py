"""DICOM files an application hands over: which are accepted, and the UIDs they are stored under.

Pure. The application may be wrong about whose images it saw; nothing that names another patient or study ever passes. `placement` looks at
where an object lies, `conformance` at the standard. Messages name the file and the attribute and never quote the values.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from pydicom import DataElement, Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.uid import UID, ExplicitVRLittleEndian

from .document import IMPLEMENTATION
from .errors import UnacceptedObject, WrongPatient
from .placement import require_placed
from .verbatim import integer, shallow, text, tolerated

Kind = Literal["SR", "SEG", "SC", "PDF", "PM"]
KINDS: dict[str, Kind] = {
    "1.2.840.10008.5.1.4.1.1.88.11": "SR",
    "1.2.840.10008.5.1.4.1.1.88.22": "SR",
    "1.2.840.10008.5.1.4.1.1.88.33": "SR",
    "1.2.840.10008.5.1.4.1.1.88.34": "SR",
    "1.2.840.10008.5.1.4.1.1.88.35": "SR",
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.66.7": "SEG",
    "1.2.840.10008.5.1.4.1.1.7": "SC",
    "1.2.840.10008.5.1.4.1.1.7.1": "SC",
    "1.2.840.10008.5.1.4.1.1.7.2": "SC",
    "1.2.840.10008.5.1.4.1.1.7.3": "SC",
    "1.2.840.10008.5.1.4.1.1.7.4": "SC",
    "1.2.840.10008.5.1.4.1.1.104.1": "PDF",
    "1.2.840.10008.5.1.4.1.1.30": "PM",
}
"""Basic Text to Extensible SR; Segmentation and Label Map Segmentation; Secondary Capture, single and multi-frame; Encapsulated PDF;
Parametric Map."""
_CONTENT = {
    "SR": ("ContentSequence",),
    "SEG": ("PixelData",),
    "SC": ("PixelData",),
    "PDF": ("EncapsulatedDocument",),
    "PM": ("PixelData", "FloatPixelData", "DoubleFloatPixelData"),
}
"""What an object of a kind is for: one of these."""


def check_object(
    dataset: Dataset, *, name: str, source: Sequence[Dataset], accept: Sequence[str], others: Collection[str] = ()
) -> Kind:
    """The kind of an object of this patient and study, which lies where the input lies. Raises WrongPatient or UnacceptedObject.

    `name` is the file's; `others` are the SOP Instance UIDs of all files handed over, which may refer to each other.
    """
    with tolerated():
        if not source:
            raise UnacceptedObject(f"{name}: the input holds no image it could belong to")
        _require_the_same_patient(dataset, source[0], name=name)
        kind = KINDS.get(text(dataset, "SOPClassUID"))
        if kind is None:
            raise UnacceptedObject(f"{name}: SOPClassUID: is none of SR, SEG, SC, PDF, PM")
        if kind not in accept:
            raise UnacceptedObject(f"{name}: is of kind {kind}, which report.accept of the pipeline does not name")
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
            if not text(dataset, keyword):
                raise UnacceptedObject(f"{name}: {keyword}: is missing or empty")
        _require_content(dataset, kind, name=name)
        require_placed(dataset, kind=kind, name=name, source=source, others=others)
        return kind


def _require_the_same_patient(dataset: Dataset, image: Dataset, *, name: str) -> None:
    for keyword, words in (("StudyInstanceUID", "study"), ("PatientID", "patient")):
        if text(dataset, keyword) != text(image, keyword):
            raise WrongPatient(f"{name}: {keyword} is not that of the input; an application copies it from the images of this {words}")
    issuers = {text(dataset, "IssuerOfPatientID"), text(image, "IssuerOfPatientID")} - {""}
    if len(issuers) > 1:
        raise WrongPatient(f"{name}: IssuerOfPatientID is not that of the input")


def _require_content(dataset: Dataset, kind: Kind, *, name: str) -> None:
    """It holds what its kind is for, whole: viewers crash on a pixel too few."""
    held = next((keyword for keyword in _CONTENT[kind] if dataset.get(keyword)), None)
    if held is None:
        raise UnacceptedObject(f"{name}: {_CONTENT[kind][0]}: is missing or empty")
    if kind == "PDF" and not bytes(dataset.EncapsulatedDocument[:1024]).lstrip().startswith(b"%PDF-"):
        raise UnacceptedObject(f"{name}: EncapsulatedDocument: is no PDF")
    if held != "PixelData" or getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID", ExplicitVRLittleEndian).is_compressed:
        return
    lengths = [integer(dataset, keyword) or 1 for keyword in ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames")]
    bits = math.prod(lengths) * (integer(dataset, "BitsAllocated") or 0)
    if len(dataset.PixelData) < (bits + 7) // 8:
        what = f"holds {len(dataset.PixelData)} bytes; Rows, Columns, NumberOfFrames and BitsAllocated make {(bits + 7) // 8}"
        raise UnacceptedObject(f"{name}: PixelData: {what}")


def reidentify(dataset: Dataset, sop_uid: str, series_uid: str, *, renamed: Mapping[str, str] | None = None) -> Dataset:
    """The object under UIDs of the Run, with file meta of its own; the given dataset stays as it is.

    `renamed` maps old to new SOP Instance UIDs of all objects of the Run, so that one that refers to another still finds it.
    """
    with tolerated():
        old = text(dataset, "SOPInstanceUID")
        result = _referring_to({**(renamed or {}), old: sop_uid}, dataset) if renamed else shallow(dataset)
        result[0x00080018] = DataElement(0x00080018, "UI", sop_uid)
        result[0x0020000E] = DataElement(0x0020000E, "UI", series_uid)
        meta = FileMetaDataset()
        meta.FileMetaInformationVersion = b"\x00\x01"
        meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        meta.MediaStorageSOPInstanceUID = UID(sop_uid)
        meta.TransferSyntaxUID = getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID", ExplicitVRLittleEndian)
        meta.ImplementationClassUID = UID(IMPLEMENTATION)
        meta.ImplementationVersionName = "GANTRY"
        result.file_meta = meta
        return result


def _referring_to(renamed: Mapping[str, str], dataset: Dataset) -> Dataset:
    result = shallow(dataset)
    for element in dataset:
        if element.VR == "SQ":
            value = [_referring_to(renamed, item) for item in element.value or ()]
            result[element.tag] = DataElement(element.tag, "SQ", value)
        elif element.VR == "UI":
            uids = [str(uid) for uid in element.value] if isinstance(element.value, MultiValue) else [str(element.value or "")]
            if any(uid in renamed for uid in uids):
                result[element.tag] = DataElement(element.tag, "UI", [renamed.get(uid, uid) for uid in uids])
    return result
