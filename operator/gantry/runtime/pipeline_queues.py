"""Whether the queue of Kueue that a pipeline names admits its Runs: the condition QueueReady of the pipeline.

The LocalQueue is read by name when the pipeline changes, now and then later, and when a Run of the queue has found it otherwise. No Run waits here.
"""

from collections.abc import Callable

from gantry.api import PipelineReason
from gantry.kube import KubeError
from gantry.runs import QueueReady, queue_ready

from .queues import Queues
from .records import Key, PipelineRecord
from .store import Store

WORKERS = 1
WHILE_CLOSED, LATER = 60.0, 600.0
"""Seconds until the next look: while it admits nothing somebody mends it, and a Run in it looks as often; else a stop is told within ten minutes, or
at once by a Run that waits in it. A look is one small GET a queue, however many pipelines name it."""
LONGEST = 60.0
"""Seconds at most between two tries while the API server is away."""
NOT_YET = QueueReady("Unknown", PipelineReason.QUEUE_NOT_READ, "not looked at yet")


class PipelineQueues:
    """Of all pipelines."""

    def __init__(
        self, *, store: Store, queues: Queues, changed: Callable[[Key], None], wake_after: Callable[[Key, float], None]
    ) -> None:
        """`changed` is told of a pipeline of whose queue something else is known now; `wake_after`: look again then."""
        self._store, self._queues, self._changed, self._wake_after = store, queues, changed, wake_after
        self._seen: dict[Key, tuple[str, str, QueueReady]] = {}

    def of(self, key: Key, record: PipelineRecord) -> QueueReady | None:
        """Never waits: what is in memory, else what the status says. None: it names no queue."""
        name = record.spec.template.scheduling.queue_name
        if name is None:
            return None
        seen = self._seen.get(key)
        if seen is not None and seen[:2] == (record.uid, name):
            return seen[2]
        before = next((one for one in (record.status.conditions if record.status else None) or () if one.type == "QueueReady"), None)
        if before is None or before.observed_generation != record.generation or before.reason not in list(PipelineReason):
            return NOT_YET
        return QueueReady(before.status, PipelineReason(before.reason), before.message)

    async def reconcile(self, key: Key) -> None:
        """One look at the queue of a pipeline. Raises KubeError when the API server does not answer."""
        record = self._store.pipelines.get(key)
        name = record.spec.template.scheduling.queue_name if record else None
        if record is None or name is None:
            self._seen.pop(key, None)
            return
        told = queue_ready(key.namespace, name, await self._queues.state(key.namespace, name))
        before = self.of(key, record)
        self._seen[key] = record.uid, name, told
        self._wake_after(key, WHILE_CLOSED if told.holds == "False" else LATER)
        if told != before:
            self._changed(key)

    def naming(self, namespace: str, queue: str) -> list[Key]:
        """Pipelines whose Runs go through a queue."""
        pipelines = self._store.pipelines.items()
        return [key for key, one in pipelines if key.namespace == namespace and one.spec.template.scheduling.queue_name == queue]


def expected(error: Exception) -> bool:
    """The API server is away; no stack trace tells more."""
    return isinstance(error, KubeError)
