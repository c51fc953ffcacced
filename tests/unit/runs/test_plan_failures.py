"""Every way a Run fails: reason, step, exit code and the words a person gets are asserted, not only that it failed."""

from dataclasses import dataclass

import pytest
from tests.builders_runs import NAME, RunBuilder, a_receipt, a_run, a_state, an_end, sent, told, undelivered

from gantry.api import RunReason
from gantry.runs import DeleteJob, FetchReceipt, PublishReceipt, failed, job_name, plan

POD = f"{job_name(NAME)}-pod1"


def logs(container: str, pod: str = POD) -> str:
    return f"see `kubectl logs -n default {pod} -c {container}`"


@dataclass(frozen=True)
class Case:
    seen: RunBuilder
    want_reason: RunReason
    want_message: str
    want_step: str | None = None
    want_code: int | None = None
    want_job_deleted: bool = False


STUDY_GONE = FetchReceipt(failure=failed(RunReason.STUDY_GONE, "the study is no longer in Orthanc", step="fetch"))
REPORTED = plan(a_run().published().observed()).status
NOT_FINISHED = a_run().with_template(retries=0)

TWO = a_run().delivering_to("pacs", "archive")

WITH_CLAIM = (
    a_run()
    .with_step(models=[{"name": "weights", "mountPath": "/models", "persistentVolumeClaim": {"claimName": "nodules-v2"}}])
    .unschedulable('0/1 nodes are available: persistentvolumeclaim "nodules-v2" not found.')
)

WITH_IMAGE = a_run().with_step(models=[{"name": "weights", "mountPath": "/models", "image": {"reference": "localhost/weights:7@sha256:" + "7" * 64}}])
SAID_BY_RUNTIME = f'failed to pull and unpack image "localhost/weights@sha256:{"7" * 64}": not found'

