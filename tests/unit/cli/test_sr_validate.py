"""`gantry sr validate`: one line a problem, an exit code for scripts, and nothing of the patient in either."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from tests.builders_dicom import a_segmentation, as_file, ct_series, write_series
from tests.builders_findings import a_context, a_document, a_finding, a_segment, everything, parsed
from tests.unit.cli.conftest import Gantry

from gantry.report import build_report


def written(folder: Path) -> list[Path]:
    """All SRs of a Run with every kind of region."""
    folder.mkdir(parents=True, exist_ok=True)
    built = build_report(parsed(everything()), ct_series(), a_context())
    paths = [folder / f"sr{number}.dcm" for number in range(len(built))]
    for path, one in zip(paths, built, strict=True):
        path.write_bytes(one.dicom)
    return paths


def changed(path: Path, change: Callable[[Dataset], None]) -> None:
    dataset = dcmread(path)
    change(dataset)
    dataset.save_as(path)


def units(dataset: Dataset) -> None:
    for item in dataset.iterall():
        if item.keyword == "MeasurementUnitsCodeSequence" and item.value[0].CodeValue == "mm":
            item.value[0].CodeValue = "millimetre"
            return


def test_a_report_of_gantry_has_nothing_wrong(gantry: Gantry, tmp_path: Path) -> None:
    paths = written(tmp_path)
    done = gantry("sr", "validate", *paths)
    assert (done.code, done.err) == (0, "")
    assert done.out == "".join(f"{path}: nothing wrong\n" for path in paths)


def test_a_problem_is_a_line_with_file_place_fault_and_advice(gantry: Gantry, tmp_path: Path) -> None:
    path, *_ = written(tmp_path)
    changed(path, units)
    done = gantry("sr", "validate", path)
    assert done.code == 1
    assert done.out == f'{path}: 1.9.1.12 NUM 81827009: "millimetre" is no UCUM unit; see https://ucum.org (Unit)\n'


def test_several_problems_are_several_lines_and_none_names_the_patient(gantry: Gantry, tmp_path: Path) -> None:
    path, *_ = written(tmp_path)

    def change(dataset: Dataset) -> None:
        units(dataset)
        dataset.CompletionFlag, dataset.StudyID = "PARTIAL", None
        del dataset.PatientSex

    changed(path, change)
    done = gantry("sr", "validate", path)
    assert (done.code, len(done.out.splitlines())) == (1, 3)
    assert "PatientSex: is missing; set it; it may be empty (Attribute)" in done.out
    assert not any(word in done.out for word in ("Müller", "PAT-0042", "ACC20260001"))


def test_json_holds_the_rule_and_each_part_by_itself(gantry: Gantry, tmp_path: Path) -> None:
    fine, broken, *_ = written(tmp_path)
    changed(broken, lambda dataset: delattr(dataset, "CompletionFlag"))
    (tmp_path / "note.dcm").write_text("hello")
    done = gantry("sr", "validate", fine, broken, tmp_path / "note.dcm", "-o", "json")
    assert done.code == 2
    told = json.loads(done.out)["files"]
    assert [one["file"] for one in told] == [str(fine), str(broken), str(tmp_path / "note.dcm")]
    assert [len(one["problems"]) for one in told] == [0, 1, 0]
    assert told[1]["problems"][0] == {"rule": "Attribute", "where": "CompletionFlag", "what": "is missing or empty", "todo": "set it"}
    assert told[2]["unreadable"] == f"{tmp_path}/note.dcm is not a DICOM file"


def test_folders_are_searched_for_reports_and_the_rest_is_passed_over(gantry: Gantry, tmp_path: Path) -> None:
    paths = written(tmp_path / "a" / "b")
    write_series(ct_series(2, pixels=True), tmp_path / "images")
    (tmp_path / "README").write_text("notes")
    done = gantry("sr", "validate", tmp_path)
    assert (done.code, len(done.out.splitlines())) == (0, len(paths))


def test_a_folder_without_a_report_is_an_error(gantry: Gantry, tmp_path: Path) -> None:
    write_series(ct_series(2), tmp_path)
    done = gantry("sr", "validate", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"gantry: {tmp_path} holds no structured report; name a file, or another folder\n"


def test_references_are_checked_against_the_images(gantry: Gantry, tmp_path: Path) -> None:
    path, *_ = written(tmp_path / "sr")
    images = tmp_path / "images"
    write_series(ct_series(), images)
    assert gantry("sr", "validate", path, "--images", images).code == 0
    for slice_ in sorted(images.iterdir())[5:]:
        slice_.unlink()
    done = gantry("sr", "validate", path, "--images", images)
    assert done.code == 1
    assert "refers to an object that is neither in the input nor delivered; refer to one that is (Reference)" in done.out


def test_another_study_is_noticed(gantry: Gantry, tmp_path: Path) -> None:
    path, *_ = written(tmp_path / "sr")
    write_series(ct_series(study="another"), tmp_path / "images")
    done = gantry("sr", "validate", path, "--images", tmp_path / "images")
    assert done.code == 1
    assert f"{path}: StudyInstanceUID: is not that of the images; copy it from them (Study)" in done.out


def test_images_of_other_studies_beside_its_own_are_no_matter(gantry: Gantry, tmp_path: Path) -> None:
    path, *_ = written(tmp_path / "sr")
    write_series(ct_series(), tmp_path / "images" / "own")
    write_series(ct_series(study="another", PatientID="PAT-7"), tmp_path / "images" / "another")
    assert gantry("sr", "validate", path, "--images", tmp_path / "images").code == 0


def test_a_segmentation_among_the_images_is_known(gantry: Gantry, tmp_path: Path) -> None:
    source = ct_series(pixels=True)
    segmentation = a_segmentation(source)
    *_, built = build_report(parsed(a_document(a_finding(region=a_segment()))), source, a_context(), {"seg.dcm": segmentation})
    (tmp_path / "sr.dcm").write_bytes(built.dicom)
    write_series(source, tmp_path / "images")
    without = gantry("sr", "validate", tmp_path / "sr.dcm", "--images", tmp_path / "images")
    (tmp_path / "images" / "seg.dcm").write_bytes(as_file(segmentation))
    assert (without.code, gantry("sr", "validate", tmp_path / "sr.dcm", "--images", tmp_path / "images").code) == (1, 0)


def truncated(path: Path) -> None:
    (written(path.parent / "whole")[0]).rename(path)
    path.write_bytes(path.read_bytes()[:3000])


def an_image(path: Path) -> None:
    path.write_bytes(as_file(ct_series(1)[0]))


UNREADABLE = {
    "a file that is missing": (lambda path: None, "x.dcm cannot be read: No such file or directory"),
    "a file that is not DICOM": (lambda path: path.write_text("hello" * 100), "x.dcm is not a DICOM file"),
    "an empty file": (lambda path: path.write_text(""), "x.dcm is not a DICOM file"),
    "an image": (an_image, "x.dcm is no structured report"),
    "a file that breaks off": (truncated, "x.dcm is damaged: it cannot be read as DICOM (EOFError)"),
}


@pytest.mark.parametrize(("make", "message"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_one_line_and_the_others_are_checked(gantry: Gantry, tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path / "x.dcm")
    path, *_ = written(tmp_path / "fine")
    done = gantry("sr", "validate", tmp_path / "x.dcm", path)
    assert (done.code, done.out) == (2, f"{path}: nothing wrong\n")
    assert done.err == f"gantry: {tmp_path}/{message}\n"


USAGE = {
    "no file at all": (("sr", "validate"), "Missing argument"),
    "images that are no folder": (("sr", "validate", "x.dcm", "--images", "none"), "none is no folder"),
}


@pytest.mark.parametrize(("arguments", "words"), USAGE.values(), ids=USAGE.keys())
def test_wrong_usage_is_code_2(gantry: Gantry, arguments: tuple[str, ...], words: str) -> None:
    done = gantry(*arguments)
    assert done.code == 2
    assert words in done.err


def test_control_characters_of_a_file_name_do_not_reach_the_terminal(gantry: Gantry, tmp_path: Path) -> None:
    path, *_ = written(tmp_path)
    done = gantry("sr", "validate", path.rename(tmp_path / "a\x1b[2J.dcm"))
    assert "\x1b" not in done.out
