"""The image a finding is best seen on, and its outline there, before there is any report.

Pure. `outlines` knows how a region lies on an image; here is where the regions of findings.json come from. What does not fit the images has no
outline here: `build_report` refuses it, with a message for the application's author.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from pydicom import Dataset

from gantry.findings import Finding
from gantry.findings.shapes import Planar, PlanarRegion, SegmentRegion, SpatialRegion

from . import geometry
from .errors import InvalidReport
from .outlines import Outline, in_space, of_segment, on_image
from .reader import Region
from .regions import Slices, spatial_regions
from .slices import Points
from .verbatim import text


def key_image(finding: Finding, slices: Slices, objects: Mapping[str, Dataset]) -> Outline | None:
    """None: the finding has no region, or nobody knows on which image it lies. `objects` are segmentations by file name."""
    if not finding.where:
        return None
    try:
        first = finding.where[0]
        if isinstance(first, SegmentRegion):
            return of_segment_region(first, slices, objects)
        if isinstance(first, Planar):
            return on_image(_flat([region for region in finding.where if isinstance(region, Planar)], slices))
        regions = spatial_regions(finding)
        flat = slices.flat(regions, where="")
        return on_image(_flat(flat, slices)) if flat else on_nearest(regions, slices)
    except (InvalidReport, ValueError, ArithmeticError, IndexError, AttributeError):  # of shapes without extent, of pixels that are not there
        return None


def of_segment_region(region: SegmentRegion, slices: Slices, objects: Mapping[str, Dataset]) -> Outline | None:
    """Where a segment is largest; None when it was made on no image of the input, or on a part of one."""
    segmentation = objects.get(region.file)
    if segmentation is None:
        return None
    space = text(segmentation, "FrameOfReferenceUID")

    def find(place: Points) -> tuple[str, int | None] | None:
        at = slices.of(space) if space in slices.source.frames_of_reference else None
        index = None if at is None else at.nearest(place)
        return None if at is None or index is None else (text(at.slices[index].image, "SOPInstanceUID"), at.slices[index].frame)

    outline = of_segment(segmentation, region.segment_number, find)
    image = slices.source.images.get(outline.image) if outline else None
    if outline is None or image is None or outline.mask is None or outline.mask.shape != (image.get("Rows"), image.get("Columns")):
        return None
    return outline


def on_nearest(regions: Sequence[SpatialRegion], slices: Slices) -> Outline | None:
    """3D regions, cut by or projected onto the slice they are nearest to."""
    space = slices.frame_of_reference(list(regions), where="")
    read = [_read(*geometry.spatial(region, None, where=""), space=space) for region in regions]
    return in_space(read, slices.of(space))


def _flat(regions: Sequence[PlanarRegion], slices: Slices) -> list[Region]:
    read = []
    for region in regions:
        image = slices.source.images.get(region.sop_instance_uid)
        if image is None:
            raise InvalidReport("names no image of the input")
        frames = geometry.frame_numbers(region, image, where="") or []
        read.append(_read(*geometry.planar(region, image, where=""), image=region.sop_instance_uid, frames=tuple(frames)))
    return read


def _read(graphic: str, points: Points, *, image: str | None = None, frames: tuple[int, ...] = (), space: str | None = None) -> Region:
    """As a reader of the report has it: a closed line is a polygon."""
    kind = graphic.lower()
    if kind in ("polyline", "polygon") and len(points) > 2 and np.array_equal(points[0], points[-1]):
        kind, points = "polygon", points[:-1]
    corners = tuple(tuple(float(number) for number in point) for point in points)
    return Region(kind if space is None else f"{kind} in space", corners, image, frames, space=space)
