"""A step that dies before its launcher has the barrier, with the real Job controller: how a pod that the operator deletes counts, and what bounds it.

The kubelet is played. It tells of a step that died a while ago, so that nobody waits for the minute in which publish might still notice.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.builders import BRIDGE, PIPELINE, RUN, changed
from tests.chaos.plane import whole_plane
from tests.component.operator_process import Hospital, Object, a_hospital, ended, wait

from gantry.api import RunReason, timestamp
from gantry.api.run import Failure
from gantry.kube import PODS, RUNS
from gantry.runs import FetchReceipt, PublishReceipt
from gantry.runtime.process import now

NAME = RUN["metadata"]["name"]
RETRIES = 1


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    with whole_plane(tmp_path / "plane") as plane:
        made = a_hospital(plane.plane, tmp_path, "radiology", bridge=BRIDGE, pipeline=PIPELINE)
        yield made
        made.api.http.close()


def pods(hospital: Hospital) -> list[Object]:
    """Of the Run's Job, by their names: those that are gone are not among them."""
    return sorted(hospital.api.list(PODS, hospital.namespace), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


def next_pod(hospital: Hospital, *, after: set[str]) -> str:
    def new() -> str:
        return next((str(pod["metadata"]["name"]) for pod in pods(hospital) if pod["metadata"]["name"] not in after), "")

    return str(wait(new, "the Job makes a pod", limit=60, tell=lambda: hospital.job(NAME)))


def its_step_dies(hospital: Hospital, pod: str) -> None:
    """Two minutes ago; publish waits."""
    long_ago = timestamp(now() - timedelta(minutes=2))
    fetched = ended(0, FetchReceipt(instances=20, bytes=1000, seconds=0.1).encode())
    died = {"terminated": {"exitCode": 137, "reason": "Error", "startedAt": long_ago, "finishedAt": long_ago}}
    hospital.container_states(pod, fetch=fetched, detect=died, publish={"running": {"startedAt": long_ago}})


def is_told_to_end(hospital: Hospital, pod: str) -> bool:
    found = hospital.api.get(PODS, hospital.namespace, pod)
    return found is not None and "deletionTimestamp" in found["metadata"]


def ends(hospital: Hospital, pod: str) -> None:
    """As a kubelet ends a pod that was deleted: publish gets SIGTERM, leaves its receipt, and the pod is taken away."""
    failure = Failure(reason=RunReason.PUBLISH_FAILED, message="ended from outside (SIGTERM) before it was done", step="publish")
    long_ago = timestamp(now() - timedelta(minutes=2))
    died = {"terminated": {"exitCode": 137, "reason": "Error", "startedAt": long_ago, "finishedAt": long_ago}}
    publish = ended(1, PublishReceipt(failure=failure).encode())
    hospital.container_states(pod, phase="Failed", fetch=ended(0), detect=died, publish=publish)
    hospital.api.delete(PODS, hospital.namespace, pod)


def failed(hospital: Hospital) -> int:
    """Pods that the Job has counted as failed."""
    return int(((hospital.job(NAME) or {}).get("status") or {}).get("failed", 0))


def test_the_job_counts_the_deleted_pod_and_the_last_one_is_not_deleted_but_told_of(hospital: Hospital) -> None:
    with hospital.operator() as operator:
        hospital.apply(changed(changed(RUN, "spec.template.retries", RETRIES), "spec.template.timeout", "1h"))
        hospital.has_job(NAME)
        first = next_pod(hospital, after=set())
        its_step_dies(hospital, first)
        wait(lambda: is_told_to_end(hospital, first), "the operator deletes the pod", tell=lambda: operator.log[-3000:])
        said = next(one["message"] for one in hospital.says(NAME, "Executed", "False/StepFailed")["conditions"] if one["type"] == "Executed")
        assert said.startswith("attempt 1 of 2 failed")
        assert said.endswith("its pod is deleted, so that the Job makes another")
        assert failed(hospital) == 0, "it is counted once it has ended, so that there are never two at work"
        assert [pod["metadata"]["name"] for pod in pods(hospital)] == [first]

        ends(hospital, first)
        second = next_pod(hospital, after={first})
        wait(lambda: failed(hospital) == 1, "the Job has counted it", tell=lambda: hospital.job(NAME))

        its_step_dies(hospital, second)
        status = hospital.says(NAME, "Failed", "True/StepFailed")
        assert status["failure"]["message"].startswith("step detect ended with exit code 137")
        assert (status["failure"]["step"], status["failure"]["exitCode"]) == ("detect", 137)
        assert {code for (verb, kind, code), _ in operator.calls().items() if (verb, kind) == ("delete", "pods")} == {"200"}
        assert sum(number for (verb, kind, _), number in operator.calls().items() if (verb, kind) == ("delete", "pods")) == 1
    assert hospital.api.get(RUNS, hospital.namespace, NAME) is not None


def test_the_job_itself_makes_no_more_pods_than_retries_allow(hospital: Hospital) -> None:
    """Whoever deletes them, and however often."""
    with hospital.operator():
        hospital.apply(changed(changed(RUN, "spec.template.retries", RETRIES), "spec.template.timeout", "1h"))
        hospital.has_job(NAME)
    seen: set[str] = set()
    for _ in range(RETRIES + 1):
        pod = next_pod(hospital, after=seen)
        seen.add(pod)
        hospital.api.call("DELETE", PODS.path(hospital.namespace, pod))
        ends(hospital, pod)

    def over() -> list[str]:
        conditions = ((hospital.job(NAME) or {}).get("status") or {}).get("conditions") or []
        return [one["reason"] for one in conditions if (one["type"], one["status"]) == ("Failed", "True")]

    assert wait(over, "the Job fails", limit=60, tell=lambda: hospital.job(NAME)) == ["BackoffLimitExceeded"]
    assert len(seen) == RETRIES + 1
    assert {pod["metadata"]["name"] for pod in pods(hospital)} <= seen
