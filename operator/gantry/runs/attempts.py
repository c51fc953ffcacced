"""How an attempt that failed goes on: the Job makes another pod, or the Run fails with the attempt's reason. Pure.

The Job controller counts by itself, by pods; what it cannot see is counted here. It must not decide why an attempt failed: `failure` does.
"""

from datetime import timedelta

from gantry.api import RunReason
from gantry.api.run import Failure

from . import status as words
from .actions import Plan
from .ending import fail
from .failure import died_unnoticed, ended_but_for_others, failure_of, is_permanent, never_started
from .observed import Observed
from .queueing import put_out_by_queue
from .view import PodView


def attempt_failed(seen: Observed) -> Plan | None:
    """The newest attempt failed: for good, or the Job makes another."""
    pod, job = seen.pod, seen.own_job
    failure = failure_of(pod, seen.run) if pod else None
    if pod is None or job is None or failure is None:
        return None
    if _put_out(seen, pod) and not job.ended:
        return Plan(status=words.executing(seen, "Queued", RunReason.QUEUED, "the queue had put the Run out and has admitted it again"))
    if pod.disrupted and pod.reason != "Evicted" and not job.ended:
        # Preempted or drained: not the Run's fault, not counted (podFailurePolicy: Ignore), as often as it takes.
        return Plan(status=words.executing(seen, "Queued", failure.reason, f"{failure.message}; the Job makes another pod"))
    count = failed_attempts(seen)
    if not pod.over and not job.ended and (own := ended_but_for_others(pod, seen.run)) is not None:
        left = own + seen.limits.ending - seen.now  # the Job waits for the pod, and the pod for what was put into it
        return fail(seen, failure, end_job=True) if left <= timedelta() else Plan(again_after=left)
    # A pod that succeeded without a receipt: the Job is complete, and makes no other.
    late = failure.reason == RunReason.DEADLINE_EXCEEDED  # another attempt would take as long
    if job.ended or pod.phase == "Succeeded" or is_permanent(pod) or never_started(pod) or late or count > retries(seen):
        # The Job does not know by itself that it is over: publish waits for a step that never starts; evictions are not counted by it.
        return fail(seen, failure, end_job=not job.ended and (never_started(pod) or late or bool(pod.disrupted)))
    return Plan(status=words.executing(seen, "Queued", failure.reason, told(seen, count, failure)))


def failed_attempts(seen: Observed) -> int:
    """Those that count against the retries: by the Job's word, which outlasts its pods, or by the pods that are there, which it may not know yet."""
    job = seen.own_job
    pods = [pod for pod in seen.own_pods if failure_of(pod, seen.run) and not (pod.disrupted and pod.reason != "Evicted")]
    return max(job.failed if job else 0, sum(not _put_out(seen, pod) for pod in pods))


def retries(seen: Observed) -> int:
    """As the template has them."""
    return seen.run.parsed.template.retries


def told(seen: Observed, number: int, failure: Failure) -> str:
    """What is said of an attempt while there is another."""
    return f"attempt {number} of {retries(seen) + 1} failed: {failure.message}"


def _put_out(seen: Observed, pod: PodView) -> bool:
    """By its queue, and not by us because a step had died (`unnoticed`)."""
    return put_out_by_queue(seen, pod) and died_unnoticed(pod) is None
