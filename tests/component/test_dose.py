"""The dose application in a Run's pod: phantom CT and dose report in a real Orthanc, metadata in, a valid SR with the planted values out."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from examples.phantom.make_ct import Options, make_series
from examples.phantom.make_rdsr import PLANTED, Event, add_dose
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.sr_validators import complaints, dciodvfy, dcmqi, dsrdump, pixelmed
from tests.component.worker_pod import ROOT, Pod, a_task

PROGRAM = ROOT / "examples" / "algorithms" / "dose" / "read_dose.py"
LEVELS = {"referenceLevels": {"chest": {"CTDIvol": 10, "DLP": 350}}}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


def report_on(server: OrthancServer, folder: Path, program: Path, *, events: tuple[Event, ...] = PLANTED, with_report: bool = True, with_images: bool = True) -> tuple[Path, dict[str, float | None]]:
    """The SR as a file, and its measurements by group and name."""
    for study in server.studies():
        server.rest("DELETE", f"/studies/{study}")
    make_series(folder / "ct", Options(slices=12, matrix=64, spheres=0, vessels=0))
    rdsr = add_dose(folder / "ct", events)
    images = sorted((folder / "ct").glob("ct*.dcm")) if with_images else []
    server.upload(*(path.read_bytes() for path in [*images, *([rdsr] if with_report else [])]))
    step = {"name": "dose", "image": "localhost/dose:1", "command": ["x"], "settings": LEVELS}
    task = a_task(server, template__input={"series": {}, "content": "Metadata"}, template__steps=[step])
    pod = Pod(folder / "pod", task, program)
    pod.root.mkdir()
    assert pod.fetch()[0] == 0, pod.log
    assert {path.suffix for path in pod.input.rglob("*") if path.is_file()} == {".json"}
    assert pod.step("dose", f"GANTRY_SETTINGS={pod.root}/tools/settings/dose.json {sys.executable} {PROGRAM}") == 0
    code, receipt = pod.publish()
    assert code == 0, pod.log
    (result,) = receipt.results
    path = folder / "sr.dcm"
    path.write_bytes(server.rest("GET", f"/instances/{result.orthanc_id}/file"))
    return path, measurements(pydicom.dcmread(path))


def measurements(report: pydicom.Dataset) -> dict[str, float | None]:
    """`event-1 DLP [mGy.cm]` -> value."""
    (container,) = [item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010"]
    found: dict[str, float | None] = {}
    for group in container.ContentSequence:
        name = next(item.TextValue for item in group.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "112039")
        for item in group.ContentSequence:
            if item.ValueType == "NUM":
                value = item.MeasuredValueSequence[0]
                found[f"{name} {item.ConceptNameCodeSequence[0].CodeMeaning} [{value.MeasurementUnitsCodeSequence[0].CodeValue}]"] = float(value.NumericValue)
    return found


def test_the_planted_dose_comes_out_as_a_valid_report(shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    path, found = report_on(shared, tmp_path, program)
    assert found == {
        "event-1 Mean CTDIvol [mGy]": 0.13,
        "event-1 DLP [mGy.cm]": 5.2,
        "event-2 Mean CTDIvol [mGy]": 12.5,
        "event-2 DLP [mGy.cm]": 430,
        "event-2 Effective Dose [mSv]": 6.02,
        "event-2 Effective Dose Conversion Factor [mSv/(mGy.cm)]": 0.014,
        "study Total Number of Irradiation Events [{events}]": 2,
        "study CT Dose Length Product Total [mGy.cm]": 435.2,
        "study CT Effective Dose Total [mSv]": 6.02,
        "above-event-2 Mean CTDIvol [mGy]": 12.5,
        "above-event-2 Reference level of CTDIvol [mGy]": 10,
        "above-event-2 DLP [mGy.cm]": 430,
        "above-event-2 Reference level of DLP [mGy.cm]": 350,
    }
    assert complaints(path) == []
    read = {float(item["value"]) for group in dcmqi(path)["Measurements"] for item in group["measurementItems"]}
    assert {12.5, 430.0, 6.02} <= read, "an independent reader finds the same values"


def test_without_a_dose_report_the_images_tell(shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    path, found = report_on(shared, tmp_path, program, with_report=False)
    assert found["event-1 Mean CTDIvol [mGy]"] == 12.5
    assert found["event-1 DLP [mGy.cm]"] == pytest.approx(12.5 * 12 * 2.0 / 10)
    assert found["above-event-1 Reference level of CTDIvol [mGy]"] == 10
    assert complaints(path) == []


def test_a_dose_report_alone_is_enough(shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    """Some scanners send it to the dose monitoring and nothing else."""
    path, found = report_on(shared, tmp_path, program, with_images=False)
    assert found["event-2 DLP [mGy.cm]"] == 430
    assert complaints(path) == []


@pytest.mark.pixelmed
def test_the_report_follows_its_templates(shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    path, _ = report_on(shared, tmp_path, program)
    assert pixelmed(path) == []


def test_the_phantoms_dose_report_is_valid_dicom(tmp_path: Path) -> None:
    make_series(tmp_path, Options(slices=2, matrix=32, spheres=0, vessels=0))
    path = add_dose(tmp_path)
    assert dciodvfy(path) == []
    assert dciodvfy(tmp_path / "ct0001.dcm") == []
    assert dsrdump(path) == []


def test_the_whole_content_tree_of_a_dose_report_arrives(shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    report_on(shared, tmp_path, program)
    sent = pydicom.dcmread(tmp_path / "ct" / "rdsr.dcm")
    (path,) = [one for one in (tmp_path / "pod" / "input").glob("*/*.json") if b"113701" in one.read_bytes()]
    arrived = pydicom.Dataset.from_json(json.loads(path.read_text("utf-8")))
    assert tree(arrived) == tree(sent)
    assert len(tree(sent)) > 40


def tree(item: pydicom.Dataset, depth: int = 0) -> list[str]:
    """Every content item in a line: relationship, type, name, value."""
    name = item.ConceptNameCodeSequence[0]
    value = item.get("TextValue") or item.get("UID") or item.get("DateTime") or ""
    if item.ValueType == "NUM":
        measured = item.MeasuredValueSequence[0]
        value = f"{float(measured.NumericValue)} {measured.MeasurementUnitsCodeSequence[0].CodeValue}"
    if item.ValueType == "CODE":
        value = item.ConceptCodeSequence[0].CodeValue
    line = f"{'  ' * depth}{item.get('RelationshipType', '')} {item.ValueType} {name.CodeValue} {name.CodeMeaning} {value}"
    return [line, *(inner for child in item.get("ContentSequence", []) for inner in tree(child, depth + 1))]
