"""`gantry rerun` as a process against a real API server."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders import PIPELINE, RUN, changed
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import Hospital, a_hospital, named
from tests.component.test_cli_on_api_server import gantry

from gantry.api import labels, timestamp
from gantry.kube import PIPELINES, RUNS
from gantry.runtime.process import now

NUMBERS = itertools.count(1)
A_RUN = changed(RUN, "metadata.labels", {labels.PIPELINE: "chest-ct-nodules"})


@pytest.fixture
def hospital(api_server: ControlPlane, tmp_path: Path) -> Iterator[Hospital]:
    made = a_hospital(api_server, tmp_path, f"rerun-{next(NUMBERS)}", bridge=None, pipeline=PIPELINE)
    yield made
    made.api.http.close()


def finished(hospital: Hospital, name: str, state: str, *, at: str = "") -> None:
    hospital.apply(named(A_RUN, name))
    ends(hospital, name, state, at=at)


def ends(hospital: Hospital, name: str, state: str, *, at: str = "") -> None:
    kind = "Complete" if state == "Succeeded" else "Failed"
    moment = at or timestamp(now())
    condition = {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": moment}
    hospital.api.patch(RUNS, hospital.namespace, name, {"status": {"state": state, "conditions": [condition], "completionTime": moment}}, sub="status")


def rerun(hospital: Hospital, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = gantry("rerun", *arguments, "-n", hospital.namespace, "-o", "json", "--yes", kubeconfig=hospital.plane.kubeconfig)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_asking_twice_does_not_analyse_twice(hospital: Hospital) -> None:
    finished(hospital, "a", "Failed")
    assert rerun(hospital, "a") == (0, {"runs": [{"run": "a", "repeat": "a-r1"}], "skipped": []})
    made = hospital.run("a-r1")
    assert (made["spec"]["trigger"], made["spec"]["supersedes"]) == ("Rerun", {"name": "a"})
    assert made["spec"]["study"] == RUN["spec"]["study"]
    code, answer = rerun(hospital, "a")
    assert (code, answer["runs"]) == (0, [])
    assert answer["skipped"][0]["reason"] == "is repeated already by a-r1 (Queued); repeat that one to analyse once more"
    ends(hospital, "a-r1", "Failed")
    assert rerun(hospital, "a-r1")[1]["runs"] == [{"run": "a-r1", "repeat": "a-r2"}]
    assert len(hospital.api.list(RUNS, hospital.namespace)) == 3


def test_a_pipelines_failed_runs_of_the_last_hours(hospital: Hospital) -> None:
    finished(hospital, "failed", "Failed")
    finished(hospital, "long-ago", "Failed", at="2020-01-01T00:00:00Z")
    finished(hospital, "well", "Succeeded")
    hospital.apply(named(A_RUN, "under-way"))
    _, planned = rerun(hospital, "--pipeline", "chest-ct-nodules", "--failed", "--since", "2h", "--dry-run")
    assert planned["runs"] == [{"run": "failed", "repeat": "failed-r1"}]
    assert len(hospital.api.list(RUNS, hospital.namespace)) == 4, "a dry run makes nothing"
    _, done = rerun(hospital, "--pipeline", "chest-ct-nodules", "--failed", "--since", "2h")
    assert done == planned
    assert {run["metadata"]["name"] for run in hospital.api.list(RUNS, hospital.namespace)} == {"failed", "failed-r1", "long-ago", "well", "under-way"}


def test_by_the_template_as_it_is_now(hospital: Hospital) -> None:
    finished(hospital, "a", "Succeeded")
    hospital.api.patch(PIPELINES, hospital.namespace, "chest-ct-nodules", {"spec": {"template": {"retries": 7}}})
    rerun(hospital, "a", "--with-current-template")
    made = hospital.run("a-r1")
    assert made["spec"]["template"]["retries"] == 7
    assert made["spec"]["pipelineRef"]["generation"] == 2
    hospital.api.delete(PIPELINES, hospital.namespace, "chest-ct-nodules")
    finished(hospital, "b", "Succeeded")
    code, answer = rerun(hospital, "b", "--with-current-template")
    assert (code, answer["skipped"][0]["reason"]) == (1, "its pipeline chest-ct-nodules does not exist any more; leave --with-current-template out")


def test_what_cannot_be_repeated_is_an_error_and_the_others_are_done(hospital: Hospital) -> None:
    finished(hospital, "a", "Failed")
    hospital.apply(named(A_RUN, "under-way"))
    code, answer = rerun(hospital, "a", "under-way", "no-such")
    assert (code, answer["runs"]) == (1, [{"run": "a", "repeat": "a-r1"}])
    assert {one["run"]: one["reason"] for one in answer["skipped"]} == {
        "under-way": "is not finished (Queued); wait for it, or set spec.cancel",
        "no-such": f"namespace {hospital.namespace} has no such Run",
    }


def test_a_selection_is_shown_and_not_done_without_a_terminal(hospital: Hospital) -> None:
    finished(hospital, "a", "Failed")
    done = gantry("rerun", "--pipeline", "chest-ct-nodules", "--failed", "-n", hospital.namespace, kubeconfig=hospital.plane.kubeconfig)
    assert done.returncode == 1
    assert "a-r1" in done.stdout
    assert done.stderr == "gantry: 1 Runs would be repeated and there is no terminal to ask at: give --yes\n"
    assert len(hospital.api.list(RUNS, hospital.namespace)) == 1
