"""What a delivery needs next: send, look at its job, wait, or nothing any more.

Pure. The life of a delivery:

    Pending ──send──▶ Sending(job) ──job Success──▶ Sent
       ▲                  │
       └──── Failure ─────┤              after the deadline: Failed
       └── job unknown ───┘  (sent again at once: the same objects under the same UIDs, which a PACS counts as success)

Whether a failed C-STORE job can ever work is not told reliably by Orthanc (ErrorCode 9 stands for a refused connection and for a refused SOP
class alike), so everything is tried again until the deadline.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gantry.api import parse_timestamp
from gantry.api.run import DeliveryStatus
from gantry.orthanc import Job, JobState, harmless

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
"""A PACS that is away for an hour is found again within it, at the cost of a dozen associations an hour."""
MISSING_PAUSE = 30.0  # seconds; a destination that is not in the bridge: its return also wakes the Run
POLLS = ((0.2, 0.2), (0.7, 0.5), (1.7, 1.0), (4.0, 2.0))
"""(seconds since the send, pause before the next look). An SR is sent in 20 to 100 ms."""
LONGEST_POLL = 30.0  # seconds
NO_DESTINATION = "the bridge has no such destination; add it to the bridge's spec.destinations or remove it from the pipeline"


@dataclass(frozen=True, slots=True)
class Send:
    """Start a job."""


@dataclass(frozen=True, slots=True)
class Look:
    """Ask for the state of its job."""

    job: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Nothing:
    """It is final."""


Action = Send | Look | Wait | Nothing


def next_action(delivery: DeliveryStatus, *, known: bool, now: datetime, deadline: datetime) -> Action:
    """`known`: the bridge has the destination. Behind the deadline only a job that runs is looked at once more; `ended` then judges."""
    if delivery.state in ("Sent", "Failed"):
        return Nothing()
    if delivery.state == "Sending" and delivery.job_id:
        return Look(delivery.job_id)
    if now >= deadline:
        return Nothing()
    if not known:
        return Wait(MISSING_PAUSE)
    # The least pause of all Runs, so that a Run woken early by another destination still waits; `again_after` spreads them.
    left = (_since(delivery, now) + pause_after(delivery.attempts, jitter=0.0) - now).total_seconds()
    return Wait(left) if delivery.attempts and left > 0 else Send()


def pause_after(attempts: int, *, jitter: float) -> timedelta:
    """Half to the whole of 5 s, 10 s, 20 s … 5 min after the first, second, third … failed send."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(max(attempts - 1, 0), 10))) * (0.5 + jitter / 2)


def poll_pause(delivery: DeliveryStatus, now: datetime) -> float:
    """Seconds until a job that is under way is looked at again: soon at first, then in proportion to how long it takes."""
    elapsed = (now - _since(delivery, now)).total_seconds()
    return next((pause for until, pause in POLLS if elapsed < until), min(LONGEST_POLL, elapsed / 2))


def sending(delivery: DeliveryStatus, job: str, now: datetime) -> DeliveryStatus:
    """A job was started."""
    return delivery.model_copy(update={"state": "Sending", "attempts": delivery.attempts + 1, "job_id": job, "time": moment(now)})


def after_job(delivery: DeliveryStatus, job: Job, now: datetime) -> DeliveryStatus:
    """The job was looked at. Only its state counts."""
    match job.state:
        case JobState.SUCCESS:
            return delivery.model_copy(update={"state": "Sent", "message": None, "time": moment(now)})
        case JobState.FAILURE:
            words = ": ".join(one for one in (job.error_description, job.error_details) if one)
            return failed_once(delivery, words or f"Orthanc's job failed with error {job.error_code}", now)
        case JobState.PAUSED:
            return delivery.model_copy(update={"message": "the job is paused in Orthanc; resume or cancel it there"})
        case _:
            return delivery


def failed_once(delivery: DeliveryStatus, words: str, now: datetime) -> DeliveryStatus:
    """The send did not work; it is pending again. `attempts` counts sends begun, so it stays."""
    return delivery.model_copy(update={"state": "Pending", "job_id": None, "message": harmless(words), "time": moment(now)})


def not_begun(delivery: DeliveryStatus, words: str, now: datetime) -> DeliveryStatus:
    """Not even a job could be started: counted as a send all the same, so that pauses grow."""
    return failed_once(delivery.model_copy(update={"attempts": delivery.attempts + 1}), words, now)


def ended(delivery: DeliveryStatus, *, now: datetime, deadline: datetime) -> DeliveryStatus:
    """Failed when it is past its deadline and not sent."""
    if delivery.state in ("Sent", "Failed") or now < deadline:
        return delivery
    reason = delivery.message or "it was not sent before delivery.deadline"
    return delivery.model_copy(update={"state": "Failed", "message": reason, "time": moment(now)})


def moment(now: datetime) -> str:
    """RFC 3339 with milliseconds: a delivery takes less than a second."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _since(delivery: DeliveryStatus, now: datetime) -> datetime:
    return parse_timestamp(delivery.time) if delivery.time else now
