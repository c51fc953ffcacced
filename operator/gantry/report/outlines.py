"""Regions of a report as outlines on one image: closed or open lines and points in pixels, or a mask.

Pure. 2D regions lie on their image; 3D ones are cut by, or else projected onto, the slice they are nearest to. A line's points are column and
row, 0,0 being the top-left corner of the top-left pixel.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian

from .reader import Region
from .slices import Points, Stack, first_of
from .verbatim import integer, items, numbers, text, tolerated

CORNERS = 72
"""Corners of the polygon that stands for a curve."""
MOST_DECODED = 64
"""Frames of a segment that are decoded to find the one on which it is largest, when decoding takes milliseconds each."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Line:
    """One outline; a single point is a point."""

    points: Points
    closed: bool


@dataclass(frozen=True)
class Outline:
    """What is drawn of a finding, and on which image."""

    image: str
    """SOP Instance UID."""
    frame: int | None
    lines: tuple[Line, ...] = ()
    mask: Mask | None = None


def on_image(regions: Sequence[Region]) -> Outline | None:
    """2D regions of the first region's image; those on other images are left to pictures of their own."""
    flat = [region for region in regions if region.image and region.points]
    if not flat:
        return None
    first = flat[0]
    lines = tuple(_line(region) for region in flat if (region.image, region.frames[:1]) == (first.image, first.frames[:1]))
    return Outline(first.image or "", first.frames[0] if first.frames else None, lines)


def _line(region: Region) -> Line:
    points = np.asarray(region.points, dtype=np.float64)
    if region.kind == "circle" and len(points) == 2:
        radius = float(np.linalg.norm(points[1] - points[0]))
        return Line(_curve(points[0], np.array([radius, 0.0]), np.array([0.0, radius])), closed=True)
    if region.kind == "ellipse" and len(points) == 4:
        return Line(_curve(points.mean(axis=0), (points[1] - points[0]) / 2, (points[3] - points[2]) / 2), closed=True)
    return Line(points, closed=region.kind == "polygon")


def _curve(centre: Points, first: Points, second: Points) -> Points:
    turns = np.linspace(0.0, 2 * np.pi, CORNERS, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(turns) * first + np.sin(turns) * second)


