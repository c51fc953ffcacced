"""What is learnt of a LocalQueue and of the Run in it: from whichever version Kueue serves, and never more often than needed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.builders_runs import T0

from gantry.kube import LOCAL_QUEUES, OLDER_LOCAL_QUEUES, KubeError, NotFound, NotPermitted, Resource
from gantry.runs import Queue
from gantry.runtime.queues import KEPT, Queues

FULL = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor a100, 1 more needed"


def conditions(*told: tuple[str, str, str, str]) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": kind, "status": status, "reason": reason, "message": words} for kind, status, reason, words in told]}}


def local_queue(*told: tuple[str, str, str, str]) -> dict[str, Any]:
    return {"spec": {"clusterQueue": "gpus"}, **conditions(*told)}


ACTIVE = local_queue(("Active", "True", "Ready", "Can submit new workloads to clusterQueue"))
WAITS = conditions(("QuotaReserved", "False", "Pending", FULL))


class Kueue:
    """An API server that serves its kinds in those versions."""

    def __init__(self, queue: dict[str, Any] | KubeError | None = None, workload: dict[str, Any] | KubeError | None = None, *versions: str) -> None:
        self.queue, self.workload, self.versions = queue, workload, versions or ("v1beta1", "v1beta2")
        self.calls: list[str] = []

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        self.calls.append(f"get {resource.version} {namespace}/{name}")
        missing = NotFound("the server could not find the requested resource")
        if resource.version not in self.versions:
            missing.of_object = False
            raise missing
        if self.queue is None:
            raise missing
        if isinstance(self.queue, KubeError):
            raise self.queue
        return self.queue

    async def pages(self, resource: Resource, namespace: str | None, *, selector: str = "", **_: object) -> AsyncIterator[list[dict[str, Any]]]:
        self.calls.append(f"list {resource.version} {namespace} {selector}")
        if isinstance(self.workload, KubeError):
            raise self.workload
        yield [] if self.workload is None else [self.workload]


def looked(kueue: Kueue, now: datetime = T0) -> Queue:
    return asyncio.run(Queues(kube=kueue, clock=lambda: now).look("ct", "radiology", "uid-1"))  # type: ignore[arg-type]


CASES: dict[str, tuple[Kueue, Queue]] = {
    "Kueue says why it waits": (Kueue(ACTIVE, WAITS), Queue("Found", "gpus", FULL)),
    "Kueue has not looked at the Job yet": (Kueue(ACTIVE), Queue("Found", "gpus")),
    "Kueue has not looked at the queue yet": (Kueue(local_queue(), conditions()), Queue("Found", "gpus")),
    "it has its quota": (Kueue(ACTIVE, conditions(("QuotaReserved", "True", "QuotaReserved", "Quota reserved"))), Queue("Found", "gpus")),
    "no right to read what Kueue says": (Kueue(ACTIVE, NotPermitted("workloads is forbidden")), Queue("Found", "gpus")),
    "no right to read queues": (Kueue(NotPermitted("localqueues is forbidden")), Queue("NotKnown")),
    "no such queue": (Kueue(), Queue("Missing")),
    "no Kueue": (Kueue(None, None, "v1"), Queue("NoKueue")),
    "a Kueue before 0.15": (Kueue(ACTIVE, WAITS, "v1beta1"), Queue("Found", "gpus", FULL)),
    "a Kueue that no longer serves the older version": (Kueue(ACTIVE, WAITS, "v1beta2"), Queue("Found", "gpus", FULL)),
    "the queue is stopped": (Kueue(local_queue(("Active", "False", "Stopped", "LocalQueue is stopped"))), Queue("Stopped", "gpus")),
    "its ClusterQueue is not there": (Kueue(local_queue(("Active", "False", "ClusterQueueDoesNotExist", "Can't submit"))), Queue("NoClusterQueue", "gpus")),
    "its ClusterQueue is not active": (Kueue(local_queue(("Active", "False", "ClusterQueueIsInactive", "Can't submit"))), Queue("Inactive", "gpus")),
    "a reason of a Kueue to come": (Kueue(local_queue(("Active", "False", "Unheard", "of"))), Queue("Inactive", "gpus")),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_known_of_it(name: str) -> None:
    kueue, queue = CASES[name]
    assert looked(kueue) == queue


def test_what_kueue_says_is_found_by_the_jobs_uid_in_the_version_of_the_queue() -> None:
    kueue = Kueue(ACTIVE, WAITS, "v1beta1")
    looked(kueue)
    newer, older = LOCAL_QUEUES.version, OLDER_LOCAL_QUEUES.version
    assert kueue.calls == [f"get {newer} ct/radiology", f"get {older} ct/radiology", f"list {older} ct kueue.x-k8s.io/job-uid=uid-1"]


def test_who_names_the_queue_hears_when_it_is_in_another_state() -> None:
    kueue, now, heard = Kueue(ACTIVE), [T0], []
    queues = Queues(kube=kueue, clock=lambda: now[0], changed=lambda *place: heard.append(place))  # type: ignore[arg-type]

    async def ask() -> None:
        await queues.look("ct", "radiology", "uid-1")
        now[0] += KEPT
        await queues.state("ct", "radiology")
        kueue.queue = None
        await queues.state("ct", "radiology")
        assert len(heard) == 1, "what is known is kept for a while, and the same again is no news"
        now[0] += KEPT
        await queues.look("ct", "radiology", "uid-1")

    asyncio.run(ask())
    assert heard == [("ct", "radiology")] * 2


def test_a_thousand_runs_ask_once_for_their_queue() -> None:
    kueue, now = Kueue(ACTIVE), [T0]
    queues = Queues(kube=kueue, clock=lambda: now[0])  # type: ignore[arg-type]

    async def ask() -> None:
        for number in range(1000):
            await queues.look("ct", "radiology", f"uid-{number}")
        now[0] += KEPT
        await queues.look("ct", "radiology", "uid-1")

    asyncio.run(ask())
    assert sum(call.startswith("get") for call in kueue.calls) == 2
    assert timedelta(minutes=1) > KEPT, "a Run whose queue is missing looks again after a minute, and must not be told what was known before"
