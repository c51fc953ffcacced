"""C-STORE in, SR out: through the chart, real containers, Orthanc and a PACS."""

import hashlib
import io
import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from examples.demo.demo import findings as found_in
from examples.demo.hospital import Hospital, condition, finished, wait_for
from pydicom import dcmread
from tests.component.sr_validators import complaints, dcmqi
from tests.e2e.pipelines import apply, detector, pipeline, python

GPU = {"resources": {"requests": {"cpu": "100m"}, "limits": {"nvidia.com/gpu": "1", "memory": "1Gi"}}}
SLOW = python("import time; time.sleep(8); negative()")


def study_uid(study: list[Path]) -> str:
    return str(dcmread(study[0], stop_before_pixels=True).StudyInstanceUID)


def with_every_way(hospital: Hospital) -> None:
    """The PACS also as DICOMweb server, and as the scanner the images come from; it commits, for it knows Orthanc."""
    node = {"AET": hospital.orthanc.aet, "Host": "orthanc", "Port": 4242}
    hospital.pacs.api.put("/modalities/orthanc", json=node)
    web = {"url": "http://pacs:8042/dicom-web", "credentialsSecretRef": {"name": "pacs"}}
    destinations = [{"name": "pacs", "dicom": {"aet": "PACS", "host": "pacs", "port": 4242}}, {"name": "web", "verify": "Query", "dicomWeb": web}]
    senders = [{"aet": "CT_1", "host": "pacs", "port": 4242}]
    secret = ("create", "secret", "generic", "pacs", "--type=kubernetes.io/basic-auth")
    hospital.kubectl(*secret, "--from-literal=username=viewer", "--from-literal=password=viewer-demo")
    hospital.kubectl("patch", "obridge/main", "--type=merge", "-p", json.dumps({"spec": {"destinations": destinations, "senders": senders}}))


def assert_audited(hospital: Hospital, run: dict[str, Any]) -> None:
    """One line says what went where."""
    lines = hospital.kubectl("logs", "-l", "app.kubernetes.io/name=gantry", "--tail=-1").splitlines()
    (line,) = [json.loads(one) for one in lines if "results delivered" in one]
    assert line["run"] == run["metadata"]["name"]
    assert [(one["sopInstanceUID"], one["md5"]) for one in line["results"]] == [(one["sopInstanceUID"], one["md5"]) for one in run["status"]["results"]]
    assert {one["destination"]: one["state"] for one in line["deliveries"]} == dict.fromkeys(("pacs", "web", "sender"), "Committed")


def test_findings_arrive_in_the_pacs_as_they_were_planted(hospital: Hospital, study: list[Path], tmp_path: Path) -> None:
    with_every_way(hospital)
    delivery = {"destinations": ["pacs", "web"], "returnToSender": True, "storageCommitment": "WhenOffered"}
    apply(hospital, pipeline("nodules", detector(), step=GPU, delivery=delivery))
    hospital.orthanc.send(study)
    (run,) = hospital.wait_for_finished_runs(1)
    assert condition(run, "Complete")["status"] == "True", run["status"]
    assert {one["destination"]: one["state"] for one in run["status"]["deliveries"]} == dict.fromkeys(("pacs", "web", "sender"), "Committed")
    assert_audited(hospital, run)
    assert {kind: condition(run, kind)["status"] for kind in ("Admitted", "Executed", "Reported", "Delivered")} == dict.fromkeys(
        ("Admitted", "Executed", "Reported", "Delivered"), "True"
    )

    (received,) = hospital.pacs.instances(study_uid(study), "SR")
    (result,) = run["status"]["results"]
    assert received == result["orthancID"]
    stored = hospital.orthanc.api.get_binary(f"/instances/{received}/file")
    assert hashlib.md5(stored).hexdigest() == result["md5"]
    assert hospital.pacs.download(received) == dcmread(io.BytesIO(stored)), "the PACS rewrites the file's header and nothing else"

    (tmp_path / "sr.dcm").write_bytes(stored)
    assert complaints(tmp_path / "sr.dcm") == []
    truth = json.loads((study[0].parent / "truth.json").read_text())["spheres"]
    found = found_in(tmp_path / "sr.dcm")
    assert len(found) == len(truth) == run["status"]["findings"]["present"]
    for sphere in truth:
        assert min(math.dist(place, sphere["center_mm"]) for place, _ in found) < 2.0

    read = {float(item["value"]) for group in dcmqi(tmp_path / "sr.dcm")["Measurements"] for item in group["measurementItems"]}
    assert {diameter for _, diameter in found} <= read, "an independent reader finds the same diameters"

    stages = {stage["name"]: stage for stage in run["status"]["stages"]}
    assert {"created", "started", "fetch", "step/detect", "publish", "deliver"} <= set(stages)
    assert run["status"]["usage"]["gpuSeconds"] > 0
    assert run["status"]["usage"]["inputInstances"] == len(study)


