"""A Run's life without failure: what is done, what state and condition is shown, and when it is looked at again."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from tests.builders_runs import FULL, JOB_UID, NAME, RunBuilder, a_receipt, a_run, a_state, an_end, at, committed, sending, sent, told

from gantry.api import RunReason
from gantry.api.run import DeliveryStatus, RunStatus
from gantry.runs import (
    Action,
    CreateJob,
    DeleteJob,
    DeletePod,
    DeleteRun,
    Deliver,
    Limit,
    LookUp,
    Plan,
    PublishReceipt,
    failed,
    finished_due,
    job_name,
    plan,
)

JOB = job_name(NAME)
HELD = "the most urgent class goes first, then the oldest Run"
FETCHES = Limit("bridge", "main", 8)
WAITING = plan(a_run().held_back().observed()).status
QUEUED = plan(a_run().with_job().observed()).status
REPORTED = plan(a_run().published().observed()).status


@dataclass(frozen=True)
class Case:
    seen: RunBuilder
    want_actions: tuple[type[Action], ...] = ()
    want_state: str | None = None
    want: str = ""
    """Type, status, reason and message of the condition that is the newest."""
    want_again_after: timedelta | None = None

DEAD = a_run().with_pod(phase="Running", fetch=an_end(0), detect=an_end(137, started=5, finished=5), publish=a_state("running", startedAt=told(3)))
"""Its step was killed before the launcher had the barrier."""
UNNOTICED = (
    f"attempt 1 of 2 failed: step detect ended with exit code 137; see `kubectl logs -n default {JOB}-pod1 -c detect`; "
    "its pod is deleted, so that the Job makes another"
)
FROM_OUTSIDE = PublishReceipt(failure=failed(RunReason.PUBLISH_FAILED, "ended from outside (SIGTERM) before it was done", step="publish"))
RAN = {"state": "Running", "jobRef": {"name": JOB, "uid": "j"}}

CASES = {
    "a new Run gets a Job, and its status is written once the Job is there": Case(a_run(), (CreateJob,)),
    "killed between the Job's POST and the status write": Case(
        a_run().with_job(), want_state="Queued", want="Executed False Pending: the pod has not started yet"
    ),
    "a Run waits for its bridge": Case(
        a_run().without_bridge(),
        want_state="Queued",
        want="Admitted False BridgeMissing: no OrthancBridge main in namespace default; the Run waits for it",
    ),
    "its turn has not come": Case(
        a_run().held_back(), want_state="Waiting", want=f"Admitted False Waiting: {FULL}: this one had place 4 when it began to wait; {HELD}"
    ),
    "whether its turn has come is not known while the operator reads what there is": Case(a_run().held_back(None)),
    "its turn has come after all": Case(a_run().with_status(WAITING), (CreateJob,)),
    "the place in line is not written again": Case(a_run().with_status(WAITING).held_back(place=2)),
    "it is told when it is another limit by now": Case(
        a_run().with_status(WAITING).held_back(FETCHES, place=3),
        want_state="Waiting",
        want=f"Admitted False Waiting: {FETCHES}: this one had place 3 when it began to wait; {HELD}",
    ),
    "but when somebody gave it another class": Case(
        a_run().with_status(WAITING).of_class("Stat").held_back(place=1),
        want_state="Waiting",
        want=f"Admitted False Waiting: {FULL}: this one had place 1 when it began to wait; {HELD}",
    ),
    "whoever has a Job has had its turn": Case(
        a_run().with_job().held_back(), want_state="Queued", want="Executed False Pending: the pod has not started yet"
    ),
    "a shadow Run is complete when its results are in Orthanc, whatever destinations its template names": Case(
        a_run().in_shadow().delivering_to("pacs").published(),
        want_state="Succeeded",
        want="Complete True Complete: analysed and reported, in shadow",
    ),
    "suspended before it began": Case(
        a_run().suspended(),
        want_state="Waiting",
        want="Admitted False Suspended: spec.suspend is true; set it to false to let the Run begin",
    ),
    "suspending a Run under way changes nothing": Case(
        a_run().with_job().suspended(), want_state="Queued", want="Executed False Pending: the pod has not started yet"
    ),
    "the Run whose place it takes ends first": Case(a_run().superseding("older").before_its_predecessor_ended()),
    "a Job that is out of sight is looked for, not made again": Case(a_run().with_job_ref(), (LookUp,)),
    "the Job of a deleted Run of the same name is still being removed": Case(
        a_run().with_job_of("InferenceRun"),
        want_state="Queued",
        want=f"Admitted False Pending: Job {JOB} of an earlier Run of this name is still being removed",
        want_again_after=timedelta(seconds=2),
    ),
    "a bridge deleted meanwhile does not end a Job": Case(
        a_run().running().without_bridge(),
        want_state="Running",
        want=f"Executed False Running: pod {JOB}-pod1 runs; see `kubectl logs -n default {JOB}-pod1 -c detect`",
    ),
    "no node offers what the pod asks for": Case(
        a_run().unschedulable("0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
        want_state="Queued",
        want="Executed False Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu; waits 24h at most (template.scheduling.deadline)",
    ),
    "an image that cannot be pulled is told at once and given time": Case(
        a_run().waiting("ErrImagePull", "no such host", since=3).at(63),
        want_state="Queued",
        want="Executed False ImagePullFailed: the image of detect cannot be pulled: no such host; check the image's name and "
        "template.scheduling.imagePullSecrets",
        want_again_after=timedelta(minutes=4),
    ),
    "a missing secret is told at once and given time": Case(
        a_run().waiting("CreateContainerConfigError", 'secret "licence" not found', since=3).at(13),
        want_state="Queued",
        want='Executed False ContainerConfigInvalid: detect cannot be made: secret "licence" not found; check its secrets, keys and user',
        want_again_after=timedelta(seconds=50),
    ),
    "fetch has started: the Run runs": Case(
        a_run().with_pod(fetch=a_state("running", startedAt=told(3))),
        want_state="Running",
        want=f"Executed False Running: pod {JOB}-pod1 runs; see `kubectl logs -n default {JOB}-pod1 -c detect`",
    ),
    "a step's end alone decides nothing while publish still writes down why": Case(
        a_run().with_pod(phase="Running", fetch=an_end(0), detect=an_end(1), publish=a_state("running", startedAt=told(3))),
        want_state="Running",
        want=f"Executed False Running: pod {JOB}-pod1 runs; see `kubectl logs -n default {JOB}-pod1 -c detect`",
        want_again_after=timedelta(seconds=57),
    ),
    "an attempt failed and a retry is left": Case(
        a_run().failed(1, publish=137),
        want_state="Queued",
        want="Executed False StepFailed: attempt 1 of 2 failed: step detect ended with exit code 1; "
        f"see `kubectl logs -n default {JOB}-pod1 -c detect`",
    ),
    "the second attempt runs": Case(
        a_run().failed(1, publish=137).running(),
        want_state="Running",
        want=f"Executed False Running: pod {JOB}-pod2 runs; see `kubectl logs -n default {JOB}-pod2 -c detect`",
    ),
    "a drained pod does not count, not even without retries": Case(
        a_run().with_template(retries=0).with_pod(phase="Failed", disrupted="EvictionByEvictionAPI", message="Eviction API: evicting", fetch=an_end(143)),
        want_state="Queued",
        want="Executed False Evicted: node gpu-1 put the pod out: Eviction API: evicting; the Job makes another pod",
    ),
    "a step is dead and publish does not notice, which it may do for a minute": Case(
        DEAD.at(64),
        want_state="Running",
        want=f"Executed False Running: pod {JOB}-pod1 runs; see `kubectl logs -n default {JOB}-pod1 -c detect`",
        want_again_after=timedelta(seconds=1),
    ),
    "then the API server itself is asked, for publish may have ended meanwhile": Case(DEAD.at(65), (LookUp,)),
    "a step is dead and publish waits for it: the pod is deleted, as retries are left": Case(
        DEAD.at(65).looked_up(),
        (DeletePod,),
        want_state="Queued",
        want=f"Executed False StepFailed: {UNNOTICED}",
        want_again_after=timedelta(minutes=1),
    ),
    "that pod is being deleted": Case(DEAD.pod_deleting().at(66), want_state="Queued", want=f"Executed False StepFailed: {UNNOTICED}"),
    "that pod has ended: the attempt counts, for the Job too": Case(
        a_run().with_pod(phase="Failed", fetch=an_end(0), detect=an_end(137, started=5, finished=5), publish=an_end(1, message=FROM_OUTSIDE.encode(), finished=66)),
        want_state="Queued",
        want=f"Executed False StepFailed: {UNNOTICED.partition('; its')[0]}",
    ),
    "that pod has ended, and a queue is not what ended it": Case(
        a_run()
        .in_queue()
        .with_pod(phase="Failed", fetch=an_end(0), detect=an_end(137, started=5, finished=5), publish=an_end(1, message=FROM_OUTSIDE.encode(), finished=66))
        .pod_deleting(),
        want_state="Queued",
        want=f"Executed False StepFailed: {UNNOTICED.partition('; its')[0]}",
    ),
    "it had published before it was ended: the receipt counts": Case(
        a_run().with_pod(phase="Failed", fetch=an_end(0), detect=an_end(137, started=5, finished=5), publish=an_end(0, message=a_receipt().encode(), finished=66)),
        (Deliver,),
        "Delivering",
        "Delivered False Delivering: pacs did not take the results yet; status.deliveries says why",
    ),
    "the Job has ended and its pod is late": Case(a_run().job_ended("Complete"), (LookUp,)),
    "its pod ran and is out of sight: it may have ended well while nobody looked": Case(a_run().with_job().with_status(RAN), (LookUp,)),
    "its pod ran and is gone: the Job makes another": Case(
        a_run().with_job().with_status(RAN).looked_up(),
        want_state="Queued",
        want="Executed False Pending: the pod has not started yet",
        want_again_after=timedelta(minutes=1),
    ),
    "the Job has ended and its pod is still ending": Case(
        a_run().running().job_ended("SuccessCriteriaMet").looked_up(),
        want_state="Running",
        want=f"Executed False Running: pod {JOB}-pod1 runs; see `kubectl logs -n default {JOB}-pod1 -c detect`",
        want_again_after=timedelta(minutes=1),
    ),
    "publish's receipt is there: the courier goes at once": Case(
        a_run().published(), (Deliver,), "Delivering", "Delivered False Delivering: pacs did not take the results yet; status.deliveries says why"
    ),
    "the receipt counts before the pod's phase does": Case(
        a_run().published(phase="Running"),
        (Deliver,),
        "Delivering",
        "Delivered False Delivering: pacs did not take the results yet; status.deliveries says why",
    ),
    "the receipt counts although the Job ran into its deadline": Case(
        a_run().published().job_ended("Failed", "DeadlineExceeded"),
        (Deliver,),
        "Delivering",
        "Delivered False Delivering: pacs did not take the results yet; status.deliveries says why",
    ),
    "the receipt counts although the Job is gone": Case(
        a_run().with_job_ref().published().looked_up(),
        (Deliver,),
        "Delivering",
        "Delivered False Delivering: pacs did not take the results yet; status.deliveries says why",
    ),
    "without destinations a reported Run is complete": Case(
        a_run().delivering_to().published(), want_state="Succeeded", want="Complete True Complete: analysed, reported and delivered"
    ),
    "the courier is on the way": Case(
        a_run().published().delivered(sending()),
        want_state="Delivering",
        want="Delivered False Delivering: pacs did not take the results yet; status.deliveries says why",
    ),
    "one of two has them": Case(
        a_run().delivering_to("pacs", "archive").published().delivered(sending(), sent("archive")),
        want_state="Delivering",
        want="Delivered False Delivering: pacs did not take the results yet; status.deliveries says why",
    ),
    "all have them": Case(
        a_run().published().delivered(sent()), want_state="Succeeded", want="Complete True Complete: analysed, reported and delivered"
    ),
    "sent, and a receipt is waited for": Case(
        a_run().delivering_to("pacs", "archive").published().delivered(sent(awaits="StorageCommitment"), sent("archive")),
        want_state="Delivering",
        want="Delivered False Sent: sent; pacs did not confirm yet; status.deliveries says what is waited for",
    ),
    "reported, and the operator was killed: the courier goes again, the pod need not be there": Case(
        a_run().with_status(REPORTED).without_job(), (Deliver,)
    ),
    "reported, and the bridge is gone: delivery waits": Case(
        a_run().with_status(REPORTED).without_bridge(),
        want_state="Delivering",
        want="Delivered False BridgeMissing: no OrthancBridge main in namespace default; delivery waits for it",
    ),
    "a Run that is being deleted is left alone": Case(a_run().deleting()),
    "fields of a newer version: what they ask for would not be done": Case(
        a_run().with_step(quantumCores=4),
        want_state="Queued",
        want="Admitted False FieldsUnknown: this version of Gantry does not know spec.template.steps.0.quantumCores; the Run waits for one that does",
    ),
    "a Job whose owner reference was taken away is known by the status": Case(
        a_run().with_job_ref().with_job_of("Nobody", "nobody").running(),
        want_state="Running",
        want=f"Executed False Running: pod {JOB}-pod1 runs; see `kubectl logs -n default {JOB}-pod1 -c detect`",
    ),
    "a Run under way goes on without what an older operator does not know of its spec": Case(
        a_run().with_step(quantumCores=4).running(),
        want_state="Running",
        want=f"Executed False Running: pod {JOB}-pod1 runs; see `kubectl logs -n default {JOB}-pod1 -c detect`",
    ),
    "a finished Run keeps its Job for an hour": Case(a_run().job_ended("Complete").finished("Succeeded", ago=timedelta(minutes=59))),
    "then the Job goes": Case(a_run().job_ended("Complete").finished("Succeeded", ago=timedelta(hours=1)), (DeleteJob,)),
    "a failed Run keeps its Job for a day": Case(a_run().job_ended("Failed").finished("Failed", ago=timedelta(hours=23))),
    "then it goes too": Case(a_run().job_ended("Failed").finished("Failed", ago=timedelta(hours=24)), (DeleteJob,)),
    "a Job whose controller is behind keeps its logs: that it has ended is said minutes late": Case(a_run().with_job().finished("Succeeded", ago=timedelta(minutes=59))),
    "it goes when its time has come": Case(a_run().with_job().finished("Succeeded", ago=timedelta(hours=1)), (DeleteJob,)),
    "a Job made by an operator that had not heard of the Run's end works for nobody": Case(a_run().with_job().finished("Failed", ago=timedelta(minutes=1), job=None), (DeleteJob,)),
    "also when the Run had one before": Case(a_run().with_job().finished("Failed", ago=timedelta(minutes=1), job="another"), (DeleteJob,)),
    "until then it may be ending": Case(a_run().with_job().finished("Failed", ago=timedelta(seconds=59), job=None)),
    "a mesh's proxy that works on does so for nobody": Case(a_run().published(phase="Running").finished("Succeeded", ago=timedelta(minutes=1)), (DeleteJob,)),
    "until then the proxy may end": Case(a_run().published(phase="Running").finished("Succeeded", ago=timedelta(seconds=59))),
    "a pod that has ended holds nothing": Case(a_run().published().finished("Succeeded", ago=timedelta(minutes=59))),
    "a Job that a queue holds would begin one day": Case(a_run().job_suspended().finished("Failed", ago=timedelta(minutes=1)), (DeleteJob,)),
    "a record is kept as long as the history says": Case(a_run().finished("Succeeded", ago=timedelta(hours=719))),
    "then the Run goes": Case(a_run().finished("Failed", ago=timedelta(hours=720)), (DeleteRun,)),
    "cancelling a finished Run changes nothing": Case(a_run().cancelled().finished("Succeeded", ago=timedelta(minutes=1))),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_next_step(case: Case) -> None:
    answer = plan(case.seen.observed())
    assert tuple(type(action) for action in answer.actions) == case.want_actions
    assert answer.again_after == case.want_again_after
    assert (answer.status.state if answer.status else None) == case.want_state
    assert newest(answer.status) == case.want


def newest(status: RunStatus | None) -> str:
    """The last condition in the order of a Run's life."""
    if status is None or not status.conditions:
        return ""
    last = status.conditions[-1]
    return f"{last.type} {last.status} {last.reason}: {last.message}"


