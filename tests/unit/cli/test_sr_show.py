"""`gantry sr show`: what the report says is shown, whoever wrote it, and nothing in the file can do harm at the terminal."""

import json
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from tests.builders_dicom import ct_series
from tests.builders_findings import PNEUMOTHORAX, Json, a_context, a_document, a_finding, a_polygon, code, everything, negative, parsed
from tests.unit.cli.conftest import Gantry

from gantry.cli.sr_reader import report_of
from gantry.report import build_report


def written(folder: Path, document: Json, *, number: int = 0) -> Path:
    """One SR of a findings document, as a file."""
    path = folder / f"sr{number}.dcm"
    path.write_bytes(build_report(parsed(document), ct_series(), a_context())[number].dicom)
    return path


def test_shows_what_a_radiologist_reads_in_that_order(gantry: Gantry, tmp_path: Path) -> None:
    finding = a_finding("nodule-1", region=a_polygon(8), comment="grown since 2025")
    shown = gantry("sr", "show", written(tmp_path, a_document(finding, evaluatedFor=[PNEUMOTHORAX], summary={"impression": "One nodule."})))
    assert shown.code == 0
    words = [
        "Imaging Measurement Report 2026-11-20 12:30",
        "CT Thorax nativ, CT unspecified body region",
        "LungNoduleNet 2.1.0 (ACME AI): fast=true, minDiameterMm=4, threshold=0.5",
        "complete, unverified, preliminary",
        "Impression",
        "One nodule.",
        "Findings (1)",
        "Solitary nodule of lung",
        "Looked for and absent",
        "Pneumothorax",
    ]
    places = [shown.out.find(word) for word in words]
    assert -1 not in places, words[places.index(-1)]
    assert places == sorted(places)
    for detail in ("(present)", "nodule-1", "grown since 2025", "Upper lobe of lung, right", "polygon, 4 points", "Diameter 12.1 mm", "93.4 %"):
        assert detail in shown.out


def test_says_whose_report_it_is_only_when_asked(gantry: Gantry, tmp_path: Path) -> None:
    path = written(tmp_path, a_document(a_finding()))
    for output in ("text", "json"):
        hidden, asked = gantry("sr", "show", path, "-o", output), gantry("sr", "show", path, "-o", output, "--patient")
        for identifier in ("Müller^Jürgen", "PAT-0042", "ACC20260001"):
            assert identifier not in hidden.out
            assert identifier in asked.out


def test_a_negative_report_says_what_was_looked_for(gantry: Gantry, tmp_path: Path) -> None:
    path = written(tmp_path, negative())
    shown = gantry("sr", "show", path)
    assert "Findings (0)\n  none" in shown.out
    absent = [concept["meaning"] for concept in json.loads(gantry("sr", "show", path, "-o", "json").out)["absent"]]
    assert absent == [concept["meaning"] for concept in negative()["evaluatedFor"]]
    assert all(meaning in shown.out for meaning in absent)


def test_json_holds_every_finding_with_its_numbers(gantry: Gantry, tmp_path: Path) -> None:
    document = everything()
    reports = build_report(parsed(document), ct_series(), a_context())
    found = {}
    for number, _ in enumerate(reports):
        shown = json.loads(gantry("sr", "show", written(tmp_path, document, number=number), "-o", "json").out)
        found |= {finding["id"]: finding for finding in shown["findings"]}
        if number == 0:
            assert shown["impression"] == "Zwei Rundherde, größter 12 mm rechts."
            assert {(one["name"]["meaning"], one["answer"]) for one in shown["evaluations"]} == {("Lung-RADS assessment", "Lung-RADS 4A"), ("Quality", "motion at the base")}
    assert set(found) == {finding["id"] for finding in document["findings"]} - {"effusion"}, "an absent finding is listed as absent"
    for finding in document["findings"]:
        if finding["id"] in found:
            shown_numbers = {(one["name"]["value"], one["value"], one["unit"]) for one in found[finding["id"]]["measurements"]}
            assert shown_numbers == {(one["name"]["value"], one["value"], one["unit"]) for one in finding.get("measurements", [])}
    assert [[len(region["points"]), region["kind"]] for region in found["polygon3d"]["regions"]] == [[4, "polygon in space"]]
    assert found["box"]["comment"] == "Größer als 2025: 8 mm → 12 mm"


def test_control_characters_of_a_file_do_not_reach_the_terminal(gantry: Gantry, tmp_path: Path) -> None:
    """An application's text may hold an escape sequence that recolours, renames or rewinds the reader's terminal."""
    path = written(tmp_path, a_document(a_finding(), summary={"impression": "harmless [bold]text[/]"}))
    dataset = dcmread(path)
    dataset.StudyDescription = "CT\x1b[2Jgone"
    dataset.save_as(path)
    shown = gantry("sr", "show", path)
    assert "\x1b" not in shown.out
    assert "CT\N{REPLACEMENT CHARACTER}[2Jgone" in shown.out
    assert "harmless [bold]text[/]" in shown.out


