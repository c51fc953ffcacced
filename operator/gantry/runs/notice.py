"""The report that a Run failed (report.onFailure NotPerformed): whether there is to be one, and what its Job needs next.

Pure. The failure is written into the status first and stays the Run's, whatever becomes of the report (unless the analysis proves to have published
before this began); then a Job of one container makes the SR.
Nothing is remembered of that Job: it makes the same bytes under the same UIDs, so one that is gone is made again until its time is over.
Before a failure is told that late images may have caused, a newer Run is waited for: its report must not be preceded by one that denies it.
It must not deliver: `plan` does, as it does every report.
"""

from datetime import datetime, timedelta

from gantry.api import RunReason, parse_timestamp
from gantry.api.run import Failure, RunStatus

from . import status as words
from .actions import Action, CreateNotice, DeleteJob, LookUp, Plan
from .failure import PUBLISH, failure_of, success_of
from .names import notice_name
from .observed import Observed

NOTHING_TO_TELL = frozenset({RunReason.CANCELLED, RunReason.SUPERSEDED, RunReason.STUDY_GONE, RunReason.DELIVERY_FAILED})
"""Ends from outside; no study to put a report into; a report is in Orthanc."""
OVERTAKEN = frozenset({RunReason.INPUT_MISMATCH, RunReason.FETCH_FAILED})
"""What images that come, or go, under a Run lead to; the newer set of images gets a Run of its own."""
AGAIN = timedelta(seconds=2)


def wanted(seen: Observed, failure: Failure) -> bool:
    """Whether a report is to say that the analysis was not performed. Of a shadow Run nobody waits for one."""
    asked = not seen.run.shadow and seen.run.parsed.template.report.on_failure == "NotPerformed"
    return asked and failure.reason not in NOTHING_TO_TELL and not (seen.newer and _may_be_overtaken(seen, failure))


def under_way(seen: Observed) -> bool:
    """The failure is written down, the Run has not ended yet."""
    return seen.run.failing


def told(seen: Observed) -> RunStatus | None:
    """The status with the report, once its Job has left a receipt."""
    receipt = next((receipt for pod in reversed(seen.notice_pods) if (receipt := success_of(pod))), None)
    return words.told(seen, receipt) if receipt else None


def end(seen: Observed) -> tuple[Action, ...]:
    """Ends the Job, if there is one under way."""
    job = seen.own_notice
    return (DeleteJob(job.name, job.uid),) if job is not None and not job.ended else ()


def next_step(seen: Observed) -> Plan:
    """Makes the Job, waits for it, or gives up: the Run ends with the failure it had."""
    job, left = seen.own_notice, _left(seen)
    if job is not None and job.ended and not seen.notice_pods and not seen.looked:
        return Plan(actions=(LookUp(),))
    if job is None and (waits := _patience_left(seen)) is not None:
        if seen.newer:
            return Plan(status=words.failed_and_untold(seen, f"Run {seen.newer} of the same pipeline and study is newer, and reports instead"))
        if waits > timedelta():
            return Plan(again_after=waits)
    if why := _hopeless(seen, left):
        return Plan(end(seen), words.failed_and_untold(seen, why))
    if seen.run.status is None or seen.run.status.failure is None or job is not None or seen.bridge is None:
        return Plan(again_after=left)
    if seen.notice is not None:
        return Plan(again_after=min(left, AGAIN))  # of an earlier Run of this name; it is being removed
    if _may_still_publish(seen):
        return Plan(again_after=min(left, AGAIN))
    return Plan((CreateNotice(RunReason(seen.run.status.failure.reason)),), again_after=left)


def waits_for_newer(seen: Observed, failure: Failure) -> timedelta:
    """How long a newer Run is waited for from the failure on; nothing where none can be meant."""
    return seen.limits.newer_run if _may_be_overtaken(seen, failure) else timedelta()


def _may_be_overtaken(seen: Observed, failure: Failure) -> bool:
    """A Run made by hand is nobody's: nothing follows it."""
    return failure.reason in OVERTAKEN and seen.run.pipeline is not None


def _patience_left(seen: Observed) -> timedelta | None:
    """How long a newer Run is still waited for; None when that could not be."""
    failure = seen.run.status.failure if seen.run.status else None
    if failure is None or not _may_be_overtaken(seen, failure):
        return None
    return _since(seen) + seen.limits.newer_run - seen.now


def _left(seen: Observed) -> timedelta:
    failure = seen.run.status.failure if seen.run.status else None
    patience = waits_for_newer(seen, failure) if failure else timedelta()
    return _since(seen) + patience + seen.limits.notice - seen.now


def _since(seen: Observed) -> datetime:
    """When the failure was written down."""
    begun = words.condition(seen.run.status, "Reported")
    return parse_timestamp(begun.last_transition_time) if begun else seen.now


def _may_still_publish(seen: Observed) -> bool:
    """A pod of the failed Job is being ended: what it leaves in Orthanc must not come after the report that there is nothing."""
    at_work = any(not pod.over and pod.container(PUBLISH).state == "running" for pod in seen.own_pods)
    return at_work and seen.now < _since(seen) + seen.limits.ending


def _hopeless(seen: Observed, left: timedelta) -> str:
    """Why there will be no report; empty while there may be one."""
    job, pod = seen.own_notice, seen.notice_pods[-1] if seen.notice_pods else None
    failure = failure_of(pod, seen.run) if pod else None
    if seen.refusal is not None:
        return f"the API server refuses the Job: {seen.refusal}"
    if job is not None and job.ended and (pod is None or pod.over):
        return failure.message if failure else f"Job {job.name} ended ({job.ended}: {job.reason}) and its pod is gone"
    if left > timedelta():
        return ""
    if job is None:
        return f"no Job could be made for {seen.limits.notice}" + ("" if seen.bridge else f": there is no OrthancBridge {seen.run.bridge}")
    waits = f": {pod.trouble or pod.unschedulable}" if pod and (pod.trouble or pod.unschedulable) else ""
    return f"Job {notice_name(seen.run.name)} was not done after {seen.limits.notice}{waits}"
