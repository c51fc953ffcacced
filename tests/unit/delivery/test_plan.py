"""What a delivery needs next."""

from datetime import datetime, timedelta

import pytest
from tests.builders import pending
from tests.fake_orthanc import START

from gantry.api.run import DeliveryStatus
from gantry.delivery.plan import (
    Action,
    Look,
    Nothing,
    Send,
    Terms,
    Wait,
    after_job,
    ended,
    moment,
    next_action,
    pause_after,
    poll_pause,
)
from gantry.orthanc import Job, JobState

DEADLINE = START + timedelta(hours=24)


def a_delivery(state: str = "Pending", *, since: float = 0.0, **more: object) -> DeliveryStatus:
    """`since`: seconds ago that it became so."""
    fields = {"destination": "pacs", "state": state, "time": moment(START - timedelta(seconds=since)), **more}
    return DeliveryStatus.model_validate(fields)


NEXT: dict[str, tuple[DeliveryStatus, bool, datetime, Action]] = {
    "a new one is sent": (pending("pacs")[0], True, START, Send()),
    "one that is under way is looked at": (a_delivery("Sending", job_id="j"), True, START, Look("j")),
    "one that is under way to a destination that was removed is looked at": (a_delivery("Sending", job_id="j"), False, START, Look("j")),
    "one whose job was never recorded is sent": (a_delivery("Sending"), True, START, Send()),
    "one that failed just now waits": (a_delivery(attempts=1), True, START, Wait(2.5)),
    "one that failed twice waits longer": (a_delivery(attempts=2), True, START, Wait(5.0)),
    "one whose failure is of a clock that was put back since is sent": (a_delivery(attempts=1, since=-7200), True, START, Send()),
    "one that waited is sent": (a_delivery(attempts=1, since=5), True, START, Send()),
    "one without a destination waits": (a_delivery(), False, START, Wait(30.0)),
    "one that was sent is done": (a_delivery("Sent"), True, START, Nothing()),
    "one that failed is done": (a_delivery("Failed"), True, START, Nothing()),
    "behind the deadline nothing is sent any more": (a_delivery(), True, DEADLINE, Nothing()),
    "behind the deadline a job is looked at once more": (a_delivery("Sending", job_id="j"), True, DEADLINE, Look("j")),
}


@pytest.mark.parametrize(("delivery", "known", "now", "want"), NEXT.values(), ids=NEXT.keys())
def test_the_next_action(delivery: DeliveryStatus, known: bool, now: datetime, want: Action) -> None:
    assert next_action(delivery, known=known, now=now, deadline=DEADLINE) == want


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (500, 300)])
def test_pauses_grow_to_five_minutes(attempts: int, seconds: float) -> None:
    assert pause_after(attempts, jitter=1.0) == timedelta(seconds=seconds)
    assert pause_after(attempts, jitter=0.0) == timedelta(seconds=seconds / 2)


@pytest.mark.parametrize(("since", "pause"), [(0, 0.1), (0.1, 0.2), (0.3, 0.5), (1, 1.0), (2, 2.0), (10, 5.0), (600, 30.0)])
def test_a_job_is_looked_at_soon_and_then_less_often(since: float, pause: float) -> None:
    assert poll_pause(a_delivery("Sending", since=since), START) == pause


def a_job(state: JobState, *, description: str = "Error in the network protocol", details: str = "") -> Job:
    return Job("j", state, progress=0, error_code=9, error_description=description, error_details=details)


JOBS: dict[str, tuple[Job, str, str | None]] = {
    "it worked": (a_job(JobState.SUCCESS), "Sent", None),
    "it is under way": (a_job(JobState.RUNNING), "Sending", "earlier"),
    "it is queued behind others": (a_job(JobState.PENDING), "Sending", "earlier"),
    "somebody paused it": (a_job(JobState.PAUSED), "Sending", "the job is paused in Orthanc; resume or cancel it there"),
    "it failed": (
        a_job(JobState.FAILURE, details='DicomAssociation - connecting to AET "PACS": TCP Initialization Error: Connection refused'),
        "Pending",
        'Error in the network protocol: DicomAssociation - connecting to AET "PACS": TCP Initialization Error: Connection refused',
    ),
    "it failed and the PACS named the patient": (a_job(JobState.FAILURE, details="refused Doe^John 12345678"), "Pending", "Error in the network protocol: refused … …"),
    "it failed without a word": (a_job(JobState.FAILURE, description=""), "Pending", "Orthanc's job failed with error 9"),
}  # fmt: skip


@pytest.mark.parametrize(("job", "state", "message"), JOBS.values(), ids=JOBS.keys())
def test_what_comes_of_a_job(job: Job, state: str, message: str | None) -> None:
    after = after_job(a_delivery("Sending", job_id="j", attempts=2, message="earlier"), job, START)
    assert (after.state, after.message, after.attempts) == (state, message, 2)


ENDS: dict[str, tuple[DeliveryStatus, datetime, str, str | None]] = {
    "before the deadline nothing changes": (a_delivery(), DEADLINE - timedelta(seconds=1), "Pending", None),
    "at the deadline it fails with what was known": (a_delivery(message="Connection refused"), DEADLINE, "Failed", "Connection refused"),
    "at the deadline it fails with a reason even when nothing is known": (a_delivery(), DEADLINE, "Failed", "it was not sent before delivery.deadline"),
    "what was sent stays sent": (a_delivery("Sent"), DEADLINE, "Sent", None),
}


@pytest.mark.parametrize(("delivery", "now", "state", "message"), ENDS.values(), ids=ENDS.keys())
def test_the_deadline(delivery: DeliveryStatus, now: datetime, state: str, message: str | None) -> None:
    after = ended(delivery, now=now, terms=Terms(DEADLINE))
    assert (after.state, after.message) == (state, message)