def in_space(regions: Sequence[Region], slices: Stack) -> Outline | None:
    """3D regions on the slice that the middle one is nearest to; outlines of a volume's other slices are left out."""
    spatial = [region for region in regions if region.space and region.points]
    if not spatial or not slices.slices:
        return None
    middle = np.asarray(spatial[len(spatial) // 2].points).mean(axis=0)
    index = slices.nearest(middle)
    if index is None:
        return None
    near = min(float(np.abs(slices.height(index, np.asarray(region.points)).mean())) for region in spatial)
    lines = [
        _cut(region, slices, index)
        for region in spatial
        if region.kind.startswith("ellipsoid") or float(np.abs(slices.height(index, np.asarray(region.points)).mean())) <= near + 0.1
    ]
    on = slices.slices[index]
    return Outline(text(on.image, "SOPInstanceUID"), on.frame, tuple(lines))


def _cut(region: Region, slices: Stack, index: int) -> Line:
    points = np.asarray(region.points, dtype=np.float64)
    if region.kind.startswith("ellipsoid") and len(points) == 6:
        return Line(slices.planar(index, _ellipsoid(points, slices, index)), closed=True)
    if region.kind.startswith("ellipse") and len(points) == 4:
        points = _curve(points.mean(axis=0), (points[1] - points[0]) / 2, (points[3] - points[2]) / 2)
        return Line(slices.planar(index, points), closed=True)
    return Line(slices.planar(index, points), closed=region.kind.startswith("polygon"))


def _ellipsoid(ends: Points, slices: Stack, index: int) -> Points:
    """Where the plane of a slice cuts an ellipsoid; its shadow where it does not."""
    centre = ends.mean(axis=0)
    axes = np.stack([(ends[i + 1] - ends[i]) / 2 for i in (0, 2, 4)], axis=1)
    plane = np.stack([slices.across[index], slices.down[index]], axis=1)
    shape = np.linalg.inv(axes @ axes.T)
    offset = slices.origin[index] - centre
    square, mixed = plane.T @ shape @ plane, plane.T @ shape @ offset
    rest = 1.0 - offset @ shape @ offset + mixed @ np.linalg.solve(square, mixed)
    if rest <= 0:  # it lies between two slices: what it looks like from above
        square, mixed, rest = np.linalg.inv(plane.T @ axes @ axes.T @ plane), np.zeros(2), 1.0
        middle = plane.T @ -offset
    else:
        middle = -np.linalg.solve(square, mixed)
    turned = np.linalg.inv(np.linalg.cholesky(square)).T * np.sqrt(rest)
    return np.asarray(slices.origin[index] + _curve(middle, turned[:, 0], turned[:, 1]) @ plane.T)


def of_segment(segmentation: Dataset, number: int, find: Callable[[Points], tuple[str, int | None] | None]) -> Outline | None:
    """The frame on which a segment is largest, and the image it was made on. `find` knows the slice at a place.

    Decodes one frame at a time. None when the segment is empty or nobody knows its image.
    """
    best: tuple[int, int, Mask] | None = None
    with tolerated():
        groups = items(segmentation, "PerFrameFunctionalGroupsSequence")
        common = first_of(first_of(segmentation, "SharedFunctionalGroupsSequence"), "SegmentIdentificationSequence")
        labels = text(segmentation, "SegmentationType") == "LABELMAP"
        places = [
            place
            for place, group in enumerate(groups)
            if labels or integer(first_of(group, "SegmentIdentificationSequence") or common, "ReferencedSegmentNumber") == number
        ]
        frame = _frames(segmentation)
        if frame is None:  # each has to be decoded: of many, enough to find about the largest
            places, frame = places[:: 1 + len(places) // MOST_DECODED], partial(_decoded, segmentation)
        for place in places:
            mask = _mask(frame(place), segmentation, number if labels else None)
            size = int(np.count_nonzero(mask))
            if size and (best is None or size > best[0]):
                best = size, place, mask
        if best is None:
            return None
        image = _source(groups[best[1]], segmentation, find)
        return None if image is None else Outline(image[0], image[1], mask=best[2])


def _frames(segmentation: Dataset) -> Callable[[int], NDArray[Any]] | None:
    """Frames of one bit, unpacked without a decoder: 0.1 ms each, and a segmentation may have thousands. None for other pixels."""
    syntax = getattr(segmentation, "file_meta", Dataset()).get("TransferSyntaxUID", ExplicitVRLittleEndian)
    if integer(segmentation, "BitsAllocated") != 1 or syntax.is_compressed:
        return None
    packed = np.frombuffer(segmentation.PixelData, np.uint8)
    rows, columns = integer(segmentation, "Rows") or 0, integer(segmentation, "Columns") or 0

    def frame(place: int) -> NDArray[Any]:
        start, end = place * rows * columns, (place + 1) * rows * columns
        bits = np.unpackbits(packed[start // 8 : (end + 7) // 8], bitorder="little")
        return bits[start % 8 :][: rows * columns].reshape(rows, columns)

    return frame


def _decoded(segmentation: Dataset, place: int) -> NDArray[Any]:
    return pixel_array(segmentation, index=place)


def _mask(values: NDArray[np.generic], segmentation: Dataset, label: int | None) -> Mask:
    if label is not None:
        return np.asarray(values == label)
    if text(segmentation, "SegmentationType") != "FRACTIONAL":
        return np.asarray(values != 0)
    return np.asarray(values.astype(np.float64) >= (integer(segmentation, "MaximumFractionalValue") or 1) / 2)


def _source(group: Dataset, segmentation: Dataset, find: Callable[[Points], tuple[str, int | None] | None]) -> tuple[str, int | None] | None:
    source = first_of(first_of(group, "DerivationImageSequence"), "SourceImageSequence")
    uid = text(source, "ReferencedSOPInstanceUID")
    if uid:
        return uid, integer(source, "ReferencedFrameNumber")
    shared = first_of(segmentation, "SharedFunctionalGroupsSequence")
    position = numbers(first_of(group, "PlanePositionSequence") or first_of(shared, "PlanePositionSequence"), "ImagePositionPatient", 3)
    return None if position is None else find(np.asarray(position))
