"""The regions of findings.json: their kinds, how many points each takes, and what makes one degenerate.

Pure declarations, known without the images. Whether a region lies inside its image is `geometry`'s business.

Two coordinate systems, never mixed in one finding (PS3.3 C.18.6 and C.18.9):
- 2D: column and row in pixels; the top-left corner of the top-left pixel is 0,0, its centre 0.5,0.5.
- 3D: the patient's x, y, z in mm, towards left, posterior, head (LPS).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.config import JsonDict

from .base import DicomUID, Frame, Frames, Part, given

Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Radius = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Point2D = tuple[Coordinate, Coordinate]
Point3D = tuple[Coordinate, Coordinate, Coordinate]
FILE_NAME = r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]*$"
LARGEST = 10_000
"""Points in one region: a contour of a 5000 x 5000 mammogram stays below."""


def _one_of_two(points: str, parameters: list[str]) -> JsonDict:
    return {"oneOf": [given(points), given(*parameters)]}


class Planar(Part):
    """Base of regions on one image."""

    sop_instance_uid: Annotated[DicomUID, Field(alias="sopInstanceUID")]
    """SOP Instance UID of the image."""
    frame: Frame | None = None
    """Frame, counted from 1. Needed on multi-frame images."""
    frames: Frames = ()
    """Frames in place of `frame`: the region holds on each, for example in a time-resolved series or a cine loop."""

    @model_validator(mode="after")
    def _names_frames_once(self) -> Self:
        if self.frame is not None and self.frames:
            raise ValueError("takes either frame or frames, not both")
        return self


class PointRegion(Planar):
    """One point."""

    kind: Literal["point"]
    """point"""
    points: Annotated[tuple[Point2D, ...], Field(min_length=1, max_length=1)]
    """[[column, row]] in pixels; the top-left corner of the top-left pixel is 0,0."""


class PolylineRegion(Planar):
    """An open line."""

    kind: Literal["polyline"]
    """polyline"""
    points: Annotated[tuple[Point2D, ...], Field(min_length=2, max_length=LARGEST)]
    """[[column, row], …] in pixels; the top-left corner of the top-left pixel is 0,0."""


class PolygonRegion(Planar):
    """A closed outline; the last point need not repeat the first."""

    kind: Literal["polygon"]
    """polygon"""
    points: Annotated[tuple[Point2D, ...], Field(min_length=3, max_length=LARGEST)]
    """[[column, row], …] in pixels; the top-left corner of the top-left pixel is 0,0."""

    @model_validator(mode="after")
    def _has_corners(self) -> Self:
        if len(set(self.points)) < 3:
            raise ValueError("a polygon needs three different points; use polyline or point")
        return self


class BoxRegion(Planar):
    """An upright rectangle."""

    kind: Literal["box"]
    """box"""
    points: Annotated[tuple[Point2D, ...], Field(min_length=2, max_length=2)]
    """[[left, top], [right, bottom]] in pixels; the top-left corner of the top-left pixel is 0,0."""

    @model_validator(mode="after")
    def _has_an_area(self) -> Self:
        (left, top), (right, bottom) = self.points
        if not (left < right and top < bottom):
            raise ValueError("a box is [[left, top], [right, bottom]] with left < right and top < bottom")
        return self


class CircleRegion(Planar):
    """A circle: `points`, or `center` and `radius`."""

    model_config = {"json_schema_extra": _one_of_two("points", ["center", "radius"])}
    kind: Literal["circle"]
    """circle"""
    points: Annotated[tuple[Point2D, ...], Field(min_length=2, max_length=2)] | None = None
    """[the centre, any point on the circle] in pixels."""
    center: Point2D | None = None
    """[column, row] of the centre in pixels."""
    radius: Radius | None = None
    """Radius in pixels."""

    @model_validator(mode="after")
    def _is_defined_once(self) -> Self:
        if (self.points is None) == (self.center is None) or (self.center is None) != (self.radius is None):
            raise ValueError("a circle takes either points (centre and a point on it) or center and radius")
        if self.points is not None and self.points[0] == self.points[1]:
            raise ValueError("a circle's two points are the centre and a point on the circle, not the same point")
        return self


class EllipseRegion(Planar):
    """An ellipse: `center`, `radii` and `angle`, or the four ends of its axes."""

    model_config = {"json_schema_extra": _one_of_two("points", ["center", "radii"])}
    kind: Literal["ellipse"]
    """ellipse"""
    points: Annotated[tuple[Point2D, ...], Field(min_length=4, max_length=4)] | None = None
    """[both ends of the major axis, both ends of the minor axis] in pixels, as DICOM orders them."""
    center: Point2D | None = None
    """[column, row] of the centre in pixels."""
    radii: tuple[Radius, Radius] | None = None
    """Half axes in pixels; with angle 0 along the columns' and the rows' direction."""
    angle: Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)] = 0.0
    """Degrees by which the first half axis is turned, clockwise as the image is displayed."""

    @model_validator(mode="after")
    def _is_defined_once(self) -> Self:
        if (self.points is None) == (self.center is None) or (self.center is None) != (self.radii is None):
            raise ValueError("an ellipse takes either points (the ends of both axes) or center and radii")
        if self.points is not None and (self.points[0] == self.points[1] or self.points[2] == self.points[3]):
            raise ValueError("an ellipse's points are the two ends of each axis, not the same point")
        return self


class Spatial(Part):
    """Base of regions in the patient's space."""

    frame_of_reference_uid: Annotated[DicomUID | None, Field(alias="frameOfReferenceUID")] = None
    """Frame of Reference UID. Needed only when the input has several."""


