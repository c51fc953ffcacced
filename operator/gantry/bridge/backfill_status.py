"""What an InferenceBackfill says of itself: its conditions, its state for people and its whole status, from how far the walk is.

Pure: the time comes in, nothing is read or written. A condition keeps its transition time while its status stays.
"""

from dataclasses import dataclass, field
from datetime import date, datetime

from gantry.api import BackfillReason, Condition, timestamp
from gantry.api.backfill import BackfillSpec, BackfillStatus, Counts, Cursor, State

from .dated import Status, dated


@dataclass(frozen=True, slots=True)
class Problem:
    """What a backfill waits for, or ends by."""

    reason: BackfillReason
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a walk is; everything of it is in the status, so a restart loses nothing."""

    dry_run: bool
    day: date
    """The day under work."""
    study: str | None = None
    """The last study of that day that is done."""
    counts: Counts = field(default_factory=Counts)
    estimate: Counts | None = None
    started: datetime | None = None
    ended: datetime | None = None
    problem: Problem | None = None
    """Why it does not go on just now; with `ended`, why it never will."""

    @property
    def stage(self) -> BackfillReason:
        """Reason of the condition Progressing."""
        if self.ended:
            return BackfillReason.COUNTED if self.dry_run else BackfillReason.COMPLETE
        if self.problem:
            return BackfillReason.BLOCKED
        return BackfillReason.COUNTING if self.counts.found is None or self.dry_run else BackfillReason.RUNNING


def begun(spec: BackfillSpec, before: BackfillStatus | None) -> Progress:
    """Where a walk stands by what was written last; from the first day when it was a dry run that now begins."""
    mode = "DryRun" if spec.dry_run else "Run"
    first = date.fromisoformat(spec.from_)
    if before is None or before.mode != mode:
        return Progress(spec.dry_run, first, estimate=before.counts if before and before.mode == "DryRun" else None)
    cursor = before.cursor
    return Progress(
        dry_run=spec.dry_run,
        day=date.fromisoformat(cursor.day) if cursor else first,
        study=cursor.study if cursor else None,
        counts=before.counts or Counts(),
        estimate=before.estimate,
        started=_moment(before.start_time),
        ended=_moment(before.completion_time),
    )


def over(spec: BackfillSpec, status: BackfillStatus | None) -> bool:
    """Whether nothing is left to do: the walk that `spec` asks for has ended, well or not."""
    mode = "DryRun" if spec.dry_run else "Run"
    return status is not None and status.mode == mode and status.completion_time is not None


def compose(before: BackfillStatus | None, progress: Progress, *, generation: int, suspended: bool, finishing: bool, now: datetime) -> BackfillStatus:
    """The whole owned status."""
    told = _conditions(progress, suspended=suspended, finishing=finishing)
    return BackfillStatus(
        observed_generation=generation,
        state=_state(progress, suspended=suspended),
        conditions=[_dated(one, before, generation, now) for one in told],
        mode="DryRun" if progress.dry_run else "Run",
        cursor=Cursor(day=progress.day.isoformat(), study=progress.study),
        counts=progress.counts,
        estimate=progress.estimate,
        start_time=timestamp(progress.started) if progress.started else None,
        completion_time=timestamp(progress.ended) if progress.ended else None,
    )


def suspended_status(spec: BackfillSpec, before: BackfillStatus | None, *, generation: int, now: datetime) -> BackfillStatus:
    """Of a backfill that is held: everything learnt is kept."""
    return compose(before, begun(spec, before), generation=generation, suspended=True, finishing=False, now=now)


def changes_matter(one: BackfillStatus | None, other: BackfillStatus) -> bool:
    """Whether anything a person waits for changed: status or reason of a condition, or the generation. Numbers may wait."""
    return _essence(one) != _essence(other)


def _essence(status: BackfillStatus | None) -> tuple[object, ...]:
    if status is None:
        return ()
    return (status.observed_generation, status.mode, *((one.type, one.status, one.reason) for one in status.conditions or ()))


@dataclass(frozen=True, slots=True)
class _Condition:
    type: str
    status: Status
    reason: BackfillReason
    message: str = ""


def _state(progress: Progress, *, suspended: bool) -> State:
    if progress.ended:
        return "Failed" if progress.problem else "Counted" if progress.dry_run else "Complete"
    if suspended:
        return "Suspended"
    if progress.problem:
        return "Blocked"
    return "Counting" if progress.stage is BackfillReason.COUNTING else "Running"


def _conditions(progress: Progress, *, suspended: bool, finishing: bool) -> tuple[_Condition, ...]:
    problem = progress.problem
    ready = _Condition("Ready", "False", problem.reason, problem.message) if problem else _Condition("Ready", "True", BackfillReason.READY)
    if progress.ended:
        if problem:
            progressing = _Condition("Progressing", "False", problem.reason)
            return ready, progressing, _Condition("Complete", "False", problem.reason), _Condition("Failed", "True", problem.reason, problem.message)
        return ready, _Condition("Progressing", "False", progress.stage), _Condition("Complete", "True", progress.stage, _result(progress))
    if suspended:
        words = "spec.suspend is true: no further Runs; those under way go on. Set it to false to go on from the cursor"
        progressing = _Condition("Progressing", "False", BackfillReason.SUSPENDED, words)
    elif problem:
        progressing = _Condition("Progressing", "False", BackfillReason.BLOCKED, "see the condition Ready; goes on by itself")
    elif finishing:
        progressing = _Condition("Progressing", "True", BackfillReason.FINISHING, "all studies were looked at; the last Runs are under way")
    else:
        progressing = _Condition("Progressing", "True", progress.stage)
    return ready, progressing, _Condition("Complete", "False", BackfillReason.PENDING)


def _result(progress: Progress) -> str:
    counts = progress.counts
    if progress.dry_run:
        words = f"{counts.created} of {counts.found or 0} studies would be analysed, {counts.known} that match are analysed already"
        return f"{words}; set spec.dryRun to false to begin"
    left = f"; {counts.failed} left because Orthanc fails on them, see the operator's log" if counts.failed else ""
    refused = f"; {counts.refused} Runs refused by the API server, see the operator's log" if counts.refused else ""
    return f"{counts.examined} studies looked at, {counts.created} Runs made, {counts.known} were analysed already{left}{refused}"


def _dated(one: _Condition, before: BackfillStatus | None, generation: int, now: datetime) -> Condition:
    known = before.conditions if before else None
    return dated(one.type, one.status, one.reason.value, one.message, before=known, generation=generation, now=now)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
