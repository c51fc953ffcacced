"""A Job or a pod that is gone before anybody has read how it ended: what is looked for, where, how long, and what is made of it."""

import pytest
from tests.builders_runs import NAME, RUN_UID, RunBuilder, a_receipt, a_run, an_end, sent

from gantry.api import RunReason
from gantry.api.run import RunStatus
from gantry.runs import FindReceipt, LookUp, decode_kept, failed, places, plan, result_uid, to_be_kept

COMPLETE = a_run().job_ended("Complete", "CompletionsReached", ended=20)
JOB_GONE = a_run().with_job_ref()
MUTE = a_run().with_pod(phase="Succeeded", fetch=an_end(0), detect=an_end(0), publish=an_end(0))
"""publish ended with 0, and the kubelet lost what it told."""
LOST = {
    "the Job is complete, its pod is gone": COMPLETE.looked_up(),
    "the Job has failed, its pod is gone": a_run().job_ended("Failed", "BackoffLimitExceeded", ended=20).looked_up(),
    "the Job is gone": JOB_GONE.looked_up(),
    "the Job is going": JOB_GONE.with_job(deleting=True).looked_up(),
    "its message is lost": MUTE,
}
every = pytest.mark.parametrize("lost", LOST.values(), ids=LOST.keys())


def status_of(seen: RunBuilder) -> RunStatus:
    status = plan(seen.observed()).status
    assert status is not None
    return status


@every
def test_orthanc_is_asked_before_anything_is_said_to_be_lost(lost: RunBuilder) -> None:
    answer = plan(lost.observed())
    assert (answer.actions, answer.status) == ((FindReceipt(),), None)


@pytest.mark.parametrize("seen", [COMPLETE, JOB_GONE, JOB_GONE.with_job(deleting=True)], ids=["no pod", "no Job", "a Job that goes"])
def test_the_api_server_is_asked_first(seen: RunBuilder) -> None:
    assert plan(seen.observed()).actions == (LookUp(),)


@every
def test_a_receipt_that_orthanc_has_is_the_runs(lost: RunBuilder) -> None:
    """It goes on to its destinations as if the kubelet had told it."""
    found = lost.kept_in_orthanc(a_receipt())
    (errand,) = plan(found.observed()).actions
    status = status_of(found.delivered(sent()))
    assert [one.sop_instance_uid for one in errand.results] == ["2.25.1"]  # type: ignore[union-attr]
    assert (status.state, status.failure, status.findings) == ("Succeeded", None, a_receipt().findings)
    assert {c.type: c.status for c in status.conditions or ()}["Reported"] == "True"


@every
def test_while_orthanc_does_not_answer_nothing_is_lost(lost: RunBuilder) -> None:
    answer = plan(lost.at(3000).kept_in_orthanc("NotKnown").observed())
    assert answer.status is not None
    assert answer.status.state == "Running"
    assert answer.again_after is not None
    executed = next(c for c in answer.status.conditions or () if c.type == "Executed")
    assert (executed.status, executed.reason) == ("False", RunReason.ORTHANC_AWAY)
    assert "Orthanc, which may hold its results, does not answer" in executed.message


@every
def test_it_is_not_waited_for_for_ever(lost: RunBuilder) -> None:
    """An hour after its end; where that is not known, after its timeout, which is an hour too."""
    status = status_of(lost.at(2 * 3600 + 60).kept_in_orthanc("NotKnown"))
    assert status.failure is not None
    assert status.failure.reason in (RunReason.JOB_LOST, RunReason.PUBLISH_FAILED)


def test_a_pod_of_a_deleted_job_is_let_end() -> None:
    """It may publish in its grace, and is not asked about before it is over; on a node that does not answer it never is."""
    running = JOB_GONE.running().with_job(deleting=True).looked_up()
    answer = plan(running.observed())
    assert (answer.actions, answer.status) == ((), None)
    assert answer.again_after is not None
    assert plan(running.at(2 * 3600).observed()).actions == (FindReceipt(),)


def test_a_receipt_of_failure_is_read_where_it_is() -> None:
    told = a_receipt(failure=failed(RunReason.INVALID_FINDINGS, "no"))
    assert FindReceipt() not in plan(a_run().with_pod(phase="Succeeded", publish=an_end(0, message=told.encode())).observed()).actions


def test_what_is_kept_is_read_again() -> None:
    assert decode_kept(to_be_kept(RUN_UID, a_receipt()), RUN_UID) == a_receipt()


@pytest.mark.parametrize(
    "content",
    [
        to_be_kept("another", a_receipt()),
        to_be_kept(RUN_UID, a_receipt().model_copy(update={"results": ()})),
        to_be_kept(RUN_UID, a_receipt(failure=failed(RunReason.NO_OUTPUT, "no"))),
        b"",
        b"{}",
        b"\xff",
        b'{"run": "%s", "receipt": "rubbish"}' % RUN_UID.encode(),
    ],
    ids=["of another Run of the name", "without a report", "of failure", "empty", "of nobody", "no text", "rubbish"],
)
def test_what_is_no_receipt_of_this_run_is_none(content: bytes) -> None:
    assert decode_kept(content, RUN_UID) is None


def test_it_is_looked_for_where_reports_of_the_run_can_be() -> None:
    found = places("here", "ns", NAME)
    assert len(set(found)) == 5
    assert {result_uid("here", "ns", NAME, "sr", 0), result_uid("here", "ns", NAME, "passed-sr", 0)} <= set(found)


def test_more_warnings_than_a_status_holds_are_cut() -> None:
    many = a_receipt().model_copy(update={"warnings": tuple(f"fault {number}" for number in range(100))})
    kept = decode_kept(to_be_kept(RUN_UID, many), RUN_UID)
    assert kept is not None
    assert len(kept.warnings) == 16
