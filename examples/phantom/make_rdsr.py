#!/usr/bin/env python3
"""Gives a phantom CT a dose: `make_rdsr.py FOLDER` writes dose headers into FOLDER/ct*.dcm and FOLDER/rdsr.dcm, a CT radiation dose SR.

The values are planted, so that a report can be compared with them: FOLDER/dose.json says them again. The dose report follows TID 10011
(PS3.16), one localizer and one spiral scan by default. As a module: `add_dose(folder, events)`. It draws nothing; the images are `make_ct.py`'s.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, XRayRadiationDoseSRStorage

_NAMESPACE = uuid.UUID("5d1f0a0e-6f0a-5a51-8a0c-2c3c1f0b6f11")
_COPIED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
    "StudyDescription", "ReferringPhysicianName", "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "SpecificCharacterSet",
)  # fmt: skip
CHEST, HEAD = ("816094009", "SCT", "Chest"), ("69536005", "SCT", "Head")
SPIRAL, LOCALIZER = ("116152004", "SCT", "Spiral Acquisition"), ("113805", "DCM", "Constant Angle Acquisition")
BODY, HEAD_PHANTOM = ("113691", "DCM", "IEC Body Dosimetry Phantom"), ("113690", "DCM", "IEC Head Dosimetry Phantom")
Code = tuple[str, str, str]


@dataclass(frozen=True)
class Event:
    """One irradiation event. CTDIvol in mGy, DLP in mGy.cm, length in mm."""

    ctdi: float | None
    dlp: float | None
    length: float = 300.0
    kind: Code = SPIRAL
    region: Code = CHEST
    phantom: Code = BODY
    protocol: str = "Thorax"


PLANTED = (Event(0.13, 5.2, 400.0, LOCALIZER, protocol="Topogram"), Event(12.5, 430.0, 344.0))
"""A scan above a reference level of 10 mGy and 350 mGy.cm, with its localizer."""


def event_uid(study: str, place: int) -> str:
    """Irradiation Event UID, the same in images and dose report."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, f'{study}/event/{place}').int}"


def add_dose(folder: Path, events: Sequence[Event] = PLANTED, *, imaged: float | None = None) -> Path:
    """The dose report's file. The images are those of the last event; `imaged` gives them another CTDIvol than the report has."""
    images = sorted(folder.glob("ct*.dcm"))
    scan = events[-1]
    image = Dataset()
    for path in images:
        image = dcmread(path)
        image.IrradiationEventUID = event_uid(image.StudyInstanceUID, len(events))
        image.Exposure = "100"
        image.CTDIvol = imaged if imaged is not None else scan.ctdi
        image.CTDIPhantomTypeCodeSequence = [_code(scan.phantom)]
        image.save_as(path, enforce_file_format=True)
    report = dose_report(image, events)
    report.save_as(folder / "rdsr.dcm", enforce_file_format=True)
    (folder / "dose.json").write_text(json.dumps([asdict(event) for event in events], indent=1) + "\n", encoding="utf-8")
    return folder / "rdsr.dcm"


def dose_report(image: Dataset, events: Sequence[Event]) -> Dataset:
    """X-Ray Radiation Dose SR (PS3.3 A.35.8) for the study of an image."""
    study = str(image.StudyInstanceUID)
    report = Dataset()
    for keyword in _COPIED:
        setattr(report, keyword, image.get(keyword, ""))
    report.SOPClassUID = XRayRadiationDoseSRStorage
    report.SOPInstanceUID = f"2.25.{uuid.uuid5(_NAMESPACE, f'{study}/{tuple(events)!r}').int}"
    report.SeriesInstanceUID = f"2.25.{uuid.uuid5(_NAMESPACE, f'{study}/series').int}"
    report.Modality, report.SeriesNumber, report.InstanceNumber, report.SeriesDescription = "SR", 999, 1, "Dose report"
    report.ContentDate, report.ContentTime = image.StudyDate, image.StudyTime
    report.CompletionFlag, report.VerificationFlag = "COMPLETE", "UNVERIFIED"
    report.DeviceSerialNumber = "1"
    report.ReferencedPerformedProcedureStepSequence, report.PerformedProcedureCodeSequence = [], []
    report.ValueType, report.ContinuityOfContent = "CONTAINER", "SEPARATE"
    report.ConceptNameCodeSequence = [_code(("113701", "DCM", "X-Ray Radiation Dose Report"))]
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "10011"
    report.ContentTemplateSequence = [template]
    acquisitions = [_acquisition(study, place, event) for place, event in enumerate(events, 1)]
    collected = _coded(("113854", "DCM", "Source of Dose Information"), ("113856", "DCM", "Automated Data Collection"))
    report.ContentSequence = [*_context(study, image), _accumulated(events), *acquisitions, collected]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = report.SOPClassUID, report.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report.file_meta = meta
    return report


def _context(study: str, image: Dataset) -> list[Dataset]:
    """What the whole document is about (TID 10011 rows 2 to 9)."""
    procedure = _coded(("121058", "DCM", "Procedure reported"), ("77477000", "SCT", "Computed Tomography X-Ray"), "HAS CONCEPT MOD")
    procedure.ContentSequence = [_coded(("363703001", "SCT", "Has Intent"), ("261004008", "SCT", "Diagnostic Intent"), "HAS CONCEPT MOD")]
    scope = _coded(("113705", "DCM", "Scope of Accumulation"), ("113014", "DCM", "Study"), "HAS OBS CONTEXT")
    scope.ContentSequence = [_uid(("110180", "DCM", "Study Instance UID"), study, "HAS PROPERTIES")]
    began = f"{image.StudyDate}{image.StudyTime}"
    return [
        procedure,
        _coded(("121005", "DCM", "Observer Type"), ("121007", "DCM", "Device"), "HAS OBS CONTEXT"),
        _uid(("121012", "DCM", "Device Observer UID"), f"2.25.{_NAMESPACE.int}", "HAS OBS CONTEXT"),
        _moment(("113809", "DCM", "Start of X-Ray Irradiation"), began),
        _moment(("113810", "DCM", "End of X-Ray Irradiation"), began),
        scope,
    ]


