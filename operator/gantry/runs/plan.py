"""Decides what an InferenceRun needs next.

Pure: takes what was observed (Run, Job, pods, bridge) and the time, returns actions and the new status. It must not call the API server, read a
clock or log; `runtime` observes before and acts after. The life of a Run is the list CHECKS below: the first check that answers decides.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from gantry.api import RunReason

from . import notice
from . import status as words
from .actions import CreateJob, DeleteJob, DeleteRun, Plan
from .attempts import attempt_failed
from .claims import devices_are_unknown
from .delivering import deliver
from .ending import fail as _fail
from .ending import jobs_end as _end_job
from .ending import troubled
from .failure import logs, success_of
from .fetching import ENDLESS, NOTHING, holds_for
from .keeping import keep
from .losing import job_is_lost, pod_is_out_of_sight, pod_that_ran_is_out_of_sight, receipt_is_lost
from .model_missing import claim_of_model_is_missing, image_of_model_cannot_be_pulled, volume_of_model_is_missing
from .observed import Observed
from .placing import cannot_be_scheduled, has_no_claims, waits_for_node
from .queueing import waits_for_admission
from .receipt import PublishReceipt, failed
from .telling import to_be_told
from .unnoticed import step_ended_unnoticed, unnoticed_for
from .view import PULL_PROBLEMS


def plan(seen: Observed) -> Plan:
    """The next step of a Run's life."""
    answer = next(answer for check in CHECKS if (answer := check(seen)) is not None)
    if answer.status is not None and seen.notifies:
        answer = replace(answer, status=to_be_told(answer.status, seen.now))
    if seen.looked and answer.again_after is None and answer.status is not None and answer.status.state in ("Queued", "Running"):
        answer = replace(answer, again_after=UNSEEN)
    if answer.status is not None and words.same(answer.status, seen.run.status):
        return replace(answer, status=None)
    return answer


UNSEEN = timedelta(minutes=1)
"""Until Job and pods that had to be asked for are looked at again: if somebody took their label, no watch tells of them."""


# ---- finished ----


def record_has_had_its_time(seen: Observed) -> Plan | None:
    """Finished longer than history.ttl ago."""
    run = seen.run
    return Plan(actions=(DeleteRun(),)) if run.finished and run.completed and seen.now >= run.completed + seen.ttl else None


def job_has_had_its_time(seen: Observed) -> Plan | None:
    """The Job of a finished Run is kept for its logs, for a while."""
    job, done = seen.own_job, seen.run.completed
    if not seen.run.finished or job is None or job.deleting or done is None:
        return None
    return Plan(actions=(DeleteJob(job.name, job.uid),)) if seen.now >= done + keep(seen) else None


def finished(seen: Observed) -> Plan | None:
    """Nothing more will happen to it."""
    return Plan() if seen.run.finished else None


def going_away(seen: Observed) -> Plan | None:
    """Someone deletes the Run: the garbage collector takes its Job and pods."""
    return Plan() if seen.run.deleting else None


def cancelled(seen: Observed) -> Plan | None:
    """spec.cancel: the pod is ended and the Run with it, also when results wait for delivery."""
    if not seen.run.cancel:
        return None
    failure = failed(RunReason.CANCELLED, "spec.cancel was set; make a new Run to analyse the study after all")
    return Plan(_end_job(seen), words.unsuccessful(seen, failure))


def superseded(seen: Observed) -> Plan | None:
    """A newer Run took its place: the pod is ended, a delivery is not gone on with. What is in Orthanc already is written down for the newer Run."""
    if seen.successor is None:
        return None
    failure = failed(RunReason.SUPERSEDED, f"Run {seen.successor} took this one's place")
    receipt = _receipt(seen)
    left = words.reported(seen, receipt) if receipt else notice.told(seen)
    return Plan(_end_job(seen), words.unsuccessful(seen, failure, status=left))


# ---- results are in Orthanc ----


def delivery(seen: Observed) -> Plan | None:
    """Reported in an earlier pass; the pod may be gone by now."""
    return deliver(seen, seen.run.status) if seen.run.status and words.holds(seen.run.status, "Reported") else None


def published(seen: Observed) -> Plan | None:
    """publish's receipt of success, in whatever state pod and Job are."""
    receipt = _receipt(seen)
    return deliver(seen, words.reported(seen, receipt)) if receipt else None


