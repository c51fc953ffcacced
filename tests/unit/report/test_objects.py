"""DICOM files an application hands over: whose they are, what they are, and the UIDs they get."""

from collections.abc import Callable
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import UID, JPEG2000Lossless
from tests.builders_dicom import a_pdf, a_secondary_capture, a_segmentation, an_image, as_file, changed, ct_series, read_back, uid
from tests.builders_findings import a_context, a_document, a_finding, a_segment, negative, parsed

from gantry.api import RunReason
from gantry.report import ReportError, UnacceptedObject, WrongPatient, build_report, check_object, reidentify

ALL = ("SR", "SEG", "SC", "PDF")
SOURCE = ct_series(20, pixels=True)
SEGMENTATION = as_file(a_segmentation(SOURCE))


def a_report(**changes: Any) -> Dataset:
    return changed(read_back(build_report(parsed(negative()), SOURCE, a_context())[0].dicom), **changes)


def a_seg(**changes: Any) -> Dataset:
    return changed(read_back(SEGMENTATION), **changes)


def pdf(**changes: Any) -> Dataset:
    return a_pdf(SOURCE[0], **changes)


def capture(**changes: Any) -> Dataset:
    return a_secondary_capture(SOURCE[0], **changes)


KINDS: dict[str, tuple[Callable[[], Dataset], str]] = {
    "a structured report": (a_report, "SR"),
    "a basic text report": (lambda: a_report(SOPClassUID=UID("1.2.840.10008.5.1.4.1.1.88.11")), "SR"),
    "a segmentation": (a_seg, "SEG"),
    "a label map": (lambda: a_seg(SOPClassUID=UID("1.2.840.10008.5.1.4.1.1.66.7")), "SEG"),
    "a secondary capture": (capture, "SC"),
    "a true colour multi-frame secondary capture": (lambda: capture(SOPClassUID=UID("1.2.840.10008.5.1.4.1.1.7.4")), "SC"),
    "a PDF": (pdf, "PDF"),
}


@pytest.mark.parametrize(("dataset", "kind"), KINDS.values(), ids=KINDS)
def test_an_object_of_the_study_is_of_a_kind(dataset: Callable[[], Dataset], kind: str) -> None:
    assert check_object(dataset(), name="x.dcm", source=SOURCE, accept=ALL) == kind


REFUSED: dict[str, tuple[Callable[[], Dataset], type[ReportError], str]] = {
    "another patient": (lambda: pdf(PatientID="PAT-0043"), WrongPatient, "x.dcm: PatientID is not that of the input; an application copies it from the images of this patient"),
    "no patient": (lambda: pdf(PatientID=None), WrongPatient, "x.dcm: PatientID is not that of the input; an application copies it from the images of this patient"),
    "another study": (
        lambda: pdf(StudyInstanceUID=uid("another")),
        WrongPatient,
        "x.dcm: StudyInstanceUID is not that of the input; an application copies it from the images of this study",
    ),
    "the same id from another hospital": (lambda: pdf(IssuerOfPatientID="HOSP2"), WrongPatient, "x.dcm: IssuerOfPatientID is not that of the input"),
    "another patient in an object nobody asked for": (lambda: an_image("CT", PatientID="PAT-0043"), WrongPatient, "x.dcm: PatientID is not that of the input; an application copies it from the images of this patient"),
    "an image": (lambda: an_image("CT"), UnacceptedObject, "x.dcm: SOPClassUID: is none of SR, SEG, SC, PDF, PM"),
    "no SOP class": (lambda: pdf(SOPClassUID=None), UnacceptedObject, "x.dcm: SOPClassUID: is none of SR, SEG, SC, PDF, PM"),
    "a capture without pixels": (lambda: capture(PixelData=None), UnacceptedObject, "x.dcm: PixelData: is missing or empty"),
    "a capture whose pixels break off": (
        lambda: capture(PixelData=bytes(700)),
        UnacceptedObject,
        "x.dcm: PixelData: holds 700 bytes; Rows, Columns, NumberOfFrames and BitsAllocated make 768",
    ),
    "a PDF that is none": (lambda: pdf(EncapsulatedDocument=b"<html>"), UnacceptedObject, "x.dcm: EncapsulatedDocument: is no PDF"),
    "no SOP Instance UID": (lambda: pdf(SOPInstanceUID=None), UnacceptedObject, "x.dcm: SOPInstanceUID: is missing or empty"),
    "a segmentation of another space": (
        lambda: a_seg(FrameOfReferenceUID=uid("elsewhere")),
        UnacceptedObject,
        "x.dcm: FrameOfReferenceUID: is not that of an input image: the object lies in another frame of reference",
    ),
}


