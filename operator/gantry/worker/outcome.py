"""How fetch and publish end: a failure with a reason, the exit code that follows from it, and the receipt.

The rule for exit codes: 65 (EX_DATAERR) ends the Job at once, because a further attempt would end the same way (the Job's podFailurePolicy
fails on 64 to 78); 1 lets the Job try again. It must not decide what a failure is; that is with those who raise it.
"""

import os
from pathlib import Path

from gantry.api import RunReason
from gantry.api.run import Failure
from gantry.runs import failed
from gantry.runs.receipt import Receipt

from .log import complain, frames

OK, RETRY, PERMANENT = 0, 1, 65

NOT_TO_BE_RETRIED = frozenset(
    {
        RunReason.STUDY_GONE,
        RunReason.INPUT_MISMATCH,
        RunReason.INPUT_UNREADABLE,
        RunReason.STEP_REJECTED_INPUT,
        RunReason.NO_OUTPUT,
        RunReason.INVALID_FINDINGS,
        RunReason.WRONG_PATIENT,
        RunReason.UNACCEPTED_OBJECT,
        RunReason.INVALID_REPORT,
    }
)
TERMINATION_LOG = "/dev/termination-log"


class Stop(Exception):
    """The container ends here, with this failure. The message is shown in the Run's status: no identifier of patient or study in it."""

    def __init__(self, reason: RunReason, message: str, *, step: str | None = None, exit_code: int | None = None) -> None:
        super().__init__(f"{reason}: {message}")
        self.failure = failed(reason, message, step=step, exit_code=exit_code)


def exit_code(failure: Failure | None) -> int:
    """0, 65 or 1, by the rule above."""
    if failure is None:
        return OK
    return PERMANENT if failure.reason in NOT_TO_BE_RETRIED else RETRY


def hand_over(receipt: Receipt, limit: int) -> None:
    """Writes the receipt where the kubelet takes it from (the environment names another place for tests)."""
    Path(os.environ.get("TERMINATION_LOG", TERMINATION_LOG)).write_text(receipt.encode(limit))


def unexpected(reason: RunReason, role: str, error: Exception) -> Failure:
    """A fault nobody foresaw, told without the error's own words, which may quote what is in the images."""
    complain("unexpected error", {"error": type(error).__name__, "frames": frames(error)})
    return failed(reason, f"unexpected {type(error).__name__}; the container's log has the place. Please report it", step=role)
