"""Regions of findings.json to graphic types and coordinates of DICOM (PS3.3 C.18.6 SCOORD, C.18.9 SCOORD3D), checked against the images.

Pure. No validator of DICOM notices a region beside its image, and a viewer draws nothing or draws it somewhere else.
"""

import math
from typing import Any

import numpy as np
from pydicom import Dataset

from gantry.findings.shapes import (
    BoxRegion,
    CircleRegion,
    EllipseRegion,
    Ellipsoid3DRegion,
    PlanarRegion,
    PointRegion,
    PolygonRegion,
    PolylineRegion,
    SpatialRegion,
)

from .errors import InvalidReport
from .slices import DECIMALS, Box, Points, Stack
from .source import Source
from .verbatim import integer, text

TOLERANCE = 1e-3
"""Pixels a coordinate may lie outside, for rounding in the application; it is moved onto the border."""
PLANE_TOLERANCE = 0.1
"""mm a point of a planar 3D region may lie beside its plane: a tenth of the finest slice spacing in use."""
MARGIN = 20.0
"""mm the middle of a 3D region may lie outside the box of the images; voxel indices or metres taken for mm are further off."""
CORNERS = 32
"""Corners of the polygon that stands for a rotated ellipse."""
_FLAT: dict[str, tuple[str, type[PointRegion | PolylineRegion | PolygonRegion | EllipseRegion]]] = {
    "point3d": ("point", PointRegion),
    "polyline3d": ("polyline", PolylineRegion),
    "polygon3d": ("polygon", PolygonRegion),
    "ellipse3d": ("ellipse", EllipseRegion),
}
_SPATIAL_TYPES = {"point3d": "POINT", "polyline3d": "POLYLINE", "polygon3d": "POLYGON", "ellipse3d": "ELLIPSE", "ellipsoid3d": "ELLIPSOID"}


def planar(region: PlanarRegion, image: Dataset, *, where: str) -> tuple[str, Points]:
    """Graphic type and n x 2 (column, row)."""
    graphic, points, extent = _outline(region)
    border = _border(image)
    if not _lies_inside(extent, border):
        raise InvalidReport(
            f"{where}: {region.kind} lies outside its image of {border[0]:.0f} x {border[1]:.0f} pixels; "
            "coordinates are column, row in pixels of that image, 0,0 being the top-left corner of the top-left pixel"
        )
    return graphic, np.clip(points, 0.0, border)


def _border(image: Dataset) -> Points:
    return np.array([integer(image, "Columns") or 0, integer(image, "Rows") or 0], dtype=float)


def _lies_inside(extent: Points, border: Points) -> bool:
    return bool((extent >= -TOLERANCE).all() and (extent <= border + TOLERANCE).all())


def frame_numbers(region: PlanarRegion, image: Dataset, *, where: str) -> list[int] | None:
    """The frames to refer to; None on an image without frames."""
    frames = region.frames or (() if region.frame is None else (region.frame,))
    field = f"{where}.frames" if region.frames else f"{where}.frame"
    count = integer(image, "NumberOfFrames") or 1
    if not frames and count > 1:
        raise InvalidReport(f"{field}: is needed, because the image has {count} frames; count from 1")
    require_frames(frames, image, where=field)
    return named_frames(frames, image)


def named_frames(frames: tuple[int, ...], image: Dataset) -> list[int] | None:
    """Frames as a reference names them: none on an image that has one (PS3.3 C.17.3)."""
    return list(frames) or None if (integer(image, "NumberOfFrames") or 1) > 1 else None


def require_frames(frames: tuple[int, ...], image: Dataset, *, where: str) -> None:
    """Raises InvalidReport for a frame the image does not have."""
    count = integer(image, "NumberOfFrames") or 1
    beyond = next((frame for frame in frames if frame > count), None)
    if beyond is not None:
        words = "one frame" if count <= 1 else f"{count} frames, counted from 1"
        raise InvalidReport(f"{where}: {beyond}: the image has {words}")


def _outline(region: PlanarRegion) -> tuple[str, Points, Points]:
    """Graphic type, its points, and points that bound the shape."""
    if isinstance(region, BoxRegion):
        (left, top), (right, bottom) = region.points
        points = _array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])
        return "POLYLINE", points, points
    if isinstance(region, CircleRegion):
        return _circle(region)
    if isinstance(region, EllipseRegion):
        return _ellipse(region)
    points = _array(region.points)
    if isinstance(region, PolygonRegion):
        points = closed(points)
    return ("POINT" if region.kind == "point" else "POLYLINE"), points, points


