"""A Run's life on a real API server, the operator as a process, and a test that plays Job controller and kubelet."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.builders import BRIDGE, PIPELINE, RUN, changed
from tests.builders_runs import a_receipt
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import Hospital, a_hospital, named, wait
from tests.component.orthanc_server import orthanc_server

from gantry.kube import JOBS, PIPELINES, PODS, RUNS
from gantry.runs import job_name

# No Orthanc listens there: what is tested here does not need one.
A_BRIDGE = changed(changed(BRIDGE, "spec.url", "http://127.0.0.1:9"), "spec.credentialsSecretRef", ...)
A_RUN = changed(RUN, "spec.template.delivery", {"destinations": []})
NUMBERS = itertools.count(1)


@pytest.fixture
def hospital(api_server: ControlPlane, tmp_path: Path) -> Iterator[Hospital]:
    made = a_hospital(api_server, tmp_path, f"runs-{next(NUMBERS)}", bridge=A_BRIDGE, pipeline=PIPELINE)
    yield made
    made.api.http.close()


def test_a_run_lives_from_job_to_complete(hospital: Hospital) -> None:
    with hospital.operator() as operator:
        hospital.apply(named(A_RUN, "a"))
        hospital.says("a", "Executed", "False/Pending")
        assert hospital.status("a")["state"] == "Queued"
        pod = hospital.pod("a")
        hospital.runs_on(pod)
        status = hospital.says("a", "Executed", "False/Running")
        assert (status["state"], status["node"], status["attempts"]) == ("Running", "gpu-1", 1)
        hospital.publishes(pod, a_receipt())
        status = hospital.says("a", "Complete", "True/Complete")
        assert status["state"] == "Succeeded"
        assert status["findings"] == {"present": 2, "absent": 1, "notEvaluable": 0}
        assert [r["sopInstanceUID"] for r in status["results"]] == ["2.25.1"]
        assert {s["name"] for s in status["stages"]} >= {"created", "started", "fetch", "step/detect", "publish"}
        operator.settled()
        runs_writes = {key: n for key, n in operator.calls().items() if key[0] in ("create", "patch", "delete") and key[1] in ("jobs", "inferenceruns/status")}
        assert runs_writes == {("create", "jobs", "201"): 1, ("patch", "inferenceruns/status", "200"): 3}


def test_every_field_of_the_status_is_in_the_schema(hospital: Hospital) -> None:
    """A field the schema does not have would be dropped silently by a merge patch; server-side apply refuses it."""
    with hospital.operator() as operator:
        run = changed(A_RUN, "spec.template.steps.0.resources", {"limits": {"nvidia.com/gpu": "1"}})
        run = changed(run, "metadata.annotations", {"gantry.health/seen": "2026-03-01T11:59:59.400Z"})
        hospital.apply(named(run, "a"))
        pod = hospital.pod("a")
        hospital.publishes(pod, a_receipt(), code=1, step=1)
        hospital.says("a", "Executed", "False/StepFailed")
        hospital.publishes(hospital.pod("a", attempt=2), a_receipt())
        status = hospital.says("a", "Complete", "True/Complete")
        assert status["usage"]["gpuSeconds"] == 5.0
        assert status["attempts"] == 2
        operator.settled()
        assert not [line for line in operator.lines() if line["level"] in ("warning", "error") and "Orthanc" not in line["message"]]


def test_the_real_api_server_takes_the_job_in_a_restricted_namespace(hospital: Hospital) -> None:
    """The pod too, which is where Pod Security looks."""
    with hospital.operator():
        run = changed(A_RUN, "spec.template.steps", [
            {"name": "prepare", "image": "localhost/a:1", "command": ["true"], "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}},
            {"name": "detect", "image": "localhost/b:1", "command": ["true"], "security": {"runAsUser": 4711, "readOnlyRootFilesystem": False}},
        ])  # fmt: skip
        hospital.apply(named(run, "a"))
        job = hospital.has_job("a")
        assert job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"] == list(range(64, 79))
        template = job["spec"]["template"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "dry", "labels": template["metadata"]["labels"]}, "spec": template["spec"]}
        made = hospital.api.create(PODS, hospital.namespace, pod, query="?dryRun=All&fieldValidation=Strict")
        assert made["kind"] == "Pod"


def test_a_step_that_fails_for_good_fails_the_run(hospital: Hospital) -> None:
    with hospital.operator():
        hospital.apply(named(A_RUN, "a"))
        pod = hospital.pod("a")
        hospital.publishes(pod, a_receipt(), code=65, step=65)
        status = hospital.says("a", "Failed", "True/StepRejectedInput")
        assert status["failure"]["message"] == (
            f"step detect ended with exit code 65; see `kubectl logs -n {hospital.namespace} {pod} -c detect`"
        )
        assert hospital.job("a") is not None, "the Job stays for its logs"


def test_cancelling_deletes_the_job(hospital: Hospital) -> None:
    with hospital.operator():
        hospital.apply(named(A_RUN, "a"))
        hospital.runs_on(hospital.pod("a"))
        hospital.says("a", "Executed", "False/Running")
        hospital.api.patch(RUNS, hospital.namespace, "a", {"spec": {"cancel": True}})
        hospital.says("a", "Failed", "True/Cancelled")
        assert hospital.status("a")["state"] == "Cancelled"
        assert wait(lambda: hospital.job("a") is None, "the Job is gone")


def test_a_job_deleted_by_hand_is_lost_and_not_made_again(hospital: Hospital, tmp_path: Path) -> None:
    """Unless its results are in Orthanc, which is not there at first."""
    without_accounts = {"AuthenticationEnabled": False, "RegisteredUsers": None}
    with hospital.operator() as operator, orthanc_server(tmp_path / "orthanc", config=without_accounts) as orthanc:
        hospital.apply(named(A_RUN, "a"))
        hospital.says("a", "Executed", "False/Pending")
        hospital.api.delete(JOBS, hospital.namespace, job_name("a"))
        hospital.says("a", "Executed", "False/OrthancAway")
        assert hospital.job("a") is None
        hospital.apply(changed(A_BRIDGE, "spec.url", orthanc.url))
        hospital.says("a", "Failed", "True/JobLost")
        operator.settled()
        assert hospital.job("a") is None


def test_a_run_waits_for_its_bridge(hospital: Hospital) -> None:
    with hospital.operator():
        hospital.apply(named(changed(A_RUN, "spec.bridgeRef.name", "other"), "a"))
        hospital.says("a", "Admitted", "False/BridgeMissing")
        hospital.apply(named(A_BRIDGE, "other"))
        hospital.has_job("a")
        hospital.says("a", "Admitted", "True/Admitted")


def test_the_api_servers_refusal_is_the_runs_message(hospital: Hospital) -> None:
    """A quota, as a hospital sets one."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    hospital.api.call("POST", f"/api/v1/namespaces/{hospital.namespace}/resourcequotas", {**quota, "status": {"hard": {"count/jobs.batch": "0"}, "used": {}}})
    hospital.api.patch(_QUOTAS, hospital.namespace, "none", {"status": {"hard": {"count/jobs.batch": "0"}, "used": {"count/jobs.batch": "0"}}}, sub="status")
    with hospital.operator():
        hospital.apply(named(A_RUN, "a"))
        status = hospital.says("a", "Failed", "True/JobRefused")
        assert "exceeded quota: none" in status["failure"]["message"]
        assert hospital.condition("a", "Admitted") == "False/JobRefused"


