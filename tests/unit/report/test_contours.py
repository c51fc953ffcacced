"""A volume is outlined on its key slice, beside what is drawn: where the volume is, under its tracking UID, its numbers said once."""

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from tests.builders_dicom import a_segmentation, ct_series, read_back
from tests.builders_findings import a_box, a_context, a_document, a_finding, a_segment, in_space, parsed
from tests.builders_masks import nifti, placed
from tests.sr_structure import groups, named, walk

from gantry.report import BuiltObject, build_masks, build_report, read_report, require_valid
from gantry.report.compare import merged
from gantry.report.contours import MOST_CORNERS, MOST_PARTS, outer_lines

SOURCE = ct_series(20, pixels=True)
SEGMENTATION = a_segmentation(SOURCE)
VOLUMES = a_document(a_finding("segment", region=a_segment()), a_finding("ellipsoid", region=in_space("ellipsoid3d")), a_finding("drawn", region=a_box()))


def mask(*boxes: tuple[slice, slice]) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    result = np.zeros((40, 40), np.bool_)
    for box in boxes:
        result[box] = True
    return result


def area(line: "np.ndarray[Any, Any]") -> float:
    x, y = line[:, 0], line[:, 1]
    return abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2)


def test_an_outline_runs_along_the_corners_of_pixels() -> None:
    (line,) = outer_lines(mask((slice(10, 14), slice(20, 23))))
    assert sorted(map(tuple, line.tolist())) == [(20, 10), (20, 14), (23, 10), (23, 14)], "columns 20 to 22, rows 10 to 13: 0,0 is the corner of the first pixel"


def test_parts_are_apart_the_largest_first_and_holes_are_left_out() -> None:
    both = mask((slice(0, 10), slice(0, 10)), (slice(10, 14), slice(10, 14)))
    both[3:6, 3:6] = False
    assert [area(line) for line in outer_lines(both)] == [100, 16], "they touch at a corner"


def test_the_border_of_the_image_is_no_hole_in_the_outline() -> None:
    (line,) = outer_lines(np.ones((40, 40), np.bool_))
    assert area(line) == 1600


def test_noise_and_too_many_parts_are_left_out() -> None:
    crumbs = mask((slice(0, 20), slice(0, 20)), (slice(30, 31), slice(30, 31)))
    assert len(outer_lines(crumbs)) == 1
    assert len(outer_lines(np.indices((40, 40)).sum(axis=0) % 2 == 0)) == MOST_PARTS


def test_a_long_outline_is_smoothed_and_keeps_its_area() -> None:
    rows, columns = np.indices((512, 512))
    ring = (rows - 256) ** 2 + (columns - 256) ** 2 < 240**2
    ring &= ~((rows % 3 == 0) & (columns > 400))
    (line, *_) = outer_lines(ring)
    assert len(line) <= MOST_CORNERS
    assert len(outer_lines(mask((slice(10, 14), slice(20, 23))))[0]) == 4


def built(document: dict[str, Any] = VOLUMES) -> tuple[BuiltObject, ...]:
    reports = build_report(parsed(document), SOURCE, a_context(), {"seg.dcm": SEGMENTATION})
    require_valid(reports, SOURCE, [SEGMENTATION])
    return reports


def values(item: Dataset, name: str) -> list[str]:
    return [str(one.get("UID") or one.get("TextValue")) for one in walk(item) if named(one) == name]


def test_volumes_are_outlined_in_the_report_that_is_drawn_and_reported_in_their_own() -> None:
    reports = {one.sort: read_back(one.dicom) for one in built()}
    assert list(reports) == ["regions", "in space", "segments"]
    assert values(reports["regions"], "112039") == ["drawn", "segment", "ellipsoid"]
    for sort, identifier in (("segments", "segment"), ("in space", "ellipsoid")):
        (group,) = groups(reports[sort])
        (outline,) = [one for one in groups(reports["regions"]) if values(one, "112039") == [identifier]]
        assert values(outline, "112040") == values(group, "112040")
        assert [one for one in walk(outline) if one.ValueType == "NUM"] == [], "numbers stand once"
        assert [one for one in walk(group) if one.ValueType == "NUM"] != []


def test_a_segments_outline_lies_on_the_slice_it_is_largest_on_and_has_the_segments_tracking_uid() -> None:
    (drawn, _) = built(a_document(a_finding(region=a_segment())))
    report = read_report(read_back(drawn.dicom))
    (finding,) = report.findings
    assert finding.tracking_uid == SEGMENTATION.SegmentSequence[0].TrackingUID
    assert finding.regions[0].image in {str(image.SOPInstanceUID) for image in SOURCE[6:14]}
    assert set(finding.regions[0].points) == {(62, 52), (78, 52), (78, 68), (62, 68)}


def test_a_mask_is_outlined_too() -> None:
    labels = np.zeros((20, 128, 128), np.uint8)
    labels[5, 30:40, 50:70], labels[6, 30:35, 50:60] = 1, 1
    document = a_document(a_finding(), masks=[{"file": "m.nii.gz", "segments": [{"value": 1, "finding": "nodule-1"}]}])
    findings, made = build_masks(parsed(document), SOURCE, a_context(), {"m.nii.gz": nifti(labels, placed(SOURCE))})
    drawn, segments = build_report(findings, SOURCE, a_context(), made)
    require_valid((drawn, segments), SOURCE, made.values())
    (finding,) = read_report(read_back(drawn.dicom)).findings
    assert finding.regions[0].image == str(SOURCE[5].SOPInstanceUID)
    assert set(finding.regions[0].points) == {(50, 30), (70, 30), (70, 40), (50, 40)}
    assert finding.tracking_uid == made["m.nii.gz"].SegmentSequence[0].TrackingUID


@pytest.mark.parametrize("kind", ["point3d", "polyline3d"])
def test_what_is_no_volume_is_not_outlined(kind: str) -> None:
    (report,) = built(a_document(a_finding(region=in_space(kind))))
    assert len(groups(read_back(report.dicom))) == 1


def test_a_segmentation_whose_pixels_cannot_be_read_is_reported_without_outline() -> None:
    broken = a_segmentation(SOURCE)
    broken.PixelData = b"\0\0"
    reports = build_report(parsed(a_document(a_finding(region=a_segment()))), SOURCE, a_context(), {"seg.dcm": broken})
    assert [one.sort for one in reports] == ["segments"]


def test_all_reports_of_a_run_together_have_each_finding_once_with_its_outline() -> None:
    whole = merged([read_report(read_back(one.dicom)) for one in built()])
    assert [finding.id for finding in whole.findings] == ["drawn", "ellipsoid", "segment"]
    assert [bool(finding.outline) for finding in whole.findings] == [False, True, True]
    assert all(finding.measurements for finding in whole.findings)
