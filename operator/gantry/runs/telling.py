"""The condition `Notified`: whether the receivers of a pipeline's events have been told of a Run's end.

Pure. `Pending` is written by the very write that ends the Run, so a kill loses no event and a receiver that is added later hears nothing of before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gantry.api import Condition, RunReason, timestamp
from gantry.api.run import RunStatus

from .status import MESSAGE_LIMIT, ORDER, condition, holds


@dataclass(frozen=True, slots=True)
class Telling:
    """How far one receiver is."""

    receiver: str
    why: str = ""
    """Why it has not accepted its events; empty: it has."""
    open: bool = False
    """It is tried again."""


def to_be_told(status: RunStatus, now: datetime) -> RunStatus:
    """With the condition, when the Run ends by this status."""
    if not (holds(status, "Complete") or holds(status, "Failed")) or condition(status, "Notified") is not None:
        return status
    return _with(status, "False", RunReason.PENDING, "the receivers in spec.notifications of the pipeline are being told", now)


def told(status: RunStatus, tellings: Sequence[Telling], now: datetime) -> RunStatus:
    """With what became of it; the same when it says that already."""
    failed = "; ".join(f"{one.why}{', tried again' if one.open else ', given up at its deadline'}" for one in tellings if one.why)
    if not failed:
        places = ", ".join(dict.fromkeys(one.receiver for one in tellings))
        return _with(status, "True", RunReason.NOTIFIED, f"told: {places}" if places else "there was nothing that a receiver wants to hear of", now)
    reason = RunReason.PENDING if any(one.open for one in tellings) else RunReason.NOTIFICATION_FAILED
    return _with(status, "False", reason, failed, now)


def _with(status: RunStatus, said: Literal["True", "False"], reason: RunReason, message: str, now: datetime) -> RunStatus:
    before = condition(status, "Notified")
    made = Condition(
        type="Notified",
        status=said,
        reason=reason,
        message=message[:MESSAGE_LIMIT],
        last_transition_time=before.last_transition_time if before and before.status == said else timestamp(now),
    )
    known = {one.type: one for one in status.conditions or ()} | {"Notified": made}
    return status.model_copy(update={"conditions": [known[kind] for kind in ORDER if kind in known]})
