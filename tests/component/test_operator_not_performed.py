"""report.onFailure NotPerformed on a real API server, the operator as a process; the test plays Job controller and kubelet, also for the second Job."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders import BRIDGE, PIPELINE, RUN, changed
from tests.builders_runs import RESULT, a_receipt
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import Hospital, a_hospital, ended, named, wait

from gantry.api import RunReason
from gantry.kube import JOBS, PODS
from gantry.runs import FetchReceipt, PublishReceipt, Task, failed, notice_name

A_BRIDGE = changed(changed(BRIDGE, "spec.url", "http://127.0.0.1:9"), "spec.credentialsSecretRef", ...)
REPORT = {
    "onFailure": "NotPerformed",
    "algorithm": {"name": "LungNoduleNet", "version": "2.1.0", "manufacturer": "ACME AI"},
    "evaluatedFor": [{"scheme": "SCT", "value": "427359005", "meaning": "Solitary nodule of lung"}],
}
A_RUN = changed(changed(RUN, "spec.template.delivery", {"destinations": []}), "spec.template.report", REPORT)
A_RUN = changed(A_RUN, "spec.template.retries", 0)
TOLD = PublishReceipt(results=(RESULT,), seconds=0.5)
NUMBERS = itertools.count(1)


@pytest.fixture
def hospital(api_server: ControlPlane, tmp_path: Path) -> Iterator[Hospital]:
    made = a_hospital(api_server, tmp_path, f"untold-{next(NUMBERS)}", bridge=A_BRIDGE, pipeline=PIPELINE)
    yield made
    made.api.http.close()


def a_notice(hospital: Hospital, run: str) -> dict[str, Any]:
    made = wait(lambda: hospital.api.get(JOBS, hospital.namespace, notice_name(run)), f"{run} has a Job that reports its failure", tell=lambda: hospital.run(run))
    assert isinstance(made, dict)
    return made


def its_pod_ends(hospital: Hospital, run: str, receipt: PublishReceipt, *, code: int = 0) -> None:
    job = a_notice(hospital, run)
    name, template = f"{job['metadata']['name']}-pod", job["spec"]["template"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"], "controller": True}
    metadata = {"name": name, "labels": template["metadata"]["labels"], "ownerReferences": [owner]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**template["spec"], "nodeName": "cpu-1"}}
    hospital.api.create(PODS, hospital.namespace, body, query="?fieldValidation=Strict")
    hospital.container_states(name, phase="Failed" if code else "Succeeded", publish=ended(code, receipt.encode()))


def fails(hospital: Hospital, run: str) -> None:
    hospital.apply(named(A_RUN, run))
    hospital.publishes(hospital.pod(run), a_receipt(), code=65, step=65)


def test_a_failed_run_is_reported_and_stays_failed(hospital: Hospital) -> None:
    """In a namespace with Pod Security `restricted`, by the rights of the operator's own Role."""
    with hospital.operator() as operator:
        fails(hospital, "a")
        hospital.says("a", "Reported", "False/NotPerformed")
        task = Task.model_validate_json(a_notice(hospital, "a")["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"])
        assert task.not_performed == RunReason.STEP_REJECTED_INPUT
        assert hospital.condition("a", "Failed") == ""
        its_pod_ends(hospital, "a", TOLD)
        status = hospital.says("a", "Failed", "True/StepRejectedInput")
        assert [one["sopInstanceUID"] for one in status["results"]] == ["2.25.1"]
        assert hospital.condition("a", "Reported") == "True/NotPerformed"
        assert hospital.condition("a", "Delivered") == "True/NoDestinations"
        assert status["failure"]["exitCode"] == 65
        operator.settled()
        made = [n for (verb, what, code), n in operator.calls().items() if (verb, what, code) == ("create", "jobs", "201")]
        assert made == [2]


def test_the_operator_may_be_killed_at_any_point_in_between(hospital: Hospital) -> None:
    with hospital.operator() as operator:
        fails(hospital, "a")
        hospital.says("a", "Reported", "False/NotPerformed")
        operator.kill()
        hospital.api.delete(PODS, hospital.namespace, "a-1-pod1")
        operator.start()
        a_notice(hospital, "a")
        operator.kill()
        its_pod_ends(hospital, "a", TOLD)
        operator.start()
        hospital.says("a", "Failed", "True/StepRejectedInput")
        assert hospital.condition("a", "Reported") == "True/NotPerformed"
        assert len([one for one in hospital.api.list(JOBS, hospital.namespace) if one["metadata"]["name"].startswith("a-")]) == 2