@pytest.mark.parametrize("case", [c for c in CASES.values() if c.want_state], ids=[k for k, c in CASES.items() if c.want_state])
def test_what_is_written_is_not_written_again(case: Case) -> None:
    """The same observation on the written status, some seconds later: transition times stay, so nothing differs."""
    first = plan(case.seen.observed())
    later = plan(replace(case.seen.with_status(first.status), now=max(at(11), case.seen.now)).observed())
    assert later.status is None


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    queued = plan(a_run().with_job().at(5).observed()).status
    started = plan(a_run().with_status(queued).running().at(60).observed()).status
    assert {c.type: c.last_transition_time for c in (started.conditions if started else None) or ()} == {"Admitted": told(5), "Executed": told(5)}
    done = plan(a_run().with_status(started).published().at(90).observed()).status
    times = {c.type: c.last_transition_time for c in (done.conditions if done else None) or ()}
    assert times == {"Admitted": told(5), "Executed": told(90), "Reported": told(90), "Delivered": told(90)}


def test_the_status_names_job_node_attempts_and_start() -> None:
    status = plan(a_run().failed(1, publish=137).running().observed()).status
    assert status is not None
    assert status.job_ref is not None
    assert (status.job_ref.name, status.job_ref.uid, status.node, status.attempts, status.start_time) == (JOB, JOB_UID, "gpu-1", 2, told(1))


