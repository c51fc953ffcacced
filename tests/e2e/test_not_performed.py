"""A failed analysis reaches the PACS as such, whether its application ran or not; the result that comes later takes its place."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from examples.demo.hospital import Hospital, condition
from pydicom import Dataset, dcmread
from tests.e2e.pipelines import NODULE, apply, pipeline, python

REPORT = {"onFailure": "NotPerformed", "algorithm": {"name": "Looker", "version": "1", "manufacturer": "Example"}, "evaluatedFor": [NODULE]}
CRASHES = python("raise SystemExit(7)")


def said(report: Dataset) -> dict[str, str]:
    """Coded qualitative evaluations of the document, by meaning."""
    (container,) = [one for one in report.ContentSequence if one.ConceptNameCodeSequence[0].CodeMeaning == "Qualitative Evaluations"]
    coded = [one for one in container.ContentSequence if one.ValueType == "CODE"]
    return {one.ConceptNameCodeSequence[0].CodeMeaning: one.ConceptCodeSequence[0].CodeMeaning for one in coded}


def predecessors(report: Dataset) -> list[str]:
    return [
        item.ReferencedSOPInstanceUID
        for study in report.get("PredecessorDocumentsSequence", [])
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]


def rerun(hospital: Hospital, run: str) -> None:
    program = Path(sys.executable).parent / "gantry"
    subprocess.run([program, "rerun", run, "--with-current-template", "--yes", "-n", hospital.namespace], check=True, capture_output=True, timeout=60)


def test_a_failed_analysis_is_told_in_the_pacs_until_there_is_a_result(hospital: Hospital, study: list[Path]) -> None:
    missing = pipeline("no-image", CRASHES, step={"image": "localhost/there-is-no-such-image:1"}, report=REPORT)
    silent = pipeline("silent", CRASHES)
    apply(hospital, pipeline("crashes", CRASHES, report=REPORT), missing, silent)
    hospital.orthanc.send(study)
    runs = {run["spec"]["pipelineRef"]["name"]: run for run in hospital.wait_for_finished_runs(3, seconds=240)}

    wanted = {"crashes": ("StepFailed", "Failed"), "no-image": ("ImagePullFailed", "Not Attempted")}
    for name, (reason, state) in wanted.items():
        status: dict[str, Any] = runs[name]["status"]
        assert (status["state"], status["failure"]["reason"]) == ("Failed", reason), status
        assert condition(runs[name], "Reported")["reason"] == "NotPerformed"
        assert [one["state"] for one in status["deliveries"]] == ["Sent"]
        (result,) = status["results"]
        report = hospital.pacs.download(result["orthancID"])
        assert report.SeriesDescription == "NOT PERFORMED: AI Looker 1"
        assert said(report)["Summary of Analyses"] == state
        assert said(report)[NODULE["meaning"]] == "Not Evaluated"
    assert not runs["silent"]["status"].get("results")
    uid = str(dcmread(study[0], stop_before_pixels=True).StudyInstanceUID)
    assert len(hospital.pacs.instances(uid)) == 2

    apply(hospital, pipeline("crashes", python("negative()"), report=REPORT))
    rerun(hospital, runs["crashes"]["metadata"]["name"])
    (again,) = [run for run in hospital.wait_for_finished_runs(4) if run["spec"]["trigger"] == "Rerun"]
    assert again["status"]["state"] == "Succeeded", again["status"]
    report = hospital.pacs.download(again["status"]["results"][0]["orthancID"])
    assert said(report)[NODULE["meaning"]] == "Absent"
    assert predecessors(report) == [runs["crashes"]["status"]["results"][0]["sopInstanceUID"]]