def test_an_invalid_field_is_refused_with_the_servers_words(hospital: Hospital) -> None:
    with hospital.operator():
        run = changed(A_RUN, "spec.template.scheduling", {"tolerations": [{"key": "a key", "operator": "Equals"}]})
        hospital.apply(named(run, "a"))
        status = hospital.says("a", "Failed", "True/JobRefused")
        assert "tolerations" in status["failure"]["message"]


def test_a_job_of_another_owner_is_left_alone(hospital: Hospital) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}
    theirs = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job_name("a")}, "spec": {"template": {"spec": pod}}}
    hospital.api.create(JOBS, hospital.namespace, theirs)
    with hospital.operator():
        hospital.apply(named(A_RUN, "a"))
        status = hospital.says("a", "Failed", "True/JobRefused")
        assert "is not this Run's" in status["failure"]["message"]
        job = hospital.job("a")
        assert job is not None
        assert "ownerReferences" not in job["metadata"]


def test_killed_between_the_jobs_post_and_the_status_write(hospital: Hospital) -> None:
    """The Job is found again by its name; the Run gets the status it lacked."""
    with hospital.operator() as operator:
        hospital.apply(named(A_RUN, "a"))
        job = hospital.has_job("a")
        operator.kill()
        hospital.api.call("PATCH", RUNS.path(hospital.namespace, "a", "status"), {"status": None}, content="application/merge-patch+json")
        operator.start()
        hospital.says("a", "Executed", "False/Pending")
        again = hospital.job("a")
        assert again is not None
        assert again["metadata"]["uid"] == job["metadata"]["uid"]
        assert hospital.status("a")["jobRef"]["uid"] == job["metadata"]["uid"]


