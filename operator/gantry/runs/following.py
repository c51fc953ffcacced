"""Which finished Runs pipelines may start after, and what is said on them about it (condition `Followed`).

Pure. A Run is asked about until `Followed` is True: that is written when every pipeline that starts after it has been decided, so nothing is
decided twice and nothing is lost by a kill. A message names Runs, pipelines and checks, never a value of the study.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gantry.api import Condition, RunReason, timestamp
from gantry.api.run import RunStatus

from .status import MESSAGE_LIMIT, ORDER, condition
from .view import RunView


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one pipeline that starts after the Run."""

    pipeline: str
    run: str | None = None
    """The Run that was made, now or before."""
    why: str = ""
    """Without a Run: why there is none."""
    open: bool = False
    """It could not be decided yet: the pipeline is not ready."""


def to_be_followed(run: RunView) -> bool:
    """Whether pipelines may start after it: finished well, and not all of them have been decided."""
    return run.finished and run.state == "Succeeded" and not run.followed and run.pipeline is not None


def within_reach(run: RunView, *, since: datetime) -> bool:
    """Whether it finished since then. A pipeline must not start after Runs from before it was there."""
    return run.completed is not None and run.completed >= since


def followed(status: RunStatus, answers: Sequence[Answer], now: datetime) -> RunStatus:
    """The status with what is to be said; the same when it says that already."""
    over = not any(one.open for one in answers)
    words = "; ".join(f"{one.pipeline}: {f'Run {one.run}' if one.run else f'none, {one.why}'}" for one in answers)
    before = condition(status, "Followed")
    said = "True" if over else "False"
    made = Condition(
        type="Followed",
        status="True" if over else "False",
        reason=RunReason.FOLLOWED if over else RunReason.PENDING,
        message=words[:MESSAGE_LIMIT],
        last_transition_time=before.last_transition_time if before and before.status == said else timestamp(now),
    )
    known = {one.type: one for one in status.conditions or ()} | {"Followed": made}
    return status.model_copy(update={"conditions": [known[kind] for kind in ORDER if kind in known]})
