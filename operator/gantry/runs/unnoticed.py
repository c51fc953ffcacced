"""A step that was killed before its launcher had locked the barrier: publish would wait for it until the Run's timeout. Pure.

So ends a container whose memory limit is too small for anything, and one that is killed in its first milliseconds. Whoever sees the container's
state knows, which publish does not.
"""

from dataclasses import replace
from datetime import timedelta

from .actions import Plan
from .ending import fail
from .failure import FETCH, PUBLISH, failure_of, never_started
from .observed import Observed

SKIPPED = 123
"""The launcher's code for a step that an earlier one kept from running: the earlier one is the one to blame."""


def step_ended_unnoticed(seen: Observed) -> Plan | None:
    """It ended badly and publish is at work still, for longer than that could take: the Run fails."""
    left, pod = unnoticed_for(seen), seen.pod
    if left is None or pod is None or left > timedelta():
        return None
    failure = failure_of(replace(pod, phase="Failed"), seen.run)  # as if it were over: by the step's state alone
    return fail(seen, failure, end_job=True) if failure else None


def unnoticed_for(seen: Observed) -> timedelta | None:
    """How long publish may still take to notice; None: there is nothing to be noticed. Mostly it ends a moment later, with words that say more."""
    pod, job = seen.pod, seen.own_job
    if pod is None or job is None or job.ended or pod.over or never_started(pod) or pod.container(PUBLISH).state != "running":
        return None
    steps = (c for c in pod.containers if c.name not in (FETCH, PUBLISH) and c.ended and c.exit_code not in (0, None, SKIPPED))
    ends = [c.finished for c in steps if c.finished]
    return max(filter(None, (min(ends), pod.container(PUBLISH).started))) + seen.limits.unnoticed - seen.now if ends else None