def test_what_happened_while_the_operator_was_away_is_found(hospital: Hospital) -> None:
    with hospital.operator() as operator:
        hospital.apply(named(A_RUN, "a"))
        pod = hospital.pod("a")
        hospital.runs_on(pod)
        hospital.says("a", "Executed", "False/Running")
        operator.kill()
        hospital.publishes(pod, a_receipt())
        hospital.apply(named(A_RUN, "b"))
        operator.start()
        hospital.says("a", "Complete", "True/Complete")
        hospital.has_job("b")


@pytest.mark.parametrize("job_too", [False, True], ids=["its pod has ended", "its Job has ended, too"])
def test_a_run_that_ended_well_while_the_operator_was_away_is_written_once(hospital: Hospital, job_too: bool) -> None:
    """What has ended well is not read at the start: it is thousands of Jobs and pods of Runs that have long finished. Of this one it is looked up."""
    with hospital.operator() as operator:
        hospital.apply(named(A_RUN, "a"))
        pod = hospital.pod("a")
        hospital.runs_on(pod)
        hospital.says("a", "Executed", "False/Running")
        operator.kill()
        hospital.publishes(pod, a_receipt())
        if job_too:
            hospital.job_ends("a", "Complete", "CompletionsReached")
        operator.start()
        hospital.says("a", "Complete", "True/Complete")
        operator.settled()
        written = sum(number for (verb, resource, _), number in operator.calls().items() if (verb, resource) == ("patch", "inferenceruns/status"))
        assert (written, len(hospital.api.list(JOBS, hospital.namespace))) == (1, 1)


def test_a_restart_writes_nothing(hospital: Hospital) -> None:
    with hospital.operator() as operator:
        hospital.apply(named(A_RUN, "a"), named(A_RUN, "b"))
        hospital.runs_on(hospital.pod("a"))
        hospital.publishes(hospital.pod("b"), a_receipt())
        hospital.says("a", "Executed", "False/Running")
        hospital.says("b", "Complete", "True/Complete")
        wait(lambda: (hospital.api.get(PIPELINES, hospital.namespace, "chest-ct-nodules") or {}).get("status", {}).get("runs") == {
            "active": 1, "waiting": 0, "succeeded": 1, "failed": 0}, "the pipeline has counted")  # fmt: skip
        operator.settled()
        operator.kill()
        operator.start()
        operator.settled()
        writes = {key: n for key, n in operator.calls().items() if key[0] in ("create", "patch", "delete") and key[1] != "orthancbridges/status"}
        assert writes == {}


def test_two_operators_make_one_job_and_agree(hospital: Hospital) -> None:
    """One by mistake: a Deployment scaled to two."""
    with hospital.operator() as one, hospital.operator() as other:
        names = [f"run-{number}" for number in range(10)]
        hospital.apply(*(named(A_RUN, name) for name in names))
        for name in names:
            hospital.says(name, "Executed", "False/Pending")
        pods = {name: hospital.pod(name) for name in names}
        for pod in pods.values():
            hospital.publishes(pod, a_receipt())
        for name in names:
            hospital.says(name, "Complete", "True/Complete")
        one.settled()
        other.settled()
        assert len(hospital.api.list(JOBS, hospital.namespace)) == len(names)
        made = sum(operator.metrics().get('gantry_jobs_created_total{outcome="created"}', 0) for operator in (one, other))
        assert made == len(names)


