"""A pipeline that starts after a finished Run: decided on the study as it is now, and made into a Run.

It raises OrthancError when Orthanc fails on the study, Unsettled while images come to a chosen series, and whatever `Host.create_run` raises when
the Run could not be recorded. What the findings say, and who is asked when, is the caller's. Log lines name checks, never a value of the study.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from gantry.api.matching import Priority
from gantry.orthanc import NotFound, Orthanc, SeriesResource
from gantry.runs import fingerprint, run_name

from .facts import inquire
from .host import Candidate, Decided, Faulted, Host, Outcome, RunRefused
from .run import run_body

log = structlog.get_logger(__name__)


class Unsettled(Exception):
    """Images come to a series that was chosen: its Run would be for a part of them."""


@dataclass(frozen=True, slots=True)
class First:
    """The finished Run."""

    name: str
    study: str
    """Orthanc's id."""
    results: tuple[str, ...]
    """SOP Instance UIDs."""
    priority: Priority
    sender: str | None
    alone: str | None = None
    """The series that was decided by itself, at a bridge of level Series: what follows is decided on it, too."""


@dataclass(frozen=True, slots=True)
class Started:
    """What came of it."""

    outcome: Outcome
    run: str | None = None
    """The Run that exists now."""
    why: str = ""
    """Without one."""


@dataclass(frozen=True, slots=True)
class AfterIntake:
    """Where Runs of one bridge are followed."""

    namespace: str
    bridge: str
    orthanc: Orthanc
    host: Host
    clock: Callable[[], datetime]

    async def start(self, candidate: Candidate, first: First, *, seen: datetime, supersedes: str | None = None) -> Started:
        """`supersedes`: the Run of this pipeline that followed the Run whose place `first` took."""
        try:
            made, check = await self._start(candidate, first, seen, supersedes)
        except NotFound:
            made, check = Started(Outcome.NOT_MATCHED, why="the study was deleted from Orthanc"), "study"
        self.tell(candidate.name, first, made, check, seen)
        return made

    def tell(self, pipeline: str, first: First, made: Started, check: str | None, seen: datetime) -> None:
        """Metrics and log."""
        seconds = (self.clock() - seen).total_seconds() if made.outcome is Outcome.CREATED else None
        self.host.record(Decided(pipeline, made.outcome, check, seconds))
        log.info("decision", bridge=self.bridge, pipeline=pipeline, outcome=made.outcome.value, check=check, after=first.name, study=first.study)

    async def _start(self, candidate: Candidate, first: First, seen: datetime, supersedes: str | None) -> tuple[Started, str | None]:
        study = await self.orthanc.study(first.study)
        present = await self.orthanc.series_of_study(first.study)
        inquiry = await inquire(self.orthanc, study, [candidate.rules], only=first.alone, series=present)
        (decision,) = inquiry.decisions
        if not decision.matched:
            check = decision.refusal.check if decision.refusal else "rules"
            return Started(Outcome.NOT_MATCHED, why=f"the study does not match ({check})"), check
        series = decision.selected
        _require_settled(present, series)
        instances = [one.sop_instance_uid for name in series for one in await self.orthanc.instances_of_series(name)]
        identity = fingerprint(self.namespace, candidate.name, first.study, [*instances, *first.results])
        name = run_name(candidate.name, identity)
        if self.host.run_exists(name):
            return Started(Outcome.KNOWN, run=name), None
        body = run_body(
            namespace=self.namespace,
            bridge=self.bridge,
            candidate=candidate,
            study=first.study,
            series=series,
            instances=len(instances),
            fingerprint=identity,
            trigger="After",
            seen=seen,
            # A backfill's Runs hold nobody up, and neither does what follows them.
            priority="Background" if first.priority == "Background" else decision.priority,
            sender=first.sender,
            supersedes=supersedes,
            after=first.name,
        )
        try:
            made = await self.host.create_run(body)
        except RunRefused as error:
            self.host.record(Faulted("runs", type(error).__name__))
            log.error("the API server refuses a Run", bridge=self.bridge, pipeline=candidate.name, study=first.study, error=str(error))
            return Started(Outcome.REFUSED, why="the API server refuses its Run; the operator's log says why"), None
        return Started(Outcome.CREATED if made else Outcome.KNOWN, run=name), None


def _require_settled(present: Sequence[SeriesResource], chosen: Sequence[str]) -> None:
    """By series: the study as a whole is not stable just because the first Run's own report came."""
    coming = sum(not one.is_stable for one in present if one.id in chosen)
    if coming:
        raise Unsettled(f"images come to {coming} of {len(chosen)} chosen series")
