"""Regions as outlines on their image: where they are drawn is where the report says, in 2D, 3D and as a segment."""

import numpy as np
import pytest
from tests.builders_dicom import FIRST_SLICE, SIZE, SLICE, SPACING, a_segmentation, ct_series, uid
from tests.builders_findings import image_uid

from gantry.report.outlines import in_space, of_segment, on_image
from gantry.report.pictures import COLOUR, Marks, detail, drawn
from gantry.report.reader import Region
from gantry.report.slices import stack

SPACE = uid("study-space")
SLICES = stack(ct_series())


def flat(kind: str, *points: tuple[float, float], image: str = "1.2", frames: tuple[int, ...] = ()) -> Region:
    return Region(kind, points, image, frames)


def spatial(kind: str, *points: tuple[float, float, float]) -> Region:
    return Region(f"{kind} in space", points, None, space=SPACE)


def column(x: float) -> float:
    """Column, or row, of a place in mm."""
    return (x + SIZE * SPACING / 2) / SPACING + 0.5


def test_planar_regions_lie_on_their_image_and_frame() -> None:
    regions = [flat("polygon", (1, 1), (5, 1), (5, 5), frames=(3,)), flat("polyline", (2, 2), (3, 3), frames=(3,)), flat("point", (9, 9), image="1.3")]
    outline = on_image(regions)
    assert outline is not None
    assert (outline.image, outline.frame, [line.closed for line in outline.lines]) == ("1.2", 3, [True, False])


@pytest.mark.parametrize(
    ("region", "width", "height"),
    [(flat("circle", (50, 50), (50, 60)), 20, 20), (flat("ellipse", (30, 50), (70, 50), (50, 40), (50, 60)), 40, 20)],
    ids=["a circle", "an ellipse"],
)
def test_curves_are_as_large_as_they_are(region: Region, width: float, height: float) -> None:
    outline = on_image([region])
    assert outline is not None
    (line,) = outline.lines
    assert np.ptp(line.points, axis=0) == pytest.approx([width, height], abs=0.1)
    assert line.points.mean(axis=0) == pytest.approx([50, 50])


def test_an_ellipsoid_is_cut_by_the_slice_through_its_middle() -> None:
    z = FIRST_SLICE + 10 * SLICE
    region = spatial("ellipsoid", (-7, 0, z), (7, 0, z), (0, -14, z), (0, 14, z), (0, 0, z - 3), (0, 0, z + 3))
    outline = in_space([region], SLICES)
    assert outline is not None
    assert outline.image == image_uid(10)
    (line,) = outline.lines
    assert np.ptp(line.points, axis=0) == pytest.approx([20, 40], abs=0.1)
    assert line.points.mean(axis=0) == pytest.approx([column(0), column(0)])


def test_beside_its_middle_it_is_cut_smaller_and_between_slices_its_shadow_is_drawn() -> None:
    z = FIRST_SLICE + 10 * SLICE + 1.5
    for height, radius in ((3.0, 7 * np.sqrt(1 - 0.25)), (1.0, 7.0)):
        region = spatial("ellipsoid", (-7, 0, z), (7, 0, z), (0, -7, z), (0, 7, z), (0, 0, z - height), (0, 0, z + height))
        outline = in_space([region], SLICES)
        assert outline is not None
        assert np.ptp(outline.lines[0].points, axis=0) == pytest.approx([2 * radius / SPACING] * 2, abs=0.2)


def test_a_point_between_slices_goes_to_the_nearest() -> None:
    outline = in_space([spatial("point", (7, -7, FIRST_SLICE + 4 * SLICE + 2))], SLICES)
    assert outline is not None
    assert (outline.image, outline.lines[0].points.tolist()) == (image_uid(4), [pytest.approx([column(7), column(-7)])])


def test_of_a_volumes_contours_those_of_one_slice_are_drawn() -> None:
    contours = [spatial("polygon", (0, 0, z), (9, 0, z), (9, 9, z)) for z in (-60.0, -55.0, -50.0)]
    outline = in_space(contours, SLICES)
    assert outline is not None
    assert (outline.image, len(outline.lines)) == (image_uid(9), 1)


def test_without_images_in_its_space_nothing_is_drawn() -> None:
    assert in_space([spatial("point", (0, 0, 0))], stack([])) is None
    assert on_image([Region("segment", (), "1.2", segment=1)]) is None


def unknown(_: object) -> None:
    return None


def test_a_segment_is_drawn_where_it_is_largest() -> None:
    outline = of_segment(a_segmentation(ct_series(pixels=True)), 1, unknown)
    assert outline is not None
    assert outline.image in {image_uid(number) for number in range(6, 14)}
    assert outline.mask is not None
    assert (int(outline.mask.sum()), outline.mask[52:68, 62:78].all()) == (256, True)


def test_a_segment_that_names_no_source_is_found_by_its_place() -> None:
    segmentation = a_segmentation(ct_series(pixels=True))
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        del group.DerivationImageSequence
    outline = of_segment(segmentation, 1, lambda place: (f"at {place[2]:g}", None))
    assert outline is not None
    assert outline.image == "at -35"
    assert of_segment(segmentation, 1, unknown) is None
    assert of_segment(segmentation, 2, unknown) is None


BLACK = np.zeros((64, 64, 3), np.uint8)


def coloured(image: object) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    return np.asarray(np.abs(np.asarray(image).astype(int) - COLOUR).max(axis=2) < 60)


def test_an_outline_is_drawn_at_its_place_in_square_pixels() -> None:
    outline = on_image([flat("polygon", (16, 32), (48, 32), (48, 48), (16, 48))])
    assert outline is not None
    image = drawn(BLACK, Marks(outline.lines), pixel=(2.0, 1.0))
    assert image.size == (360, 720)
    rows, columns = np.nonzero(coloured(image))
    assert (columns.min() / 360 * 64, columns.max() / 360 * 64) == pytest.approx((16, 48), abs=0.5)
    assert (rows.min() / 720 * 64, rows.max() / 720 * 64) == pytest.approx((32, 48), abs=0.5)


def test_a_small_finding_is_enlarged_and_a_large_one_is_not() -> None:
    small, large = on_image([flat("circle", (60, 5), (62, 5))]), on_image([flat("circle", (32, 32), (32, 60))])
    assert small is not None
    assert large is not None
    near = detail(BLACK, Marks(small.lines))
    assert near is not None
    assert coloured(near).sum() > 100
    assert detail(BLACK, Marks(large.lines)) is None


def test_a_mask_has_a_border() -> None:
    mask = np.zeros((64, 64), bool)
    mask[20:40, 10:30] = True
    rows, columns = np.nonzero(coloured(drawn(BLACK, Marks(mask=mask))))
    assert (columns.min() / 720 * 64, columns.max() / 720 * 64) == pytest.approx((10, 30), abs=0.7)
    assert (rows.min() / 720 * 64, rows.max() / 720 * 64) == pytest.approx((20, 40), abs=0.7)


def test_the_label_stays_inside_the_image() -> None:
    outline = on_image([flat("point", (63.5, 0.5))])
    assert outline is not None
    image = np.asarray(drawn(BLACK, Marks(outline.lines, label="1   12.1 mm")))
    assert coloured(image)[:40, 560:690].sum() > 30
