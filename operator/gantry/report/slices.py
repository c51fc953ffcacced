"""Where the images of one frame of reference lie, and which of them a planar 3D region lies on.

Pure. Viewers draw 2D regions, and of 3D regions little or nothing (OHIF 3.12: page errors), so what lies on a slice is written as 2D there.
Single-frame images say where they lie in Image Plane (PS3.3 C.7.6.2), multi-frame ones frame by frame (C.7.6.16).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from .verbatim import integer, items, numbers

Points = NDArray[np.float64]
Box = tuple[Points, Points]
ON_PLANE = 0.1
"""mm a point may lie beside the plane of a slice: a tenth of the finest slice spacing in use."""
DECIMALS = 4
"""Of a pixel, in coordinates that were computed: finer than any image, and the same on every machine."""
AT_BORDER = 1e-3
"""Pixels a point may lie outside, for rounding."""


_PLANE_MACROS = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")


@dataclass(frozen=True)
class Slice:
    """One image, or one frame of it."""

    image: Dataset
    frame: int | None


@dataclass(frozen=True)
class Stack:
    """All slices of a frame of reference that say where they lie; arrays have one row a slice."""

    slices: tuple[Slice, ...]
    origin: Points
    """Centre of the first pixel, mm."""
    across: Points
    """Unit vector along a row: the direction in which columns count."""
    down: Points
    """Unit vector along a column."""
    spacing: Points
    """Between rows, between columns, mm."""
    size: Points
    """Rows, columns."""
    complete: bool
    """Whether every image says where it lies."""

    @property
    def box(self) -> Box | None:
        """Lowest and highest x, y, z of the corners (centres of pixels); None when an image does not say where it lies."""
        if not self.complete or not self.slices:
            return None
        right = self.across * (self.spacing[:, 1] * self.size[:, 1])[:, None]
        below = self.down * (self.spacing[:, 0] * self.size[:, 0])[:, None]
        corners = np.concatenate([self.origin, self.origin + right, self.origin + below, self.origin + right + below])
        return corners.min(axis=0), corners.max(axis=0)

    def place(self, points: Points) -> tuple[Slice, Points] | None:
        """The slice all points lie on, nearest first, and the points as column and row there; None when there is no such slice."""
        if not self.slices:
            return None
        normals = np.cross(self.across, self.down)
        near = np.flatnonzero(np.abs(np.einsum("ij,ij->i", points[0] - self.origin, normals)) <= ON_PLANE)
        best: tuple[float, int] | None = None
        for index in near.tolist():
            distance = round(float(np.abs((points - self.origin[index]) @ normals[index]).max()), DECIMALS)
            if distance <= ON_PLANE and (best is None or distance < best[0]) and self._inside(index, self._planar(index, points)):
                best = distance, index
        return None if best is None else (self.slices[best[1]], np.round(self._planar(best[1], points), DECIMALS))

    def nearest(self, point: Points) -> int | None:
        """The slice whose plane a point is nearest to, among those it lies above; None without slices."""
        if not self.slices:
            return None
        distances = np.abs(np.einsum("ij,ij->i", point - self.origin, np.cross(self.across, self.down)))
        away = point - self.origin
        column, row = (np.einsum("ij,ij->i", away, axis) / self.spacing[:, at] + 0.5 for axis, at in ((self.across, 1), (self.down, 0)))
        planar, end = np.column_stack([column, row]), self.size[:, ::-1] + AT_BORDER
        beside = ((planar < -AT_BORDER) | (planar > end)).any(axis=1)
        return int(np.lexsort((distances, beside))[0])

    def height(self, index: int, points: Points) -> Points:
        """Signed distance of points from the plane of a slice, mm."""
        return np.asarray((points - self.origin[index]) @ np.cross(self.across[index], self.down[index]))

    def planar(self, index: int, points: Points) -> Points:
        """Points projected onto a slice, as column and row."""
        return self._planar(index, points)

    def _planar(self, index: int, points: Points) -> Points:
        """Column and row: DICOM counts from the corner of the first pixel, half a pixel before its centre."""
        from_origin = points - self.origin[index]
        row_spacing, column_spacing = self.spacing[index]
        return np.column_stack([from_origin @ self.across[index] / column_spacing + 0.5, from_origin @ self.down[index] / row_spacing + 0.5])

    def _inside(self, index: int, planar: Points) -> bool:
        rows, columns = self.size[index]
        return bool((planar >= -AT_BORDER).all() and (planar <= np.array([columns, rows]) + AT_BORDER).all())


def stack(images: Iterable[Dataset]) -> Stack:
    """Reads where images lie. What makes no sense (no numbers, no spacing, axes that are no unit vectors) counts as not said."""
    slices: list[Slice] = []
    values: list[tuple[float, ...]] = []
    complete = True
    for image in images:
        known = list(_frames(image))
        complete = complete and bool(known)
        for frame, plane in known:
            slices.append(Slice(image, frame))
            values.append(plane)
    table = np.asarray(values, dtype=np.float64).reshape(len(values), 13)
    return Stack(tuple(slices), table[:, 0:3], table[:, 3:6], table[:, 6:9], table[:, 9:11], table[:, 11:13], complete)


def _frames(image: Dataset) -> Iterator[tuple[int | None, tuple[float, ...]]]:
    if "PerFrameFunctionalGroupsSequence" not in image:
        plane = _plane(image, image, image, image)
        if plane is not None:
            yield None, plane
        return
    shared = first_of(image, "SharedFunctionalGroupsSequence")
    multiple = (integer(image, "NumberOfFrames") or 1) > 1
    for number, group in enumerate(items(image, "PerFrameFunctionalGroupsSequence"), 1):
        position, orientation, measures = (first_of(group, name) or first_of(shared, name) for name in _PLANE_MACROS)
        plane = _plane(position, orientation, measures, image)
        if plane is not None:
            yield (number if multiple else None), plane


def first_of(dataset: Dataset, keyword: str) -> Dataset:
    """The first item of a sequence; an empty dataset without one."""
    return next(iter(items(dataset, keyword)), Dataset())


def _plane(position: Dataset, orientation: Dataset, measures: Dataset, image: Dataset) -> tuple[float, ...] | None:
    """Origin, both directions, spacing and size in one row; None when one is missing or makes no sense."""
    origin = numbers(position, "ImagePositionPatient", 3)
    axes = numbers(orientation, "ImageOrientationPatient", 6)
    spacing = numbers(measures, "PixelSpacing", 2)
    rows, columns = integer(image, "Rows"), integer(image, "Columns")
    if origin is None or axes is None or spacing is None or not rows or not columns or min(spacing) <= 0:
        return None
    plane = (*origin, *axes, *spacing, float(rows), float(columns))
    return plane if _are_perpendicular(axes[:3], axes[3:]) and all(np.isfinite(plane)) else None


def _are_perpendicular(across: Any, down: Any) -> bool:
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    return bool(np.allclose(lengths, 1.0, atol=1e-2) and abs(np.dot(across, down)) < 1e-2)
