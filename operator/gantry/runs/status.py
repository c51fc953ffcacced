"""The status a Run gets: every word of it is written by one of the functions here, each for one place in the Run's life.

Pure. A condition keeps its transition time while its status stays. The whole owned status comes out each time, because server-side apply removes
what is left out. It must not decide which place a Run has reached: `plan` does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from gantry.api import Condition, RunReason, parse_timestamp, timestamp
from gantry.api.run import DeliveryStatus, Failure, JobReference, RunStatus, Stage, State

from . import accounting
from .observed import Observed
from .receipt import PublishReceipt
from .spent import pods_so_far

ORDER = ("Admitted", "Executed", "Reported", "Delivered", "Followed", "Notified", "Complete", "Failed")
ENDED_FROM_OUTSIDE: dict[str, State] = {RunReason.CANCELLED: "Cancelled", RunReason.SUPERSEDED: "Superseded"}
"""Ends that are no failure of the Run's own."""
MESSAGE_LIMIT = 1024
"""Characters of a condition's message: the scheduler lists every node group it tried."""


@dataclass(frozen=True, slots=True)
class Word:
    """What a condition is to say."""

    type: Literal["Admitted", "Executed", "Reported", "Delivered", "Complete", "Failed"]
    holds: bool
    reason: RunReason | str
    message: str = ""


def same(one: RunStatus, other: RunStatus | None) -> bool:
    """Whether both say the same; the API server may keep lists of named items in another order."""
    return other is not None and _ordered(one) == _ordered(other)


def not_admitted(seen: Observed, reason: RunReason, message: str) -> RunStatus:
    """No Job yet."""
    return _revised(seen, "Queued", Word("Admitted", False, reason, message))


def waiting(seen: Observed, reason: RunReason, message: str) -> RunStatus:
    """It could begin, and is held."""
    return _revised(seen, "Waiting", Word("Admitted", False, reason, message))


def executing(seen: Observed, state: State, reason: RunReason | str, message: str) -> RunStatus:
    """The Job exists; `reason` says how far its pod is. Written seldom: stages that end meanwhile are told at the end."""
    status = _revised(seen, state, *_admitted(seen), Word("Executed", False, reason, message))
    return status.model_copy(update={"stages": _named(status.stages, accounting.way_in(seen))})


def reported(seen: Observed, receipt: PublishReceipt) -> RunStatus:
    """publish's receipt is there: what it says is what the Run found and left in Orthanc."""
    status = _revised(
        seen,
        "Delivering",
        *_admitted(seen),
        Word("Executed", True, RunReason.EXECUTED, "every step ended with exit code 0"),
        Word("Reported", True, RunReason.REPORTED, "the results are in Orthanc, read back and equal"),
    )
    facts = {
        "stages": _named(status.stages, accounting.whole_way(seen)),
        "usage": accounting.usage(seen),
        "pods": None,
        "findings": receipt.findings,
        "results": list(receipt.results) or None,
        "alternatives": list(receipt.alternatives) or None,
        "warnings": list(receipt.warnings) or None,
        "failure": None,  # of a Job that was being ended when its pod had published
    }
    return status.model_copy(update=facts)


def delivering(seen: Observed, status: RunStatus, deliveries: Iterable[DeliveryStatus], why: tuple[RunReason, str]) -> RunStatus:
    """On the way to the destinations; `why` is reason and message of what is still missing."""
    begun = next((s for s in status.stages or () if s.name == "deliver"), None)
    start = begun or Stage(name="deliver", start_time=accounting.moment(accounting.published_at(seen)))
    changed = _with(seen, status, Word("Delivered", False, *why))
    return changed.model_copy(
        update={"state": "Delivering", "deliveries": list(deliveries) or None, "stages": _named(status.stages, [start])}
    )


def complete(seen: Observed, status: RunStatus) -> RunStatus:
    """Finished well."""
    done = "analysed and reported, in shadow" if seen.run.shadow else "analysed, reported and delivered"
    changed = _with(seen, status, _delivered(seen, status), Word("Complete", True, RunReason.COMPLETE, done))
    return _over(seen, changed, "Succeeded")