def test_a_run_that_waited_is_admitted_with_the_first_status_after_its_job() -> None:
    status = plan(a_run().with_status(WAITING).with_job().at(60).observed()).status
    assert status is not None
    told_now = {c.type: (c.status, c.reason, c.last_transition_time) for c in status.conditions or ()}
    assert status.state == "Queued"
    assert told_now["Admitted"] == ("True", "Admitted", told(60))


def test_attempts_that_are_gone_stay_counted() -> None:
    two = plan(a_run().failed(1, publish=137).running().observed()).status
    one = plan(a_run().with_status(two).running().observed())
    assert one.status is None or one.status.attempts == 2


def test_the_courier_is_told_where_what_and_until_when() -> None:
    answer = plan(a_run().published().at(10).observed())
    (errand,) = answer.actions
    assert isinstance(errand, Deliver)
    assert errand.destinations == ("pacs",)
    assert [r.sop_instance_uid for r in errand.results] == ["2.25.1"]
    assert errand.deliveries == (DeliveryStatus(destination="pacs", state="Pending"),)
    assert errand.deadline == at(10) + timedelta(hours=24)


def test_the_deadline_of_delivery_counts_from_the_report() -> None:
    (errand,) = plan(a_run().with_status(REPORTED).at(3600).observed()).actions
    assert isinstance(errand, Deliver)
    assert errand.deadline == at(10) + timedelta(hours=24)


