"""Every way a pod can end, or not begin, has one reason: pods/*.json are pods as the API server shows them.

`source` in each file says where it is from. Those in pods/recorded*/ are from a real cluster (`python -m tests.record_pods` records them again); the
others are "written from" the API's documentation and the sources of kubelet and scheduler. What bears the same name has the same end.
"""

import json
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.builders_runs import a_run, at

from gantry.api import RunReason
from gantry.runs import DeleteJob, FindReceipt, LookUp, Observed, PodView, plan

PODS = Path(__file__).parent / "pods"
LATE = 400.0
"""Seconds; beyond the five minutes an image is waited for, and all shorter times."""


@dataclass(frozen=True)
class End:
    """`reason` is what the Run fails with when no attempt is left; None: the pod is no failure, or not yet."""

    reason: RunReason | None
    step: str | None = None
    code: int | None = None
    state: str = "Failed"
    job_deleted: bool = False
    """The Job does not know by itself that it is over."""


ENDS = {
    "succeeded": End(None, state="Succeeded"),
    "step-exit-1": End(RunReason.STEP_FAILED, "detect", 1),
    "step-exit-65": End(RunReason.STEP_REJECTED_INPUT, "detect", 65),
    "step-signal-11": End(RunReason.STEP_FAILED, "detect", 139),
    "step-timeout-124": End(RunReason.STEP_TIMED_OUT, "detect", 124),
    "step-oom": End(RunReason.OUT_OF_MEMORY, "detect", 137),
    "fetch-oom": End(RunReason.OUT_OF_MEMORY, "fetch", 137),
    "publish-oom": End(RunReason.OUT_OF_MEMORY, "publish", 137),
    "fetch-exit-1": End(RunReason.FETCH_FAILED, "fetch", 1),
    "fetch-killed": End(RunReason.FETCH_FAILED, "fetch", 137),
    "publish-message-missing": End(RunReason.PUBLISH_FAILED, "publish", 0),
    "publish-message-cut": End(RunReason.PUBLISH_FAILED, "publish", 0),
    "publish-message-not-json": End(RunReason.PUBLISH_FAILED, "publish", 1),
    "err-image-pull": End(RunReason.IMAGE_PULL_FAILED, "detect", job_deleted=True),
    "image-pull-back-off": End(RunReason.IMAGE_PULL_FAILED, "detect", job_deleted=True),
    "invalid-image-name": End(RunReason.IMAGE_PULL_FAILED, "detect", job_deleted=True),
    "create-container-config-error": End(RunReason.CONTAINER_CONFIG, "detect", job_deleted=True),
    "create-container-error": End(RunReason.CONTAINER_CONFIG, "detect", job_deleted=True),
    "start-error": End(RunReason.CONTAINER_CONFIG, "detect", 128, job_deleted=True),
    "container-cannot-run": End(RunReason.CONTAINER_CONFIG, "detect", 127, job_deleted=True),
    "unschedulable": End(None, state="Queued"),
    "evicted-memory": End(RunReason.EVICTED, job_deleted=True),
    "evicted-disk": End(RunReason.EVICTED, job_deleted=True),
    "preempted": End(None, state="Queued"),
    "drained": End(None, state="Queued"),
    "node-lost": End(None, state="Running"),
    "node-gone": End(None, state="Queued"),
    "node-shut-down": End(None, state="Queued"),
    "not-admitted": End(RunReason.NODE_REFUSED),
    "pod-deadline": End(RunReason.DEADLINE_EXCEEDED, job_deleted=True),
    "deleted-by-hand": End(None, state="Running"),
    "init-restarted": End(None, state="Running"),
    "sidecar-left-success": End(None, state="Succeeded"),
    "sidecar-left-failure": End(RunReason.STEP_FAILED, "detect", 1, job_deleted=True),
}

RECORDED: dict[str, End] = {
    "step-killed": End(RunReason.STEP_FAILED, "detect", 137),
    "step-memory-limit-too-small": End(RunReason.OUT_OF_MEMORY, "detect", 128, job_deleted=True),
    "publish-killed": End(RunReason.PUBLISH_FAILED, "publish", 137),
    "err-image-pull-no-registry": End(RunReason.IMAGE_PULL_FAILED, "detect", job_deleted=True),
    "create-container-config-error-user": End(RunReason.CONTAINER_CONFIG, "detect", job_deleted=True),
    "deleted-by-hand-over": End(RunReason.STEP_FAILED, "detect", 143),
    "job-deadline": End(RunReason.PUBLISH_FAILED, "publish", 1),  # as long as the Job does not say why
    "evicted-disk": End(RunReason.EVICTED),  # without DisruptionTarget, so that the Job counts it: only evictions for the node's own sake have that
    "publish-message-cut-ten-containers": End(RunReason.PUBLISH_FAILED, "publish", 0),
    "sidecar-left-failure": End(RunReason.PUBLISH_FAILED, "publish", 1, job_deleted=True),
}
"""Ends of recorded pods that nobody has written down, or that are not as somebody has."""
RECORDINGS = sorted(str(path.relative_to(PODS).with_suffix("")) for path in PODS.glob("recorded*/*.json"))
"""By folder: what one version of the runtime says, another may say otherwise, and it means the same."""
ALL = ENDS | {name: RECORDED.get(Path(name).name) or ENDS[Path(name).name] for name in RECORDINGS}


