"""The document around a content tree: modules of Comprehensive (3D) SR IOD (PS3.3 A.35.13, A.35.3) and the DICOM file.

Written by hand rather than by highdicom's document class: that one copies the tree twice, reads the clock, refuses invalid dates of the
source, and enters itself as equipment. Patient and study elements are copied as they are.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from io import BytesIO

import highdicom
from highdicom.sr import ContainerContentItem
from pydicom import Dataset, dcmwrite
from pydicom.charset import python_encoding
from pydicom.dataset import FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import PersonName

from gantry.runs.names import PRODUCT

from .context import SOP_CLASS_UIDS, UTF_8, Predecessor, ReportContext
from .verbatim import copied, items, text
from .vocabulary import OWN_SCHEME

IMPLEMENTATION = f"2.25.{uuid.uuid5(PRODUCT, 'implementation').int}"
"""Implementation Class UID of everything Gantry writes."""
_PATIENT_AND_STUDY = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "TypeOfPatientID",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientSex",
    "OtherPatientIDsSequence",
    "PatientAge",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
)
_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_REQUEST = (
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
)


@dataclass(frozen=True)
class Series:
    """The series of one document: one document a series, because OHIF shows only the last of a series."""

    number: int
    description: str
    instance_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class Reference:
    """An object of the study."""

    series: str
    sop_class: str
    sop_instance: str


def document(
    content: ContainerContentItem,
    *,
    reference: Dataset,
    evidence: Sequence[Dataset],
    equipment: Iterable[Dataset],
    series: Series,
    context: ReportContext,
    further: Sequence[Reference] = (),
    own_codes: bool = False,
) -> Dataset:
    """The SR as a dataset."""
    result = begun(reference, context)
    _add_series(result, series, context)
    result.CompletionFlag, result.VerificationFlag, result.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    result.ReferencedPerformedProcedureStepSequence = []
    result.PerformedProcedureCodeSequence = []
    requests = requested(reference)
    if requests:
        result.ReferencedRequestSequence = requests
    study = text(reference, "StudyInstanceUID")
    named = [Reference(text(each, "SeriesInstanceUID"), text(each, "SOPClassUID"), text(each, "SOPInstanceUID")) for each in evidence]
    result.CurrentRequestedProcedureEvidenceSequence = [by_series(study, [*named, *further])]
    if context.predecessors:
        result.PredecessorDocumentsSequence = [by_series(study, [_predecessor(each) for each in context.predecessors])]
    if own_codes:
        result.CodingSchemeIdentificationSequence = [_own_scheme()]
    result.ContributingEquipmentSequence = list(equipment)
    for element in content:
        result[element.tag] = element
    return result


def begun(reference: Dataset, context: ReportContext) -> Dataset:
    """What every object of a Run begins with: patient and study as the images have them, and when the Run was made."""
    result = Dataset()
    result.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _TYPE_2:
        setattr(result, keyword, None)
    _copy(reference, result, _PATIENT_AND_STUDY)
    _add_times(result, reference, context.created)
    return result


def encoded(dataset: Dataset, context: ReportContext) -> bytes:
    """The DICOM file, in the wanted character set if that holds every character of it."""
    if context.character_set != UTF_8 and _writable(dataset, python_encoding[context.character_set]):
        dataset.SpecificCharacterSet = context.character_set
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION)
    meta.ImplementationVersionName = f"GANTRY_{context.product_version}"[:16]
    dataset.file_meta = meta
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _writable(dataset: Dataset, codec: str) -> bool:
    """Whether nothing would be lost. UIDs, codes and numbers are ASCII anyway."""
    for element in dataset:
        values = element.value if element.VR == "SQ" or isinstance(element.value, MultiValue) else [element.value]
        for value in values:
            if isinstance(value, Dataset):
                if not _writable(value, codec):
                    return False
            elif isinstance(value, (str, PersonName)) and not _fits(str(value), codec):
                return False
    return True


def _fits(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _copy(source: Dataset, target: Dataset, keywords: Iterable[str]) -> None:
    for keyword in keywords:
        element = copied(source, keyword)
        if element is not None:
            target[element.tag] = element


def _add_series(result: Dataset, series: Series, context: ReportContext) -> None:
    """SR Document Series, General Equipment (the product that built the object) and SOP Common."""
    result.SOPClassUID = UID(SOP_CLASS_UIDS[context.sop_class])
    result.SOPInstanceUID = UID(series.sop_instance_uid)
    result.Modality = "SR"
    result.SeriesInstanceUID = series.instance_uid
    result.SeriesNumber = series.number
    result.SeriesDescription = series.description.replace("\\", "/")[:64]  # a backslash separates values of an LO
    result.InstanceNumber = 1
    result.Manufacturer = "Gantry"
    result.ManufacturerModelName = "Gantry"
    result.DeviceSerialNumber = context.installation[:64]
    result.SoftwareVersions = [context.product_version, f"highdicom {highdicom.__version__}"]


def _add_times(result: Dataset, reference: Dataset, created: datetime) -> None:
    """In the source's zone if it names one (then so does the report), else in that of `created`."""
    if _zone(text(reference, "TimezoneOffsetFromUTC")) is not None:
        result.TimezoneOffsetFromUTC = text(reference, "TimezoneOffsetFromUTC")
    created = moment(reference, created)
    date, time = created.strftime("%Y%m%d"), created.strftime("%H%M%S")
    result.ContentDate = result.SeriesDate = result.InstanceCreationDate = date
    result.ContentTime = result.SeriesTime = result.InstanceCreationTime = time