@pytest.mark.parametrize(
    ("seen", "want"),
    [
        (a_run().running(), None),
        (a_run().finished("Succeeded", ago=timedelta(0)), at(10) + timedelta(hours=720)),
        (a_run().job_ended("Complete").finished("Succeeded", ago=timedelta(0)), at(10) + timedelta(hours=1)),
        (a_run().job_ended("Failed").finished("Failed", ago=timedelta(0)), at(10) + timedelta(hours=24)),
        (a_run().with_job().finished("Failed", ago=timedelta(0), job=None), at(10) + timedelta(minutes=1)),
        (a_run().with_job().finished("Failed", ago=timedelta(0)), at(10) + timedelta(hours=24)),
        (a_run().with_job().finished("Superseded", ago=timedelta(0)), at(10) + timedelta(minutes=1)),
    ],
    ids=["an unfinished Run waits for events", "a record for its history", "a Job an hour", "a failed Run's Job a day", "one the Run does not know a minute", "its own is not known to have ended yet", "a superseded Run's, should it be there after all, a minute"],
)
def test_when_a_finished_run_needs_something_again(seen: RunBuilder, want: object) -> None:
    assert finished_due(seen.observed()) == want


def test_a_plan_is_a_value() -> None:
    assert plan(a_run().observed()) == Plan(actions=(CreateJob(),))


