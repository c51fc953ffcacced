"""`gantry sr build`: the SRs of a Run from files alone; all of them or none, and a line for each finding that is refused."""

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from tests.builders_dicom import a_segmentation, an_image, as_file, ct_series, write_series
from tests.builders_findings import (
    NODULE,
    PNEUMOTHORAX,
    Json,
    a_box,
    a_document,
    a_finding,
    a_point,
    a_segment,
    an_ellipse,
    encode,
    everything,
    image_uid,
    in_space,
    negative,
    parsed,
)
from tests.builders_masks import nifti, placed
from tests.unit.cli.conftest import Done, Gantry

from gantry.cli.sr_build import INSTALLATION
from gantry.report import ReportContext, build_report, read_report, validate_report

MADE = 1_764_000_000


class Workplace:
    """findings.json and a folder of images."""

    def __init__(self, folder: Path, gantry: Gantry) -> None:
        self.folder, self.gantry = folder, gantry
        self.images, self.findings, self.out = folder / "images", folder / "findings.json", folder / "out"

    def has(self, document: Json, source: list[Dataset] | None = None) -> None:
        write_series(source or ct_series(), self.images)
        self.write(encode(document))

    def write(self, document: bytes) -> None:
        self.findings.write_bytes(document)
        os.utime(self.findings, (MADE, MADE))

    def build(self, *options: object, out: Path | None = None) -> Done:
        return self.gantry("sr", "build", "--findings", self.findings, "--images", self.images, "--out", out or self.out, *options)


@pytest.fixture
def work(tmp_path: Path, gantry: Gantry) -> Workplace:
    return Workplace(tmp_path, gantry)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_document_becomes_one_sr_each_sort_named_by_what_its_findings_have(work: Workplace) -> None:
    work.has(everything())
    done = work.build()
    assert (done.code, done.err) == (0, "")
    assert names(work.out) == ["sr-in-space.dcm", "sr-no-region.dcm", "sr-regions.dcm"]
    assert done.out.splitlines() == [str(work.out / f"sr-{sort}.dcm") for sort in ("regions", "in-space", "no-region")]
    for path in work.out.iterdir():
        assert validate_report(dcmread(path), ct_series()) == ()


def test_a_name_is_given_to_the_first_and_further_ones_stand_beside_it(work: Workplace) -> None:
    work.has(everything())
    done = work.build(out=work.folder / "made" / "report.dcm")
    assert done.code == 0
    assert names(work.folder / "made") == ["report-in-space.dcm", "report-no-region.dcm", "report.dcm"]


def test_a_negative_document_is_named_so(work: Workplace) -> None:
    work.has(negative())
    assert work.build().code == 0
    assert names(work.out) == ["sr-negative.dcm"]