def test_finished_runs_go_after_their_history(hospital: Hospital) -> None:
    """With the clock of the API server: the completion is written as long ago."""
    with hospital.operator() as operator:
        hospital.apply(named(A_RUN, "old"), named(A_RUN, "young"))
        for name in ("old", "young"):
            hospital.publishes(hospital.pod(name), a_receipt())
            hospital.says(name, "Complete", "True/Complete")
        operator.kill()
        hospital.api.patch(RUNS, hospital.namespace, "old", {"status": {"completionTime": "2020-01-01T00:00:00Z"}}, sub="status")
        operator.start()
        assert wait(lambda: hospital.api.get(RUNS, hospital.namespace, "old") is None, "the old Run is gone")
        assert hospital.status("young")["state"] == "Succeeded"


def test_the_job_of_a_finished_run_goes_after_an_hour(hospital: Hospital) -> None:
    with hospital.operator() as operator:
        hospital.apply(named(A_RUN, "a"))
        hospital.publishes(hospital.pod("a"), a_receipt())
        hospital.says("a", "Complete", "True/Complete")
        operator.kill()
        done = "2026-01-01T00:00:00Z"
        hospital.api.patch(PIPELINES, hospital.namespace, "chest-ct-nodules", {"spec": {"history": {"ttl": "1000000h"}}})
        hospital.api.patch(RUNS, hospital.namespace, "a", {"status": {"completionTime": done}}, sub="status")
        operator.start()
        assert wait(lambda: hospital.job("a") is None, "the Job is gone")
        assert hospital.status("a")["state"] == "Succeeded"


def test_a_run_deleted_while_it_runs_is_forgotten(hospital: Hospital) -> None:
    with hospital.operator() as operator:
        hospital.apply(named(A_RUN, "a"))
        hospital.says("a", "Executed", "False/Pending")
        hospital.api.delete(RUNS, hospital.namespace, "a")
        wait(lambda: operator.metrics().get('gantry_runs{state="Queued"}') == 0, "it is not counted any more")
        operator.settled()
        assert not [line for line in operator.lines() if line["level"] == "error"]


def test_the_operator_used_no_right_it_does_not_have_and_has_none_it_does_not_use(hospital: Hospital) -> None:
    """The process runs with `PERMISSIONS` only, so a missing verb shows as 403."""
    with hospital.operator() as operator:
        hospital.apply(named(A_RUN, "a"))
        hospital.publishes(hospital.pod("a"), a_receipt())
        hospital.says("a", "Complete", "True/Complete")
        operator.settled()
        assert not [call for call in operator.calls() if call[2] == "403"]


def test_people_and_the_operator_select_runs_by_state(hospital: Hospital) -> None:
    """Ten thousand finished Runs are in no watch."""
    with hospital.operator() as operator:
        hospital.apply(named(A_RUN, "a"), named(A_RUN, "b"))
        hospital.publishes(hospital.pod("a"), a_receipt())
        hospital.says("a", "Complete", "True/Complete")
        hospital.says("b", "Executed", "False/Pending")
        shown = hospital.plane.kubectl("get", "irun", "-n", hospital.namespace, "--field-selector", "status.state=Succeeded", "-o", "name")
        assert shown.stdout.split() == ["inferencerun.gantry.health/a"]
        operator.kill()
        operator.start()
        wait(lambda: operator.metrics().get('gantry_runs{state="Succeeded"}') == 1, "the finished Run is counted")
        operator.settled()
        told = 'gantry_watch_events_total{resource="inferenceruns"}'
        assert operator.metrics()[told] == 0, "the list at the start told of b; the watch goes on from there"
        hospital.apply(named(A_RUN, "c"))
        hospital.says("c", "Executed", "False/Pending")
        wait(lambda: operator.metrics()[told] >= 1, "the watch tells of c")


_QUOTAS = type(JOBS)("v1", "ResourceQuota", "resourcequotas")


def test_the_log_is_json_and_holds_no_urls_of_the_api(hospital: Hospital) -> None:
    with hospital.operator() as operator:
        hospital.apply(named(A_RUN, "a"))
        hospital.publishes(hospital.pod("a"), a_receipt())
        hospital.says("a", "Complete", "True/Complete")
        operator.settled()
        lines = operator.lines()
        assert {"time", "level", "message", "logger"} <= set(lines[0])
        finished = [line for line in lines if line["message"] == "Run finished"]
        assert [(line["run"], line["state"], line["reason"]) for line in finished] == [("a", "Succeeded", "")]
        assert "https://127.0.0.1" not in json.dumps(lines)
