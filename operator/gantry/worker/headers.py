"""Headers of the input images, for checking outputs against them and for the report.

Read while the application works: 0.5 to 1 ms and about 20 KB a slice, so that a thousand slices cost waiting time and nothing else.
Pixels are never read.
"""

import contextlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydicom import DataElement, Dataset

from .reading import MOST, read_header
from .workspace import Workspace


def read_headers(workspace: Workspace) -> tuple[Dataset, ...]:
    """One dataset a file, in the order of study.json, which fetch wrote and no step can change."""
    document = json.loads(workspace.study.read_bytes())
    paths = [workspace.input / one["path"] for series in document["series"] for one in series["instances"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # faults of the source, quoted with its values
        left, headers = MOST, []
        for path in paths:
            dataset, inflated = _header(path, left)
            left -= inflated
            headers.append(dataset)
        return tuple(headers)


EARLY = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID", "IssuerOfPatientID",
    "InstanceNumber", "Rows", "Columns", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
)  # fmt: skip
"""What checks and report ask of every image. pydicom decodes an element when it is first asked for: 1.4 of the 1.6 s that a report about
2,000 slices took after the step's end, and nothing when it is done before."""


def _header(path: Path, most: int) -> tuple[Dataset, int]:
    dataset, inflated = (_from_json(json.loads(path.read_bytes())), 0) if path.suffix == ".json" else read_header(path, most=most)
    for keyword in EARLY:
        with contextlib.suppress(ValueError, TypeError, OverflowError, AttributeError):  # a number that is none: the report's to judge
            dataset.get(keyword)
    return dataset, inflated


UNREAD = ("0040A730", "52009230")
"""Content Sequence of an SR and Per-Frame Functional Groups: large, and no part of a report is made of them."""


def _from_json(document: dict[str, Any]) -> Dataset:
    """A header from DICOM JSON. An element whose value cannot be its VR's is left out, as reading it from a file would fail."""
    dataset = Dataset()
    for tag, element in document.items():
        if tag in UNREAD or int(tag[3], 16) % 2:  # private elements go into no report
            continue
        value = element.get("Value")
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, OverflowError):
            dataset.add(DataElement.from_json(Dataset, tag, element["vr"], value, "Value" if value else None))
    return dataset


DEPARTMENT = ("RequestingService", "InstitutionalDepartmentName")


def department(source: Sequence[Dataset]) -> str:
    """Who asked for the study (PS3.3 C.3.4, C.7.5.1), at most 64 letters; empty when the images do not say."""
    found = (" ".join(str(dataset.get(keyword) or "").split()) for keyword in DEPARTMENT for dataset in source[:1])
    return next((value[:64] for value in found if value.isprintable() and value), "")


IDENTIFYING = ("PatientName", "PatientID", "AccessionNumber", "PatientBirthDate", "OtherPatientIDs", "StudyInstanceUID")


def identifiers(source: Sequence[Dataset]) -> frozenset[str]:
    """What must not appear in a message: values of three characters and more that tell who the patient or which the study is."""
    found: set[str] = set()
    for dataset in source[:1]:
        for keyword in IDENTIFYING:
            value = str(dataset.get(keyword) or "")
            found.update(part.strip() for whole in value.split("=") for part in (whole, *whole.split("^")))
    return frozenset(one for one in found if len(one) >= 3)
