#!/usr/bin/env python3
"""Makes a CT series of a phantom chest with spheres of known place and size: `make_ct.py OUT --slices 60`.

Writes OUT/ct0001.dcm … and OUT/truth.json: {"spheres": [{"center_mm": [x, y, z], "diameter_mm": d}]}, in patient coordinates (LPS).
The same options make the same bytes, UIDs included. As a module: `make_series(folder, Options(...))`.
It draws and writes; what the phantom consists of is in `anatomy.py`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import uuid
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

try:
    from . import anatomy
except ImportError:  # run by its path, not as a module of the repository
    sys.path.insert(0, str(Path(__file__).parent))
    import anatomy  # type: ignore[no-redef]

CENTRE = np.array([3.5, -162.0, -214.25])
"""Where the phantom lies in patient coordinates: not at zero, so that a forgotten offset shows."""
FIELD_OF_VIEW = 360.0
_NAMESPACE = uuid.UUID("0f4e2f1c-6f3b-5c8e-9a57-6a1f3f0d9c21")
_NOISE_SLICES = 5
_SUPERSAMPLED = 0.4
"""Millimetres between the points by which a sphere's share of a voxel is counted."""


@dataclass(frozen=True)
class Options:
    """What series is wanted. Lengths in millimetres."""

    slices: int = 60
    matrix: int = 256
    spacing: float | None = None
    """Between pixels; absent: a field of view of 360 mm."""
    slice_spacing: float = 2.0
    spheres: int = 4
    smallest: float = 6.0
    largest: float = 18.0
    exact: tuple[anatomy.Sphere, ...] | None = None
    """Spheres to draw in place of random ones; their centres are relative to the phantom's centre."""
    vessels: int = 6
    """Vessel trees in each lung."""
    noise: float = 25.0
    """Standard deviation, Hounsfield units."""
    oblique: float = 0.0
    """Degrees by which the slices are tilted about two axes."""
    seed: int = 1
    patient_id: str = "PHANTOM-1"
    patient_name: str = "Phantom^Chest"
    accession: str = ""
    study_description: str = "CT Thorax"

    @property
    def pixel_spacing(self) -> float:
        return self.spacing or FIELD_OF_VIEW / self.matrix

    def uid(self, *role: object) -> str:
        """A UID of everything that decides the bytes, so that other options never reuse it."""
        return f"2.25.{uuid.uuid5(_NAMESPACE, repr((self, role))).int}"


@dataclass(frozen=True)
class Grid:
    """The voxels in space: index (slice, row, column) <-> patient coordinates."""

    shape: tuple[int, int, int]
    spacing: np.ndarray
    """Slice, row, column."""
    axes: np.ndarray
    """Unit vectors of those three directions, one a row."""
    origin: np.ndarray

    def index(self, point: np.ndarray) -> np.ndarray:
        return (self.axes @ (point - self.origin)) / self.spacing

    def covers(self, center: np.ndarray, reach: float) -> bool:
        """Whether all of a ball around a point (relative to the phantom's centre) lies between the outermost voxels."""
        return bool((np.abs(self.axes @ center) + reach < (np.array(self.shape) - 1) / 2 * self.spacing).all())

    def slice_origin(self, k: int) -> np.ndarray:
        return self.origin + self.axes[0] * self.spacing[0] * k


def grid_of(options: Options) -> Grid:
    """The grid whose middle is the phantom's centre."""
    a, b = math.radians(options.oblique), math.radians(options.oblique / 2)
    about_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    about_y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    column, row, normal = (about_x @ about_y @ axis for axis in np.eye(3))
    shape = (options.slices, options.matrix, options.matrix)
    spacing = np.array([options.slice_spacing, options.pixel_spacing, options.pixel_spacing])
    axes = np.stack([normal, row, column])
    return Grid(shape, spacing, axes, CENTRE - ((np.array(shape) - 1) / 2 * spacing) @ axes)


