"""A volume's outline on one slice, as 2D regions of that slice: what viewers draw of a segment or of a body in space.

Pure. A mask's outline runs along the corners of its pixels, so that it encloses what the mask does; a body is cut by the slice nearest to its
middle. Holes are left out: a region of a report has one closed line.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from pydicom import Dataset

from gantry.findings import Finding, SegmentRegion
from gantry.findings.shapes import Planar, PlanarRegion, PolygonRegion, SpatialRegion

from .errors import InvalidReport
from .keyimages import of_segment_region, on_nearest
from .outlines import Mask, Outline
from .regions import Slices, spatial_regions
from .slices import DECIMALS, ON_PLANE, Points, Stack
from .verbatim import integer

MOST_PARTS = 8
"""Separate parts of a segment on one slice."""
SMALLEST = 0.01
"""Of the largest part: what is smaller is noise of a segmentation more often than anything else."""
MOST_CORNERS = 400
"""Of one outline; a longer one is smoothed, beginning at less than a pixel."""
LONE = 2.5
"""mm a body may lie beside the only slice there is."""


def volume_outline(finding: Finding, slices: Slices, objects: Mapping[str, Dataset]) -> tuple[PlanarRegion, ...]:
    """None of what is no volume, or lies on no image anybody knows; what does not fit the images `build_report` refuses itself."""
    first = next(iter(finding.where), None)
    if first is None or isinstance(first, Planar):
        return ()
    try:
        if isinstance(first, SegmentRegion):
            outline = of_segment_region(first, slices, objects)
            lines = [] if outline is None or outline.mask is None else outer_lines(outline.mask)
        else:
            regions = spatial_regions(finding)
            outline = _body(regions, slices)
            lines = [line.points for line in outline.lines if line.closed] if outline else []
        return () if outline is None else tuple(_region(points, outline, slices) for points in lines)
    except (InvalidReport, ValueError, ArithmeticError, IndexError, AttributeError):  # of shapes without extent, of pixels that are not there
        return ()


def _body(regions: Sequence[SpatialRegion], slices: Slices) -> Outline | None:
    """An ellipsoid, or outlines on planes that are those of slices."""
    if len(regions) == 1 and regions[0].kind != "ellipsoid3d":
        return None
    outline = on_nearest(regions, slices)
    if outline is None or regions[0].kind == "ellipsoid3d":
        return outline
    stack = slices.of(slices.frame_of_reference(list(regions), where=""))
    index = next(place for place, at in enumerate(stack.slices) if (at.image.SOPInstanceUID, at.frame) == (outline.image, outline.frame))
    near = min(float(np.abs(stack.height(index, np.asarray(region.points))).max()) for region in regions)
    return outline if near <= _reach(stack, index) else None


def _reach(stack: Stack, index: int) -> float:
    """Half the way to the next slice, mm."""
    away = np.abs(stack.height(index, stack.origin))
    apart = away[away > ON_PLANE]
    return ON_PLANE + (float(apart.min()) / 2 if apart.size else LONE)


def _region(points: Points, outline: Outline, slices: Slices) -> PlanarRegion:
    image = slices.source.images[outline.image]
    inside = np.clip(points, 0.0, np.array([integer(image, "Columns") or 0, integer(image, "Rows") or 0], dtype=float))
    corners = tuple((float(column), float(row)) for column, row in np.round(inside, DECIMALS))
    return PolygonRegion.model_construct(kind="polygon", sop_instance_uid=outline.image, frame=outline.frame, points=corners)  # known to be valid


def outer_lines(mask: Mask) -> list[Points]:
    """Closed lines around the parts of a mask, the largest first; parts that touch at a corner only are two."""
    found = [(_area(line), line) for line in _loops(mask)]
    outer = sorted((one for one in found if one[0] > 0), key=lambda one: -one[0])
    return [_simple(line) for area, line in outer[:MOST_PARTS] if area >= SMALLEST * outer[0][0]]


def _loops(mask: Mask) -> list[Points]:
    """Edges between pixels inside and outside, chained: clockwise around parts, the other way around holes."""
    padded = np.pad(mask, 1)
    sides = ((-1, 0, (0, 0), (0, 1)), (0, 1, (0, 1), (1, 1)), (1, 0, (1, 1), (1, 0)), (0, -1, (1, 0), (0, 0)))
    leads: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for down, right, start, end in sides:
        beside = padded[1 + down : padded.shape[0] - 1 + down, 1 + right : padded.shape[1] - 1 + right]
        for row, column in np.argwhere(mask & ~beside).tolist():
            leads[(column + start[1], row + start[0])].append((column + end[1], row + end[0]))
    loops = []
    while leads:
        start_of_line = at = next(iter(leads))
        line, heading = [at], (1, 0)
        while True:
            onward = leads[at]
            turned = (at[0] - heading[1], at[1] + heading[0])  # to the right: parts that touch at a corner stay apart
            following = turned if turned in onward else onward[0]
            onward.remove(following)
            if not onward:
                del leads[at]
            heading, at = (following[0] - at[0], following[1] - at[1]), following
            if at == start_of_line:
                break
            line.append(at)
        loops.append(np.array(line, dtype=np.float64))
    return loops


def _area(line: Points) -> float:
    x, y = line[:, 0], line[:, 1]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _simple(line: Points) -> Points:
    """Corners only, and not too many of them (Ramer, Douglas, Peucker)."""
    before, after = line - np.roll(line, 1, axis=0), np.roll(line, -1, axis=0) - line
    corners: Points = line[(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) != 0]
    tolerance, result = 0.75, corners  # pixels: more than the steps of a slanting edge, of which no corner is left out before
    while len(result) > MOST_CORNERS:
        result, tolerance = _smoothed(corners, tolerance), tolerance * 2
    return result


def _smoothed(line: Points, tolerance: float) -> Points:
    closed = np.vstack([line, line[:1]])
    far = int(np.argmax(((line - line[0]) ** 2).sum(axis=1)))
    keep, parts = {0, far}, [(0, far), (far, len(line))]
    while parts:
        start, end = parts.pop()
        if end - start < 2:
            continue
        between, chord = closed[start + 1 : end] - closed[start], closed[end] - closed[start]
        away = np.abs(between[:, 0] * chord[1] - between[:, 1] * chord[0]) / max(float(np.linalg.norm(chord)), 1e-9)
        worst = int(np.argmax(away))
        if away[worst] > tolerance:
            keep.add(start + 1 + worst)
            parts += [(start, start + 1 + worst), (start + 1 + worst, end)]
    result: Points = line[sorted(keep)]
    return result