def _delivered(seen: Observed, status: RunStatus) -> Word:
    """A shadow Run has delivered nothing, and says so: whoever waits for Delivered must not take it for something a reader has."""
    if seen.run.shadow:
        return Word("Delivered", False, RunReason.SHADOW, "spec.mode is Shadow: nothing leaves; the results stay in Orthanc, marked as shadow")
    if not status.deliveries:
        return Word("Delivered", True, RunReason.NO_DESTINATIONS, "the template names no destination; the results stay in Orthanc")
    committed = [d.destination for d in status.deliveries if d.state == "Committed"]
    taken = [d.destination for d in status.deliveries if d.state != "Committed"]
    words = [f"{', '.join(taken)} took the results"] if taken else []
    words += [f"{', '.join(committed)} confirmed to have {'them' if taken else 'the results'}"] if committed else []
    return Word("Delivered", True, RunReason.DELIVERED if taken else RunReason.COMMITTED, "; ".join(words))


def unsuccessful(seen: Observed, failure: Failure, *, status: RunStatus | None = None) -> RunStatus:
    """Finished, but not well. `status` is what had been reached in this pass."""
    changed = _missed(seen, failure, status)
    return _over(seen, _with(seen, changed, *_failed(failure)), ENDED_FROM_OUTSIDE.get(failure.reason, "Failed"))


def failing(seen: Observed, failure: Failure, *, patience: timedelta) -> RunStatus:
    """It failed for good; that the analysis was not performed is still to be reported, after a newer Run was waited for."""
    changed = _missed(seen, failure, None)
    message = "a report that says that the analysis was not performed is being made"
    if patience:
        minutes = f"{patience.total_seconds() / 60:g} minutes"
        message += f", unless a newer Run of the same pipeline and study comes within {minutes}: the images may have changed under this one"
    told_soon = Word("Reported", False, RunReason.NOT_PERFORMED, message)
    return _with(seen, changed, told_soon).model_copy(update={"state": "Running"})


def told(seen: Observed, receipt: PublishReceipt) -> RunStatus:
    """The report that the analysis was not performed is in Orthanc."""
    message = "a report that says that the analysis was not performed is in Orthanc, read back and equal"
    changed = _with(seen, seen.run.status or RunStatus(), Word("Reported", True, RunReason.NOT_PERFORMED, message))
    left = {"results": list(receipt.results) or None, "alternatives": list(receipt.alternatives) or None}
    return changed.model_copy(update={"state": "Delivering", **left})


def failed_and_told(seen: Observed, status: RunStatus, *, lost: str = "") -> RunStatus:
    """Finished with the failure it had; `lost`: what kept the report of it from a destination."""
    delivered = Word("Delivered", False, RunReason.DELIVERY_FAILED, lost) if lost else _delivered(seen, status)
    return _over(seen, _with(seen, status, delivered, *_failed(status.failure)), "Failed")


def failed_and_untold(seen: Observed, why: str) -> RunStatus:
    """Finished with the failure it had, and nobody could be told."""
    status = seen.run.status or RunStatus()
    untold = Word("Reported", False, RunReason.NOT_PERFORMED, f"no report says that the analysis was not performed: {why}")
    return _over(seen, _with(seen, status, untold, *_failed(status.failure)), "Failed")


def _failed(failure: Failure | None) -> tuple[Word, ...]:
    reason, message = (failure.reason, failure.message) if failure else (RunReason.PUBLISH_FAILED, "")
    return Word("Complete", False, reason), Word("Failed", True, reason, message)


def _over(seen: Observed, status: RunStatus, state: State) -> RunStatus:
    facts = {"state": state, "completion_time": timestamp(seen.now), "stages": _closed(seen, status.stages)}
    return status.model_copy(update=facts)


