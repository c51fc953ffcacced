"""When nobody has read how a Run's Job or pod ended: what is missing is looked for, and only what is nowhere is lost. Pure.

The API server is asked first (a watch may be late), then Orthanc, where publish keeps its receipt with the results (`kept`). It must not end a
pod, nor make a Job again: what was analysed once is not analysed twice.
"""

from datetime import datetime, timedelta

from gantry.api import RunReason, parse_duration, parse_timestamp

from . import status as words
from .actions import FindReceipt, LookUp, Plan
from .delivering import deliver
from .ending import fail
from .failure import PUBLISH
from .names import job_name
from .observed import Observed
from .receipt import PublishReceipt, decode_publish, failed

ASK_AGAIN = timedelta(seconds=15)


def job_is_lost(seen: Observed) -> Plan | None:
    """Made once and gone, or going: never made twice. Its pods may still be at work, or publish in their grace."""
    job = seen.own_job
    if job is not None and not job.deleting:
        return None
    if not seen.looked:
        return Plan(actions=(LookUp(),))
    if any(not pod.over for pod in seen.own_pods) and seen.now < (end := _latest_end(seen) + seen.limits.ending):
        return Plan(again_after=end - seen.now)
    message = f"Job {job_name(seen.run.name)} was deleted before its result was known; make a new Run"
    return _found_in_orthanc(seen) or fail(seen, failed(RunReason.JOB_LOST, message))


def pod_is_out_of_sight(seen: Observed) -> Plan | None:
    """The Job has ended and no pod is there to say how: late, or collected before it was read."""
    job = seen.own_job
    if job is None or not job.ended:
        return None
    if not seen.looked:
        return Plan(actions=(LookUp(),))
    if seen.pod is not None and not seen.pod.over:
        return None  # it is still ending
    end = f"{job.ended}: {job.reason}" if job.reason else job.ended
    message = f"Job {job.name} ended ({end}) and its pod is gone, so its result is not known; make a new Run"
    return _found_in_orthanc(seen) or fail(seen, failed(RunReason.JOB_LOST, message))


def pod_that_ran_is_out_of_sight(seen: Observed) -> Plan | None:
    """It may have ended well while the operator was away: what has is not read at its start. Else the Job makes another."""
    ran = seen.run.state == "Running" and seen.pod is None
    return Plan(actions=(LookUp(),)) if ran and not seen.looked else None


def receipt_is_lost(seen: Observed) -> Plan | None:
    """publish ended with 0, and the kubelet lost or cut what it told."""
    publish = seen.pod.container(PUBLISH) if seen.pod else None
    if publish is None or not publish.ended or publish.exit_code != 0 or decode_publish(publish.message) is not None:
        return None
    return _found_in_orthanc(seen)


def _found_in_orthanc(seen: Observed) -> Plan | None:
    """The way on when Orthanc has the receipt, or cannot be asked; None: it has none."""
    if seen.kept is None:
        return Plan(actions=(FindReceipt(),))
    if isinstance(seen.kept, PublishReceipt):
        return deliver(seen, words.reported(seen, seen.kept))
    if seen.kept == "Nothing" or seen.now >= _latest_end(seen) + seen.limits.orthanc:
        return None
    hours = seen.limits.orthanc.total_seconds() / 3600
    message = f"its pod is gone unread; Orthanc, which may hold its results, does not answer and is asked for {hours:g} h at most"
    return Plan(status=words.executing(seen, "Running", RunReason.ORTHANC_AWAY, message), again_after=ASK_AGAIN)


def _latest_end(seen: Observed) -> datetime:
    """When the last of its pods ended, by the best that is known: its own word, the Job's, or the time it was given."""
    publish = seen.pod.container(PUBLISH) if seen.pod else None
    if publish is not None and publish.finished:
        return publish.finished
    if seen.own_job is not None and seen.own_job.ended_at is not None:
        return seen.own_job.ended_at
    admitted = words.condition(seen.run.status, "Admitted")
    begun = parse_timestamp(admitted.last_transition_time) if admitted else seen.run.created
    begun = seen.pod.started or begun if seen.pod else begun
    return begun + parse_duration(seen.run.parsed.template.timeout)