def draw(options: Options) -> tuple[np.ndarray, Grid, tuple[anatomy.Sphere, ...]]:
    """The volume in Hounsfield units (int16), its grid, and the spheres in patient coordinates."""
    random = np.random.default_rng(options.seed)
    grid = grid_of(options)
    spheres = options.exact
    if spheres is None:
        spheres = anatomy.place_spheres(random, options.spheres, (options.smallest, options.largest), grid.covers)
    vessels = anatomy.grow_vessels(random, spheres, trees=options.vessels)
    volume = _tissue(grid)
    for tube in vessels:
        _draw_tube(volume, grid, tube)
    for sphere in spheres:
        _draw_sphere(volume, grid, sphere)
    _add_noise(volume, random, options.noise)
    moved = (np.array(sphere.center) + CENTRE for sphere in spheres)
    return volume, grid, tuple(anatomy.Sphere((float(x), float(y), float(z)), s.diameter) for s, (x, y, z) in zip(spheres, moved, strict=True))


def _tissue(grid: Grid) -> np.ndarray:
    volume = np.empty(grid.shape, np.int16)
    rows, columns = (np.arange(n, dtype=np.float32) for n in grid.shape[1:])
    for k in range(grid.shape[0]):
        origin = grid.slice_origin(k) - CENTRE
        down = rows[:, None, None] * (grid.axes[1] * grid.spacing[1]).astype(np.float32)
        across = columns[None, :, None] * (grid.axes[2] * grid.spacing[2]).astype(np.float32)
        x, y, z = ((origin.astype(np.float32)[i] + down[..., i]) + across[..., i] for i in range(3))
        volume[k] = anatomy.tissue(x, y, z)
    return volume


def _box(grid: Grid, low: np.ndarray, high: np.ndarray) -> tuple[slice, ...] | None:
    """The voxels between two corners given in indices, or None outside the volume."""
    first = np.maximum(np.floor(low).astype(int), 0)
    last = np.minimum(np.ceil(high).astype(int) + 1, grid.shape)
    return tuple(slice(a, b) for a, b in zip(first, last, strict=True)) if (first < last).all() else None


def _blend(volume: np.ndarray, box: tuple[slice, ...], share: np.ndarray, value: int) -> None:
    part = volume[box].astype(np.float32)
    volume[box] = np.rint(part + share * (value - part))


def _draw_sphere(volume: np.ndarray, grid: Grid, sphere: anatomy.Sphere) -> None:
    """Each voxel takes the share of it that lies inside the sphere (partial volume), counted on a finer grid."""
    center, reach = grid.index(np.array(sphere.center) + CENTRE), sphere.radius / grid.spacing + 1
    box = _box(grid, center - reach, center + reach)
    if box is None:
        return
    fine = np.ceil(grid.spacing / _SUPERSAMPLED).astype(int)
    squares = []
    for axis, (span, n) in enumerate(zip(box, fine, strict=True)):
        points = np.arange(span.start * n, span.stop * n) / n + (1 / n - 1) / 2
        squares.append((((points - center[axis]) * grid.spacing[axis]) ** 2).astype(np.float32))
    inside = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :] < sphere.radius**2
    shape = [side for span, n in zip(box, fine, strict=True) for side in (span.stop - span.start, n)]
    _blend(volume, box, inside.reshape(shape).mean(axis=(1, 3, 5), dtype=np.float32), anatomy.NODULE)


def _draw_tube(volume: np.ndarray, grid: Grid, tube: anatomy.Tube) -> None:
    """Edges one voxel wide; a distractor needs no exact volume."""
    ends = np.stack([grid.index(tube.start + CENTRE), grid.index(tube.end + CENTRE)])
    reach = tube.start_radius / grid.spacing + 1
    box = _box(grid, ends.min(axis=0) - reach, ends.max(axis=0) + reach)
    if box is None:
        return
    index = np.stack(np.meshgrid(*(np.arange(span.start, span.stop) for span in box), indexing="ij"), axis=-1)
    points = grid.origin - CENTRE + (index * grid.spacing) @ grid.axes
    edge = float(grid.spacing.mean())
    share = np.clip(0.5 - anatomy.distance_to_tube(points, tube) / edge, 0, 1).astype(np.float32)
    _blend(volume, box, share, anatomy.VESSEL)