def _circle(region: CircleRegion) -> tuple[str, Points, Points]:
    if region.points is not None:
        points = _array(region.points)
    else:
        center = _array(region.center)
        points = np.vstack([center, center + _array([region.radius, 0.0])])
    radius = float(np.linalg.norm(points[1] - points[0]))
    return "CIRCLE", points, np.vstack([points[0] - radius, points[0] + radius])


def _ellipse(region: EllipseRegion) -> tuple[str, Points, Points]:
    """Viewers draw no ellipse whose axes do not run along rows and columns (OHIF: OBLIQUE ELLIPSE NOT YET SUPPORTED): that becomes a polygon."""
    center, first, second = _axes(region)
    if np.linalg.norm(first) < np.linalg.norm(second):
        first, second = second, first
    spread = np.sqrt(first**2 + second**2)
    extent = np.vstack([center - spread, center + spread])
    upright = np.abs(first).min() < TOLERANCE and np.abs(second).min() < TOLERANCE
    if upright:
        return "ELLIPSE", np.vstack([center - first, center + first, center - second, center + second]), extent
    turns = np.linspace(0.0, 2 * math.pi, CORNERS, endpoint=False)[:, None]
    return "POLYLINE", closed(np.round(center + np.cos(turns) * first + np.sin(turns) * second, DECIMALS)), extent


def _axes(region: EllipseRegion) -> tuple[Points, Points, Points]:
    """Centre and both half axes as vectors."""
    if region.points is not None:
        ends = _array(region.points)
        return ends.mean(axis=0), (ends[1] - ends[0]) / 2, (ends[3] - ends[2]) / 2
    radii, angle = region.radii or (0.0, 0.0), math.radians(region.angle)
    turned = _array([math.cos(angle), math.sin(angle)])
    return _array(region.center), radii[0] * turned, radii[1] * _array([-turned[1], turned[0]])


def spatial(region: SpatialRegion, box: Box | None, *, where: str) -> tuple[str, Points]:
    """Graphic type and n x 3 (x, y, z) in mm."""
    points = _array(region.points)
    graphic = _SPATIAL_TYPES[region.kind]
    if graphic in ("POLYGON", "ELLIPSE") and _off_plane(points) > PLANE_TOLERANCE:
        raise InvalidReport(f"{where}: the points of a {region.kind} lie in one plane; these are up to {_off_plane(points):.2f} mm beside it")
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    if box is not None and ((middle < box[0] - MARGIN).any() or (middle > box[1] + MARGIN).any()):
        raise InvalidReport(f"{where}: {region.kind} lies outside the input images; coordinates are mm in the patient's space (LPS), not voxels")
    return graphic, closed(points) if graphic == "POLYGON" else points


def frame_of_reference(region: SpatialRegion, source: Source, *, where: str) -> str:
    """UID of the frame of reference the region lives in."""
    known = source.frames_of_reference
    if region.frame_of_reference_uid:
        if region.frame_of_reference_uid not in known:
            raise InvalidReport(f"{where}.frameOfReferenceUID: is not that of an input image; take it from the files under /gantry/input")
        return region.frame_of_reference_uid
    if len(known) != 1:
        count = len(known) or "no"
        raise InvalidReport(f"{where}.frameOfReferenceUID: is needed, because the input images have {count} frames of reference")
    return next(iter(known))


def closed(points: Points) -> Points:
    """The outline with its first point repeated at the end."""
    return points if np.array_equal(points[0], points[-1]) else np.vstack([points, points[:1]])


def _off_plane(points: Points) -> float:
    """Distance in mm of the farthest point from the plane that fits best."""
    centered = points - points.mean(axis=0)
    normal = np.linalg.svd(centered, full_matrices=False)[2][-1]
    return float(np.abs(centered @ normal).max()) if len(points) > 3 else 0.0


def flattened(region: SpatialRegion, slices: Stack) -> PlanarRegion | None:
    """The region as a 2D region of the slice it lies on; None when it lies on none, or is no planar one."""
    placed = None if isinstance(region, Ellipsoid3DRegion) else slices.place(_array(region.points))
    if placed is None:
        return None
    on, points = placed
    kind, model = _FLAT[region.kind]
    uid, corners = text(on.image, "SOPInstanceUID"), tuple((float(column), float(row)) for column, row in points)
    flat = model.model_construct(kind=kind, sop_instance_uid=uid, frame=on.frame, points=corners)  # known to be valid
    _, _, extent = _outline(flat)
    return flat if _lies_inside(extent, _border(on.image)) else None


def same_frame_of_reference(dataset: Dataset, source: Source) -> bool:
    """Whether an object lies in the images' space, as far as both say."""
    uid = text(dataset, "FrameOfReferenceUID")
    return not uid or not source.frames_of_reference or uid in source.frames_of_reference


def _array(values: Any) -> Points:
    return np.asarray(values, dtype=np.float64)