def _accumulated(events: Sequence[Event]) -> Dataset:
    """TID 10012."""
    total = sum(event.dlp or 0.0 for event in events)
    count = _number(("113812", "DCM", "Total Number of Irradiation Events"), len(events), ("{events}", "UCUM", "events"))
    product = _number(("113813", "DCM", "CT Dose Length Product Total"), total, ("mGy.cm", "UCUM", "mGy.cm"))
    return _container(("113811", "DCM", "CT Accumulated Dose Data"), [count, product])


def _acquisition(study: str, place: int, event: Event) -> Dataset:
    """TID 10013."""
    millimetres = ("mm", "UCUM", "mm")
    source = _container(
        ("113831", "DCM", "CT X-Ray Source Parameters"),
        [
            _text(("113832", "DCM", "Identification of the X-Ray Source"), "A"),
            _number(("113733", "DCM", "KVP"), 120, ("kV", "UCUM", "kV")),
            _number(("113833", "DCM", "Maximum X-Ray Tube Current"), 200, ("mA", "UCUM", "mA")),
            _number(("113734", "DCM", "X-Ray Tube Current"), 200, ("mA", "UCUM", "mA")),
        ],
    )
    parameters = [
        _number(("113824", "DCM", "Exposure Time"), 5.0, ("s", "UCUM", "s")),
        _number(("113825", "DCM", "Scanning Length"), event.length, millimetres),
        _number(("113826", "DCM", "Nominal Single Collimation Width"), 0.6, millimetres),
        _number(("113827", "DCM", "Nominal Total Collimation Width"), 38.4, millimetres),
        _number(("113823", "DCM", "Number of X-Ray Sources"), 1, ("{X-Ray sources}", "UCUM", "X-Ray sources")),
        source,
    ]
    content = [
        _text(("125203", "DCM", "Acquisition Protocol"), event.protocol),
        _coded(("123014", "DCM", "Target Region"), event.region),
        _coded(("113820", "DCM", "CT Acquisition Type"), event.kind),
        _uid(("113769", "DCM", "Irradiation Event UID"), event_uid(study, place)),
        _container(("113822", "DCM", "CT Acquisition Parameters"), parameters),
    ]
    dose = []
    if event.ctdi is not None:
        dose.append(_number(("113830", "DCM", "Mean CTDIvol"), event.ctdi, ("mGy", "UCUM", "mGy")))
        dose.append(_coded(("113835", "DCM", "CTDIw Phantom Type"), event.phantom))
    if event.dlp is not None:
        dose.append(_number(("113838", "DCM", "DLP"), event.dlp, ("mGy.cm", "UCUM", "mGy.cm")))
    if dose:
        content.append(_container(("113829", "DCM", "CT Dose"), dose))
    return _container(("113819", "DCM", "CT Acquisition"), content)


def _code(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item


def _item(kind: str, name: Code, relationship: str) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = relationship, kind
    item.ConceptNameCodeSequence = [_code(name)]
    return item


def _container(name: Code, content: list[Dataset]) -> Dataset:
    item = _item("CONTAINER", name, "CONTAINS")
    item.ContinuityOfContent, item.ContentSequence = "SEPARATE", content
    return item


def _coded(name: Code, value: Code, relationship: str = "CONTAINS") -> Dataset:
    item = _item("CODE", name, relationship)
    item.ConceptCodeSequence = [_code(value)]
    return item


def _text(name: Code, value: str) -> Dataset:
    item = _item("TEXT", name, "CONTAINS")
    item.TextValue = value
    return item


def _uid(name: Code, value: str, relationship: str = "CONTAINS") -> Dataset:
    item = _item("UIDREF", name, relationship)
    item.UID = value
    return item


def _moment(name: Code, value: str) -> Dataset:
    item = _item("DATETIME", name, "HAS OBS CONTEXT")
    item.DateTime = value
    return item


def _number(name: Code, value: float, unit: Code) -> Dataset:
    item = _item("NUM", name, "CONTAINS")
    measured = Dataset()
    measured.NumericValue = f"{value:g}"
    measured.MeasurementUnitsCodeSequence = [_code(unit)]
    item.MeasuredValueSequence = [measured]
    return item


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Gives a phantom CT dose headers and a radiation dose SR.")
    parser.add_argument("folder", type=Path, help="with ct*.dcm of make_ct.py")
    parser.add_argument("--ctdi", type=float, default=PLANTED[-1].ctdi, help="mGy of the scan")
    parser.add_argument("--dlp", type=float, default=PLANTED[-1].dlp, help="mGy.cm of the scan")
    given = parser.parse_args(arguments)
    if not any(given.folder.glob("ct*.dcm")):
        sys.exit(f"make_rdsr: {given.folder} holds no ct*.dcm; run make_ct.py first")
    path = add_dose(given.folder, (PLANTED[0], Event(given.ctdi, given.dlp, PLANTED[-1].length)))
    sys.stdout.write(f"{path} with a scan of {given.ctdi:g} mGy, {given.dlp:g} mGy.cm and a localizer\n")


if __name__ == "__main__":
    main()