SOURCES: dict[str, list[Dataset]] = {
    "a CT series": ct_series(),
    **{kind: [an_image(kind)] for kind in ("MR", "DX", "MG", "US", "SC", "PT", "US multi-frame", "Enhanced CT")},
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_what_is_read_of_the_files_is_all_that_a_report_needs(work: Workplace, source: list[Dataset]) -> None:
    """The same bytes as from whole datasets: nothing of the images is missed."""
    image = source[-1]
    frame = {"frame": 2} if image.get("NumberOfFrames") else {}
    document = a_document(a_finding(region=a_box(sopInstanceUID=str(image.SOPInstanceUID)) | frame), evaluatedFor=[PNEUMOTHORAX])
    work.has(document, source)
    done = work.build()
    assert done.code == 0, done.err
    (path,) = work.out.iterdir()
    made = dcmread(path)
    run = identity_of(made)
    (expected,) = build_report(parsed(document), source, run)
    known = dcmread(BytesIO(expected.dicom))
    for dataset in (made, known):
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
            dataset[keyword].value = "1.2.3"
        dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        for item in dataset.iterall():
            if item.keyword == "UID" and str(item.value).startswith("2.25."):
                item.value = "1.2.3"
    assert made == known


def identity_of(made: Dataset) -> ReportContext:
    from datetime import UTC, datetime

    return ReportContext(INSTALLATION, "", "x", datetime.fromtimestamp(MADE, UTC), product_version=str(made.SoftwareVersions[0]))


def test_the_same_input_makes_the_same_bytes_and_other_input_other_uids(work: Workplace) -> None:
    work.has(a_document(a_finding(region=a_box())))
    first, second, third = (work.folder / name for name in ("1.dcm", "2.dcm", "3.dcm"))
    assert [work.build(out=first).code, work.build(out=second).code, work.build("--series-number", 7, out=third).code] == [0, 0, 0]
    assert first.read_bytes() == second.read_bytes()
    assert dcmread(first).SOPInstanceUID != dcmread(third).SOPInstanceUID


def test_options_are_those_of_a_pipelines_report(work: Workplace) -> None:
    work.has(a_document(a_finding(region=a_box())))
    options = ("--sop-class", "ComprehensiveSR", "--series-number", 77, "--series-description", "Second look", "--algorithm", "Net/3.1/ACME")
    done = work.build(*options, "--evaluated-for", "SCT/36118008/Pneumothorax")
    assert done.code == 0, done.err
    dataset = dcmread(work.out / "sr-regions.dcm")
    assert (dataset.SOPClassUID, dataset.SeriesNumber, dataset.SeriesDescription) == ("1.2.840.10008.5.1.4.1.1.88.33", 77, "Second look")
    report = read_report(dataset)
    assert [(one.name, one.version, one.manufacturer) for one in report.algorithms] == [("Net", "3.1", "ACME")]
    assert [concept.meaning for concept in report.absent] == ["Pneumothorax"]


def test_segmentations_lie_beside_the_document_and_keep_their_uids(work: Workplace) -> None:
    source = ct_series(pixels=True)
    work.has(a_document(a_finding(region=a_segment())), source)
    segmentation = a_segmentation(source)
    (work.folder / "seg.dcm").write_bytes(as_file(segmentation))
    assert work.build().code == 0
    (finding,) = read_report(dcmread(work.out / "sr-segments.dcm")).findings
    assert [(region.image, region.segment) for region in finding.regions] == [(segmentation.SOPInstanceUID, 1)]


def test_masks_lie_beside_the_document_and_become_segmentations(work: Workplace) -> None:
    """With the patient and study of the whole header, though of other images only a part is kept."""
    source = ct_series()
    work.has(a_document(a_finding(), masks=[{"file": "m.nii.gz", "segments": [{"value": 1, "finding": "nodule-1", "measure": ["volume"]}]}]), source)
    labels = np.zeros((20, 128, 128), np.uint8)
    labels[5:9, 10:20, 10:30] = 1
    (work.folder / "m.nii.gz").write_bytes(nifti(labels, placed(source)))
    done = work.build()
    assert (done.code, done.err, names(work.out)) == (0, "", ["m.nii.gz.dcm", "sr-regions.dcm", "sr-segments.dcm"])
    segmentation, report = dcmread(work.out / "m.nii.gz.dcm"), dcmread(work.out / "sr-segments.dcm")
    assert (segmentation.PatientName, segmentation.StudyID) == (source[0].PatientName, "S1")
    assert validate_report(report, source, [segmentation]) == ()
    assert f"{4 * 10 * 20 * 0.49 * 5:g}" in str(report)


def test_a_mask_that_is_missing_is_told(work: Workplace) -> None:
    work.has(a_document(a_finding(), masks=[{"file": "m.nii.gz", "segments": [{"value": 1, "finding": "nodule-1"}]}]))
    done = work.build()
    assert (done.code, done.err.splitlines()) == (3, ["gantry: masks[0] (m.nii.gz): no such file in /gantry/output, or not a regular one"])


def test_every_finding_that_does_not_fit_is_a_line_and_nothing_is_written(work: Workplace) -> None:
    outside = an_ellipse(center=[500, 60])
    work.has(
        a_document(
            a_finding("fine", region=a_box()),
            a_finding("outside", region=outside),
            a_finding("unknown", region=a_point(sopInstanceUID="1.2.3")),
            a_finding("no-file", region=a_segment()),
        )
    )
    done = work.build()
    assert (done.code, done.out) == (3, "")
    assert done.err.splitlines() == [
        "gantry: findings[1] (outside).region: ellipse lies outside its image of 128 x 128 pixels; coordinates are column, row in pixels of that image, 0,0 being the top-left corner of the top-left pixel",
        "gantry: findings[2] (unknown).region.sopInstanceUID: names an image that is not in the input (or of a private class); take SOPInstanceUID from the files there",
        "gantry: findings[3] (no-file).region.file: no such DICOM file was written to /gantry/output or accepted from there",
    ]
    assert not work.out.exists()


def test_every_finding_against_the_schema_is_a_line(work: Workplace) -> None:
    bad_unit: dict[str, Any] = {"measurements": [{"name": NODULE, "value": 1, "unit": "millimetres"}]}
    work.has(a_document(a_finding("a", **bad_unit), a_finding("b"), a_finding("c", presence="maybe", type=None), evaluatedFor="nodules"))
    done = work.build()
    assert (done.code, len(done.err.splitlines())) == (3, 3)
    assert 'findings[0] (a).measurements[0].unit: "millimetres": not a UCUM unit; write "mm"' in done.err
    assert "findings[2] (c).type: the field is needed (and 1 more)" in done.err
    assert "findings.json: evaluatedFor: " in done.err


REFUSED: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "findings.json: not JSON: "),
    "an empty file": (b"", "findings.json: not JSON: "),
    "nothing said": (encode(a_document()), "findings.json: findings is empty and nothing was evaluated for"),
    "space without an image there": (
        encode(a_document(a_finding(region=in_space("point3d", frameOfReferenceUID="1.2.3")))),
        "findings[0] (nodule-1).region.frameOfReferenceUID: is not that of an input image",
    ),
    "a quality statement on an unknown image": (
        encode(a_document(a_finding(), imageQuality=[{"text": "blurred", "images": ["1.2.3"]}])),
        "imageQuality[0].images: names an image that is not in the input",
    ),
}


