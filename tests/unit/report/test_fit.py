"""Findings that are well-formed but do not fit their images: refused with the finding's id and what to do."""

from typing import Any

import pytest
from pydicom import Dataset
from tests.builders_dicom import a_pdf, a_segmentation, an_image, ct_series, uid
from tests.builders_findings import (
    DIAMETER,
    NODULE,
    PNEUMOTHORAX,
    a_box,
    a_context,
    a_document,
    a_finding,
    a_point,
    a_polygon,
    a_segment,
    an_ellipse,
    image_uid,
    in_space,
    negative,
    parsed,
)

from gantry.api import RunReason
from gantry.api.base import Code
from gantry.api.pipeline import Algorithm
from gantry.report import InvalidFindings, InvalidReport, build_report

Json = dict[str, Any]
SOURCE = ct_series()
ENHANCED = an_image("Enhanced CT")
OUTSIDE = "lies outside its image of 128 x 128 pixels; coordinates are column, row in pixels of that image, 0,0 being the top-left corner of the top-left pixel"
NOT_IN_INPUT = "names an image that is not in the input (or of a private class); take SOPInstanceUID from the files there"


def refusal(document: Json, source: list[Dataset] | None = None, objects: dict[str, Dataset] | None = None, **context: Any) -> str:
    with pytest.raises(InvalidReport) as caught:
        build_report(parsed(document), SOURCE if source is None else source, a_context(**context), objects)
    assert caught.value.reason is RunReason.INVALID_REPORT
    return str(caught.value)


def finding(**fields: Any) -> Json:
    return a_document(a_finding("seen", **fields))


REGIONS: dict[str, tuple[Json, str]] = {
    "a point right of the image": (finding(region=a_point(points=[[128.5, 3]])), f"findings[0] (seen).region: point {OUTSIDE}"),
    "a point below the image": (finding(region=a_point(points=[[3, 129]])), f"findings[0] (seen).region: point {OUTSIDE}"),
    "a point at a negative row": (finding(region=a_point(points=[[3, -0.5]])), f"findings[0] (seen).region: point {OUTSIDE}"),
    "a box beyond the border": (finding(region=a_box(points=[[100, 100], [140, 120]])), f"findings[0] (seen).region: box {OUTSIDE}"),
    "a circle that leaves the image": (
        finding(region={"kind": "circle", "sopInstanceUID": image_uid(0), "points": [[5, 50], [5, 60]]}),
        f"findings[0] (seen).region: circle {OUTSIDE}",
    ),
    "a rotated ellipse that leaves the image": (finding(region=an_ellipse(center=[10, 64], radii=[14, 2], angle=20)), f"findings[0] (seen).region: ellipse {OUTSIDE}"),
    "one of several outlines": (finding(regions=[a_polygon(7), a_polygon(8, points=[[1, 1], [500, 1], [1, 500]])]), f"findings[0] (seen).regions: polygon {OUTSIDE}"),
    "an image of another study": (finding(region=a_box(sopInstanceUID="1.2.3")), f"findings[0] (seen).region.sopInstanceUID: {NOT_IN_INPUT}"),
    "images of another study": (finding(images=[image_uid(0), "1.2.3"]), f"findings[0] (seen).images: {NOT_IN_INPUT}"),
    "a measurement on another study": (
        finding(measurements=[{"name": DIAMETER, "value": 1, "unit": "mm", "images": ["1.2.3"]}]),
        f"findings[0] (seen).measurements[0].images: {NOT_IN_INPUT}",
    ),
    "a frame of an image that has none": (finding(region=a_box(frame=2)), "findings[0] (seen).region.frame: 2: the image has one frame"),
    "a 3D region in another space": (
        finding(region=in_space("point3d", frameOfReferenceUID="1.2.3")),
        "findings[0] (seen).region.frameOfReferenceUID: is not that of an input image; take it from the files under /gantry/input",
    ),
    "voxel indices for millimetres": (
        finding(region=in_space("point3d", points=[[256, 300, 40]])),
        "findings[0] (seen).region: point3d lies outside the input images; coordinates are mm in the patient's space (LPS), not voxels",
    ),
    "a polygon that is bent": (
        finding(region=in_space("polygon3d", points=[[0, 0, -50], [10, 0, -50], [10, 8, -40], [0, 8, -50]])),
        "findings[0] (seen).region: the points of a polygon3d lie in one plane; these are up to 2.56 mm beside it",
    ),
    "a segment of a file that was not written": (
        finding(region=a_segment()),
        "findings[0] (seen).region.file: no such DICOM file was written to /gantry/output or accepted from there",
    ),
}


@pytest.mark.parametrize(("document", "message"), REGIONS.values(), ids=REGIONS)
def test_a_region_that_does_not_fit_is_refused(document: Json, message: str) -> None:
    assert refusal(document) == message


FRAMES: dict[str, tuple[Json, str]] = {
    "no frame": ({}, "findings[0] (seen).region.frame: is needed, because the image has 4 frames; count from 1"),
    "a frame too many": ({"frame": 5}, "findings[0] (seen).region.frame: 5: the image has 4 frames, counted from 1"),
}


@pytest.mark.parametrize(("fields", "message"), FRAMES.values(), ids=FRAMES)
def test_a_region_on_a_multi_frame_image_names_an_existing_frame(fields: Json, message: str) -> None:
    assert refusal(finding(region=a_box(sopInstanceUID=ENHANCED.SOPInstanceUID, **fields)), [ENHANCED]) == message


