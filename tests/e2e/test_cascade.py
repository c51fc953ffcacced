"""One pipeline after another through a whole cluster: the detector's findings start an application that reads them and reports on them."""

import json
from pathlib import Path

from examples.demo.hospital import Hospital, condition
from pydicom import Dataset, dcmread
from tests.e2e.pipelines import apply, detector, pipeline, python

READER = python(
    "root = pathlib.Path(os.environ['GANTRY_INPUT'])\n"
    "after = json.loads((root / 'study.json').read_text())['after']\n"
    "found = json.loads((root / after['findings']['path']).read_text())['findings']\n"
    "files = {one['path']: one['kind'] for one in after['results'] if (root / one['path']).stat().st_size == one['bytes']}\n"
    "told = {'run': after['run'], 'findings': len(found), 'files': files}\n"
    "NEGATIVE['summary'] = {'impression': json.dumps(told)}\n"
    "negative()"
)
"""Says in its impression what the first application has found and left."""


def impression(report: Dataset) -> str:
    (statements,) = [item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "C0034375"]
    return next(str(item.TextValue) for item in statements.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121073")


def test_findings_start_the_next_application_which_reads_them(hospital: Hospital, study: list[Path]) -> None:
    second, third = pipeline("reader", READER), pipeline("never", READER)
    second["spec"]["after"] = {"pipeline": "nodules", "when": "findings.exists(f, f.type.value == '427359005' && f.presence == 'present')"}
    third["spec"]["after"] = {"pipeline": "nodules", "when": "size(findings) > 100"}
    apply(hospital, pipeline("nodules", detector()), second, third)
    hospital.orthanc.send(study)

    runs = {run["spec"]["pipelineRef"]["name"]: run for run in hospital.wait_for_finished_runs(2)}
    assert {name: run["status"]["state"] for name, run in runs.items()} == {"nodules": "Succeeded", "reader": "Succeeded"}, [run["status"] for run in runs.values()]
    first, then = runs["nodules"], runs["reader"]
    assert (then["spec"]["trigger"], then["spec"]["after"]) == ("After", {"name": first["metadata"]["name"]})
    followed = condition(first, "Followed")
    assert (followed["status"], followed["message"]) == ("True", f"never: none, after.when does not hold; reader: Run {then['metadata']['name']}")

    (report,) = [one for one in then["status"]["results"] if one["kind"] == "SR"]
    told = json.loads(impression(hospital.pacs.download(report["orthancID"])))
    truth = json.loads((study[0].parent / "truth.json").read_text())["spheres"]
    assert (told["run"], told["findings"]) == (first["metadata"]["name"], len(truth))
    assert list(told["files"].values()) == [one["kind"] for one in first["status"]["results"]]
    assert then["status"]["usage"]["inputInstances"] == len(study)
    assert then["status"]["usage"]["inputBytes"] > first["status"]["usage"]["inputBytes"]
    uid = str(dcmread(study[0], stop_before_pixels=True).StudyInstanceUID)
    assert len(hospital.pacs.instances(uid, "SR")) == 2