CASES = {
    "an image that holds a model cannot be pulled for five minutes: named by the runtime": Case(
        WITH_IMAGE.waiting("ErrImagePull", SAID_BY_RUNTIME).at(303),
        RunReason.MODEL_MISSING,
        f"a model of step detect cannot be pulled, weights (image localhost/weights:7@sha256:{'7' * 64}): {SAID_BY_RUNTIME}; "
        "check the image's name, and template.scheduling.imagePullSecrets",
        want_step="detect",
        want_job_deleted=True,
    ),
    "of a step with a model from an image its own cannot be pulled": Case(
        WITH_IMAGE.waiting("ImagePullBackOff", 'Back-off pulling image "localhost/nodules:1"').at(303),
        RunReason.IMAGE_PULL_FAILED,
        'the image of detect cannot be pulled: Back-off pulling image "localhost/nodules:1"; '
        "check the image's name and template.scheduling.imagePullSecrets",
        want_step="detect",
        want_job_deleted=True,
    ),
    "a claim that no model is found in for a minute": Case(
        WITH_CLAIM.at(62),
        RunReason.MODEL_MISSING,
        "a model of step detect is not there, of weights (claim nodules-v2): "
        '0/1 nodes are available: persistentvolumeclaim "nodules-v2" not found; create it and make a new Run',
        want_step="detect",
        want_job_deleted=True,
    ),
    "a cancelled Run ends with its Job": Case(
        a_run().running().cancelled(),
        RunReason.CANCELLED,
        "spec.cancel was set; make a new Run to analyse the study after all",
        want_job_deleted=True,
    ),
    "a Run cancelled before its Job was made has nothing to delete": Case(
        a_run().cancelled(), RunReason.CANCELLED, "spec.cancel was set; make a new Run to analyse the study after all"
    ),
    "a Run cancelled while its Job is out of sight deletes it by name": Case(
        a_run().with_job_ref().cancelled(),
        RunReason.CANCELLED,
        "spec.cancel was set; make a new Run to analyse the study after all",
        want_job_deleted=True,
    ),
    "a Run cancelled while it waits for its turn": Case(
        a_run().held_back().cancelled(), RunReason.CANCELLED, "spec.cancel was set; make a new Run to analyse the study after all"
    ),
    "a newer Run took its place while it ran": Case(
        a_run().running().superseded_by("newer"), RunReason.SUPERSEDED, "Run newer took this one's place", want_job_deleted=True
    ),
    "a newer Run took its place before it began": Case(a_run().superseded_by("newer"), RunReason.SUPERSEDED, "Run newer took this one's place"),
    "a newer Run took its place while it waited for its turn": Case(
        a_run().held_back().superseded_by("newer"), RunReason.SUPERSEDED, "Run newer took this one's place"
    ),
    "a newer Run took its place while its Job is out of sight": Case(
        a_run().with_job_ref().superseded_by("newer"), RunReason.SUPERSEDED, "Run newer took this one's place", want_job_deleted=True
    ),
    "a newer Run took its place while its report was on the way: delivery is not gone on with": Case(
        a_run().with_status(REPORTED).with_job().superseded_by("newer"),
        RunReason.SUPERSEDED,
        "Run newer took this one's place",
        want_job_deleted=True,
    ),
    "a newer Run took its place just when it had published": Case(
        a_run().published().superseded_by("newer"), RunReason.SUPERSEDED, "Run newer took this one's place", want_job_deleted=True
    ),
    "cancelled by a person and superseded at once: the person's word counts": Case(
        a_run().superseded_by("newer").cancelled(), RunReason.CANCELLED, "spec.cancel was set; make a new Run to analyse the study after all"
    ),
    "the API server refuses the Job": Case(
        a_run().refused('jobs.batch "x" is forbidden: exceeded quota: gpus'),
        RunReason.JOB_REFUSED,
        'the API server refuses the Job: jobs.batch "x" is forbidden: exceeded quota: gpus',
    ),
    "a Job of that name belongs to somebody else": Case(
        a_run().with_job_of("CronJob", "nightly"),
        RunReason.JOB_REFUSED,
        f"Job {job_name(NAME)} exists and is not this Run's; delete or rename it and make a new Run",
    ),
    "the Job was deleted by hand": Case(
        a_run().with_job_ref().looked_up().kept_in_orthanc("Nothing"),
        RunReason.JOB_LOST,
        f"Job {job_name(NAME)} was deleted before its result was known; make a new Run",
    ),
    "the Job is being deleted by hand": Case(
        a_run().with_job_ref().with_job(deleting=True).looked_up().kept_in_orthanc("Nothing"),
        RunReason.JOB_LOST,
        f"Job {job_name(NAME)} was deleted before its result was known; make a new Run",
    ),
    "the Job is complete and its pod was collected unread": Case(
        a_run().job_ended("Complete", "CompletionsReached").looked_up().kept_in_orthanc("Nothing"),
        RunReason.JOB_LOST,
        f"Job {job_name(NAME)} ended (Complete: CompletionsReached) and its pod is gone, so its result is not known; make a new Run",
    ),
    "an image name that is none fails at once": Case(
        a_run().waiting("InvalidImageName", 'couldn\'t parse image name "No Such"'),
        RunReason.IMAGE_PULL_FAILED,
        'the image of detect cannot be pulled: couldn\'t parse image name "No Such"; '
        "check the image's name and template.scheduling.imagePullSecrets",
        want_step="detect",
        want_job_deleted=True,
    ),
    "an image that cannot be pulled for five minutes": Case(
        a_run().waiting("ImagePullBackOff", 'Back-off pulling image "localhost/nodules:1"', since=3).at(303),
        RunReason.IMAGE_PULL_FAILED,
        'the image of detect cannot be pulled: Back-off pulling image "localhost/nodules:1"; '
        "check the image's name and template.scheduling.imagePullSecrets",
        want_step="detect",
        want_job_deleted=True,
    ),
    "the worker's own image cannot be pulled": Case(
        a_run().waiting("ErrImagePull", "no such host", container="fetch", since=3).at(303),
        RunReason.IMAGE_PULL_FAILED,
        "the image of fetch cannot be pulled: no such host; check the image's name and template.scheduling.imagePullSecrets",
        want_step="fetch",
        want_job_deleted=True,
    ),
    "a secret is missing for a minute": Case(
        a_run().waiting("CreateContainerConfigError", 'secret "licence" not found', since=3).at(63),
        RunReason.CONTAINER_CONFIG,
        'detect cannot be made: secret "licence" not found; check its secrets, keys and user',
        want_step="detect",
        want_job_deleted=True,
    ),
    "a step killed before its launcher could lock the barrier, and no retry is left: after a minute the Job is ended": Case(
        NOT_FINISHED.with_pod(phase="Running", fetch=an_end(0), detect=an_end(137, started=5, finished=5), publish=a_state("running", startedAt=told(3))).at(65).looked_up(),
        RunReason.STEP_FAILED,
        "step detect ended with exit code 137; see `kubectl logs -n default chest-ct-nodules-abcdefghijklm-1-pod1 -c detect`",
        want_step="detect",
        want_code=137,
        want_job_deleted=True,
    ),
    "a memory limit that is too small even for the launcher, and no retry is left": Case(
        NOT_FINISHED.with_pod(phase="Running", fetch=an_end(0), detect=an_end(137, reason="OOMKilled", started=5, finished=5), publish=a_state("running", startedAt=told(3))).at(65).looked_up(),
        RunReason.OUT_OF_MEMORY,
        "step detect was killed at its memory limit; raise resources.limits.memory of the step",
        want_step="detect",
        want_code=137,
        want_job_deleted=True,
    ),
    "a memory limit that is too small for the container to be made, which another attempt would not mend": Case(
        a_run().with_step(resources={"limits": {"memory": "1Mi"}}).with_pod(
            phase="Running",
            fetch=an_end(0),
            detect=an_end(128, reason="StartError", message="runc create failed: unable to set memory limit to 1048576 (current usage: 2482176)"),
            publish=a_state("running"),
        ),
        RunReason.OUT_OF_MEMORY,
        "step detect could not be started within its memory limit of 1Mi; raise resources.limits.memory of the step "
        "(runc create failed: unable to set memory limit to 1048576 (current usage: 2482176))",
        want_step="detect",
        want_code=128,
        want_job_deleted=True,
    ),
    "a step had died long before publish was ended, and no retry is left: publish's end is not the cause": Case(
        NOT_FINISHED.with_pod(
            phase="Failed",
            fetch=an_end(0),
            detect=an_end(137, started=5, finished=5),
            publish=an_end(1, message=PublishReceipt(failure=failed(RunReason.PUBLISH_FAILED, "ended from outside", step="publish")).encode(), finished=66),
        ),
        RunReason.STEP_FAILED,
        f"step detect ended with exit code 137; {logs('detect')}",
        want_step="detect",
        want_code=137,
    ),
    "all containers of a pod were ended from outside, and no retry is left": Case(
        NOT_FINISHED.with_pod(
            phase="Failed",
            fetch=an_end(0),
            detect=an_end(143, started=5, finished=60),
            publish=an_end(1, message=PublishReceipt(failure=failed(RunReason.PUBLISH_FAILED, "ended from outside", step="publish")).encode(), finished=62),
        ),
        RunReason.PUBLISH_FAILED,
        f"ended from outside; {logs('publish')}",
        want_step="publish",
        want_code=1,
    ),
    "a container that never ran leaves publish waiting, so the Job is ended": Case(
        a_run().with_pod(phase="Running", fetch=an_end(0), detect=an_end(128, reason="StartError", message="exec format error"), publish=a_state("running")),
        RunReason.CONTAINER_CONFIG,
        "step detect could not be started: exec format error",
        want_step="detect",
        want_code=128,
        want_job_deleted=True,
    ),
    "the study is gone": Case(
        a_run().fetch_ended(65, STUDY_GONE),
        RunReason.STUDY_GONE,
        f"the study is no longer in Orthanc; {logs('fetch')}",
        want_step="fetch",
        want_code=65,
    ),
    "an image whose header cannot be read": Case(
        a_run().told_by_publish(RunReason.INPUT_UNREADABLE, "the header of an image is damaged (EOFError)", step=None),
        RunReason.INPUT_UNREADABLE,
        f"the header of an image is damaged (EOFError); {logs('publish')}",
        want_step="publish",
        want_code=65,
    ),
    "other images than the Run was made for": Case(
        a_run().fetch_ended(65, FetchReceipt(failure=failed(RunReason.INPUT_MISMATCH, "20 instances expected, 21 found"))),
        RunReason.INPUT_MISMATCH,
        f"20 instances expected, 21 found; {logs('fetch')}",
        want_step="fetch",
        want_code=65,
    ),
    "fetch fails and no retries are left": Case(
        NOT_FINISHED.fetch_ended(1, FetchReceipt(failure=failed(RunReason.FETCH_FAILED, "Orthanc answered 503"))),
        RunReason.FETCH_FAILED,
        f"Orthanc answered 503; {logs('fetch')}",
        want_step="fetch",
        want_code=1,
    ),
    "fetch is killed before it can say why": Case(
        NOT_FINISHED.fetch_ended(137),
        RunReason.FETCH_FAILED,
        f"fetch ended with exit code 137 before it could say why; {logs('fetch')}",
        want_step="fetch",
        want_code=137,
    ),
    "fetch takes too much memory": Case(
        NOT_FINISHED.with_pod(phase="Failed", fetch=an_end(137, reason="OOMKilled")),
        RunReason.OUT_OF_MEMORY,
        f"fetch was killed at its memory limit; {logs('fetch')}",
        want_step="fetch",
        want_code=137,
    ),
    "a step ends with 1 and publish tells": Case(
        NOT_FINISHED.failed(1, receipt=a_receipt(failure=failed(RunReason.STEP_FAILED, "step detect ended with exit code 1", step="detect", exit_code=1))),
        RunReason.STEP_FAILED,
        f"step detect ended with exit code 1; {logs('detect')}",
        want_step="detect",
        want_code=1,
    ),
    "a step ends with 1 and publish was killed": Case(
        NOT_FINISHED.failed(1, publish=137),
        RunReason.STEP_FAILED,
        f"step detect ended with exit code 1; {logs('detect')}",
        want_step="detect",
        want_code=1,
    ),
    "a step's command is not in its image": Case(
        NOT_FINISHED.failed(127, publish=137),
        RunReason.STEP_FAILED,
        "step detect was not started: python3, or the interpreter of it, is not in the image; steps[].command of the template names it; "
        f"{logs('detect')}",
        want_step="detect",
        want_code=127,
    ),
    "of several steps the first that failed is the guilty one": Case(
        NOT_FINISHED.with_steps("detect", "sort").with_pod(phase="Failed", fetch=an_end(0), sort=an_end(123), detect=an_end(2), publish=an_end(137)),
        RunReason.STEP_FAILED,
        f"step detect ended with exit code 2; {logs('detect')}",
        want_step="detect",
        want_code=2,
    ),
    "a step refuses its input: no retry although one is left": Case(
        a_run().with_template(retries=5).failed(65, publish=65),
        RunReason.STEP_REJECTED_INPUT,
        f"step detect ended with exit code 65; {logs('detect')}",
        want_step="detect",
        want_code=65,
    ),
    "a step takes longer than its timeout": Case(
        NOT_FINISHED.failed(124, publish=137),
        RunReason.STEP_TIMED_OUT,
        f"step detect was ended by its timeout; {logs('detect')}",
        want_step="detect",
        want_code=124,
    ),
    "memory runs out: the kubelet is believed before publish": Case(
        NOT_FINISHED.with_step(resources={"limits": {"memory": "8Gi"}}).failed(
            137, reason="OOMKilled", receipt=a_receipt(failure=failed(RunReason.STEP_FAILED, "step detect ended with exit code 137", step="detect"))
        ),
        RunReason.OUT_OF_MEMORY,
        "step detect was killed at its memory limit of 8Gi; raise resources.limits.memory of the step",
        want_step="detect",
        want_code=137,
    ),
    "nothing was written": Case(
        a_run().told_by_publish(RunReason.NO_OUTPUT, "there is no findings.json"),
        RunReason.NO_OUTPUT,
        f"there is no findings.json; {logs('detect')}",
        want_step="detect",
        want_code=65,
    ),
    "findings do not follow the schema": Case(
        a_run().told_by_publish(RunReason.INVALID_FINDINGS, "findings[3].probability is 1.7 and must be at most 1"),
        RunReason.INVALID_FINDINGS,
        f"findings[3].probability is 1.7 and must be at most 1; {logs('detect')}",
        want_step="detect",
        want_code=65,
    ),
    "an output is of another patient": Case(
        a_run().told_by_publish(RunReason.WRONG_PATIENT, "seg.dcm is of another patient than the input"),
        RunReason.WRONG_PATIENT,
        f"seg.dcm is of another patient than the input; {logs('detect')}",
        want_step="detect",
        want_code=65,
    ),
    "an output of a kind that is not accepted": Case(
        a_run().told_by_publish(RunReason.UNACCEPTED_OBJECT, "x.dcm is a CT image"),
        RunReason.UNACCEPTED_OBJECT,
        f"x.dcm is a CT image; {logs('detect')}",
        want_step="detect",
        want_code=65,
    ),
    "no valid report can be made": Case(
        a_run().told_by_publish(RunReason.INVALID_REPORT, "a region outside the image", step=None),
        RunReason.INVALID_REPORT,
        f"a region outside the image; {logs('publish')}",
        want_step="publish",
        want_code=65,
    ),
    "Orthanc does not take the result": Case(
        NOT_FINISHED.told_by_publish(RunReason.UPLOAD_FAILED, "Orthanc answered 507", step=None, code=1),
        RunReason.UPLOAD_FAILED,
        f"Orthanc answered 507; {logs('publish')}",
        want_step="publish",
        want_code=1,
    ),
    "publish ends with 0 and says nothing: the Job is complete and makes no other pod": Case(
        a_run().with_template(retries=3).with_pod(phase="Succeeded", fetch=an_end(0), detect=an_end(0), publish=an_end(0)).kept_in_orthanc("Nothing"),
        RunReason.PUBLISH_FAILED,
        f"publish ended with exit code 0 and without a receipt; {logs('publish')}",
        want_step="publish",
        want_code=0,
    ),
    "the kubelet does not admit the pod": Case(
        NOT_FINISHED.with_pod(phase="Failed", reason="UnexpectedAdmissionError", message="no healthy devices"),
        RunReason.NODE_REFUSED,
        f"node unknown did not admit pod {POD}: UnexpectedAdmissionError: no healthy devices",
    ),
    "retries are used up": Case(
        a_run().with_template(retries=1).failed(1, publish=137).failed(3, publish=137),
        RunReason.STEP_FAILED,
        f"step detect ended with exit code 3; {logs('detect', POD.replace('pod1', 'pod2'))}",
        want_step="detect",
        want_code=3,
    ),
    "the Job controller counts pods that are gone": Case(
        a_run().with_template(retries=5).failed(1, publish=137).job_ended("FailureTarget", "BackoffLimitExceeded", failed_pods=6),
        RunReason.STEP_FAILED,
        f"step detect ended with exit code 1; {logs('detect')}",
        want_step="detect",
        want_code=1,
    ),
    "a volume over its limit evicts the pod as often as retries allow; the Job would go on for ever": Case(
        NOT_FINISHED.with_pod(
            phase="Failed",
            reason="Evicted",
            message='Usage of EmptyDir volume "output-detect" exceeds the limit "20Gi".',
            disrupted="TerminationByKubelet",
            fetch=an_end(0),
            detect=an_end(137),
            publish=an_end(137),
        ),
        RunReason.EVICTED,
        'node gpu-1 put the pod out: Usage of EmptyDir volume "output-detect" exceeds the limit "20Gi".; raise template.scheduling.workspace.sizeLimit',
        want_job_deleted=True,
    ),
    "an attempt takes too long: the kubelet has ended it and not yet said why; it is not tried again": Case(
        a_run().with_template(retries=3, timeout="30s").with_pod(phase="Running", fetch=an_end(0), detect=an_end(143, finished=33), publish=an_end(143, finished=34)),
        RunReason.DEADLINE_EXCEEDED,
        "not finished after template.timeout (30s): detect was at work",
        want_step="detect",
        want_code=143,
        want_job_deleted=True,
    ),
    "a policy of the cluster ends pods sooner": Case(
        a_run().with_pod(phase="Failed", reason="DeadlineExceeded", message="Pod was active", detect=an_end(143, finished=33), publish=an_end(143, finished=34)),
        RunReason.DEADLINE_EXCEEDED,
        "a policy of the cluster gives pods a deadline (spec.activeDeadlineSeconds), which is shorter than template.timeout: Pod was active",
        want_job_deleted=True,
    ),
    "the Run takes too long": Case(
        a_run().running().job_ended("FailureTarget", "DeadlineExceeded"),
        RunReason.DEADLINE_EXCEEDED,
        "not finished within template.scheduling.deadline (24h) and template.timeout (1h): detect was at work",
        want_step="detect",
    ),
    "the Run takes too long and its node does not answer: the pod would be ending for ever": Case(
        a_run().running().job_ended("FailureTarget", "DeadlineExceeded", ended=10).at(130),
        RunReason.DEADLINE_EXCEEDED,
        "not finished within template.scheduling.deadline (24h) and template.timeout (1h): detect was at work",
        want_step="detect",
    ),
    "no node came in time": Case(
        a_run()
        .with_status(plan(a_run().unschedulable("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.").observed()).status)
        .job_ended("Failed", "DeadlineExceeded"),
        RunReason.DEADLINE_EXCEEDED,
        "not finished within template.scheduling.deadline (24h) and template.timeout (1h): 0/3 nodes are available: 3 Insufficient nvidia.com/gpu; waits 24h at most (template.scheduling.deadline)",
    ),
    "a destination refused the results for good": Case(
        a_run().delivering_to("pacs", "archive").published().delivered(sent("archive"), undelivered("SOP class refused")),
        RunReason.DELIVERY_FAILED,
        "not delivered: pacs (SOP class refused); the results are in Orthanc",
    ),
    "a destination never took the results": Case(
        TWO.with_status(plan(TWO.published().observed()).status).delivered(sent("archive"), undelivered("association refused")).at(2 * 86400),
        RunReason.DELIVERY_FAILED,
        "not delivered within template.delivery.deadline (24h): pacs (association refused); the results are in Orthanc",
    ),
}




