"""What a pipeline says of the queue of Kueue that it names, and when it is looked at again."""

import asyncio
from typing import Any

import pytest
from tests.builders import PIPELINE, changed
from tests.builders_runs import at, told

from gantry.api import PipelineReason
from gantry.kube import PIPELINES
from gantry.runs import Queue, QueueReady, queue_ready
from gantry.runtime.pipeline_queues import LATER, NOT_YET, WHILE_CLOSED, PipelineQueues
from gantry.runtime.pipelines import Judgement, status_of
from gantry.runtime.records import Key, PipelineRecord
from gantry.runtime.store import Store
from gantry.runtime.tallies import Tally

KEY = Key("pipeline", "radiology", "chest-ct-nodules")
WAIT = "until then Runs are made and wait"
CASES: dict[str, tuple[Queue, QueueReady]] = {
    "it is there and open": (
        Queue("Found", "gpus"), QueueReady("True", PipelineReason.QUEUE_ADMITS, "LocalQueue night admits Jobs into ClusterQueue gpus"),
    ),
    "it is missing": (
        Queue("Missing"),
        QueueReady(
            "False", PipelineReason.QUEUE_MISSING,
            f"no LocalQueue night in namespace ct (scheduling.queueName): make it, or name one that is there; {WAIT}",
        ),
    ),
    "there is no Kueue": (
        Queue("NoKueue"),
        QueueReady(
            "False", PipelineReason.QUEUE_MISSING,
            f"scheduling.queueName is night and the cluster has no Kueue: install it, or take queueName out; {WAIT}",
        ),
    ),
    "it is stopped": (
        Queue("Stopped", "gpus"),
        QueueReady("False", PipelineReason.QUEUE_STOPPED, f"LocalQueue night is stopped: it admits Runs again when its spec.stopPolicy is None; {WAIT}"),
    ),
    "it leads nowhere": (
        Queue("NoClusterQueue", "gpus"),
        QueueReady("False", PipelineReason.QUEUE_STOPPED, f"LocalQueue night belongs to ClusterQueue gpus, which does not exist: make it; {WAIT}"),
    ),
    "its ClusterQueue admits nothing": (
        Queue("Inactive", "gpus"),
        QueueReady(
            "False", PipelineReason.QUEUE_STOPPED,
            "ClusterQueue gpus of queue night admits nothing: it is stopped, or a flavor or check it names is missing; "
            f"`kubectl describe clusterqueue gpus` says which; {WAIT}",
        ),
    ),
    "nobody may look": (
        Queue("NotKnown"),
        QueueReady(
            "Unknown", PipelineReason.QUEUE_NOT_READ,
            "the operator may not read LocalQueues: set kueue.enabled of the chart; Runs go through queue night all the same",
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_it_says(name: str) -> None:
    queue, want = CASES[name]
    assert queue_ready("ct", "night", queue) == want


class Looks:
    """A store with one pipeline, and queues that are in the state they are put into."""

    def __init__(self, **scheduling: Any) -> None:
        self.state_now, self.asked = Queue("Missing"), 0
        self.woken: list[float] = []
        self.changed: list[Key] = []
        self.store = Store(changed=lambda key: None, counted=lambda key: None, clock=lambda: at(0))
        self.put(scheduling)
        self.queues = self.new_process()

    def new_process(self) -> PipelineQueues:
        return PipelineQueues(
            store=self.store, queues=self, changed=self.changed.append, wake_after=lambda _, seconds: self.woken.append(seconds)  # type: ignore[arg-type]
        )

    async def state(self, namespace: str, name: str) -> Queue:
        self.asked += 1
        return self.state_now

    def put(self, scheduling: dict[str, Any], *, generation: int = 1, status: Any = None) -> PipelineRecord:
        metadata = {
            "name": KEY.name, "namespace": KEY.namespace, "uid": "p", "resourceVersion": f"{9 + generation + bool(status)}", "generation": generation,
            "creationTimestamp": told(0),
        }  # fmt: skip
        body = changed(changed(PIPELINE, "metadata", metadata), "spec.template.scheduling", scheduling)
        self.store.observe(PIPELINES.plural, {**body, **({"status": status} if status else {})})
        return self.store.pipelines[KEY]

    @property
    def record(self) -> PipelineRecord:
        return self.store.pipelines[KEY]

    def look(self) -> QueueReady | None:
        asyncio.run(self.queues.reconcile(KEY))
        return self.queues.of(KEY, self.record)


def test_a_pipeline_without_queue_says_nothing_and_asks_nobody() -> None:
    looks = Looks()
    assert looks.look() is None
    assert (looks.asked, looks.woken) == (0, [])


def test_while_the_queue_is_closed_it_is_looked_at_each_minute_then_seldom() -> None:
    looks = Looks(queueName="night")
    assert looks.queues.of(KEY, looks.record) == NOT_YET
    assert (looks.look() or NOT_YET).reason is PipelineReason.QUEUE_MISSING
    looks.state_now = Queue("Found", "gpus")
    assert (looks.look() or NOT_YET).holds == "True"
    assert looks.woken == [WHILE_CLOSED, LATER]
    assert looks.changed == [KEY, KEY], "the status is written when something else is known"
    looks.look()
    assert looks.changed == [KEY, KEY]


def test_another_queue_is_not_known_by_what_the_first_was() -> None:
    looks = Looks(queueName="night")
    looks.look()
    assert looks.queues.of(KEY, looks.put({"queueName": "day"}, generation=2)) == NOT_YET


def test_a_new_process_says_what_the_status_says_until_it_has_looked() -> None:
    looks = Looks(queueName="night")
    ready = Judgement(PipelineReason.READY, "")
    said = looks.look()
    status = status_of(looks.record, ready, Tally(), at(0), queue=said)
    (condition,) = [one for one in status.conditions or () if one.type == "QueueReady"]
    assert (condition.status, condition.reason) == ("False", "QueueMissing")
    record = looks.put({"queueName": "night"}, generation=1, status=status.model_dump(mode="json", by_alias=True, exclude_none=True))
    assert looks.new_process().of(KEY, record) == said


def test_the_pipelines_of_a_queue_are_found() -> None:
    looks = Looks(queueName="night")
    assert looks.queues.naming("radiology", "night") == [KEY]
    assert looks.queues.naming("radiology", "day") == looks.queues.naming("elsewhere", "night") == []
