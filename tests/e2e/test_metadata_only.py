"""content: Metadata through a whole cluster: CT and dose report in by C-STORE, a dose report out, and no pixel in the pod."""

import json
from pathlib import Path

from examples.demo.hospital import ROOT, Hospital
from examples.phantom.make_ct import Options, make_series
from examples.phantom.make_rdsr import add_dose
from pydicom import Dataset, dcmread
from tests.component.sr_validators import complaints
from tests.e2e.pipelines import apply, pipeline, python

SLICES, MATRIX = 40, 256
LISTER = python(
    "root = pathlib.Path(os.environ['GANTRY_INPUT'])\n"
    "files = {str(path.relative_to(root)): path for path in sorted(root.rglob('*')) if path.is_file()}\n"
    "elements = [tag for name, path in files.items() if name != 'study.json' for tag in json.loads(path.read_text())]\n"
    "seen = {'files': list(files), 'bytes': sum(path.stat().st_size for path in files.values()), 'pixels': elements.count('7FE00010')}\n"
    "NEGATIVE['summary'] = {'impression': json.dumps(seen)}\n"
    "negative()"
)
"""Says in its impression what it was given."""


def a_study(folder: Path) -> tuple[list[Path], Path]:
    make_series(folder, Options(slices=SLICES, matrix=MATRIX, spheres=0, vessels=0))
    report = add_dose(folder)
    return sorted(folder.glob("ct*.dcm")), report


def measured(report: Dataset, group: str) -> dict[str, float]:
    """Numbers of one measurement group, by their names."""
    (measurements,) = [item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010"]
    (found,) = [
        one for one in measurements.ContentSequence if any(item.ValueType == "TEXT" and item.TextValue == group for item in one.ContentSequence)
    ]
    numbers = [item for item in found.ContentSequence if item.ValueType == "NUM"]
    return {item.ConceptNameCodeSequence[0].CodeMeaning: float(item.MeasuredValueSequence[0].NumericValue) for item in numbers}


def impression(report: Dataset) -> str:
    (statements,) = [item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "C0034375"]
    return next(str(item.TextValue) for item in statements.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121073")


def test_the_planted_dose_arrives_in_the_pacs_and_no_pixel_in_the_pod(hospital: Hospital, tmp_path: Path) -> None:
    images, dose_report = a_study(tmp_path / "study")
    hospital.apply(ROOT / "examples" / "pipelines" / "dose.yaml")
    both = [{"tag": "Modality", "operator": "In", "values": ["CT", "SR"]}]
    apply(hospital, pipeline("lister", LISTER, input={"series": {"match": both}, "content": "Metadata"}))
    hospital.wait_until_ready("ipl/ct-dose")
    hospital.orthanc.send([dose_report])
    hospital.orthanc.send(images)

    runs = {run["spec"]["pipelineRef"]["name"]: run for run in hospital.wait_for_finished_runs(2)}
    assert {name: run["status"]["state"] for name, run in runs.items()} == {"ct-dose": "Succeeded", "lister": "Succeeded"}, [run["status"] for run in runs.values()]
    received = {name: hospital.pacs.download(run["status"]["results"][0]["orthancID"]) for name, run in runs.items()}

    dose = received["ct-dose"]
    assert measured(dose, "event-1") == {"Mean CTDIvol": 0.13, "DLP": 5.2}
    assert measured(dose, "event-2") == {"Mean CTDIvol": 12.5, "DLP": 430, "Effective Dose": 6.02, "Effective Dose Conversion Factor": 0.014}
    assert measured(dose, "above-event-2") == {"Mean CTDIvol": 12.5, "Reference level of CTDIvol": 10, "DLP": 430, "Reference level of DLP": 350}
    assert impression(dose).startswith("1 CT scan(s) and 1 localizer(s). Above diagnostic reference level: event 2:")
    (tmp_path / "sr.dcm").write_bytes(hospital.orthanc.api.get_binary(f"/instances/{runs['ct-dose']['status']['results'][0]['orthancID']}/file"))
    assert complaints(tmp_path / "sr.dcm") == []

    seen = json.loads(impression(received["lister"]))
    series = sorted(name.partition("/")[0] for name in seen["files"])
    assert len(seen["files"]) == SLICES + 2
    assert {name.rpartition(".")[2] for name in seen["files"]} == {"json"}
    assert set(series) == {"1", "2", "study.json"}
    assert seen["pixels"] == 0
    assert seen["bytes"] < SLICES * MATRIX * MATRIX * 2 / 10
    for run in runs.values():
        assert run["status"]["usage"]["inputInstances"] == SLICES + 1
        assert run["status"]["usage"]["inputBytes"] < seen["bytes"]
    assert len({str(dcmread(path, stop_before_pixels=True).StudyInstanceUID) for path in [*images, dose_report]}) == 1
