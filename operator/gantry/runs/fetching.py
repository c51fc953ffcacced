"""Whether a Run has one of its bridge's places for fetching (limits.concurrentFetches).

Pure. It has one from its Job on until its fetch container has ended. A pod that cannot start yet fetches nothing, and a shortage of GPUs for one
pipeline must not keep all others from their images: it gives the place back, and takes one again, be it one too many, when its fetch begins.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from .view import JobView, PodView

NOTHING = timedelta()
ENDLESS = timedelta.max
STARTS_WITHIN = timedelta(minutes=1)
"""From the Job, or the pod, to the start of fetch: seconds, or a minute where the worker's image must come first. Who takes longer waits for
something that no state tells: a quota that lets no pod be made, a volume that is not there."""


def holds_for(job: JobView | None, pods: Iterable[PodView], now: datetime) -> timedelta:
    """How long the place is the Run's: nothing, until a moment that the clock tells, or ENDLESS, until its pod tells more."""
    if job is None or job.ended or job.deleting or job.suspended:
        return NOTHING
    pod = max((pod for pod in pods if pod.job_uid == job.uid), key=lambda pod: (pod.created, pod.version), default=None)
    if pod is None:
        return max(NOTHING, job.created + STARTS_WITHIN - now)
    fetch = pod.container("fetch")
    if pod.over or fetch.ended:
        return NOTHING
    if fetch.state == "running":
        return ENDLESS
    if pod.unschedulable or pod.trouble:
        return NOTHING
    return max(NOTHING, pod.created + STARTS_WITHIN - now)