def moment(reference: Dataset, created: datetime) -> datetime:
    """When the Run was made, in the zone of the images if they name one."""
    zone = _zone(text(reference, "TimezoneOffsetFromUTC"))
    return created if zone is None else created.astimezone(zone)


def _zone(offset: str) -> timezone | None:
    """`&ZZXX` with & as + or - (PS3.3 C.12.1.1.8); None when it is missing or not that."""
    if len(offset) != 5 or offset[0] not in "+-" or not offset[1:].isdecimal() or int(offset[1:3]) > 14 or int(offset[3:]) > 59:
        return None
    east = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:]))
    return timezone(east if offset[0] == "+" else -east)


def requested(reference: Dataset) -> list[Dataset]:
    """Referenced Request Sequence (PS3.3 C.17.2): what the images say of the order."""
    attributes = items(reference, "RequestAttributesSequence")
    if not attributes and not text(reference, "AccessionNumber"):
        return []
    result = []
    for attribute in attributes or [Dataset()]:
        request = Dataset()
        for keyword in _REQUEST:
            setattr(request, keyword, [] if keyword.endswith("Sequence") else None)
        del request.IssuerOfAccessionNumberSequence
        _copy(reference, request, ("StudyInstanceUID", *_REQUEST))
        _copy(attribute, request, [keyword for keyword in _REQUEST if text(attribute, keyword)])
        request.ReferencedStudySequence = []
        result.append(request)
    return result


def _predecessor(each: Predecessor) -> Reference:
    return Reference(each.series_instance_uid, each.sop_class_uid, each.sop_instance_uid)


def _own_scheme() -> Dataset:
    """Coding Scheme Identification (PS3.3 C.12.1.1.1): whose codes those of a private scheme are."""
    item = Dataset()
    item.CodingSchemeDesignator = OWN_SCHEME
    item.CodingSchemeName = "Gantry"
    item.CodingSchemeResponsibleOrganization = "Gantry project"
    return item


def by_series(study: str, references: Iterable[Reference]) -> Dataset:
    """One item of a Hierarchical SOP Instance Reference (PS3.3 C.17.2.1)."""
    series: dict[str, list[Dataset]] = {}
    for reference in references:
        item = Dataset()
        item.ReferencedSOPClassUID = reference.sop_class
        item.ReferencedSOPInstanceUID = reference.sop_instance
        series.setdefault(reference.series, []).append(item)
    result = Dataset()
    result.StudyInstanceUID = study
    result.ReferencedSeriesSequence = []
    for uid, instances in series.items():
        member = Dataset()
        member.SeriesInstanceUID = uid
        member.ReferencedSOPSequence = instances
        result.ReferencedSeriesSequence.append(member)
    return result