def seen(name: str, *, seconds: float = LATE) -> Observed:
    """The pod of a Run without retries; its trouble began when it did. Orthanc has no receipt of it."""
    pod = json.loads((PODS / f"{name}.json").read_text())["pod"]
    run = a_run().delivering_to().with_template(retries=0).with_job().at(seconds).observed()
    return replace(run, pods=(PodView.from_object(pod, now=at(2)),), kept="Nothing")


def test_every_file_is_in_the_table_and_says_where_it_is_from() -> None:
    files = {str(path.relative_to(PODS).with_suffix("")): json.loads(path.read_text()) for path in PODS.rglob("*.json")}
    assert set(files) == set(ALL)
    assert all(one["source"].startswith("recorded: 20" if name.startswith("recorded") else "written from: ") for name, one in files.items())


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_tells_nothing_of_the_machine_it_is_from(name: str) -> None:
    text = (PODS / f"{name}.json").read_text()
    assert not re.findall(r"10\.\d+\.\d+\.\d+|192\.168|containerd://|\b[0-9a-f]{64}\b|hostIP|podIP|managedFields", text)


@pytest.mark.parametrize("name", ALL)
def test_a_pod_has_one_reason(name: str) -> None:
    want = ALL[name]
    answer = plan(seen(name))
    assert answer.status is not None
    failure = answer.status.failure
    assert (answer.status.state, failure.reason if failure else None) == (want.state, want.reason)
    assert failure is None or (failure.step, failure.exit_code) == (want.step, want.code)
    assert any(isinstance(action, DeleteJob) for action in answer.actions) == want.job_deleted


@pytest.mark.parametrize("name", ALL)
def test_no_run_succeeds_without_publishs_receipt(name: str) -> None:
    """Whatever Job and pod say of themselves."""
    observed = seen(name)
    complete = a_run().with_job().job_ended("Complete", "CompletionsReached").observed().job
    mute = replace(observed.pods[0], containers=tuple(replace(c, message="") for c in observed.pods[0].containers))
    status = plan(replace(observed, job=complete, pods=(mute,))).status
    assert status is None or status.state != "Succeeded"


@pytest.mark.parametrize("name", ["unschedulable", "preempted", "drained", "node-lost", "node-gone", "node-shut-down", "deleted-by-hand", "init-restarted", "recorded/job-deadline"])
def test_what_is_no_failure_yet_ends_with_the_jobs_deadline(name: str) -> None:
    """activeDeadlineSeconds counts from the Job's start, a pod that was never scheduled included; a node that is lost is waited for two minutes."""
    late = a_run().with_job().job_ended("FailureTarget", "DeadlineExceeded", ended=3600).observed().job
    status = plan(replace(seen(name, seconds=3721), job=late)).status
    assert status is not None
    assert status.failure is not None
    assert status.failure.reason == RunReason.DEADLINE_EXCEEDED


@pytest.mark.parametrize(("name", "limit"), [("err-image-pull", 300), ("create-container-error", 60), ("sidecar-left-failure", 120)])
def test_what_may_mend_itself_is_waited_for_by_its_own_limit(name: str, limit: float) -> None:
    begun = 7 if name == "sidecar-left-failure" else 2
    early = plan(seen(name, seconds=begun + limit - 1))
    assert early.status is None or early.status.failure is None
    assert early.again_after == timedelta(seconds=1)


def test_the_last_pod_is_gone_unread() -> None:
    """Deleted by hand with its Job's last attempt: asked for once more, at Orthanc too, then it is lost."""
    ended = a_run().job_ended("FailureTarget", "BackoffLimitExceeded")
    assert plan(ended.observed()).actions == (LookUp(),)
    assert plan(ended.looked_up().observed()).actions == (FindReceipt(),)
    status = plan(ended.looked_up().kept_in_orthanc("Nothing").observed()).status
    assert status is not None
    assert status.failure is not None
    assert status.failure.reason == RunReason.JOB_LOST
