"""A pipeline in shadow beside the active one, through a whole cluster: both analyse the study, one report reaches the PACS, and both are compared."""

import json
import os
import subprocess
import sys
from pathlib import Path

from examples.demo.hospital import Hospital, condition
from pydicom import dcmread
from tests.builders import changed
from tests.e2e.pipelines import apply, detector, pipeline


def test_only_the_active_report_reaches_the_pacs_and_the_two_are_compared(hospital: Hospital, study: list[Path]) -> None:
    apply(hospital, pipeline("nodules", detector()), changed(pipeline("nodules-next", detector()), "spec.mode", "Shadow"))
    assert [line.split()[:3] for line in hospital.kubectl("get", "ipl", "--no-headers").splitlines()] == [
        ["nodules", "main", "Active"], ["nodules-next", "main", "Shadow"],
    ]  # fmt: skip
    hospital.orthanc.send(study)
    runs = {run["spec"]["pipelineRef"]["name"]: run for run in hospital.wait_for_finished_runs(2)}
    active, shadow = runs["nodules"], runs["nodules-next"]
    assert [run["status"]["state"] for run in (active, shadow)] == ["Succeeded", "Succeeded"], [run["status"] for run in runs.values()]
    assert [(condition(run, "Delivered")["status"], condition(run, "Delivered")["reason"]) for run in (active, shadow)] == [
        ("True", "Delivered"), ("False", "Shadow"),
    ]  # fmt: skip

    uid = str(dcmread(study[0], stop_before_pixels=True).StudyInstanceUID)
    mine = [one["sopInstanceUID"] for one in active["status"]["results"] if one["kind"] == "SR"]
    theirs = [one["sopInstanceUID"] for one in shadow["status"]["results"] if one["kind"] == "SR"]
    assert [str(hospital.pacs.download(one).SOPInstanceUID) for one in hospital.pacs.instances(uid, "SR")] == mine
    reports = [hospital.orthanc.download(one) for one in hospital.orthanc.instances(uid, "SR")]
    assert {str(one.SOPInstanceUID): one.SeriesDescription.startswith("SHADOW") for one in reports} == {mine[0]: False, theirs[0]: True}

    environment = {**os.environ, "ORTHANC_USERNAME": "viewer", "ORTHANC_PASSWORD": "viewer-demo"}
    url = f"http://127.0.0.1:{hospital.orthanc.port(8042)}"
    command = [Path(sys.executable).parent / "gantry", "shadow", "report", "nodules-next", "-n", hospital.namespace, "--orthanc-url", url, "-o", "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["studies"], told["compared"], told["agrees"], told["differences"]) == (1, 1, True, [])
    (row,) = [one for one in told["findings"] if one["type"]["value"] == "427359005"]
    assert (row["counts"]["bothPresent"], row["agreement"]) == (1, 1.0)
    assert told["measurements"]
    assert all(one["meanDifference"] == 0 for one in told["measurements"]), "it is the same application"