def test_a_comprehensive_sr_cannot_hold_3d_regions() -> None:
    message = "findings[0] (seen).region: point3d that lies on no slice needs report.sopClass Comprehensive3DSR in the pipeline; set it, or use 2D regions"
    assert refusal(finding(region=in_space("point3d")), sop_class="ComprehensiveSR") == message


def test_with_two_spaces_a_3d_region_names_its_own() -> None:
    source = [*ct_series(3), *ct_series(3, series="b", FrameOfReferenceUID=uid("elsewhere"))]
    assert "is needed, because the input images have 2 frames of reference" in refusal(finding(region=in_space("point3d")), source)
    named = in_space("point3d", points=[[0, 0, -100]], frameOfReferenceUID=uid("elsewhere"))
    assert build_report(parsed(finding(region=named)), source, a_context())


def test_a_volume_lies_in_one_space() -> None:
    source = [*ct_series(20), *ct_series(20, series="b", FrameOfReferenceUID=uid("elsewhere"))]
    volume = [in_space("polygon3d", frameOfReferenceUID=uid(name)) for name in ("study-space", "elsewhere")]
    assert refusal(finding(regions=volume), source) == "findings[0] (seen).regions: regions lie in several frames of reference; write a finding for each"


def test_without_any_space_there_is_no_3d_region() -> None:
    assert "the input images have no frames of reference" in refusal(finding(region=in_space("point3d")), [an_image("DX")])


def test_a_3d_region_is_taken_on_trust_where_the_images_do_not_say_where_they_lie() -> None:
    anywhere = in_space("point3d", points=[[9000, 0, 0]])
    assert build_report(parsed(finding(region=anywhere)), [an_image("Enhanced MR")], a_context())


SEGMENTS: dict[str, tuple[Json, str]] = {
    "a segment it does not have": (a_segment(segmentNumber=7), "findings[0] (seen).region.segmentNumber: 7: the file has the segments [1]"),
    "a file of another kind": (a_segment(file="report.dcm"), "findings[0] (seen).region.file: is not a DICOM Segmentation"),
    "another space": (a_segment(file="elsewhere.dcm"), "findings[0] (seen).region.file: the segmentation lies in another frame of reference than the input images"),
}


@pytest.mark.parametrize(("region", "message"), SEGMENTS.values(), ids=SEGMENTS)
def test_a_segment_that_does_not_fit_is_refused(region: Json, message: str) -> None:
    segmentation = a_segmentation(ct_series(pixels=True))
    elsewhere = a_segmentation(ct_series(pixels=True), FrameOfReferenceUID=uid("elsewhere"))
    objects = {"seg.dcm": segmentation, "report.dcm": a_pdf(SOURCE[0]), "elsewhere.dcm": elsewhere}
    assert refusal(finding(region=region), objects=objects) == message


def test_a_tracking_uid_other_than_the_segments_is_refused() -> None:
    objects = {"seg.dcm": a_segmentation(ct_series(pixels=True))}
    message = refusal(finding(region=a_segment(), trackingUID="1.2.3"), objects=objects)
    assert message == "findings[0] (seen).trackingUID: differs from Tracking UID of the segment; leave it out"


SOURCES: dict[str, tuple[list[Dataset], str]] = {
    "nothing": ([], "the input holds no image that a report could be about"),
    "no image": ([a_pdf(SOURCE[0])], "the input holds no image that a report could be about"),
    "an image of a private class": ([an_image("CT", SOPClassUID="1.2.826.0.1.3680043.9.9999.1")], "the input holds no image that a report could be about"),
    "two patients": ([*ct_series(1), *ct_series(1, series="b", PatientID="PAT-0043")], "the input images belong to several patients; a report is about one"),
    "two studies": ([*ct_series(1), *ct_series(1, study="b")], "the input images belong to several studies; a report is about one"),
}


@pytest.mark.parametrize(("source", "message"), SOURCES.values(), ids=SOURCES)
def test_a_report_is_about_one_study_of_one_patient(source: list[Dataset], message: str) -> None:
    assert refusal(negative(), source) == message


def test_an_analysis_that_says_nothing_is_no_negative_result() -> None:
    with pytest.raises(InvalidFindings, match="findings is empty and nothing was evaluated for, which says nothing"):
        build_report(parsed(a_document()), SOURCE, a_context())


def test_what_the_pipeline_says_was_looked_for_makes_an_empty_document_a_negative_result() -> None:
    assert len(build_report(parsed(a_document()), SOURCE, a_context(evaluated_for=(Code(**PNEUMOTHORAX),)))) == 1


def test_a_pipeline_whose_words_dicom_cannot_hold_is_told_so() -> None:
    assert "report.evaluatedFor of the pipeline" in refusal(a_document(a_finding()), evaluated_for=(Code(**(NODULE | {"value": "a\\b"})),))
    assert "report.algorithm of the pipeline" in refusal(negative(), algorithm=Algorithm(name="a\\b", version="1", manufacturer="c"))


ON_THE_BORDER: dict[str, Json] = {
    "the whole image": a_box(points=[[0, 0], [128, 128]]),
    "a rounding error outside": a_point(points=[[128.0005, -0.0005]]),
    "an ellipse that touches": an_ellipse(center=[64, 64], radii=[64, 30]),
}


@pytest.mark.parametrize("region", ON_THE_BORDER.values(), ids=ON_THE_BORDER)
def test_a_region_on_the_border_is_inside(region: Json) -> None:
    assert build_report(parsed(finding(region=region)), SOURCE, a_context())


def test_a_message_names_no_uid_of_the_study() -> None:
    messages = [refusal(document) for document, _ in REGIONS.values()]
    identifying = {str(SOURCE[0][keyword].value) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "AccessionNumber")}
    assert not [message for message in messages for value in identifying if value in message]
