"""The overview shows what the report says, on the images it is about, and names nobody."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from tests.builders_dicom import a_parametric_map, a_pdf, a_segmentation, an_image, ct_series, read_back
from tests.builders_findings import (
    NODULE,
    PNEUMOTHORAX,
    a_box,
    a_context,
    a_document,
    a_finding,
    a_segment,
    an_ellipse,
    in_space,
    many,
    negative,
    parsed,
)
from tests.sr_structure import evidence, named, walk

from gantry.report import BuiltObject, build_key_objects, build_overview, build_report, require_valid
from gantry.report.display import NotDisplayable, Picture, displayed
from gantry.report.overview import MOST_IMAGES, MOST_WORDS, ONE_PAGE, PAGES
from gantry.report.pages import BAND, BOX, HEIGHT, WIDTH, Words, broken, written

SOURCE = ct_series(20, pixels=True)
SEGMENTATION = a_segmentation(SOURCE)
YELLOW = (255, 204, 0)


def shown(image: Dataset, frame: int | None) -> Picture:
    return displayed(image, frame)


def built(document: dict[str, Any], source: list[Dataset] | None = None, *, pixels: Callable[[Dataset, int | None], Picture] = shown, **context: Any) -> BuiltObject:
    return build_overview(parsed(document), source or SOURCE, a_context(**context), {"seg.dcm": SEGMENTATION}, pixels)


@cache
def two_findings() -> Dataset:
    return read_back(built(a_document(a_finding(region=an_ellipse()), a_finding("second", region=a_box()), evaluatedFor=[PNEUMOTHORAX])).dicom)


def yellow(page: "np.ndarray[Any, Any]") -> int:
    """Pixels of the key image that are a mark."""
    return int((np.abs(page[BAND : BAND + BOX].astype(int) - YELLOW).max(axis=2) < 12).sum())


def test_several_pages_are_one_multi_frame_secondary_capture_and_one_is_a_plain_one() -> None:
    several, one = two_findings(), read_back(built(negative()).dicom)
    assert (several.SOPClassUID, several.NumberOfFrames, several.PageNumberVector) == (PAGES, 3, [1, 2, 3])
    assert (one.SOPClassUID, one.get("NumberOfFrames"), one.pixel_array.shape) == (ONE_PAGE, None, (HEIGHT, WIDTH, 3))


def test_each_finding_is_drawn_on_its_key_image() -> None:
    pages = two_findings().pixel_array
    assert [yellow(page) > 500 for page in pages[1:]] == [True, True]
    images = [item.ReferencedSOPInstanceUID for item in two_findings().SourceImageSequence]
    assert images == [an_ellipse()["sopInstanceUID"], a_box()["sopInstanceUID"]]


@pytest.mark.parametrize("region", [a_segment(), in_space("ellipsoid3d"), in_space("polygon3d")], ids=["a segment", "an ellipsoid", "an outline in space"])
def test_volumes_are_drawn_too(region: dict[str, Any]) -> None:
    pages = read_back(built(a_document(a_finding(region=region))).dicom).pixel_array
    assert len(pages) == 2
    assert yellow(pages[1]) > 100


def test_a_frame_of_a_multi_frame_image_is_named() -> None:
    image = an_image("Enhanced CT")
    overview = read_back(built(a_document(a_finding(region=a_box(sopInstanceUID=str(image.SOPInstanceUID), frame=2))), [image], pixels=lambda *_: np.zeros((64, 64, 3), np.uint8)).dicom)
    assert overview.SourceImageSequence[0].ReferencedFrameNumber == 2


def test_patient_study_and_equipment_are_those_of_the_report() -> None:
    overview, report = two_findings(), read_back(build_report(parsed(negative()), SOURCE, a_context())[0].dicom)
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "AccessionNumber", "ContentDate", "ContributingEquipmentSequence"):
        assert overview.get(keyword) == report.get(keyword), keyword
    assert (overview.SeriesDescription, overview.SeriesNumber, overview.Modality) == ("AI LungNoduleNet 2.1.0 overview", 9016, "OT")
    assert (overview.BurnedInAnnotation, overview.LossyImageCompression) == ("NO", "00")


def test_pixels_that_may_name_somebody_are_said_to() -> None:
    image = an_image("US")
    overview = built(a_document(a_finding(region=a_box(sopInstanceUID=str(image.SOPInstanceUID)))), [image], pixels=lambda *_: np.zeros((128, 128, 3), np.uint8))
    assert read_back(overview.dicom).BurnedInAnnotation == "YES"


def test_the_same_findings_make_the_same_bytes_and_uids_are_the_runs() -> None:
    document = a_document(a_finding(region=an_ellipse()))
    assert built(document) == built(document)
    assert built(document).sop_instance_uid == a_context().uid("overview")
    assert built(document, run="another").sop_instance_uid != built(document).sop_instance_uid


def said(monkeypatch: pytest.MonkeyPatch, document: dict[str, Any], **context: Any) -> list[str]:
    """The words of the first page."""
    told: list[str] = []

    def note(words: list[Words]) -> list[Words]:
        told.extend(one.text for one in words)
        return broken(words)

    monkeypatch.setattr("gantry.report.overview.broken", note)
    built(document, **context)
    return told


def test_a_negative_result_says_so_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    words = said(monkeypatch, negative())
    assert "NO FINDING: none of what was looked for was found" in words
    assert {"Looked for and absent", "Solitary nodule of lung", "Pneumothorax"} <= set(words)


def test_what_could_not_be_assessed_is_no_negative_result(monkeypatch: pytest.MonkeyPatch) -> None:
    words = said(monkeypatch, a_document(notEvaluable=[{"type": NODULE, "text": "Motion"}]))
    assert "NOT ASSESSED: what was looked for could not be assessed" in words
    assert "Solitary nodule of lung: Motion" in words
    assert not any("NO FINDING" in word for word in words)


def test_a_finding_without_pixels_is_told_with_the_reason() -> None:
    def none(_image: Dataset, _frame: int | None) -> Picture:
        raise NotDisplayable("the pixels cannot be decoded (JPEG)")

    pages = read_back(built(a_document(a_finding(region=a_box())), pixels=none).dicom).pixel_array
    assert len(pages) == 2
    assert pages[1][BAND + 10 : BAND + 40].max() == 255


def test_a_thousand_findings_make_a_bounded_object_that_says_there_are_more(monkeypatch: pytest.MonkeyPatch) -> None:
    document = many(1000) | {"findings": [finding | {"images": []} for finding in many(1000)["findings"]]}
    overview = read_back(built(document, pixels=lambda *_: np.zeros((128, 128, 3), np.uint8)).dicom)
    assert overview.NumberOfFrames <= MOST_IMAGES + MOST_WORDS
    assert "... and more; all of it stands in the report." in said(monkeypatch, document)


@pytest.mark.parametrize(
    ("words", "shown_as"),
    [("Größe ≥ 3 µm", "Grosse >= 3 um"), ("Žluťoučký kůň", "Zlutoucky kun"), ("肺結節", "SCT 1"), ("a\nb", "a b")],
    ids=["umlauts and signs", "carons", "another script", "a line break"],
)
def test_letters_the_font_lacks_are_never_boxes(words: str, shown_as: str) -> None:
    assert written(words, "SCT 1") == shown_as


def test_in_shadow_it_says_so() -> None:
    assert read_back(built(negative(), shadow=True).dicom).SeriesDescription.startswith("SHADOW")
    assert built(negative(), shadow=True).dicom != built(negative()).dicom


def test_the_report_and_the_key_object_selection_name_it() -> None:
    findings, context = parsed(a_document(a_finding(region=a_box()), a_finding("segment", region=a_segment()))), a_context()
    objects = {"seg.dcm": SEGMENTATION, "x.pdf": a_pdf(SOURCE[0]), "map.dcm": a_parametric_map(SOURCE)}
    overview = build_overview(findings, SOURCE, context, objects, shown)
    first, second = build_report(findings, SOURCE, context, objects, overview)
    require_valid((first, second), SOURCE, objects.values(), overview)
    everything = {*(str(each.SOPInstanceUID) for each in objects.values()), overview.sop_instance_uid, second.sop_instance_uid}
    report = read_back(first.dicom)
    assert {str(one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for one in walk(report) if named(one) == "RESULT-OBJECT"} == everything
    assert everything <= set(evidence(report))
    selection = read_back(build_key_objects(findings, (overview, first, second), tuple(objects.values()), SOURCE, context).dicom)
    assert everything < set(evidence(selection))
    kinds = {str(one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID): one.ValueType for one in selection.ContentSequence[1:]}
    assert kinds[overview.sop_instance_uid] == "IMAGE"
