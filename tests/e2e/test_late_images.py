"""Images that come after the Run was made: one valid result in the end, whatever stage the older Run had reached."""

from pathlib import Path
from typing import Any

import pytest
from examples.demo.hospital import Hospital, wait_for
from pydicom import dcmread
from tests.e2e.pipelines import apply, pipeline, python

SLOW = python("import time; time.sleep(20); negative()")
LATE = 10
"""Images that come later than the others."""


def looker(command: list[str], *, images: int) -> dict[str, Any]:
    """A pipeline that waits for so many images: on a busy machine a C-STORE may pause longer than StableAge, and half of it be taken for a study."""
    one = pipeline("looker", command)
    one["spec"]["match"]["completeness"] = {"minInstances": images}
    return one


def newest_first(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(runs, key=lambda run: run["spec"]["study"]["instances"], reverse=True)


def reports(hospital: Hospital, study: list[Path]) -> list[str]:
    return hospital.pacs.instances(str(dcmread(study[0], stop_before_pixels=True).StudyInstanceUID), "SR")


def test_late_images_end_the_run_under_way_and_one_report_arrives(hospital: Hospital, study: list[Path]) -> None:
    apply(hospital, looker(SLOW, images=len(study) - LATE))
    hospital.orthanc.send(study[:-LATE])
    wait_for("a Run with a Job", lambda: [r for r in hospital.runs() if (r.get("status") or {}).get("jobRef")], seconds=60)
    hospital.orthanc.send(study[-LATE:], calling="CT_2")
    newer, older = newest_first(hospital.wait_for_finished_runs(2))
    assert newer["status"]["state"] == "Succeeded", newer["status"]
    assert newer["spec"]["supersedes"]["name"] == older["metadata"]["name"]
    assert newer["spec"]["study"]["instances"] == len(study)
    failure = older["status"]["failure"]
    if older["status"]["state"] == "Superseded":
        assert newer["metadata"]["name"] in failure["message"]
    else:  # its fetch met the late images before the study was stable again, and refused them
        assert (older["status"]["state"], failure["reason"]) == ("Failed", "InputMismatch")
    assert len(reports(hospital, study)) == 1


@pytest.mark.parametrize(
    ("policy", "runs"),
    [("Supersede", 2), ("Rerun", 2), ("Ignore", 1)],
    ids=["a further report names the older one", "a further report stands beside the older one", "the report stays as it is"],
)
def test_late_images_after_the_report(hospital: Hospital, study: list[Path], policy: str, runs: int) -> None:
    one = looker(python("negative()"), images=len(study) - LATE)
    one["spec"]["onLateImages"] = policy
    apply(hospital, one)
    hospital.orthanc.send(study[:-LATE])
    hospital.wait_for_finished_runs(1)
    hospital.orthanc.send(study[-LATE:])
    changes = hospital.orthanc.api.get_json("/changes?last")["Last"]
    wait_for("the late images to be looked at", lambda: hospital.get("obridge", "main")["status"]["cursor"] > changes, seconds=60)
    made = newest_first(hospital.wait_for_finished_runs(runs))
    assert [run["status"]["state"] for run in made] == ["Succeeded"] * runs, [run["status"] for run in made]
    assert len(reports(hospital, study)) == runs
    if runs == 2:
        newer, older = made
        (report,) = newer["status"]["results"]
        sr = hospital.pacs.download(report["orthancID"])
        named = [
            item.ReferencedSOPInstanceUID
            for study_item in sr.get("PredecessorDocumentsSequence", [])
            for series in study_item.ReferencedSeriesSequence
            for item in series.ReferencedSOPSequence
        ]
        assert named == ([older["status"]["results"][0]["sopInstanceUID"]] if policy == "Supersede" else [])


def test_the_same_images_again_change_nothing(hospital: Hospital, study: list[Path]) -> None:
    apply(hospital, looker(python("negative()"), images=len(study)))
    hospital.orthanc.send(study)
    (run,) = hospital.wait_for_finished_runs(1)
    hospital.orthanc.send(study)
    changes = hospital.orthanc.api.get_json("/changes?last")["Last"]
    wait_for("the change log to be read", lambda: hospital.get("obridge", "main")["status"]["cursor"] >= changes, seconds=60)
    assert [one["metadata"]["uid"] for one in hospital.runs()] == [run["metadata"]["uid"]]
    assert len(reports(hospital, study)) == 1
