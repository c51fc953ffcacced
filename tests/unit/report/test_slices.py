"""A planar 3D region that lies on a slice is written as 2D there: viewers draw that, and of SCOORD3D little or nothing."""

import math
from typing import Any

import pytest
from pydicom import Dataset, Sequence
from tests.builders_dicom import SIZE, SPACING, an_image, ct_series, read_back, uid
from tests.builders_findings import a_context, a_document, a_finding, image_uid, in_space, parsed
from tests.sr_structure import children, faults, groups

from gantry.report import build_report

Json = dict[str, Any]
TENTH = 10
"""The slice at z = -50."""


def regions(where: Json, source: list[Dataset] | None = None, **context: Any) -> list[Dataset]:
    sr = read_back(build_report(parsed(a_document(a_finding(**where))), source or ct_series(), a_context(**context))[-1].dicom)
    assert faults(sr) == []
    (group,) = groups(sr)
    return [item for item in children(group) if item.ValueType in ("SCOORD", "SCOORD3D")]


def mm(column: float, row: float, z: float = -50.0) -> list[float]:
    """Where a 2D coordinate lies in the patient."""
    return [-SIZE * SPACING / 2 + SPACING * (column - 0.5), -SIZE * SPACING / 2 + SPACING * (row - 0.5), z]


ON_A_SLICE: dict[str, tuple[str, list[list[float]], str, list[float]]] = {
    "a point": ("point3d", [mm(20.5, 30.5)], "POINT", [20.5, 30.5]),
    "a line": ("polyline3d", [mm(10, 10), mm(30, 25)], "POLYLINE", [10, 10, 30, 25]),
    "an outline, closed": ("polygon3d", [mm(10, 10), mm(30, 10), mm(30, 25)], "POLYLINE", [10, 10, 30, 10, 30, 25, 10, 10]),
    "an ellipse": ("ellipse3d", [mm(50, 60), mm(70, 60), mm(60, 55), mm(60, 65)], "ELLIPSE", [50, 60, 70, 60, 60, 55, 60, 65]),
    "a rounding error beside it": ("point3d", [mm(20.5, 30.5, -50.04)], "POINT", [20.5, 30.5]),
    "the corner of the first pixel": ("point3d", [mm(0, 0)], "POINT", [0, 0]),
}


@pytest.mark.parametrize(("kind", "points", "graphic", "planar"), ON_A_SLICE.values(), ids=ON_A_SLICE)
@pytest.mark.parametrize("sop_class", ["Comprehensive3DSR", "ComprehensiveSR"])
def test_a_region_on_a_slice_is_drawn_there(kind: str, points: list[list[float]], graphic: str, planar: list[float], sop_class: str) -> None:
    (region,) = regions({"region": in_space(kind, points=points)}, sop_class=sop_class)
    assert (region.ValueType, region.GraphicType) == ("SCOORD", graphic)
    assert list(region.GraphicData) == pytest.approx(planar, abs=1e-3)
    assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image_uid(TENTH)


def test_a_turned_ellipse_on_a_slice_is_a_polygon() -> None:
    turn = math.radians(20)
    ends = [(20 * math.cos(turn), 20 * math.sin(turn)), (-10 * math.sin(turn), 10 * math.cos(turn))]
    points = [mm(64 + sign * x, 64 + sign * y) for x, y in ends for sign in (-1, 1)]
    (region,) = regions({"region": in_space("ellipse3d", points=points)})
    assert (region.ValueType, region.GraphicType, len(region.GraphicData)) == ("SCOORD", "POLYLINE", 66)


def test_outlines_on_slices_are_drawn_on_each() -> None:
    outlines = [in_space("polygon3d", points=[mm(10, 10, z), mm(30, 10, z), mm(30, 25, z)]) for z in (-50, -45)]
    shapes = regions({"regions": outlines})
    assert [shape.ValueType for shape in shapes] == ["SCOORD", "SCOORD"]
    assert [shape.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID for shape in shapes] == [image_uid(10), image_uid(11)]


NOT_ON_ONE: dict[str, Json] = {
    "between two slices": {"region": in_space("point3d")},
    "across slices": {"region": in_space("polyline3d")},
    "a body": {"region": in_space("ellipsoid3d")},
    "beside the image": {"region": in_space("point3d", points=[mm(-3, 5)])},
    "an ellipse that leaves it": {"region": in_space("ellipse3d", points=[mm(1, 60), mm(21, 60.5), mm(10.75, 65.25), mm(11.25, 55.25)])}
    | {"region": in_space("ellipse3d", points=[mm(0, 50), mm(20, 70), mm(20, 50), mm(0, 70)])},
    "outlines of which one lies between": {
        "regions": [in_space("polygon3d", points=[mm(10, 10, z), mm(30, 10, z), mm(30, 25, z)]) for z in (-50, -47)]
    },
}


@pytest.mark.parametrize("where", NOT_ON_ONE.values(), ids=NOT_ON_ONE)
def test_what_lies_on_no_slice_stays_3d(where: Json) -> None:
    assert {shape.ValueType for shape in regions(where)} == {"SCOORD3D"}


NOWHERE: dict[str, Json] = {
    "without spacing": {"PixelSpacing": None},
    "with a spacing of zero": {"PixelSpacing": [0, 0]},
    "without orientation": {"ImageOrientationPatient": None},
    "with axes that are none": {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
    "without position": {"ImagePositionPatient": None},
}


@pytest.mark.parametrize("changes", NOWHERE.values(), ids=NOWHERE)
def test_images_that_do_not_say_where_they_lie_leave_the_region_3d(changes: Json) -> None:
    (region,) = regions({"region": in_space("point3d", points=[mm(5, 5)])}, ct_series(**changes))
    assert region.ValueType == "SCOORD3D"


def test_a_sagittal_slice_counts_in_its_own_directions() -> None:
    source = ct_series(1, ImageOrientationPatient=[0, 1, 0, 0, 0, -1], ImagePositionPatient=[7.0, -40.0, 60.0])
    (region,) = regions({"region": in_space("point3d", points=[[7.0, -40.0 + 10 * SPACING, 60.0 - 20 * SPACING]])}, source)
    assert list(region.GraphicData) == pytest.approx([10.5, 20.5])


def test_of_two_slices_the_nearer_one_is_taken() -> None:
    near, far = ct_series(1, ImagePositionPatient=[-44.8, -44.8, -50.0]), ct_series(1, series="b", ImagePositionPatient=[-44.8, -44.8, -50.08])
    for source in ([*near, *far], [*far, *near]):
        (region,) = regions({"region": in_space("point3d", points=[[0, 0, -50.01]])}, source)
        assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == near[0].SOPInstanceUID


def an_enhanced_ct() -> Dataset:
    image = an_image("Enhanced CT")
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient, measures.PixelSpacing = [1, 0, 0, 0, 1, 0], [SPACING, SPACING]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([orientation]), Sequence([measures])
    image.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for number in range(4):
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = [-44.8, -44.8, 5.0 * number]
        frame.PlanePositionSequence = Sequence([position])
        frames.append(frame)
    image.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return image


def test_the_frame_of_an_enhanced_image_is_found() -> None:
    (region,) = regions({"region": in_space("point3d", points=[mm(20.5, 30.5, 10.0)])}, [an_enhanced_ct()])
    reference = region.ContentSequence[0].ReferencedSOPSequence[0]
    assert (region.ValueType, reference.ReferencedFrameNumber) == ("SCOORD", 3)
    assert reference.ReferencedSOPInstanceUID == uid("study-Enhanced CT")
