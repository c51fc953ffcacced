"""How a Run's Job goes through a queue of Kueue (https://kueue.sigs.k8s.io/docs/tasks/run/jobs/). Pure.

The Job is made suspended, with the queue's name as a label. Kueue admits it: it writes the flavour's node selector and tolerations into the Job and
takes `suspend` away. Kueue puts it out by `suspend` again: the Job controller deletes the pod, and later there is another. Gantry never writes to a
Job once it is made, so what Kueue puts in stays; and being put out is no failure of the Run's.
"""

from datetime import timedelta
from typing import Any

from gantry.api import RunReason
from gantry.api.run import RunSpec

from . import status as words
from .actions import FindQueue, Plan
from .observed import Observed
from .view import PodView

QUEUE = "kueue.x-k8s.io/queue-name"
CLASS = "kueue.x-k8s.io/priority-class"
"""Labels of Kueue on a Job: the LocalQueue and the WorkloadPriorityClass."""
MISSING = timedelta(minutes=1)
"""Until a queue that is missing is looked for again: no watch tells of it."""


def queue_labels(spec: RunSpec) -> dict[str, str]:
    """Of the Job alone, not of its pods. The class is the one the Run has now: it may have been raised while it waited."""
    scheduling = spec.template.scheduling
    if scheduling.queue_name is None:
        return {}
    classes = scheduling.queue_class_names.model_dump(by_alias=True) if scheduling.queue_class_names else {}
    chosen = classes.get(spec.priority)
    return {QUEUE: scheduling.queue_name, **({CLASS: chosen} if chosen else {})}


def suspended(spec: RunSpec) -> dict[str, Any]:
    """From the start: Kueue's webhook would do it, but a Job that is made while that is away must not slip past its quota."""
    return {"suspend": True} if spec.template.scheduling.queue_name else {}


def queue_of(seen: Observed) -> str | None:
    """The LocalQueue the Run names."""
    return seen.run.parsed.template.scheduling.queue_name


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
        return Plan(actions=(FindQueue(name),))
    if seen.queue == "Missing":
        missing = f"no LocalQueue {name} in namespace {seen.run.namespace} (scheduling.queueName)"
        message = f"{missing}: make it, and the Run goes on, or name one that is there and make a new Run"
        return Plan(status=words.executing(seen, "Queued", RunReason.QUEUE_MISSING, message), again_after=MISSING)
    if seen.queue == "NoKueue":
        message = f"scheduling.queueName is {name} and the cluster has no Kueue; install it, or make a new Run of a pipeline without queueName"
        return Plan(status=words.executing(seen, "Queued", RunReason.QUEUE_MISSING, message), again_after=MISSING)
    before = seen.run.status.attempts if seen.run.status else None
    waits = f"waits for admission by queue {name}"
    message = f"put out by queue {name}; {waits} again" if before or seen.own_pods else waits
    return Plan(status=words.executing(seen, "Queued", RunReason.QUEUED, message))