def test_a_shadow_run_says_that_nothing_was_delivered_and_sends_nothing() -> None:
    answer = plan(a_run().in_shadow().delivering_to("pacs").published().observed())
    assert answer.actions == ()
    assert answer.status is not None
    (delivered,) = [one for one in answer.status.conditions or () if one.type == "Delivered"]
    words = "spec.mode is Shadow: nothing leaves; the results stay in Orthanc, marked as shadow"
    assert (delivered.status, delivered.reason, delivered.message) == ("False", "Shadow", words)
    assert (answer.status.deliveries, answer.status.results is not None) == (None, True)


DELIVERED: dict[str, tuple[RunBuilder, str]] = {
    "none was asked": (a_run().published().delivered(sent()), "True Delivered: pacs took the results"),
    "all confirmed": (a_run().published().delivered(committed()), "True Committed: pacs confirmed to have the results"),
    "one confirmed and one was not asked": (
        a_run().delivering_to("pacs", "archive").published().delivered(committed(), sent("archive")),
        "True Delivered: archive took the results; pacs confirmed to have them",
    ),
}


@pytest.mark.parametrize(("run", "want"), DELIVERED.values(), ids=DELIVERED.keys())
def test_sent_is_not_committed(run: RunBuilder, want: str) -> None:
    status = plan(run.observed()).status
    assert status is not None
    (said,) = [one for one in status.conditions or () if one.type == "Delivered"]
    assert (f"{said.status} {said.reason}: {said.message}", status.state) == (want, "Succeeded")


def test_the_way_back_to_the_sender_is_a_delivery_like_any_other() -> None:
    run = a_run().with_template(delivery={"destinations": ["pacs"], "returnToSender": True}).published()
    (errand,) = plan(run.observed()).actions
    assert isinstance(errand, Deliver)
    assert errand.destinations == ("pacs", "sender")
    answer = plan(run.delivered(sent(), sent("sender")).observed())
    assert answer.status is not None
    assert answer.status.state == "Succeeded"
