"""What Kueue has to say of a Run that waits: whether its LocalQueue exists and admits, and why its Job is not admitted yet.

A LocalQueue is read by name and the answer kept for a while: thousands of Runs may wait in the same queue. What Kueue says of a Job is in its
Workload, found by the label that Kueue documents for that, and read for one Run at a time. No watch: Kueue is not in every cluster, and a right to
its kinds is optional (chart: kueue.enabled).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from gantry.kube import LOCAL_QUEUES, OLDER_LOCAL_QUEUES, OLDER_WORKLOADS, WORKLOADS, Kube, NotFound, NotPermitted, Rejected, Resource
from gantry.runs import Queue, QueueState

KEPT = timedelta(seconds=30)
"""A queue that has just been made is seen by the next look, which a Run whose queue is missing takes after a minute."""
JOB_UID = "kueue.x-k8s.io/job-uid"
"""Label of a Workload: the uid of the Job it was made for (https://kueue.sigs.k8s.io/docs/tasks/troubleshooting/troubleshooting_jobs/)."""
VERSIONS: tuple[tuple[Resource, Resource], ...] = ((LOCAL_QUEUES, WORKLOADS), (OLDER_LOCAL_QUEUES, OLDER_WORKLOADS))
INACTIVE: Mapping[str, QueueState] = {"Stopped": "Stopped", "ClusterQueueDoesNotExist": "NoClusterQueue"}
"""Reasons of a LocalQueue's condition Active, when it is False (pkg/controller/core/localqueue_controller.go); any other is its ClusterQueue's."""

Object = Mapping[str, Any]


class Queues:
    """`look` at one, for a Run in it, or its `state`."""

    def __init__(self, *, kube: Kube, clock: Callable[[], datetime], changed: Callable[[str, str], None] = lambda namespace, name: None) -> None:
        """`changed` is told of namespace and name of a queue that was found in another state than before."""
        self._changed = changed
        self._kube, self._clock = kube, clock
        self._known: dict[tuple[str, str], tuple[datetime, Queue, Resource]] = {}

    async def look(self, namespace: str, name: str, job: str) -> Queue:
        """`job` is the uid of the Run's. Raises KubeError when the API server does not answer."""
        queue, workloads = await self._look(namespace, name)
        return replace(queue, says=await self._says(workloads, namespace, job)) if queue.state == "Found" else queue

    async def state(self, namespace: str, name: str) -> Queue:
        """Of the queue alone. Raises KubeError when the API server does not answer."""
        return (await self._look(namespace, name))[0]

    async def _look(self, namespace: str, name: str) -> tuple[Queue, Resource]:
        now, place = self._clock(), (namespace, name)
        before = self._known.get(place)
        if before is not None and now - before[0] < KEPT:
            return before[1:]
        queue, workloads = await self._ask(namespace, name)
        self._known[place] = now, queue, workloads
        if before is None or before[1] != queue:
            self._changed(namespace, name)
        return queue, workloads

    async def _ask(self, namespace: str, name: str) -> tuple[Queue, Resource]:
        for local_queues, workloads in VERSIONS:
            try:
                return _seen(await self._kube.get(local_queues, namespace, name)), workloads
            except NotFound as missing:
                if missing.of_object:
                    return Queue("Missing"), workloads
            except (NotPermitted, Rejected):  # some authorizers refuse in words of their own
                return Queue("NotKnown"), workloads
        return Queue("NoKueue"), WORKLOADS

    async def _says(self, workloads: Resource, namespace: str, job: str) -> str:
        """Empty while Kueue has said nothing, and where a Role of an older chart has no right to it."""
        try:
            found = [one async for page in self._kube.pages(workloads, namespace, selector=f"{JOB_UID}={job}") for one in page]
        except (NotPermitted, Rejected, NotFound):
            return ""
        reserved = (_condition(one, "QuotaReserved") for one in found)
        return next((said["message"] for said in reserved if said and said["status"] == "False" and said.get("message")), "")


def _seen(queue: Object) -> Queue:
    active = _condition(queue, "Active")
    name = (queue.get("spec") or {}).get("clusterQueue", "")
    if active is None or active["status"] != "False":
        return Queue("Found", cluster_queue=name)
    return Queue(INACTIVE.get(active.get("reason", ""), "Inactive"), cluster_queue=name)


def _condition(one: Object, kind: str) -> Object | None:
    conditions: list[Object] = (one.get("status") or {}).get("conditions") or []
    return next((said for said in conditions if said["type"] == kind), None)