@pytest.mark.parametrize(("dataset", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_any_other_object_is_refused(dataset: Callable[[], Dataset], error: type[ReportError], message: str) -> None:
    with pytest.raises(error) as caught:
        check_object(dataset(), name="x.dcm", source=SOURCE, accept=ALL)
    assert str(caught.value) == message
    assert caught.value.reason in (RunReason.WRONG_PATIENT, RunReason.UNACCEPTED_OBJECT)
    assert not [value for value in ("PAT-", "HOSP", uid("study"), uid("another")) if value in message]


def test_a_kind_the_pipeline_does_not_accept_is_refused() -> None:
    with pytest.raises(UnacceptedObject, match=r"x.dcm: is of kind PDF, which report.accept of the pipeline does not name"):
        check_object(pdf(), name="x.dcm", source=SOURCE, accept=("SR", "SEG"))


def test_padding_of_an_id_is_no_difference() -> None:
    assert check_object(pdf(PatientID="PAT-0042 "), name="x.dcm", source=SOURCE, accept=ALL) == "PDF"


def test_an_object_gets_uids_of_the_run_and_is_otherwise_the_same() -> None:
    original = a_seg()
    result = reidentify(original, "1.2.3", "1.2.4")
    assert (result.SOPInstanceUID, result.SeriesInstanceUID, result.file_meta.MediaStorageSOPInstanceUID) == ("1.2.3", "1.2.4", "1.2.3")
    own = {"SOPInstanceUID", "SeriesInstanceUID"}
    assert {e.tag: e for e in result if e.keyword not in own} == {e.tag: e for e in original if e.keyword not in own}
    assert original.SOPInstanceUID == uid("seg")
    assert result.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID


def test_the_same_object_becomes_the_same_bytes_whatever_its_file_meta_said() -> None:
    other = a_seg()
    other.file_meta.ImplementationVersionName = "SOMEBODY"
    other.file_meta.SourceApplicationEntityTitle = "SCANNER"
    once = as_file(reidentify(a_seg(), "1.2.3", "1.2.4"))
    assert as_file(reidentify(other, "1.2.3", "1.2.4")) == once
    assert read_back(once).file_meta.get("SourceApplicationEntityTitle") is None


def test_the_transfer_syntax_of_compressed_pixels_is_kept() -> None:
    original = capture()
    original.file_meta.TransferSyntaxUID = JPEG2000Lossless
    assert reidentify(original, "1.2.3", "1.2.4").file_meta.TransferSyntaxUID == JPEG2000Lossless


def test_pixel_data_is_not_copied() -> None:
    original = a_seg()
    assert reidentify(original, "1.2.3", "1.2.4").PixelData is original.PixelData


def test_an_object_that_refers_to_another_still_finds_it() -> None:
    sr = build_report(parsed(a_document(a_finding(region=a_segment()))), SOURCE, a_context(), {"seg.dcm": a_seg()})[0]
    original = read_back(sr.dicom)
    result = reidentify(original, "1.2.3", "1.2.4", renamed={uid("seg"): "1.2.5"})
    for dataset, expected in ((result, "1.2.5"), (original, uid("seg"))):
        text = str(dataset)
        assert (expected in text, len({"1.2.5", uid("seg")} & set(text.split()))) == (True, 1)


def test_uids_in_a_list_are_followed_too() -> None:
    original = pdf(FailedSOPInstanceUIDList=[uid("seg"), uid("other")])
    result = reidentify(original, "1.2.3", "1.2.4", renamed={uid("seg"): "1.2.5"})
    assert list(result.FailedSOPInstanceUIDList) == ["1.2.5", uid("other")]
    assert list(original.FailedSOPInstanceUIDList) == [uid("seg"), uid("other")]
