"""Images of every kind a department has, with no more elements than they are sure to have."""

import pytest
from tests.builders_dicom import SOP_CLASSES, an_image, read_back
from tests.builders_findings import a_box, a_context, a_document, a_finding, negative, parsed
from tests.sr_structure import children, coded, faults, groups

from gantry.report import build_report

FRAMED = ("US multi-frame", "Enhanced CT", "Enhanced MR")


@pytest.mark.parametrize("kind", SOP_CLASSES)
def test_a_region_and_a_negative_result_on_any_kind_of_image(kind: str) -> None:
    image = an_image(kind)
    region = a_box(sopInstanceUID=image.SOPInstanceUID) | ({"frame": 3} if kind in FRAMED else {})
    region_report = read_back(build_report(parsed(a_document(a_finding(region=region))), [image], a_context())[0].dicom)
    negative_report = read_back(build_report(parsed(negative()), [image], a_context())[0].dicom)
    assert (faults(region_report), faults(negative_report)) == ([], [])
    reference = children(groups(region_report)[0], "111030")[0].ContentSequence[0].ReferencedSOPSequence[0]
    assert (reference.ReferencedSOPClassUID, reference.get("ReferencedFrameNumber")) == (SOP_CLASSES[kind], 3 if kind in FRAMED else None)


PROCEDURES = {"CT": "25045-6", "MR": "25056-3", "DX": "363679005", "MG": "363679005", "US": "363679005"}


@pytest.mark.parametrize(("kind", "procedure"), PROCEDURES.items())
def test_the_procedure_follows_the_modality(kind: str, procedure: str) -> None:
    sr = read_back(build_report(parsed(negative()), [an_image(kind)], a_context())[0].dicom)
    assert [coded(item) for item in children(sr, "121058")] == [procedure]


@pytest.mark.parametrize("frames", ["1", None])
def test_an_image_of_one_frame_needs_no_frame_number(frames: str | None) -> None:
    image = an_image("US multi-frame", NumberOfFrames=frames)
    for fields in ({}, {"frame": 1}):
        region = a_box(sopInstanceUID=image.SOPInstanceUID, **fields)
        assert build_report(parsed(a_document(a_finding(region=region))), [image], a_context())


def test_an_image_with_faults_in_what_is_only_read_is_still_an_image() -> None:
    image = an_image("DX", InstanceNumber=None, Modality=None, FrameOfReferenceUID="")
    sr = read_back(build_report(parsed(negative()), [image], a_context())[0].dicom)
    assert faults(sr) == []
