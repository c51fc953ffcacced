"""How a Run's Job goes through a queue of Kueue (https://kueue.sigs.k8s.io/docs/tasks/run/jobs/). Pure.

The Job is made suspended, with the queue's name as a label. Kueue admits it: it writes the flavour's node selector and tolerations into the Job and
takes `suspend` away. Kueue puts it out by `suspend` again: the Job controller deletes the pod, and later there is another. Gantry never writes to a
Job once it is made, so what Kueue puts in stays; and being put out is no failure of the Run's.

A Job that names no queue may be in one all the same: Kueue gives every such Job of a namespace to the LocalQueue called `default`, if there is one
(KEP-2936), so what counts is the Job's label.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from gantry.api import PipelineReason, RunReason
from gantry.api.run import RunSpec

from . import status as words
from .actions import FindQueue, Plan
from .names import QUEUE, QUEUE_CLASS
from .observed import Observed, Queue
from .view import PodView

MISSING = timedelta(minutes=1)
"""Until a queue that is missing or stopped is looked at again: no watch tells of it."""
SOONEST, LATEST, MOST = timedelta(seconds=15), timedelta(minutes=1), timedelta(minutes=10)
"""Between two looks at what Kueue says: half of the time it has waited, so that its words are a minute old at most. With more Runs that wait it is
EACH longer for every one of them, ten minutes at most."""
EACH = timedelta(seconds=0.5)
"""All Runs that wait ask twice a second together, whatever their number."""


@dataclass(frozen=True, slots=True)
class QueueReady:
    """What the condition QueueReady of a pipeline says."""

    holds: Literal["True", "False", "Unknown"]
    reason: PipelineReason
    message: str


def queue_labels(spec: RunSpec) -> dict[str, str]:
    """Of the Job alone, not of its pods. The class is the one the Run has now: it may have been raised while it waited."""
    scheduling = spec.template.scheduling
    if scheduling.queue_name is None:
        return {}
    classes = scheduling.queue_class_names.model_dump(by_alias=True) if scheduling.queue_class_names else {}
    chosen = classes.get(spec.priority)
    return {QUEUE: scheduling.queue_name, **({QUEUE_CLASS: chosen} if chosen else {})}


def suspended(spec: RunSpec) -> dict[str, Any]:
    """From the start: Kueue's webhook would do it, but a Job that is made while that is away must not slip past its quota."""
    return {"suspend": True} if spec.template.scheduling.queue_name else {}


def queue_of(seen: Observed) -> str | None:
    """The LocalQueue the Job is in, or is to be in."""
    return (seen.own_job.queue if seen.own_job else "") or seen.run.parsed.template.scheduling.queue_name


def put_out_by_queue(seen: Observed, pod: PodView) -> bool:
    """Whether the pod ends because it was deleted: with a queue that is an eviction, whatever code its containers ended with. The Job controller
    does not count it either: it takes its finalizer off before it deletes (deleteJobPods in pkg/controller/job)."""
    return pod.deleting and queue_of(seen) is not None


def waits_for_admission(seen: Observed) -> Plan | None:
    """The Job is suspended: not admitted yet, or put out. Whatever its pods ended with meanwhile is not their fault."""
    job, name = seen.own_job, queue_of(seen)
    if job is None or not job.suspended or job.ended:
        return None
    if name is None:
        message = f"Job {job.name} is suspended (spec.suspend) by something outside of Gantry; it goes on when that takes it away"
        return Plan(status=words.executing(seen, "Queued", RunReason.QUEUED, message))
    if seen.queue is None:
        return Plan(actions=(FindQueue(name, job.uid),))
    before = bool(seen.own_pods or (seen.run.status and seen.run.status.attempts))
    if (trouble := _trouble(seen, name, seen.queue)) is not None:
        reason, message = trouble
        told = f"put out by queue {name}; {message}" if before else message
        return Plan(status=words.executing(seen, "Queued", reason, told), again_after=MISSING)
    waits = f"put out by queue {name}; waits for admission by queue {name} again" if before else f"waits for admission by queue {name}"
    message = f"{waits}: {seen.queue.says}" if seen.queue.says else waits
    again = None if seen.queue.state == "NotKnown" else min(max(SOONEST, (seen.now - job.created) / 2), _at_most(seen.queue.queued))
    return Plan(status=words.executing(seen, "Queued", RunReason.QUEUED, message), again_after=again)


def _at_most(queued: int) -> timedelta:
    return min(max(LATEST, queued * EACH), MOST)


def queue_ready(namespace: str, name: str, queue: Queue) -> QueueReady:
    """What the pipeline that names the queue is told of it."""
    if queue.state == "NotKnown":
        rights = "the operator may not read LocalQueues: set kueue.enabled of the chart"
        return QueueReady("Unknown", PipelineReason.QUEUE_NOT_READ, f"{rights}; Runs go through queue {name} all the same")
    if (wrong := _wrong(namespace, name, queue)) is None:
        return QueueReady("True", PipelineReason.QUEUE_ADMITS, f"LocalQueue {name} admits Jobs into ClusterQueue {queue.cluster_queue}")
    mend = {"Missing": "make it, or name one that is there", "NoKueue": "install it, or take queueName out"}.get(queue.state, wrong.mend)
    return QueueReady("False", PipelineReason(wrong.reason), f"{wrong.what}: {mend}; until then Runs are made and wait")


def _trouble(seen: Observed, name: str, queue: Queue) -> tuple[RunReason, str] | None:
    """What somebody must mend before the queue admits anything."""
    wrong = _wrong(seen.run.namespace, name, queue)
    if wrong is None:
        return None
    goes_on = {
        "Missing": "make it, and the Run goes on, or name one that is there and make a new Run",
        "NoKueue": "install it, or make a new Run of a pipeline without queueName",
        "NoClusterQueue": "make it, and the Run goes on",
    }
    return wrong.reason, f"{wrong.what}: {goes_on.get(queue.state, wrong.mend)}"


@dataclass(frozen=True, slots=True)
class _Wrong:
    reason: RunReason
    what: str
    mend: str = "make it"


def _wrong(namespace: str, name: str, queue: Queue) -> _Wrong | None:
    match queue.state:
        case "Missing":
            return _Wrong(RunReason.QUEUE_MISSING, f"no LocalQueue {name} in namespace {namespace} (scheduling.queueName)")
        case "NoKueue":
            return _Wrong(RunReason.QUEUE_MISSING, f"scheduling.queueName is {name} and the cluster has no Kueue")
        case "Stopped":
            return _Wrong(RunReason.QUEUE_STOPPED, f"LocalQueue {name} is stopped", "it admits Runs again when its spec.stopPolicy is None")
        case "NoClusterQueue":
            return _Wrong(RunReason.QUEUE_STOPPED, f"LocalQueue {name} belongs to ClusterQueue {queue.cluster_queue}, which does not exist")
        case "Inactive":
            closed = f"ClusterQueue {queue.cluster_queue} of queue {name} admits nothing"
            look = f"`kubectl describe clusterqueue {queue.cluster_queue}` says which"
            return _Wrong(RunReason.QUEUE_STOPPED, closed, f"it is stopped, or a flavor or check it names is missing; {look}")
        case "Found" | "NotKnown":
            return None
