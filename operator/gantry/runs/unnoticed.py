"""A step that was killed before its launcher had locked the barrier: publish would wait for it until the Run's timeout. Pure.

So ends a container whose memory limit is too small for anything, and one that is killed in its first milliseconds. Whoever sees the container's
state knows, which publish does not; so its pod is deleted, and the Job makes another while retries are left (docs/decisions/2026-11-28-unnoticed.md).
"""

from dataclasses import replace
from datetime import timedelta

from . import status as words
from .actions import DeletePod, LookUp, Plan
from .attempts import failed_attempts, retries, told
from .ending import fail
from .failure import FETCH, PUBLISH, SKIPPED, failure_of, never_started
from .observed import Observed


def step_ended_unnoticed(seen: Observed) -> Plan | None:
    """It ended badly and publish is at work still, for longer than that could take: the pod is deleted, or the Run fails."""
    left, pod = unnoticed_for(seen), seen.pod
    if left is None or pod is None or left > timedelta():
        return None
    failure = failure_of(replace(pod, phase="Failed"), seen.run)  # as if it were over: by the step's state alone
    if failure is None:
        return None
    if not seen.looked and not pod.deleting:
        return Plan(actions=(LookUp(),))  # a watch may be late: it may have published and ended meanwhile
    number = failed_attempts(seen) + 1
    if number > retries(seen):
        return fail(seen, failure, end_job=True)
    # The Job counts a pod that was deleted once it has ended, as Failed: backoffLimit bounds how often, whatever is known here.
    message = f"{told(seen, number, failure)}; its pod is deleted, so that the Job makes another"
    actions = () if pod.deleting else (DeletePod(pod.name, pod.uid, pod.version),)
    return Plan(actions, words.executing(seen, "Queued", failure.reason, message))


def unnoticed_for(seen: Observed) -> timedelta | None:
    """How long publish may still take to notice; None: there is nothing to be noticed. Mostly it ends a moment later, with words that say more."""
    pod, job = seen.pod, seen.own_job
    if pod is None or job is None or job.ended or pod.over or never_started(pod) or pod.container(PUBLISH).state != "running":
        return None
    steps = (c for c in pod.containers if c.name not in (FETCH, PUBLISH) and c.ended and c.exit_code not in (0, None, SKIPPED))
    ends = [c.finished for c in steps if c.finished]
    return max(filter(None, (min(ends), pod.container(PUBLISH).started))) + seen.limits.unnoticed - seen.now if ends else None