class Point3DRegion(Spatial):
    """One point."""

    kind: Literal["point3d"]
    """point3d"""
    points: Annotated[tuple[Point3D, ...], Field(min_length=1, max_length=1)]
    """[[x, y, z]] in mm, patient LPS."""


class Polyline3DRegion(Spatial):
    """An open line."""

    kind: Literal["polyline3d"]
    """polyline3d"""
    points: Annotated[tuple[Point3D, ...], Field(min_length=2, max_length=LARGEST)]
    """[[x, y, z], …] in mm, patient LPS."""


class Polygon3DRegion(Spatial):
    """A closed outline in one plane; several of them describe a volume."""

    kind: Literal["polygon3d"]
    """polygon3d"""
    points: Annotated[tuple[Point3D, ...], Field(min_length=3, max_length=LARGEST)]
    """[[x, y, z], …] in mm, patient LPS, all in one plane."""

    @model_validator(mode="after")
    def _has_corners(self) -> Self:
        if len(set(self.points)) < 3:
            raise ValueError("a polygon3d needs three different points; use polyline3d or point3d")
        return self


class Ellipse3DRegion(Spatial):
    """An ellipse in a plane; several of them describe a volume."""

    kind: Literal["ellipse3d"]
    """ellipse3d"""
    points: Annotated[tuple[Point3D, ...], Field(min_length=4, max_length=4)]
    """[both ends of the major axis, both ends of the minor axis] in mm, patient LPS."""


class Ellipsoid3DRegion(Spatial):
    """An ellipsoid."""

    kind: Literal["ellipsoid3d"]
    """ellipsoid3d"""
    points: Annotated[tuple[Point3D, ...], Field(min_length=6, max_length=6)]
    """[both ends of each of the three axes] in mm, patient LPS."""


class SegmentRegion(Part):
    """A segment of a DICOM SEG the application wrote beside findings.json."""

    kind: Literal["segment"]
    """segment"""
    file: Annotated[str, Field(min_length=1, max_length=255, pattern=FILE_NAME)]
    """Name of the file in /gantry/output."""
    segment_number: Annotated[int, Field(ge=1, le=65535)]
    """Segment Number in that file."""


PlanarRegion = PointRegion | PolylineRegion | PolygonRegion | BoxRegion | CircleRegion | EllipseRegion
SpatialRegion = Point3DRegion | Polyline3DRegion | Polygon3DRegion | Ellipse3DRegion | Ellipsoid3DRegion
Region = Annotated[PlanarRegion | SpatialRegion | SegmentRegion, Field(discriminator="kind")]
KINDS = frozenset(
    ("point", "polyline", "polygon", "box", "circle", "ellipse", "point3d", "polyline3d", "polygon3d", "ellipse3d", "ellipsoid3d", "segment")
)
