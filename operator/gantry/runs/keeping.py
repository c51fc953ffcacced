"""How long a finished Run's Job is kept, and when the Run needs something again. Pure."""

from datetime import datetime, timedelta

from . import status as words
from .observed import Observed


def finished_due(seen: Observed) -> datetime | None:
    """When a finished Run needs something again: its Job deleted, or itself. None while it is unfinished."""
    done = seen.run.completed
    if not seen.run.finished or done is None:
        return None
    return min(done + seen.ttl, done + keep(seen)) if seen.own_job is not None else done + seen.ttl


def keep(seen: Observed) -> timedelta:
    """For its logs, unless it works for nobody."""
    if seen.run.state in words.ENDED_FROM_OUTSIDE.values() or works_for_nobody(seen):
        return seen.limits.keep_ended_job
    return seen.limits.keep_job if seen.run.state == "Succeeded" else seen.limits.keep_failed_job


def works_for_nobody(seen: Observed) -> bool:
    """A finished Run's Job that would go on: of an operator that had not heard of the end (the Run's status names none, or another); held by a queue;
    or its pod is kept at work by what was put into it (a mesh's proxy). That its controller has not said yet that it ended is none of these: with a
    control plane that is behind it says so minutes later."""
    job = seen.own_job
    if job is None or job.ended:
        return False
    return job.uid != seen.run.job or job.suspended or any(not pod.over for pod in seen.own_pods)