@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_run_fails_with_words_to_act_on(case: Case) -> None:
    answer = plan(case.seen.observed())
    status = answer.status
    assert status is not None
    assert status.failure is not None
    assert (status.failure.reason, status.failure.message) == (case.want_reason, case.want_message)
    assert (status.failure.step, status.failure.exit_code) == (case.want_step, case.want_code)
    conditions = {c.type: c for c in status.conditions or ()}
    assert (conditions["Failed"].status, conditions["Failed"].reason, conditions["Failed"].message) == ("True", case.want_reason, case.want_message)
    assert conditions["Complete"].status == "False"
    assert status.state == {RunReason.CANCELLED: "Cancelled", RunReason.SUPERSEDED: "Superseded"}.get(case.want_reason, "Failed")
    assert status.completion_time is not None
    deleted = [action for action in answer.actions if isinstance(action, DeleteJob)]
    assert bool(deleted) == case.want_job_deleted
    assert len(answer.actions) == len(deleted)


def test_every_reason_a_run_can_fail_with_is_in_the_table() -> None:
    """Reasons that are no failure, or that another part writes, are named here."""
    not_a_failure = {
        RunReason.ADMITTED, RunReason.BRIDGE_MISSING, RunReason.PENDING, RunReason.RUNNING, RunReason.EXECUTED, RunReason.REPORTED,
        RunReason.DELIVERED, RunReason.DELIVERING, RunReason.NO_DESTINATIONS, RunReason.SHADOW, RunReason.NOTIFIED, RunReason.NOTIFICATION_FAILED, RunReason.COMPLETE, RunReason.UNSCHEDULABLE,
        RunReason.WAITING, RunReason.SUSPENDED, RunReason.QUEUED, RunReason.QUEUE_MISSING, RunReason.QUEUE_STOPPED, RunReason.FOLLOWED, RunReason.NOT_PERFORMED, RunReason.SENT, RunReason.COMMITTED, RunReason.FIELDS_UNKNOWN,
        RunReason.ORTHANC_AWAY,
    }  # fmt: skip
    assert {case.want_reason for case in CASES.values()} == set(RunReason) - not_a_failure


@pytest.mark.parametrize("seen", [a_run().published(), a_run().with_status(REPORTED).without_pods()], ids=["just published", "reported before"])
def test_a_superseded_runs_report_is_known_to_the_newer_one(seen: RunBuilder) -> None:
    """It is in Orthanc: the newer report names it as its predecessor."""
    status = plan(seen.superseded_by("newer").observed()).status
    assert status is not None
    assert [one.sop_instance_uid for one in status.results or ()] == ["2.25.1"]
    assert {c.type: (c.status, c.reason) for c in status.conditions or ()}["Delivered"] == ("False", "Superseded")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_failed_run_stays_as_it_is(case: Case) -> None:
    """Planned again on what was written, whatever is still seen of Job and pods."""
    status = plan(case.seen.observed()).status
    again = plan(case.seen.with_status(status).observed())
    assert (again.status, again.actions, again.again_after) == (None, (), None)