def _missed(seen: Observed, failure: Failure, status: RunStatus | None) -> RunStatus:
    """What it failed with, and the first condition that it did not reach."""
    reached = status or _revised(seen, "Failed", *_admitted(seen))
    held = {c.type for c in reached.conditions or () if c.status == "True"}
    missed: Literal["Executed", "Reported", "Delivered"] = (
        "Delivered" if "Reported" in held else "Reported" if "Executed" in held else "Executed"
    )
    changed = _with(seen, reached, Word(missed if "Admitted" in held else "Admitted", False, failure.reason, failure.message))
    facts: dict[str, object] = {"failure": failure}
    if status is None:
        facts |= {"stages": _named(changed.stages, accounting.whole_way(seen)), "usage": accounting.usage(seen), "pods": None}
    return changed.model_copy(update=facts)


def condition(status: RunStatus | None, kind: str) -> Condition | None:
    """A condition by its type."""
    return next((c for c in (status.conditions if status else None) or () if c.type == kind), None)


def holds(status: RunStatus | None, kind: str) -> bool:
    """Whether a condition is there and True."""
    found = condition(status, kind)
    return found is not None and found.status == "True"


def _admitted(seen: Observed) -> list[Word]:
    """Kept once it was so: a Job that is gone had been admitted."""
    if seen.own_job is None and not seen.run.job_made:
        return []
    return [Word("Admitted", True, RunReason.ADMITTED, "the Job exists")]


def _revised(seen: Observed, state: State, *words: Word) -> RunStatus:
    """What is known in every place, and the words."""
    before = seen.run.status or RunStatus()
    job, pod = seen.own_job, seen.pod
    facts: dict[str, object] = {"observed_generation": seen.run.generation, "state": state}
    if job is not None:
        facts |= {"job_ref": JobReference(name=job.name, uid=job.uid), "start_time": timestamp(job.created)}
    # A pod that was made or bound to a node but has not started is no news worth a write.
    if job is not None and (pod is None or pod.started or pod.over):
        facts["attempts"] = accounting.attempts(seen) if pod else (before.attempts or 0)
    facts["pods"] = pods_so_far(seen) or None
    if pod is not None and pod.node and pod.started:
        facts["node"] = pod.node
    return _with(seen, before.model_copy(update=facts), *words)


def _with(seen: Observed, status: RunStatus, *words: Word) -> RunStatus:
    """The conditions changed by the words, in the order of a Run's life."""
    conditions = {c.type: c for c in status.conditions or ()}
    for word in words:
        said: Literal["True", "False"] = "True" if word.holds else "False"
        before = conditions.get(word.type)
        since = before.last_transition_time if before and before.status == said else timestamp(seen.now)
        conditions[word.type] = Condition(
            type=word.type, status=said, reason=str(word.reason), message=word.message[:MESSAGE_LIMIT], last_transition_time=since
        )
    return status.model_copy(update={"conditions": [conditions[kind] for kind in ORDER if kind in conditions]})


def _named(stages: list[Stage] | None, changes: Iterable[Stage]) -> list[Stage]:
    return list(({s.name: s for s in stages or ()} | {s.name: s for s in changes}).values())


def _closed(seen: Observed, stages: list[Stage] | None) -> list[Stage] | None:
    """Delivery ends with the Run."""
    open_ = next((s for s in stages or () if s.name == "deliver" and s.seconds is None), None)
    if open_ is None:
        return stages
    seconds = max(0.0, (seen.now - parse_timestamp(open_.start_time)).total_seconds())
    return _named(stages, [open_.model_copy(update={"seconds": round(seconds, 3)})])


def _ordered(status: RunStatus) -> RunStatus:
    update: dict[str, object] = {}
    if status.conditions:
        update["conditions"] = sorted((c for c in status.conditions if c.type in ORDER), key=lambda c: c.type)  # others write theirs
    if status.stages:
        update["stages"] = sorted(status.stages, key=lambda s: s.name)
    if status.pods:
        update["pods"] = sorted(status.pods, key=lambda one: one.name)
    if status.deliveries:
        update["deliveries"] = sorted(status.deliveries, key=lambda d: d.destination)
    return status.model_copy(update=update)
