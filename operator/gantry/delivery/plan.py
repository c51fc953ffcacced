"""What a delivery needs next: send, look at its job, ask for a receipt, wait, or nothing any more.

Pure. The life of a delivery:

    Pending ──send──▶ Sending(job) ──job Success──▶ Sent ──receipt──▶ Committed
       ▲                  │                          │
       └──── Failure ─────┤                          │ it does not have the results after all: sent again
       ├── job unknown ───┘ (sent again at once)     │
       └─────────────────────────────────────────────┘     Failed: after the deadline, or refused twice for good

The same objects are sent under the same UIDs, which a PACS counts as success. Sent is the end where no receipt is asked for.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from gantry.api import parse_timestamp
from gantry.api.run import DeliveryStatus, Receipt
from gantry.orthanc import Job, JobState, harmless

from .faults import NOT_STORED, WHOLE, Fault, fault_of, words_of
from .receipts import Answer, Asked, Confirmed, Lacks, NotOffered, Silent

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
"""A PACS that is away for an hour is found again within it, at the cost of a dozen associations an hour."""
MISSING_PAUSE = 30.0  # seconds; a destination that is not in the bridge: its return also wakes the Run
POLLS = ((0.05, 0.1), (0.2, 0.2), (0.7, 0.5), (1.7, 1.0), (4.0, 2.0))
"""(seconds since the send, pause before the next look). An SR is sent in 20 to 100 ms."""
LONGEST_POLL = 30.0  # seconds
QUERY_PATIENCE = timedelta(seconds=60)
"""A PACS that took an object may need a while to list it."""
SILENT_PATIENCE = timedelta(seconds=60)
"""A destination that cannot be asked for commitment that is only wanted when offered."""
COMMITMENT_PATIENCE = timedelta(minutes=10)
"""For the answer to a request for commitment. Then it is asked again, or left at Sent when that is enough."""
NO_DESTINATION = "the bridge has no such destination; add it to the bridge's spec.destinations or remove it from the pipeline"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the pipeline asks of its deliveries."""

    deadline: datetime
    commitment: Literal["Never", "WhenOffered", "Required"] = "Never"


@dataclass(frozen=True, slots=True)
class Send:
    """Start a job."""


@dataclass(frozen=True, slots=True)
class Look:
    """Ask for the state of its job."""

    job: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the destination for its receipt."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Nothing:
    """It is final."""


Action = Send | Look | Ask | Wait | Nothing


def next_action(delivery: DeliveryStatus, *, known: bool, now: datetime, deadline: datetime) -> Action:
    """`known`: the destination can be used. Behind the deadline what is under way is looked at once more; `ended` then judges."""
    if delivery.final:
        return Nothing()
    if delivery.state == "Sending" and delivery.job_id:
        return Look(delivery.job_id)
    if delivery.awaits:
        return Ask(delivery.awaits) if known else Wait(MISSING_PAUSE)
    if now >= deadline:
        return Nothing()
    if not known:
        return Wait(MISSING_PAUSE)
    if delivery.reason in WHOLE:
        return Send()  # when, is for the destination's lane to say
    # The least pause of all Runs, so that a Run woken early by another destination still waits; `again_after` spreads them.
    if at_once(delivery):
        return Send()
    pause = pause_after(delivery.attempts, jitter=0.0).total_seconds()
    left = (_since(delivery, now) - now).total_seconds() + pause
    return Wait(left) if delivery.attempts and 0 < left <= pause else Send()  # more: the clock was put back since


def at_once(delivery: DeliveryStatus) -> bool:
    """It refused one class of reports and is asked, or gets the other: no reason to wait."""
    return bool(delivery.asks) or (delivery.reports == "ComprehensiveSR" and not delivery.reason)