def test_a_report_that_cannot_be_made_does_not_hide_why_the_run_failed(hospital: Hospital) -> None:
    with hospital.operator():
        fails(hospital, "a")
        its_pod_ends(hospital, "a", PublishReceipt(failure=failed(RunReason.STUDY_GONE, "the study is no longer in Orthanc")), code=65)
        hospital.says("a", "Reported", "False/NotPerformed")
        job = notice_name("a")
        moment = hospital.status("a")["conditions"][0]["lastTransitionTime"]
        end = [{"type": kind, "status": "True", "reason": "PodFailurePolicy", "message": "", "lastTransitionTime": moment} for kind in ("FailureTarget", "Failed")]
        status = {"conditions": end, "startTime": moment, "active": 0, "ready": 0, "uncountedTerminatedPods": {}, "failed": 1}
        hospital.api.patch(JOBS, hospital.namespace, job, {"status": status}, sub="status")
        written = hospital.says("a", "Failed", "True/StepRejectedInput")
        reported = next(one for one in written["conditions"] if one["type"] == "Reported")
        assert reported["message"].startswith("no report says that the analysis was not performed: the study is no longer in Orthanc; see `kubectl logs")


def test_a_run_whose_image_is_missing_is_reported(hospital: Hospital) -> None:
    with hospital.operator(GANTRY_IMAGE_PULL_LIMIT_SECONDS="1"):
        hospital.apply(named(A_RUN, "a"))
        pod = hospital.pod("a")
        stuck = {"waiting": {"reason": "InvalidImageName", "message": "no such name"}}
        hospital.container_states(pod, phase="Pending", fetch=ended(0), detect=stuck)
        its_pod_ends(hospital, "a", TOLD)
        hospital.says("a", "Failed", "True/ImagePullFailed")
        assert hospital.condition("a", "Reported") == "True/NotPerformed"


@pytest.mark.parametrize("names_it", [False, True], ids=["onLateImages Rerun", "onLateImages Supersede"])
def test_a_run_that_late_images_overtook_is_not_reported(hospital: Hospital, names_it: bool) -> None:
    """Its images changed under it. The operator is killed while it waits for the newer Run, and finds both."""
    with hospital.operator() as operator:
        hospital.apply(named(A_RUN, "a"))
        changed_images = FetchReceipt(failure=failed(RunReason.INPUT_MISMATCH, "Orthanc holds other images now", step="fetch"))
        hospital.container_states(hospital.pod("a"), phase="Failed", fetch=ended(65, changed_images.encode()))
        hospital.says("a", "Reported", "False/NotPerformed")
        operator.settled()
        assert hospital.api.get(JOBS, hospital.namespace, notice_name("a")) is None
        operator.kill()
        newer = named(A_RUN, "b")
        hospital.apply(changed(newer, "spec.supersedes", {"name": "a"}) if names_it else newer)
        operator.start()
        hospital.says("a", "Failed", "True/Superseded" if names_it else "True/InputMismatch")
        hospital.has_job("b")
        operator.settled()
        assert hospital.api.get(JOBS, hospital.namespace, notice_name("a")) is None


def test_a_rerun_gets_to_know_the_report_of_the_failure(hospital: Hospital) -> None:
    with hospital.operator():
        fails(hospital, "a")
        its_pod_ends(hospital, "a", TOLD)
        hospital.says("a", "Failed", "True/StepRejectedInput")
        hospital.apply(named(changed(A_RUN, "spec.supersedes", {"name": "a"}), "b"))
        env = hospital.has_job("b")["spec"]["template"]["spec"]["initContainers"][0]["env"][0]["value"]
        assert [one.sop_instance_uid for one in Task.model_validate_json(env).predecessors] == ["2.25.1"]


REFUSED = {
    "no algorithm": {key: value for key, value in REPORT.items() if key != "algorithm"},
    "nothing looked for": {key: value for key, value in REPORT.items() if key != "evaluatedFor"},
}


@pytest.mark.parametrize("report", REFUSED.values(), ids=REFUSED.keys())
def test_a_pipeline_that_does_not_say_who_failed_at_what_is_refused(hospital: Hospital, report: dict[str, Any]) -> None:
    body = changed(PIPELINE, "spec.template.report", report)
    body = {**body, "metadata": {**body["metadata"], "name": "other", "namespace": hospital.namespace}}
    path = f"/apis/gantry.health/v1alpha1/namespaces/{hospital.namespace}/inferencepipelines"
    answer = hospital.api.call("POST", path, body, ok=False)
    assert answer["code"] == 422
    assert "onFailure NotPerformed needs algorithm and evaluatedFor: an application that failed cannot say who it is and what it looks for" in answer["message"]
