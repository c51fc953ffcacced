"""What the dose application is given in tests, CT headers and dose reports with planted values, and what it says of them."""

import json
from collections.abc import Sequence
from typing import Any

import pydicom
from examples.algorithms.dose.dose.document import findings_document
from examples.algorithms.dose.dose.settings import Settings
from examples.algorithms.dose.dose.study import Study
from examples.algorithms.dose.dose.summary import summarised
from examples.phantom.make_rdsr import BODY, PLANTED, Event, dose_report, event_uid

from gantry.findings import Finding, Findings, parse_findings
from gantry.worker.dicom_json import JsonDataset, parsed

LEVELS = {"chest": {"CTDIvol": 10.0, "DLP": 350.0}}


def as_json(dataset: pydicom.Dataset) -> JsonDataset:
    """As the application finds it."""
    return parsed(json.dumps([dataset.to_json_dict(bulk_data_threshold=0, bulk_data_element_handler=lambda _: "x")]).encode())


def a_slice(number: int = 1, *, series: str = "1.2.3.1", event: str = event_uid("1.2.3", 2), **elements: Any) -> pydicom.Dataset:
    """One CT header: 5 mm slices, one above another. None removes an element."""
    ds = pydicom.Dataset()
    ds.SOPClassUID, ds.Modality = "1.2.840.10008.5.1.4.1.1.2", "CT"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = "1.2.3", series, f"{series}.{number}"
    ds.StudyDate, ds.StudyTime, ds.PatientBirthDate, ds.BodyPartExamined = "20260105", "101500", "19600101", "CHEST"
    ds.FrameOfReferenceUID, ds.AcquisitionNumber, ds.AcquisitionDate = "1.2.3.9", 1, "20260105"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.ImagePositionPatient, ds.SliceThickness, ds.InstanceNumber = [0, 0, 5.0 * number], 5, number
    ds.CTDIvol, ds.IrradiationEventUID = 12.5, event
    phantom = pydicom.Dataset()
    phantom.CodeValue, phantom.CodingSchemeDesignator, phantom.CodeMeaning = BODY
    ds.CTDIPhantomTypeCodeSequence = [phantom]
    for keyword, value in elements.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def slices(count: int = 4, **elements: Any) -> list[pydicom.Dataset]:
    return [a_slice(number, **elements) for number in range(1, count + 1)]


def a_report(*events: Event, image: pydicom.Dataset | None = None) -> pydicom.Dataset:
    return dose_report(image or a_slice(), events or PLANTED)


def look(
    images: Sequence[pydicom.Dataset] = (), reports: Sequence[pydicom.Dataset] = (), *, age: float | None = 60, other: dict[str, int] | None = None, **settings: Any
) -> Findings:
    """What the application says of them, through the contract's own parser."""
    study = Study(tuple(map(as_json, images)), tuple(map(as_json, reports)), other or {}, age)
    chosen = Settings(**{"referenceLevels": LEVELS, **settings})
    events, total, notes = summarised(study, tolerance=chosen.tolerance)
    return parse_findings(json.dumps(findings_document(events, total, notes, age=age, settings=chosen)).encode())


def measured(finding: Finding) -> dict[str, tuple[float, str]]:
    return {one.name.meaning: (one.value, one.unit) for one in finding.measurements}


def by_id(found: Findings) -> dict[str, Finding]:
    return {one.id: one for one in found.findings}


def impression(found: Findings) -> str:
    return str(found.summary.impression)