@pytest.mark.parametrize(("document", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_is_told_in_one_line_with_code_3(work: Workplace, document: bytes, words: str) -> None:
    work.has(negative())
    work.write(document)
    done = work.build()
    assert (done.code, done.out, len(done.err.splitlines())) == (3, "", 1)
    assert words in done.err
    assert not work.out.exists()


def test_images_of_two_studies_are_refused(work: Workplace) -> None:
    work.has(negative())
    write_series(ct_series(2, study="another"), work.images / "another")
    done = work.build()
    assert (done.code, done.err) == (3, "gantry: the input images belong to several studies; a report is about one\n")


def test_a_folder_without_images_is_refused(work: Workplace) -> None:
    work.has(negative())
    for path in work.images.iterdir():
        path.write_text("hello")
    done = work.build()
    assert (done.code, done.err) == (3, "gantry: the input holds no image that a report could be about\n")


USAGE: dict[str, tuple[tuple[object, ...], str]] = {
    "another class": (("--sop-class", "EnhancedSR"), "gantry: --sop-class: Input should be 'Comprehensive3DSR' or 'ComprehensiveSR'\n"),
    "a number that is none of a series": (("--series-number", 0), "gantry: --series-number: Input should be greater than or equal to 1\n"),
    "an algorithm of two parts": (("--algorithm", "Net/3"), "gantry: --algorithm is NAME/VERSION/MANUFACTURER, none of them empty or with a slash\n"),
    "a code of two parts": (("--evaluated-for", "SCT/1"), "gantry: --evaluated-for is SCHEME/VALUE/MEANING, none of them empty or with a slash\n"),
}


@pytest.mark.parametrize(("options", "message"), USAGE.values(), ids=USAGE.keys())
def test_wrong_usage_is_code_2(work: Workplace, options: tuple[object, ...], message: str) -> None:
    work.has(negative())
    done = work.build(*options)
    assert (done.code, done.out, done.err) == (2, "", message)


def test_what_cannot_be_read_or_written_is_code_1(work: Workplace) -> None:
    work.has(negative())
    (work.folder / "file").write_text("")
    done = work.build(out=work.folder / "file" / "sr.dcm")
    assert (done.code, done.err) == (1, f"gantry: {work.folder}/file/sr.dcm cannot be written: File exists\n")
    work.findings.unlink()
    done = work.build()
    assert (done.code, done.err) == (1, f"gantry: {work.findings} cannot be read: No such file or directory\n")


def test_only_headers_are_kept_of_a_thousand_slices(tmp_path: Path) -> None:
    """Some 2 KB each: neither pixels nor what no check asks for."""
    from gantry.cli.dicom_files import KEPT, headers

    write_series(ct_series(3, pixels=True), tmp_path)
    for one in headers(tmp_path):
        assert {element.keyword for element in one.dataset} <= set(KEPT)
        assert "PixelData" not in one.dataset
    assert image_uid(0) in {str(one.dataset.SOPInstanceUID) for one in headers(tmp_path)}