def test_a_study_that_no_pipeline_wants_makes_no_run_and_says_by_which_check(hospital: Hospital, study: list[Path]) -> None:
    apply(hospital, pipeline("mri", detector(), modality="MR"))
    hospital.orthanc.send(study)

    def decided() -> str | None:
        text = hospital.kubectl("get", "--raw", f"/api/v1/namespaces/{hospital.namespace}/services/gantry:http/proxy/metrics")
        lines = [line for line in text.splitlines() if line.startswith("gantry_routing_decisions_total{") and 'pipeline="mri"' in line]
        return lines[0] if lines else None

    line = wait_for("the decision in the metrics", decided, seconds=30)
    assert 'check="ModalitiesInStudy In"' in line
    assert hospital.runs() == []


def test_two_pipelines_on_one_study_give_two_reports_and_no_loop(hospital: Hospital, study: list[Path]) -> None:
    apply(hospital, pipeline("first", detector()), pipeline("second", python("negative()")))
    hospital.orthanc.send(study)
    runs = hospital.wait_for_finished_runs(2)
    assert {run["spec"]["pipelineRef"]["name"]: run["status"]["state"] for run in runs} == {"first": "Succeeded", "second": "Succeeded"}
    assert len(hospital.pacs.instances(study_uid(study), "SR")) == 2

    cursor = hospital.orthanc.api.get_json("/changes?last")["Last"]
    wait_for("the reports' own changes to be looked at", lambda: hospital.get("obridge", "main")["status"]["cursor"] >= cursor, seconds=30)
    assert len(hospital.runs()) == 2


def test_steps_run_in_order_and_see_what_was_before_them(hospital: Hospital, study: list[Path]) -> None:
    two = pipeline("two", python("import time; time.sleep(2); (OUT / 'mark').write_text('first')"))
    steps = two["spec"]["template"]["steps"]
    then = python("assert pathlib.Path('/gantry/steps/detect/mark').read_text() == 'first'; negative()")
    steps.append({**steps[0], "name": "judge", "command": then})
    apply(hospital, two)
    hospital.orthanc.send(study)
    (run,) = hospital.wait_for_finished_runs(1)
    assert run["status"]["state"] == "Succeeded", run["status"]
    stages = {stage["name"]: stage for stage in run["status"]["stages"]}
    began, after = (datetime.fromisoformat(stages[f"step/{name}"]["startTime"]) for name in ("detect", "judge"))
    assert (after - began).total_seconds() >= stages["step/detect"]["seconds"] >= 2


def test_an_operator_killed_in_the_middle_changes_nothing(hospital: Hospital, study: list[Path]) -> None:
    apply(hospital, pipeline("slow", SLOW))
    hospital.orthanc.send(study)
    wait_for("a Run with a Job", lambda: [r for r in hospital.runs() if (r.get("status") or {}).get("jobRef")], seconds=60)
    hospital.kubectl("delete", "pod", "-l", "app.kubernetes.io/name=gantry", "--grace-period=0", "--force")
    (run,) = hospital.wait_for_finished_runs(1)
    assert run["status"]["state"] == "Succeeded", run["status"]
    assert run["status"]["attempts"] == 1
    assert len(hospital.get("jobs", "-l", "gantry.health/run")["items"]) == 1
    assert len(hospital.pacs.instances(study_uid(study), "SR")) == 1


@pytest.mark.parametrize("moment", ["while the step works", "while nothing of the study is stable yet"])
def test_orthanc_restarted_in_the_middle_loses_nothing(hospital: Hospital, study: list[Path], moment: str) -> None:
    apply(hospital, pipeline("slow", SLOW))
    hospital.orthanc.send(study)
    if moment == "while the step works":
        wait_for("a running step", lambda: [r for r in hospital.runs() if (r.get("status") or {}).get("state") == "Running"], seconds=60)
    hospital.orthanc.api.post("/tools/shutdown")
    (run,) = hospital.wait_for_finished_runs(1, seconds=180)
    assert run["status"]["state"] == "Succeeded", run["status"]
    assert wait_for("the report in the PACS", lambda: hospital.pacs.instances(study_uid(study), "SR"), seconds=30)
    assert len(hospital.pacs.instances(study_uid(study), "SR")) == 1
    assert finished(run)