def not_a_report(path: Path) -> None:
    ct_series(1, pixels=True)[0].save_as(path, enforce_file_format=True)


def another_title(path: Path) -> None:
    written(path.parent, a_document(a_finding())).rename(path)
    dataset = dcmread(path)
    dataset.ConceptNameCodeSequence[0].CodeValue, dataset.ConceptNameCodeSequence[0].CodeMeaning = "113701", "X-Ray Radiation Dose Report"
    dataset.save_as(path)


REFUSED = {
    "a file that is missing": (lambda path: None, "x.dcm cannot be read: No such file or directory"),
    "a file that is not DICOM": (lambda path: path.write_text("hello" * 100), "x.dcm is not a DICOM file"),
    "an empty file": (lambda path: path.write_text(""), "x.dcm is not a DICOM file"),
    "an image": (not_a_report, "x.dcm is no structured report but CT"),
    "a report of another kind": (another_title, "x.dcm is no Imaging Measurement Report (TID 1500) but X-Ray Radiation Dose Report"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_says_in_one_line_why_it_cannot_show(gantry: Gantry, tmp_path: Path, make: object, message: str) -> None:
    assert callable(make)
    make(tmp_path / "x.dcm")
    done = gantry("sr", "show", tmp_path / "x.dcm")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"gantry: {tmp_path}/{message}\n"


def test_a_report_with_holes_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    """Other vendors leave out what the template wants: no finding type, a number without value, no code sequence."""
    path = written(tmp_path, a_document(a_finding(region=a_polygon())))
    dataset = dcmread(path)
    for group in groups(dataset):
        kept = [item for item in group.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue not in ("121071", "112039")]
        for item in kept:
            if item.ValueType == "NUM":
                item.MeasuredValueSequence = []
        kept[-1].ConceptNameCodeSequence = []
        group.ContentSequence = kept
    dataset.save_as(path)
    (finding,) = report_of(path).findings
    assert (finding.type, finding.id) == (None, None)
    assert [number.value for number in finding.measurements] == [None]


def groups(dataset: Dataset) -> list[Dataset]:
    (measurements,) = (item for item in dataset.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010")
    return list(measurements.ContentSequence)


def test_what_could_not_be_assessed_is_shown_with_place_and_reason(tmp_path: Path) -> None:
    emphysema = code("SCT", "87433001", "Pulmonary emphysema")
    site = {"location": code("SCT", "45653009", "Upper lobe of lung"), "laterality": "left"}
    score = {"name": code("99ACME", "ASPECTS", "ASPECTS"), "score": {"value": 7, "minimum": 0, "maximum": 10}}
    document = a_document(notEvaluable=[{"type": emphysema, "sites": [site], "text": "breathing"}], summary={"evaluations": [score]})
    report = report_of(written(tmp_path, document))
    assert [(each.name.meaning, each.answer) for each in report.evaluations] == [
        ("Pulmonary emphysema", "Not Evaluated: Upper lobe of lung Left; breathing"),
        ("ASPECTS", "7 {0:10}"),
    ]
    assert (report.findings, report.absent) == ((), ())


def test_all_reports_of_a_run_are_shown_as_one(gantry: Gantry, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    document = everything()
    files = [written(folder, document, number=number) for number in range(len(build_report(parsed(document), ct_series(), a_context())))]
    by_folder, by_name = (json.loads(gantry("sr", "show", *some, "-o", "json").out) for some in ([folder], reversed(files)))
    assert by_folder == by_name
    assert sorted(finding["id"] for finding in by_folder["findings"]) == sorted({finding["id"] for finding in document["findings"]} - {"effusion"})
    assert by_folder["impression"] == "Zwei Rundherde, größter 12 mm rechts."
    assert all(finding["measurements"] for finding in by_folder["findings"] if finding["id"] != "point")


def test_reports_of_two_runs_are_not_mixed(gantry: Gantry, tmp_path: Path) -> None:
    one = written(tmp_path, negative())
    other = tmp_path / "other.dcm"
    other.write_bytes(build_report(parsed(negative()), ct_series(), a_context(sop_class="ComprehensiveSR"))[0].dicom)
    shown = gantry("sr", "show", one, other)
    assert (shown.code, shown.err.strip()) == (1, "gantry: the files: reports of 2 Runs, or of two SOP classes; name those of one Run and one class")