def failure_is_told(seen: Observed) -> Plan | None:
    """It failed for good, and report.onFailure asks for a report that says so: that is made, then delivered, then the Run ends."""
    if not notice.under_way(seen):
        return None
    told = notice.told(seen)
    if told is None and seen.own_notice is None and _receipt(seen):
        return None  # the pod had its results in Orthanc after all, and nobody has been told anything else
    return deliver(seen, told) if told else notice.next_step(seen)


# ---- no Job ----


def job_refused(seen: Observed) -> Plan | None:
    """The API server does not take the Job."""
    if seen.refusal is None:
        return None
    return _fail(seen, failed(RunReason.JOB_REFUSED, f"the API server refuses the Job: {seen.refusal}"))


def name_is_taken(seen: Observed) -> Plan | None:
    """A Job of the Run's name that is not its own: of a deleted Run of the same name it goes by itself, any other is somebody's."""
    job = seen.job
    if job is None or seen.own_job is not None or seen.run.job_made:
        return None
    if job.deleting or (job.owner_kind == "InferenceRun" and job.owner_name == seen.run.name):
        message = f"Job {job.name} of an earlier Run of this name is still being removed"
        return Plan(status=words.not_admitted(seen, RunReason.PENDING, message), again_after=timedelta(seconds=2))
    message = f"Job {job.name} exists and is not this Run's; delete or rename it and make a new Run"
    return _fail(seen, failed(RunReason.JOB_REFUSED, message))


def bridge_is_missing(seen: Observed) -> Plan | None:
    """Without its bridge nobody knows where the images are."""
    if seen.bridge is not None or seen.own_job is not None or seen.run.job_made:
        return None
    message = f"no OrthancBridge {seen.run.bridge} in namespace {seen.run.namespace}; the Run waits for it"
    return Plan(status=words.not_admitted(seen, RunReason.BRIDGE_MISSING, message))


def fields_are_unknown(seen: Observed) -> Plan | None:
    """Made for a newer version of Gantry (after a rollback): what the field asks for would not be done. One under way goes on."""
    if not seen.run.unknown or seen.begun:
        return None
    message = f"this version of Gantry does not know {', '.join(seen.run.unknown)}; the Run waits for one that does"
    return Plan(status=words.not_admitted(seen, RunReason.FIELDS_UNKNOWN, message))


def suspended(seen: Observed) -> Plan | None:
    """spec.suspend holds a Run that has not begun; one under way goes on."""
    if not seen.run.suspend or seen.begun:
        return None
    return Plan(status=words.waiting(seen, RunReason.SUSPENDED, "spec.suspend is true; set it to false to let the Run begin"))


def predecessor_ends_first(seen: Observed) -> Plan | None:
    """What the superseded Run has left is known when it has finished, which is a matter of milliseconds; its end wakes this one."""
    return Plan() if seen.predecessor_ends and not seen.begun else None


def turn_has_not_come(seen: Observed) -> Plan | None:
    """A limit is reached. The place is written once, and again when someone changes the Run's class, or when it is another limit by now."""
    if seen.held is None or seen.begun:
        return None
    if seen.held.by is None:
        return Plan()
    before, status = words.condition(seen.run.status, "Admitted"), seen.run.status
    said = before is not None and before.reason == RunReason.WAITING and before.message.startswith(str(seen.held.by))
    known = said and status is not None and status.observed_generation == seen.run.generation
    return Plan() if known else Plan(status=words.waiting(seen, RunReason.WAITING, str(seen.held)))


def job_was_never_made(seen: Observed) -> Plan | None:
    """The status is written by the next pass: the Job itself says that it was made."""
    return Plan(actions=(CreateJob(),)) if seen.own_job is None and not seen.run.job_made else None


# ---- the Job's pod ----


def image_cannot_be_pulled(seen: Observed) -> Plan | None:
    """ErrImagePull and the like for longer than the limit: a wrong name or no credentials, which time does not heal."""
    pod = seen.pod
    if pod is None or pod.trouble not in PULL_PROBLEMS:
        return None
    broken = next(c for c in pod.containers if c.reason == pod.trouble)
    said = f"the image of {broken.name} cannot be pulled: {broken.message or broken.reason}"
    advice = "check the image's name and template.scheduling.imagePullSecrets"
    limit = timedelta() if pod.trouble == "InvalidImageName" else seen.limits.image_pull
    return troubled(seen, pod, failed(RunReason.IMAGE_PULL_FAILED, f"{said}; {advice}", step=broken.name), limit)


