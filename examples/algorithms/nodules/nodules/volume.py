"""DICOM files -> one volume in Hounsfield units with its place in space, or the reason why not.

Slices are put in order by geometry alone; file names and instance numbers are not trusted. A series whose slices are not evenly spaced
(one is missing, two lie at one place, a tilted gantry) is refused: a measurement across a gap would be wrong without looking wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

MIN_SLICES = 3
_POSITION, _ORIENTATION, _SPACING = "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"
_NEEDED = (_POSITION, _ORIENTATION, _SPACING, "Rows", "Columns", "SOPInstanceUID")
UNEVEN = 0.1
"""Share of the slice spacing by which one gap may differ: positions are rounded by scanners, a missing slice differs by 1."""


class Unusable(ValueError):
    """No series of the input can be analysed; the message says why."""


class NoImages(Unusable):
    """The input holds no files."""


@dataclass(frozen=True)
class Volume:
    """Voxels and their place: index (slice, row, column) <-> patient coordinates (LPS, mm)."""

    hu: np.ndarray
    """int16, one slice after the other along `axes[0]`."""
    spacing: np.ndarray
    """Between slices, rows, columns."""
    axes: np.ndarray
    """Unit vectors of those three directions, one a row."""
    origin: np.ndarray
    """Centre of voxel (0, 0, 0)."""
    uids: tuple[str, ...]
    """SOP Instance UID of each slice."""

    def place(self, index: np.ndarray) -> np.ndarray:
        """Patient coordinates of (fractional) indices."""
        return self.origin + (index * self.spacing) @ self.axes


def read_volume(folder: Path) -> Volume:
    """The usable series with the thinnest slices, the first of equals. Raises NoImages or Unusable."""
    found = [(child, sorted(child.glob("*.dcm"))) for child in sorted(folder.iterdir(), key=_number) if child.is_dir()] if folder.is_dir() else []
    series = [(child, files) for child, files in found if files]
    if not series:
        raise NoImages(f"no images: expected <n>/<m>.dcm in {folder}")
    usable, reasons = [], []
    for child, files in series:
        try:
            usable.append(_ordered(files))
        except Unusable as error:
            reasons.append(f"series {child.name}: {error}")
    if not usable:
        raise Unusable("; ".join(reasons))
    return _load(min(usable, key=lambda slices: _gap(slices)))


def _number(path: Path) -> tuple[int, str]:
    return (int(path.name), "") if path.name.isdigit() else (1 << 30, path.name)


@dataclass(frozen=True)
class _Slices:
    """One series, in order."""

    files: tuple[Path, ...]
    positions: np.ndarray
    header: FileDataset


def _gap(slices: _Slices) -> float:
    return float(np.linalg.norm(slices.positions[-1] - slices.positions[0])) / (len(slices.files) - 1)


def _ordered(files: list[Path]) -> _Slices:
    """The series in order along its normal. Raises Unusable."""
    headers = [_header(path) for path in files]
    first = headers[0]
    if len(headers) < MIN_SLICES:
        raise Unusable(f"{len(headers)} images are too few for a volume")
    for header in headers:
        same = all(np.allclose(header[name].value, first[name].value, atol=1e-3) for name in (_ORIENTATION, _SPACING, "Rows", "Columns"))
        if not same:
            raise Unusable("the images differ in orientation, pixel spacing or size")
    across, down = np.array(first[_ORIENTATION].value, float).reshape(2, 3)
    if not np.allclose([across @ across, down @ down, across @ down], [1, 1, 0], atol=1e-3):
        raise Unusable("ImageOrientationPatient does not hold two perpendicular unit vectors")
    if min(map(float, first[_SPACING].value)) <= 0:
        raise Unusable("PixelSpacing is not positive")
    positions = np.array([header[_POSITION].value for header in headers], float)
    order = np.argsort(positions @ np.cross(across, down))
    positions = positions[order]
    _check_spacing(positions, np.cross(across, down))
    return _Slices(tuple(files[i] for i in order), positions, headers[order[0]])


def _header(path: Path) -> FileDataset:
    try:
        header = dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, OSError, EOFError, ValueError) as error:
        raise Unusable(f"{path.name} is not a DICOM file: {error}") from error
    if header.get("Modality") != "CT":
        raise Unusable(f"{path.name} is not a CT image")
    if "LOCALIZER" in (header.get("ImageType") or ()):
        raise Unusable(f"{path.name} is a localizer")
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise Unusable(f"{path.name} is a multi-frame image, which this application does not read")
    missing = [name for name in _NEEDED if header.get(name) is None or header.get(name) == ""]
    if missing:
        raise Unusable(f"{path.name} lacks {', '.join(missing)}")
    if len(header[_POSITION].value) != 3 or len(header[_ORIENTATION].value) != 6 or len(header[_SPACING].value) != 2:
        raise Unusable(f"{path.name} has a broken image plane")
    return header


def _check_spacing(positions: np.ndarray, normal: np.ndarray) -> None:
    gaps = np.diff(positions @ normal)
    usual = float(np.median(gaps))
    if gaps.min() < 0.01:
        raise Unusable("two images lie at the same position: several phases or acquisitions in one series")
    worst = int(np.argmax(np.abs(gaps - usual)))
    if abs(gaps[worst] - usual) > UNEVEN * usual:
        raise Unusable(f"the slices are not evenly spaced: {usual:.2f} mm, but {gaps[worst]:.2f} mm after slice {worst + 1}; a slice may be missing")
    steps = np.diff(positions, axis=0)
    drift = np.linalg.norm(steps - gaps[:, None] * normal, axis=1)
    if drift.max() > UNEVEN * usual:
        raise Unusable("the slices are shifted against each other (tilted gantry); resample the series first")


def _load(slices: _Slices) -> Volume:
    header = slices.header
    across, down = np.array(header[_ORIENTATION].value, float).reshape(2, 3)
    step = (slices.positions[-1] - slices.positions[0]) / (len(slices.files) - 1)
    row_spacing, column_spacing = map(float, header[_SPACING].value)
    hu = np.empty((len(slices.files), int(header.Rows), int(header.Columns)), np.int16)
    uids = []
    for k, path in enumerate(slices.files):
        dataset = dcmread(path)
        try:
            hu[k] = _hounsfield(dataset)
        # pydicom's decoders raise these for absent, short, compressed or foreign pixel data
        except (AttributeError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            raise Unusable(f"the pixels of {path.name} cannot be read: {error}") from error
        uids.append(str(dataset.SOPInstanceUID))
    return Volume(
        hu=hu,
        spacing=np.array([np.linalg.norm(step), row_spacing, column_spacing]),
        axes=np.stack([step / np.linalg.norm(step), down, across]),
        origin=slices.positions[0],
        uids=tuple(uids),
    )


def _hounsfield(dataset: FileDataset) -> np.ndarray:
    """Stored values -> Hounsfield units, kept to -1024..3071 so that padding and metal do not matter."""
    stored = dataset.pixel_array
    values = stored * np.float32(dataset.get("RescaleSlope", 1)) + np.float32(dataset.get("RescaleIntercept", 0))
    if "PixelPaddingValue" in dataset:
        values[stored == dataset.PixelPaddingValue] = -1024
    return np.rint(np.clip(values, -1024, 3071)).astype(np.int16)