def _add_noise(volume: np.ndarray, random: np.random.Generator, deviation: float) -> None:
    """A few slices of noise, turned and shifted for each slice: fresh noise for 300 slices would take most of the time."""
    if deviation <= 0:
        return
    noise = np.rint(random.standard_normal((_NOISE_SLICES, *volume.shape[1:]), np.float32) * deviation).astype(np.int16)
    for k in range(volume.shape[0]):
        shift = tuple(int(n) for n in random.integers(volume.shape[1], size=2))
        volume[k] += np.roll(noise[int(random.integers(_NOISE_SLICES))], shift, axis=(0, 1))
    np.clip(volume, -1024, 3071, out=volume)


def make_series(folder: Path, options: Options = Options()) -> tuple[anatomy.Sphere, ...]:
    """Writes the series and truth.json into `folder` and returns the spheres in patient coordinates."""
    folder.mkdir(parents=True, exist_ok=True)
    volume, grid, spheres = draw(options)
    dataset = _header(options, grid)
    for k in range(options.slices):
        dataset.InstanceNumber = k + 1
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = options.uid("instance", k)
        dataset.ImagePositionPatient = [f"{value:.6f}" for value in grid.slice_origin(k)]
        dataset.SliceLocation = f"{grid.slice_origin(k) @ grid.axes[0]:.6f}"
        dataset.PixelData = (volume[k] + 1024).astype("<u2").tobytes()
        dataset.save_as(folder / f"ct{k + 1:04d}.dcm", enforce_file_format=True)
    truth = {"spheres": [{"center_mm": list(s.center), "diameter_mm": s.diameter} for s in spheres]}
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    return spheres


def _header(options: Options, grid: Grid) -> Dataset:
    """What all images of the series share (PS3.3 A.3, CT Image IOD)."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.ImplementationClassUID = f"2.25.{_NAMESPACE.int}"
    dataset.file_meta.ImplementationVersionName = "GANTRY_PHANTOM"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName, dataset.PatientID = options.patient_name, options.patient_id
    dataset.PatientBirthDate, dataset.PatientSex = "19600101", "O"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = options.uid("study"), options.uid("series")
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = options.uid("frame of reference"), ""
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20260105"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "101500"
    dataset.AccessionNumber, dataset.StudyID, dataset.ReferringPhysicianName = options.accession, "1", ""
    dataset.StudyDescription, dataset.SeriesDescription = options.study_description, "Phantom chest"
    dataset.Modality, dataset.SeriesNumber, dataset.AcquisitionNumber = "CT", 2, 1
    dataset.Manufacturer, dataset.ManufacturerModelName, dataset.SoftwareVersions = "Gantry", "Phantom", "1"
    dataset.BodyPartExamined, dataset.PatientPosition = "CHEST", "HFS"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.KVP, dataset.ConvolutionKernel, dataset.XRayTubeCurrent, dataset.ExposureTime = "120", "PHANTOM", "200", "500"
    dataset.SliceThickness = dataset.SpacingBetweenSlices = f"{options.slice_spacing:.6f}"
    dataset.PixelSpacing = [f"{options.pixel_spacing:.6f}"] * 2
    dataset.ImageOrientationPatient = [f"{value:.10f}" for value in (*grid.axes[2], *grid.axes[1])]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = grid.shape[1:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = "-500", "1500"
    return dataset


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Makes a CT series of a phantom chest with spheres of known place and size.")
    parser.add_argument("out", type=Path, help="folder for the DICOM files and truth.json")
    for field in fields(Options):
        if field.name != "exact":
            kind = float if field.name == "spacing" else type(field.default)
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default, help=f"default {field.default}")
    values = vars(parser.parse_args(arguments))
    folder = values.pop("out")
    try:
        spheres = make_series(folder, Options(**values))
    except ValueError as error:
        sys.exit(f"make_ct: {error}")
    sys.stdout.write(f"{values['slices']} slices and truth.json with {len(spheres)} spheres in {folder}\n")


if __name__ == "__main__":
    main()
