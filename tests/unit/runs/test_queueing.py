"""A Run in a queue of Kueue: what its Job carries, what people read while it waits, and that being put out is no failure of its own."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.builders_runs import A_BRIDGE, RunBuilder, a_run

from gantry.api import RunReason
from gantry.runs import BridgeView, FindQueue, Installation, Queue, holds_for, job, plan

INSTALLATION = Installation("test", "localhost/gantry/worker:test")


def made(run: RunBuilder) -> dict[str, Any]:
    return job(run.view(), BridgeView.from_object(A_BRIDGE), INSTALLATION)


def test_the_job_is_made_suspended_and_says_its_queue_and_class() -> None:
    body = made(a_run().in_queue(Stat="emergency", Routine="daily").of_class("Stat"))
    assert body["spec"]["suspend"] is True
    assert body["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "radiology"
    assert body["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "emergency"
    assert not [name for name in body["spec"]["template"]["metadata"]["labels"] if "kueue" in name], "a pod that says a queue would be queued by itself"


def test_a_class_without_a_name_leaves_it_to_the_pods_priority() -> None:
    assert "kueue.x-k8s.io/priority-class" not in made(a_run().in_queue(Stat="emergency"))["metadata"]["labels"]


def test_a_plain_job_knows_nothing_of_queues() -> None:
    body = made(a_run())
    assert "suspend" not in body["spec"]
    assert body["spec"]["backoffLimit"] == 1
    assert not [name for name in body["metadata"]["labels"] if "kueue" in name]


FULL = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor a100, 1 more needed"
WAITS: dict[str, tuple[RunBuilder, Queue | None, RunReason, str]] = {
    "not admitted yet": (a_run().in_queue(), Queue("Found"), RunReason.QUEUED, "waits for admission by queue radiology"),
    "not admitted, and Kueue says why": (a_run().in_queue(), Queue("Found", says=FULL), RunReason.QUEUED, f"waits for admission by queue radiology: {FULL}"),
    "not admitted, and the queue cannot be read": (a_run().in_queue(), Queue("NotKnown"), RunReason.QUEUED, "waits for admission by queue radiology"),
    "put into a queue by Kueue": (a_run().job_labelled("default"), Queue("Found"), RunReason.QUEUED, "waits for admission by queue default"),
    "the queue is stopped": (
        a_run().in_queue(), Queue("Stopped", "gpus"), RunReason.QUEUE_STOPPED,
        "LocalQueue radiology is stopped: it admits Runs again when its spec.stopPolicy is None",
    ),
    "the queue leads nowhere": (
        a_run().in_queue(), Queue("NoClusterQueue", "gpus"), RunReason.QUEUE_STOPPED,
        "LocalQueue radiology belongs to ClusterQueue gpus, which does not exist: make it, and the Run goes on",
    ),
    "put out because the whole quota is closed": (
        a_run().in_queue().running().pod_deleting(), Queue("Inactive", "gpus"), RunReason.QUEUE_STOPPED,
        "put out by queue radiology; ClusterQueue gpus of queue radiology admits nothing: it is stopped, or a flavor or check it names is missing; "
        "`kubectl describe clusterqueue gpus` says which",
    ),
    "no such queue": (
        a_run().in_queue(), Queue("Missing"), RunReason.QUEUE_MISSING,
        "no LocalQueue radiology in namespace default (scheduling.queueName): make it, and the Run goes on, or name one that is there and make a new Run",
    ),
    "no Kueue": (
        a_run().in_queue(), Queue("NoKueue"), RunReason.QUEUE_MISSING,
        "scheduling.queueName is radiology and the cluster has no Kueue: install it, or make a new Run of a pipeline without queueName",
    ),
    "put out while it worked": (
        a_run().in_queue().running().pod_deleting(), Queue("Found"), RunReason.QUEUED,
        "put out by queue radiology; waits for admission by queue radiology again",
    ),
    "put out, and its containers ended by the signal": (
        a_run().in_queue().failed(143).pod_deleting(), Queue("Found"), RunReason.QUEUED,
        "put out by queue radiology; waits for admission by queue radiology again",
    ),
    "suspended by somebody without a queue": (
        a_run(), None, RunReason.QUEUED,
        "Job chest-ct-nodules-abcdefghijklm-1 is suspended (spec.suspend) by something outside of Gantry; it goes on when that takes it away",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WAITS)
def test_while_it_is_suspended_it_is_queued_and_says_why(name: str) -> None:
    run, queue, reason, message = WAITS[name]
    run = run.job_suspended()
    if queue is not None:
        (look,) = plan(run.observed()).actions
        assert isinstance(look, FindQueue)
        assert (look.name in message, look.job) == (True, (run.job or {})["metadata"]["uid"])
        run = run.with_queue(queue)
    answer = plan(run.observed())
    assert answer.status is not None
    assert answer.status.state == "Queued"
    executed = next(c for c in answer.status.conditions or () if c.type == "Executed")
    job_name = made(run)["metadata"]["name"]
    assert (executed.reason, executed.message) == (reason, message.replace("chest-ct-nodules-abcdefghijklm-1", job_name))
    if queue is None or queue.state == "NotKnown":
        assert answer.again_after is None, "there is nothing to look at"
    else:
        assert answer.again_after == (timedelta(seconds=15) if queue.state == "Found" else timedelta(minutes=1))
    assert plan(run.with_status(answer.status).observed()).status is None, "what is said already is not written again"


def test_it_may_be_put_out_more_often_than_it_may_fail() -> None:
    """Six pods that ended by the signal, and two attempts."""
    run = a_run().in_queue()
    for _ in range(6):
        run = run.failed(143).pod_deleting()
    answer = plan(run.job_suspended().with_queue(Queue("Found")).observed())
    assert answer.status is not None
    assert answer.status.failure is None
    back = plan(run.observed())
    assert back.status is not None
    assert (back.status.state, back.status.failure) == ("Queued", None)


@pytest.mark.parametrize(
    ("waited", "queued", "again"),
    [(20, 1, 15), (90, 1, 45), (7200, 1, 60), (240, 1000, 120), (7200, 400, 200), (7200, 5000, 600)],
    ids=["soon", "seldomer", "never more seldom than that", "many, soon", "many: twice a second together", "very many: never more seldom than that"],
)
def test_the_longer_it_waits_the_seldomer_kueue_is_asked(waited: float, queued: int, again: float) -> None:
    run = a_run().in_queue().job_suspended().with_queue(Queue("Found", says=FULL, queued=queued))
    created = run.observed().own_job
    assert created is not None
    answer = plan(replace(run, now=created.created + timedelta(seconds=waited)).observed())
    assert answer.again_after == timedelta(seconds=again)


def test_what_is_put_out_of_a_queue_it_did_not_name_has_not_failed() -> None:
    """A LocalQueue called `default` takes every Job of its namespace."""
    run = a_run().job_labelled("default")
    for _ in range(6):
        run = run.failed(143).pod_deleting()
    back = plan(run.observed())
    assert back.status is not None
    assert (back.status.state, back.status.failure) == ("Queued", None)


def test_its_own_failures_count_as_without_a_queue() -> None:
    once = a_run().in_queue().failed(143).pod_deleting().failed(1)
    first = plan(once.observed())
    assert first.status is not None
    assert first.status.failure is None
    twice = plan(once.failed(1).observed())
    assert twice.status is not None
    assert twice.status.failure is not None
    assert twice.status.failure.reason == RunReason.STEP_FAILED


def test_a_run_that_published_as_it_was_put_out_has_published() -> None:
    answer = plan(a_run().in_queue().delivering_to().published().job_suspended().observed())
    assert answer.status is not None
    assert answer.status.state == "Succeeded"


def test_a_run_in_a_queue_keeps_nobody_from_fetching() -> None:
    seen = a_run().in_queue().job_suspended().observed()
    assert holds_for(seen.own_job, seen.own_pods, seen.now) == timedelta()
    admitted = a_run().in_queue().with_job().observed()
    assert holds_for(admitted.own_job, admitted.own_pods, admitted.now) > timedelta()