def pause_after(attempts: int, *, jitter: float) -> timedelta:
    """Half to the whole of 5 s, 10 s, 20 s … 5 min after the first, second, third … failed send."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(max(attempts - 1, 0), 10))) * (0.5 + jitter / 2)


def poll_pause(delivery: DeliveryStatus, now: datetime) -> float:
    """Seconds until a job or a receipt that is under way is looked at again: soon at first, then in proportion to how long it takes."""
    elapsed = (now - _since(delivery, now)).total_seconds()
    return next((pause for until, pause in POLLS if elapsed < until), min(LONGEST_POLL, elapsed / 2))


def sending(delivery: DeliveryStatus, job: str, now: datetime) -> DeliveryStatus:
    """A job was started. What went wrong before is remembered until it is known how this one ends."""
    return delivery.model_copy(update={"state": "Sending", "attempts": delivery.attempts + 1, "job_id": job, "time": moment(now)})


def sent(delivery: DeliveryStatus, now: datetime, *, awaits: Receipt | None, message: str | None = None) -> DeliveryStatus:
    """The destination answered success."""
    return delivery.model_copy(
        update={"state": "Sent", "awaits": awaits, "transaction_uid": None, "reason": None, "message": message, "time": moment(now)}
    )


def after_job(delivery: DeliveryStatus, job: Job, now: datetime, *, awaits: Receipt | None = None) -> DeliveryStatus:
    """The job was looked at. Only its state counts. `awaits`: what is asked for when it worked."""
    match job.state:
        case JobState.SUCCESS:
            return sent(delivery, now, awaits=awaits)
        case JobState.FAILURE:
            return failed_once(delivery, fault_of(job), words_of(job), now)
        case JobState.PAUSED:
            return delivery.model_copy(update={"message": "the job is paused in Orthanc; resume or cancel it there"})
        case _:
            return delivery


def after_answer(delivery: DeliveryStatus, answer: Answer, terms: Terms, now: datetime, *, query: bool) -> DeliveryStatus:
    """The destination was asked for its receipt. `query`: it may be asked by query when it does not offer commitment."""
    waited = now - _since(delivery, now)
    optional = delivery.awaits == "StorageCommitment" and terms.commitment != "Required"
    match answer:
        case Confirmed():
            return delivery.model_copy(update={"state": "Committed", "awaits": None, "reason": None, "message": None, "time": moment(now)})
        case Asked(transaction) if transaction != delivery.transaction_uid:
            return delivery.model_copy(update={"transaction_uid": transaction, "message": None, "time": moment(now)})
        case Asked() if waited > COMMITMENT_PATIENCE:
            if optional:
                return sent(delivery, now, awaits=None, message="sent; it did not answer the request for storage commitment")
            return delivery.model_copy(update={"transaction_uid": None, "time": moment(now)})
        case Asked():
            return delivery
        case Lacks(missing, of, final) if final or waited > QUERY_PATIENCE:
            verb = "commit to" if final else "list"
            return failed_once(delivery, NOT_STORED, f"it answered success and does not {verb} {missing} of {of} results", now)
        case Lacks(missing, of):
            return delivery.model_copy(update={"message": f"it does not list {missing} of {of} results yet"})
        case NotOffered() if query:
            return sent(delivery, now, awaits="Query")
        case NotOffered() if optional:
            return sent(delivery, now, awaits=None, message="sent; it does not offer storage commitment")
        case NotOffered():
            words = "sent, but it does not offer storage commitment, which delivery.storageCommitment requires"
            return given_up(delivery, "CommitmentNotOffered", words, now)
        case Silent(words) if optional and waited > SILENT_PATIENCE:
            return sent(delivery, now, awaits="Query" if query else None, message=f"sent; it could not be asked for storage commitment: {words}")
        case Silent(words):
            return delivery.model_copy(update={"message": f"sent; it cannot be asked for its receipt: {words}"})


def failed_once(delivery: DeliveryStatus, fault: Fault, words: str, now: datetime) -> DeliveryStatus:
    """The send did not work; it is pending again, unless it was refused for good a second time. `attempts` counts sends begun, so it stays."""
    said = harmless(words)
    if fault.permanent and delivery.reason == fault.reason:
        return given_up(delivery, fault.reason, f"{said}; twice the same, it is not tried again", now)
    return delivery.model_copy(
        update={
            "state": "Pending", "job_id": None, "awaits": None, "transaction_uid": None,
            "reason": fault.reason, "message": said, "time": moment(now),
        }
    )  # fmt: skip


def not_begun(delivery: DeliveryStatus, fault: Fault, words: str, now: datetime) -> DeliveryStatus:
    """Not even a job could be started: counted as a send all the same, so that pauses grow."""
    return failed_once(delivery.model_copy(update={"attempts": delivery.attempts + 1}), fault, words, now)


def ended(delivery: DeliveryStatus, *, now: datetime, terms: Terms) -> DeliveryStatus:
    """Failed when it is past its deadline and not where it should be."""
    if delivery.final or now < terms.deadline:
        return delivery
    if delivery.awaits == "StorageCommitment" and terms.commitment != "Required":
        return sent(delivery, now, awaits=None, message="sent; it did not commit to the results before delivery.deadline")
    if delivery.awaits:
        return given_up(delivery, "NotConfirmed", delivery.message or "sent; it did not confirm before delivery.deadline", now)
    return given_up(delivery, delivery.reason or "DeadlineExceeded", delivery.message or "it was not sent before delivery.deadline", now)


def given_up(delivery: DeliveryStatus, reason: str, words: str, now: datetime) -> DeliveryStatus:
    """It is not tried any more."""
    return delivery.model_copy(update={"state": "Failed", "awaits": None, "reason": reason, "message": words, "time": moment(now)})


def moment(now: datetime) -> str:
    """RFC 3339 with milliseconds: a delivery takes less than a second."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _since(delivery: DeliveryStatus, now: datetime) -> datetime:
    return parse_timestamp(delivery.time) if delivery.time else now
