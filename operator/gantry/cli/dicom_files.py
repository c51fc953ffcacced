"""DICOM files on disk, for commands that need no cluster: one file, or the headers of a folder.

Pixels are never read here. Of a folder's images only what checks and reports ask of every image is kept, so that ten thousand slices fit
into memory. It must not judge what the files say.
"""

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from .failure import Failure

KEPT = (
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID",
    "IssuerOfPatientID", "AccessionNumber", "Modality", "InstanceNumber", "NumberOfFrames", "Rows", "Columns", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "TotalPixelMatrixColumns", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "ReferencedSeriesSequence", "SegmentSequence", "SliceThickness", "PatientOrientation", "PositionReferenceIndicator", "LossyImageCompression",
    "LossyImageCompressionRatio", "LossyImageCompressionMethod",
)  # fmt: skip
"""What is kept of every file: identity, size, where an image lies, what a segmentation holds."""
UNKNOWN = 0xFFFFFFFF
"""Length of an element that ends with a delimiter (PS3.5 7.1.1)."""
logging.getLogger("pydicom").addHandler(logging.NullHandler())  # it logs values that break a rule, with the patient's among them


@dataclass(frozen=True)
class Header:
    """The kept elements of one file."""

    path: Path
    dataset: Dataset


def read_dicom(path: Path, *, pixels: bool = False) -> Dataset:
    """One file whole, but for its pixels. Raises Failure."""
    return _read(path, None, pixels=pixels)


def require_folder(folder: Path) -> None:
    """Raises Failure for what is no folder that can be read."""
    if not folder.is_dir():
        raise Failure(f"{folder} is no folder", code=2)


def headers(folder: Path) -> list[Header]:
    """All DICOM files below a folder, in the order of their names. What is not DICOM is passed over: DICOMDIR, notes, pictures."""
    require_folder(folder)
    found = []
    for path in files_below(folder):
        if is_dicom(path):
            dataset = _read(path, KEPT)
            if dataset.get("SOPInstanceUID"):
                found.append(Header(path, dataset))
    return found


def files_below(folder: Path) -> Iterator[Path]:
    """Regular files, sorted, not through links to folders."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (path for name in sorted(names) if (path := Path(parent) / name).is_file())


def is_dicom(path: Path) -> bool:
    """A Part 10 file (PS3.10 section 7.1), whatever its name is."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror or error}") from error


def in_study(found: Sequence[Header], study: str) -> list[Header]:
    """Those of one study."""
    return [one for one in found if str(one.dataset.get("StudyInstanceUID") or "") == study]


def _read(path: Path, tags: Sequence[str] | None, *, pixels: bool = False) -> Dataset:
    try:
        with warnings.catch_warnings(action="ignore"):
            dataset = dcmread(path, stop_before_pixels=not pixels, specific_tags=list(tags) if tags else None)
            _require_the_end(dataset)
            return dataset
    except InvalidDicomError as error:
        raise Failure(f"{path} is not a DICOM file") from error
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror or 'it ends too early'}") from error
    except Exception as error:  # a broken file makes the parser raise anything
        raise Failure(f"{path} is damaged: it cannot be read as DICOM ({type(error).__name__})") from error


def _require_the_end(dataset: Dataset) -> None:
    """pydicom takes a value that breaks off at the end of the file without a word."""
    if not len(dataset):
        raise EOFError
    last = dataset.get_item(max(dataset.keys()))
    length, value = getattr(last, "length", UNKNOWN), last.value
    if isinstance(value, bytes) and length not in (len(value), UNKNOWN):
        raise EOFError
