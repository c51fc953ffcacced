"""How a Run that did not succeed ends: its Job with it where that would go on, and whether its failure is reported first. Pure."""

from datetime import timedelta

from gantry.api.run import Failure

from . import notice
from . import status as words
from .actions import Action, DeleteJob, Plan
from .observed import Observed
from .view import PodView


def fail(seen: Observed, failure: Failure, *, end_job: bool = False) -> Plan:
    """The end of a Run that did not succeed, if nobody is to be told. Its Job stays for the logs, unless it would go on."""
    actions = jobs_end(seen) if end_job else ()
    if notice.wanted(seen, failure):
        return Plan(actions, words.failing(seen, failure, patience=notice.waits_for_newer(seen, failure)), again_after=timedelta())
    return Plan(actions, words.unsuccessful(seen, failure))


def troubled(seen: Observed, pod: PodView, failure: Failure, limit: timedelta) -> Plan:
    """The kubelet cannot start a container: told at once, given up after the limit."""
    left = (pod.troubled_since or seen.now) + limit - seen.now
    if left <= timedelta():
        return fail(seen, failure, end_job=True)
    return Plan(status=words.executing(seen, "Queued", failure.reason, failure.message), again_after=left)


def jobs_end(seen: Observed) -> tuple[Action, ...]:
    """Deletes the Run's Job, by the status when it is not in sight, and that of the report of its failure."""
    job = seen.own_job
    if job is not None:
        return (DeleteJob(job.name, job.uid), *notice.end(seen))
    made = seen.run.status.job_ref if seen.run.status else None
    return (*((DeleteJob(made.name, made.uid),) if made else ()), *notice.end(seen))
