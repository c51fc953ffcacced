"""A Run that fails for good with report.onFailure NotPerformed: the report of it is made and delivered, and the Run ends with the failure it had."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from tests.builders_runs import NAME, RESULT, RunBuilder, a_run, sent, undelivered

from gantry.api import RunReason
from gantry.api.run import RunStatus
from gantry.runs import (
    Action,
    CreateJob,
    CreateNotice,
    DeleteJob,
    Deliver,
    FetchReceipt,
    Installation,
    LookUp,
    Plan,
    PublishReceipt,
    Task,
    UnfitRun,
    failed,
    job,
    notice_job,
    notice_name,
    plan,
)

TELLS = a_run().telling_of_failure().with_template(retries=0)
FAILED = TELLS.failed(7, publish=137)
FAILING = plan(FAILED.observed()).status
TOLD = PublishReceipt(results=(RESULT,), seconds=0.5)
GONE = PublishReceipt(failure=failed(RunReason.STUDY_GONE, "the study is no longer in Orthanc", step="publish"))
REASON, MESSAGE = RunReason.STEP_FAILED, f"step detect ended with exit code 7; see `kubectl logs -n default {NAME}-1-pod1 -c detect`"
UNDER_WAY = FAILED.with_status(FAILING)
REPORTED = plan(UNDER_WAY.notice_ends(0, TOLD).observed()).status


def words(status: RunStatus | None) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in (status.conditions if status else None) or ()}


def message(status: RunStatus | None, kind: str) -> str:
    return next(c.message for c in (status.conditions if status else None) or () if c.type == kind)


def test_the_failure_is_written_down_before_anything_else_and_the_run_goes_on() -> None:
    answer = plan(FAILED.observed())
    assert (answer.actions, answer.again_after) == ((), timedelta())
    assert answer.status is not None
    assert answer.status.failure is not None
    assert (answer.status.state, answer.status.failure.reason, answer.status.failure.message) == ("Running", REASON, MESSAGE)
    assert words(answer.status) == {"Admitted": ("True", "Admitted"), "Executed": ("False", REASON), "Reported": ("False", "NotPerformed")}
    assert answer.status.completion_time is None
    assert answer.status.usage is not None, "the pod may be gone when the Run ends"


@dataclass(frozen=True)
class Step:
    seen: RunBuilder
    want: tuple[type[Action], ...] = ()
    want_again_after: timedelta | None = None


STEPS = {
    "then the Job that reports it is made": Step(UNDER_WAY, (CreateNotice,), timedelta(minutes=35)),
    "also when the pod that failed is gone": Step(UNDER_WAY.without_pods(), (CreateNotice,), timedelta(minutes=35)),
    "also when the failed Run's Job is gone": Step(UNDER_WAY.without_job(), (CreateNotice,), timedelta(minutes=35)),
    "a late receipt of success comes while the Job is there that says otherwise: what is written down counts": Step(
        UNDER_WAY.published().with_notice(), (), timedelta(minutes=35)
    ),
    "the failed Job's pod is being ended and may still publish": Step(UNDER_WAY.running(), (), timedelta(seconds=2)),
    "on a node that does not answer its pod never ends": Step(UNDER_WAY.running().at(130), (CreateNotice,), timedelta(minutes=33)),
    "it is waited for": Step(UNDER_WAY.with_notice().at(70), (), timedelta(minutes=34)),
    "one that was deleted by hand is made again": Step(UNDER_WAY.at(70), (CreateNotice,), timedelta(minutes=34)),
    "an earlier Run of the name left one that is being removed": Step(
        UNDER_WAY.with_notice(owner="99999999-0000-0000-0000-000000000000"), (), timedelta(seconds=2)
    ),
    "without the bridge nobody can": Step(UNDER_WAY.without_bridge(), (), timedelta(minutes=35)),
    "an attempt failed, the Job makes another": Step(UNDER_WAY.notice_ends(1), (), timedelta(minutes=35)),
    "its Job has ended and its pod is late": Step(UNDER_WAY.with_notice(ended="Complete"), (LookUp,)),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_the_next_step(step: Step) -> None:
    answer = plan(step.seen.observed())
    assert (tuple(map(type, answer.actions)), answer.again_after) == (step.want, step.want_again_after)
    assert answer.status is None


def test_a_late_receipt_of_success_counts_while_nobody_has_been_told_otherwise() -> None:
    """The deadline passed while publish was at its last request."""
    answer = plan(UNDER_WAY.published().observed())
    assert tuple(map(type, answer.actions)) == (Deliver,)
    assert answer.status is not None
    assert (answer.status.state, answer.status.failure) == ("Delivering", None)
    assert words(answer.status)["Reported"] == ("True", "Reported")


def test_the_job_is_told_the_failure_that_was_written_down() -> None:
    assert plan(UNDER_WAY.without_pods().observed()).actions == (CreateNotice(RunReason.STEP_FAILED),)


def test_the_report_is_delivered_like_any_other() -> None:
    answer = plan(UNDER_WAY.notice_ends(0, TOLD).observed())
    assert tuple(map(type, answer.actions)) == (Deliver,)
    assert answer.status is not None
    assert (answer.status.state, answer.status.results) == ("Delivering", [RESULT])
    assert words(answer.status)["Reported"] == ("True", "NotPerformed")
    assert answer.status.failure is not None


@dataclass(frozen=True)
class End:
    seen: RunBuilder
    want_reported: tuple[str, str]
    want_message: str
    """Of Reported, or of Delivered when that is not True."""
    want_delivered: tuple[str, str] | None = None
    want_job_deleted: bool = False


LOGS = f"see `kubectl logs -n default {notice_name(NAME)}-pod1 -c publish`"
NOBODY = "no report says that the analysis was not performed: "
ENDS = {
    "every destination has it": End(
        UNDER_WAY.notice_ends(0, TOLD).delivered(sent()),
        ("True", "NotPerformed"),
        "a report that says that the analysis was not performed is in Orthanc, read back and equal",
        ("True", "Delivered"),
    ),
    "every destination has it, and the operator had been killed in between": End(
        UNDER_WAY.with_status(REPORTED).without_job().delivered(sent()),
        ("True", "NotPerformed"),
        "a report that says that the analysis was not performed is in Orthanc, read back and equal",
        ("True", "Delivered"),
    ),
    "there is no destination": End(
        UNDER_WAY.delivering_to().notice_ends(0, TOLD),
        ("True", "NotPerformed"),
        "a report that says that the analysis was not performed is in Orthanc, read back and equal",
        ("True", "NoDestinations"),
    ),
    "a destination never took it": End(
        UNDER_WAY.notice_ends(0, TOLD).delivered(undelivered("refused")),
        ("True", "NotPerformed"),
        "not delivered: pacs (refused); the results are in Orthanc",
        ("False", "DeliveryFailed"),
    ),
    "it cannot be made: the study is gone by now": End(
        UNDER_WAY.with_notice(ended="Failed", reason="PodFailurePolicy").notice_ends(65, GONE),
        ("False", "NotPerformed"),
        f"{NOBODY}the study is no longer in Orthanc; {LOGS}",
    ),
    "its Job ended and nobody knows how": End(
        UNDER_WAY.with_notice(ended="Failed", reason="DeadlineExceeded").looked_up(),
        ("False", "NotPerformed"),
        f"{NOBODY}Job {notice_name(NAME)} ended (Failed: DeadlineExceeded) and its pod is gone",
    ),
    "the API server refuses its Job": End(
        UNDER_WAY.refused("exceeded quota: pods"), ("False", "NotPerformed"), f"{NOBODY}the API server refuses the Job: exceeded quota: pods"
    ),
    "its time is over": End(
        UNDER_WAY.with_notice().at(3600),
        ("False", "NotPerformed"),
        f"{NOBODY}Job {notice_name(NAME)} was not done after 0:35:00",
        want_job_deleted=True,
    ),
    "its time is over and there never was a bridge": End(
        UNDER_WAY.without_bridge().at(3600), ("False", "NotPerformed"), f"{NOBODY}no Job could be made for 0:35:00: there is no OrthancBridge main"
    ),
}


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS.keys())
def test_the_run_ends_with_the_failure_it_had(case: End) -> None:
    answer = plan(case.seen.observed())
    status = answer.status
    assert status is not None
    assert status.failure is not None
    assert (status.state, status.failure.reason, status.failure.message) == ("Failed", REASON, MESSAGE)
    said = words(status)
    assert (said["Failed"], said["Complete"], said["Executed"]) == (("True", REASON), ("False", REASON), ("False", REASON))
    assert (said["Reported"], said.get("Delivered")) == (case.want_reported, case.want_delivered)
    assert message(status, "Delivered" if case.want_delivered == ("False", "DeliveryFailed") else "Reported") == case.want_message
    assert message(status, "Failed") == MESSAGE
    assert status.completion_time is not None
    assert [type(action) for action in answer.actions] == ([DeleteJob] if case.want_job_deleted else [])
    again = plan(case.seen.with_status(status).observed())
    assert again == Plan(), "what has ended stays ended"


@pytest.mark.parametrize("reported", [False, True], ids=["before it was made", "after it was made"])
@pytest.mark.parametrize(("reason", "state"), [("cancelled", "Cancelled"), ("superseded", "Superseded")])
def test_an_end_from_outside_counts_more(reported: bool, reason: str, state: str) -> None:
    seen = UNDER_WAY.notice_ends(0, TOLD) if reported else UNDER_WAY.with_notice()
    answer = plan((seen.cancelled() if reason == "cancelled" else seen.superseded_by("newer")).observed())
    assert answer.status is not None
    assert answer.status.state == state
    deleted = [action.name for action in answer.actions if isinstance(action, DeleteJob)]
    assert deleted == [f"{NAME}-1", notice_name(NAME)]
    if reported and reason == "superseded":
        assert answer.status.results == [RESULT], "the newer Run's report names it as predecessor"


NO_REPORT = {
    "the study is gone: there is nothing to put a report into": TELLS.fetch_ended(65, FetchReceipt(failure=failed(RunReason.STUDY_GONE, "gone"))),
    "somebody cancelled it": TELLS.running().cancelled(),
    "a newer Run took its place": TELLS.running().superseded_by("newer"),
    "its report could not be delivered, but is in Orthanc": TELLS.published().delivered(undelivered("refused")),
    "it is in shadow: nobody waits for it": TELLS.in_shadow().failed(7, publish=137),
    "report.onFailure is None": a_run().with_template(retries=0).failed(7, publish=137),
}


@pytest.mark.parametrize("seen", NO_REPORT.values(), ids=NO_REPORT.keys())
def test_these_end_at_once_and_without_a_report(seen: RunBuilder) -> None:
    status = plan(seen.observed()).status
    assert status is not None
    assert words(status)["Failed"][0] == "True"
    assert "NotPerformed" not in str(status.conditions)


CHANGED = TELLS.fetch_ended(65, FetchReceipt(failure=failed(RunReason.INPUT_MISMATCH, "Orthanc holds other images now", step="fetch")))
OVERTAKEN = CHANGED.with_status(plan(CHANGED.observed()).status)
WAITS = "a report that says that the analysis was not performed is being made, unless a newer Run of the same pipeline and study comes within 10 minutes"

PATIENCE = {
    "a newer Run is waited for": Step(OVERTAKEN.at(70), (), timedelta(minutes=9)),
    "also when the operator was killed and the pod is gone": Step(OVERTAKEN.without_job().at(70), (), timedelta(minutes=9)),
    "none came: the failure is reported, and for that there is as long as ever": Step(
        OVERTAKEN.at(10 + 600), (CreateNotice,), timedelta(minutes=35)
    ),
    "its Job was deleted by hand, and a newer Run did not come": Step(OVERTAKEN.at(70 + 600), (CreateNotice,), timedelta(minutes=34)),
    "the report is being made when a newer Run comes: it is made": Step(
        OVERTAKEN.followed_by("newer").with_notice().at(10 + 600), (), timedelta(minutes=35)
    ),
    "a Run made by hand is followed by nobody": Step(
        CHANGED.made_by_hand().with_status(plan(CHANGED.made_by_hand().observed()).status), (CreateNotice,), timedelta(minutes=35)
    ),
    "another failure is reported at once, whoever is newer": Step(UNDER_WAY.followed_by("newer"), (CreateNotice,), timedelta(minutes=35)),
}


@pytest.mark.parametrize("step", PATIENCE.values(), ids=PATIENCE.keys())
def test_where_the_images_may_have_changed(step: Step) -> None:
    answer = plan(step.seen.observed())
    assert (tuple(map(type, answer.actions)), answer.again_after, answer.status) == (step.want, step.want_again_after, None)


@pytest.mark.parametrize("reason", [RunReason.INPUT_MISMATCH, RunReason.FETCH_FAILED])
def test_a_failure_that_late_images_may_have_caused_waits_for_the_newer_run(reason: RunReason) -> None:
    seen = TELLS.fetch_ended(65, FetchReceipt(failure=failed(reason, "other images", step="fetch")))
    status = plan(seen.observed()).status
    assert message(status, "Reported").startswith(WAITS)
    end = plan(seen.with_status(status).followed_by("newer").at(70).observed())
    assert (end.actions, end.status.state if end.status else None) == ((), "Failed")
    assert words(end.status)["Failed"] == ("True", reason)
    assert message(end.status, "Reported") == f"{NOBODY}Run newer of the same pipeline and study is newer, and reports instead"


def test_a_newer_run_that_is_there_already_is_not_waited_for() -> None:
    answer = plan(CHANGED.followed_by("newer").observed())
    assert answer.status is not None
    assert (answer.actions, answer.status.state) == ((), "Failed")
    assert "Reported" not in words(answer.status)


def test_one_that_takes_its_place_ends_it_as_ever() -> None:
    answer = plan(OVERTAKEN.superseded_by("newer").followed_by("newer").observed())
    assert answer.status is not None
    assert answer.status.state == "Superseded"
    assert CreateNotice not in map(type, answer.actions)


def test_a_retry_that_is_left_is_tried_first() -> None:
    status = plan(a_run().telling_of_failure().with_template(retries=1).failed(7, publish=137).observed()).status
    assert status is not None
    assert (status.failure, status.state) == (None, "Queued")


@pytest.mark.parametrize(
    "seen",
    [TELLS.waiting("ErrImagePull", "no such host", since=3).at(303), TELLS.refused("quota"), TELLS.with_job_ref().looked_up().kept_in_orthanc("Nothing")],
    ids=["an image that cannot be pulled", "a Job that is refused", "a Job that is lost"],
)
def test_a_run_whose_pod_never_reached_publish_is_told_of_too(seen: RunBuilder) -> None:
    first = plan(seen.observed())
    assert words(first.status)["Reported"] == ("False", "NotPerformed")
    then = plan(TELLS.with_status(first.status).at(304).observed())
    assert tuple(map(type, then.actions)) == (CreateNotice,)
    assert CreateJob not in map(type, then.actions)


def test_its_job_is_small_and_waits_for_no_special_node() -> None:
    run = TELLS.with_template(scheduling={"nodeSelector": {"gpu": "yes"}, "runtimeClassName": "nvidia", "imagePullSecrets": [{"name": "registry"}]}).with_gpu()
    seen = run.observed()
    assert seen.bridge is not None
    made = notice_job(seen.run, seen.bridge, Installation("test", "worker:1"), RunReason.OUT_OF_MEMORY)
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (made["metadata"]["name"], container["name"], container["command"][-1]) == (notice_name(NAME), "publish", "not-performed")
    assert not {"nodeSelector", "runtimeClassName", "initContainers"} & set(pod)
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert "nvidia.com/gpu" not in str(container["resources"])
    assert Task.model_validate_json(container["env"][0]["value"]).not_performed == "OutOfMemory"
    assert made["metadata"]["ownerReferences"] == job(seen.run, seen.bridge, Installation("test", "worker:1"))["metadata"]["ownerReferences"]
    assert len(notice_name("x" * 60)) <= 63


def test_a_run_that_is_too_large_for_a_pod_cannot_be_told_of() -> None:
    seen = TELLS.with_step(args=["x" * 4000] * 32).observed()
    assert seen.bridge is not None
    with pytest.raises(UnfitRun):
        notice_job(seen.run, seen.bridge, Installation("test", "worker:1"), RunReason.JOB_REFUSED)


def test_times_stay_while_it_is_waited_for() -> None:
    later = plan(UNDER_WAY.with_notice().notice_ends(0, TOLD).at(200).observed()).status
    times = {c.type: c.last_transition_time for c in (later.conditions if later else None) or ()}
    assert (times["Executed"], times["Reported"]) == ("2026-03-01T12:00:10Z", "2026-03-01T12:03:20Z")


def test_in_shadow_the_report_stays_in_orthanc_and_the_run_ends_with_its_failure() -> None:
    answer = plan(UNDER_WAY.notice_ends(0, TOLD).in_shadow().observed())
    assert answer.status is not None
    assert (answer.actions, answer.status.state, answer.status.deliveries) == ((), "Failed", None)
    assert words(answer.status)["Delivered"] == ("False", "Shadow")
