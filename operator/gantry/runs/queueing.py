"""How a Run's Job goes through a queue of Kueue (https://kueue.sigs.k8s.io/docs/tasks/run/jobs/). Pure.

The Job is made suspended, with the queue's name as a label. Kueue admits it: it writes the flavour's node selector and tolerations into the Job and
takes `suspend` away. Kueue puts it out by `suspend` again: the Job controller deletes the pod, and later there is another. Gantry never writes to a
Job once it is made, so what Kueue puts in stays; and being put out is no failure of the Run's.

A Job that names no queue may be in one all the same: Kueue gives every such Job of a namespace to the LocalQueue called `default`, if there is one
(KEP-2936), so what counts is the Job's label.
"""

from datetime import timedelta
from typing import Any

from gantry.api import RunReason
from gantry.api.run import RunSpec

from . import status as words
from .actions import FindQueue, Plan
from .names import QUEUE, QUEUE_CLASS
from .observed import Observed, Queue
from .view import PodView

MISSING = timedelta(minutes=1)
"""Until a queue that is missing or stopped is looked at again: no watch tells of it."""
SOONEST, LATEST = timedelta(seconds=15), timedelta(minutes=10)
"""Between two looks at what Kueue says: half of the time it has waited, within these. A Run that waits for a night costs some 70 small requests,
1,000 of them less than two a second."""


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
    again = None if seen.queue.state == "NotKnown" else min(max(SOONEST, (seen.now - job.created) / 2), LATEST)
    return Plan(status=words.executing(seen, "Queued", RunReason.QUEUED, message), again_after=again)


def _trouble(seen: Observed, name: str, queue: Queue) -> tuple[RunReason, str] | None:
    """What somebody must mend before the queue admits anything."""
    match queue.state:
        case "Missing":
            missing = f"no LocalQueue {name} in namespace {seen.run.namespace} (scheduling.queueName)"
            return RunReason.QUEUE_MISSING, f"{missing}: make it, and the Run goes on, or name one that is there and make a new Run"
        case "NoKueue":
            missing = f"scheduling.queueName is {name} and the cluster has no Kueue"
            return RunReason.QUEUE_MISSING, f"{missing}; install it, or make a new Run of a pipeline without queueName"
        case "Stopped":
            return RunReason.QUEUE_STOPPED, f"LocalQueue {name} is stopped; it admits Runs again when its spec.stopPolicy is None"
        case "NoClusterQueue":
            missing = f"LocalQueue {name} belongs to ClusterQueue {queue.cluster_queue}, which does not exist"
            return RunReason.QUEUE_STOPPED, f"{missing}: make it, and the Run goes on"
        case "Inactive":
            closed = f"ClusterQueue {queue.cluster_queue} of queue {name} admits nothing"
            look = f"`kubectl describe clusterqueue {queue.cluster_queue}`"
            return RunReason.QUEUE_STOPPED, f"{closed}: it is stopped, or a flavor or check it names is missing; {look} says which"
        case "Found" | "NotKnown":
            return None