def container_cannot_be_made(seen: Observed) -> Plan | None:
    """CreateContainerConfigError and the like for longer than the limit."""
    pod = seen.pod
    if pod is None or not pod.trouble:
        return None
    broken = next(c for c in pod.containers if c.reason == pod.trouble)
    said = f"{broken.name} cannot be made: {broken.message or broken.reason}; check its secrets, keys and user"
    return troubled(seen, pod, failed(RunReason.CONTAINER_CONFIG, said, step=broken.name), seen.limits.container_config)


def deadline_exceeded(seen: Observed) -> Plan | None:
    """The Job controller ended the pod: waiting for nodes and all attempts together took too long."""
    job = seen.own_job
    if job is None or job.ended != "Failed" or job.reason != "DeadlineExceeded":
        return None
    pod = seen.pod
    if pod is not None and not pod.over and job.ended_at is not None and seen.now < job.ended_at + seen.limits.ending:
        return Plan(again_after=job.ended_at + seen.limits.ending - seen.now)  # publish may be at its last request: then there is a result
    at_work = next((c.name for c in pod.containers if c.state == "running" or c.exit_code in (137, 143)), None) if pod else None
    before = words.condition(seen.run.status, "Executed")
    where = f"{at_work} was at work" if at_work else before.message if before else "the pod had not started"
    template = seen.run.parsed.template
    patience = f"template.scheduling.deadline ({waits_for_node(template)}) and template.timeout ({template.timeout})"
    message = f"not finished within {patience}: {where}"
    return _fail(seen, failed(RunReason.DEADLINE_EXCEEDED, message, step=at_work))


def running(seen: Observed) -> Plan | None:
    """A container has started."""
    pod = seen.pod
    if pod is None or not any(c.started for c in pod.containers):
        return None
    status = words.executing(seen, "Running", RunReason.RUNNING, f"pod {pod.name} runs; {logs(seen.run, pod, _first_step(seen))}")
    return Plan(status=status, again_after=unnoticed_for(seen))


def queued(seen: Observed) -> Plan | None:
    """The Job exists, its pod has not started. One that takes long gives its place to another (`holds_for`)."""
    left = holds_for(seen.own_job, seen.own_pods, seen.now)
    again = left if seen.fetches_are_counted and NOTHING < left < ENDLESS else None
    return Plan(status=words.executing(seen, "Queued", RunReason.PENDING, "the pod has not started yet"), again_after=again)


CHECKS: tuple[Callable[[Observed], Plan | None], ...] = (
    record_has_had_its_time,  # -> DeleteRun
    job_has_had_its_time,  # -> DeleteJob
    finished,
    going_away,
    devices_are_unknown,  # -> FindClaims: before anything that ends the Run's pod
    cancelled,  # -> DeleteJob, Cancelled
    superseded,  # -> DeleteJob, Superseded
    delivery,  # reported before: -> Deliver, Complete or DeliveryFailed
    failure_is_told,  # -> CreateNotice, Deliver, the Run's own failure
    published,  # the receipt counts, whatever else has happened since: -> Reported, Deliver
    job_refused,  # -> JobRefused
    name_is_taken,  # waits, or JobRefused
    bridge_is_missing,  # waits
    fields_are_unknown,  # waits
    suspended,  # waits
    predecessor_ends_first,  # waits
    turn_has_not_come,  # waits
    job_was_never_made,  # -> CreateJob
    job_is_lost,  # -> LookUp, FindReceipt, JobLost
    waits_for_admission,  # -> FindQueue, waits
    image_of_model_cannot_be_pulled,  # waits a while, then ModelMissing
    image_cannot_be_pulled,  # waits a while, then ImagePullFailed
    container_cannot_be_made,  # waits a while, then ContainerConfigInvalid
    deadline_exceeded,  # before the pod's own words: those only tell that it was killed
    step_ended_unnoticed,  # waits a while, then DeletePod, or the step's reason when no retries are left
    receipt_is_lost,  # -> FindReceipt
    attempt_failed,  # the pod's reason, or goes on while retries are left
    pod_is_out_of_sight,  # -> LookUp, FindReceipt, JobLost
    pod_that_ran_is_out_of_sight,  # -> LookUp
    claim_of_model_is_missing,  # waits a while, then ModelMissing
    cannot_be_scheduled,  # -> FindOffers, waits
    has_no_claims,  # waits, and says so
    volume_of_model_is_missing,  # waits, and says so
    running,
    queued,
)


def _receipt(seen: Observed) -> PublishReceipt | None:
    """Of the newest attempt that succeeded."""
    return next((receipt for pod in reversed(seen.own_pods) if (receipt := success_of(pod))), None)


def _first_step(seen: Observed) -> str:
    return seen.run.parsed.template.steps[0].name
