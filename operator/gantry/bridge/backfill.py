"""Walks through the studies of a span of days that are stored already, one after the other, and has each taken in as if it had just come.

One task a backfill, one loop. A turn does one small thing: counts a day, reads a day's list, or takes in one study; then the loop waits as long as
that turn says. Runs are made while fewer than `maxActive` of this backfill are unfinished, requests to Orthanc go one after the other.
The cursor stands before the first study that is not done, and is written every few seconds: a killed process looks at those few studies again, finds
their Runs by their derived names, and counts them as its own. Only one day's ids are in memory.
It decides nothing about studies (`intake`), keeps no Runs, and must not call the API server (that is the host it is given).
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Protocol

import structlog

from gantry.api import BackfillReason, InferencePipeline, labels
from gantry.api.backfill import BackfillSpec, BackfillStatus, Counts
from gantry.orthanc import Orthanc, OrthancError, Unauthorized
from gantry.routing import InvalidRules, compile_rules

from .backfill_status import Problem, begun, changes_matter, compose
from .cursor import ATTEMPTS
from .host import Candidate, Decided, Dropped, EarlierRun, Host, Level, Observation, Origin, Outcome
from .intake import HostAway, Intake
from .recovery import everybody

log = structlog.get_logger(__name__)

PAGE = 1000
"""Ids a request; 45 KB and 10 ms of Orthanc."""
MOST_A_DAY = 100_000
"""Ids of one day that are kept at once: 10 MB. A busy hospital has 2,000; more is an archive whose dates were made up."""
PACE = 0.05
"""Seconds a study takes at least: twenty a second leave Orthanc to its other users. A hundred thousand that do not match take 83 minutes."""
FULL_PAUSE = 0.5
"""Seconds between two looks for room under maxActive; the look itself costs nothing."""
BLOCKED_PAUSE = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two tries while Orthanc or the API server is away."""
STATUS_INTERVAL = timedelta(seconds=5)
"""At most one write in it for numbers alone."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a turn stands on: a pipeline that is ready and a bridge that has its Orthanc."""

    bridge: str
    level: Level
    """Of the bridge: its Runs are on studies or on single series."""
    orthanc: Orthanc
    candidate: Candidate
    host: Host
    """Of the bridge."""


class BackfillHost(Protocol):
    """The process around a backfill."""

    def ground(self) -> Ground | Problem:
        """As it is now; asked for each turn."""

    def active(self) -> int:
        """Runs of this backfill that are not finished."""

    def made(self, run: str) -> bool:
        """Whether this Run exists and this backfill made it, from the store: a hint that saves a POST."""

    async def owns(self, run: str) -> bool:
        """The same, asked of the API server: the store forgets a Run that somebody else finished until its next full list."""

    def report_series(self, run: str) -> str:
        """The Series Instance UID of the report that a Run of this name leaves."""

    async def write_status(self, status: BackfillStatus) -> None:
        """The whole owned status, by server-side apply."""


class _Never(Exception):
    """Time does not heal it: the backfill fails."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Backfill:
    """The loop of one backfill. A changed spec is a new one that begins with the status of the old."""

    def __init__(
        self,
        *,
        namespace: str,
        name: str,
        generation: int,
        spec: BackfillSpec,
        status: BackfillStatus | None,
        host: BackfillHost,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._namespace, self._name, self._generation, self._spec = namespace, name, generation, spec
        self._host, self._clock, self._sleep, self._jitter = host, clock, sleep, jitter
        self._written = status
        self._written_at: datetime | None = None
        self._progress = begun(spec, status)
        self._last = date.fromisoformat(spec.to)
        self._count_day, self._counted = date.fromisoformat(spec.from_), 0
        self._queue: list[str] | None = None
        """Ids of the day under work that are not done, the next one last; None: not read yet."""
        self._attempts = 0
        self._failures = 0
        self._finishing = False
        self._rules: tuple[str, int, Candidate] | None = None

    async def run(self) -> None:
        """Until everything is done, or cancelled."""
        if self._progress.started is None:
            self._progress = replace(self._progress, started=self._clock())
        log.info("backfill walks", backfill=self._name, pipeline=self._spec.pipeline_ref.name, dry_run=self._spec.dry_run)
        while not self._progress.ended:
            pause = await self._turn()
            await self._write_status()
            if pause > 0:
                await self._sleep(pause)
        while not await self._write_status():  # its end must be written
            await self._sleep(LONGEST_PAUSE)
        log.info("backfill ends", backfill=self._name, **self._progress.counts.model_dump())

    async def _turn(self) -> float:
        """One small thing; gives the seconds until the next."""
        began, ground = self._clock(), self._host.ground()
        if isinstance(ground, Problem):
            self._progress = replace(self._progress, problem=ground)
            return BLOCKED_PAUSE
        try:
            candidate = self._candidate(ground)
            pause = await self._step(ground, candidate)
        except _Never as never:
            self._progress = replace(self._progress, problem=never.problem, ended=self._clock())
            return 0.0
        except OrthancError as fault:
            self._progress = replace(self._progress, problem=Problem(BackfillReason.ORTHANC_AWAY, f"Orthanc cannot be asked: {fault}"))
            log.warning("a backfill waits for Orthanc", backfill=self._name, error=str(fault))
            return self._back_off()
        except HostAway as away:
            log.warning("a backfill's Run could not be recorded; trying again", backfill=self._name, error=str(away))
            return self._back_off()
        self._failures = 0
        self._progress = replace(self._progress, problem=None)
        return max(0.0, pause - (self._clock() - began).total_seconds())

    async def _step(self, ground: Ground, candidate: Candidate) -> float:
        if self._progress.counts.found is None:
            return await self._count(ground.orthanc)
        if self._queue is None:
            await self._open_day(ground.orthanc)
            return 0.0
        if not self._queue:
            return self._close_day()
        if not self._spec.dry_run and self._host.active() >= self._spec.max_active:
            return FULL_PAUSE
        study = self._queue[-1]
        if (outcome := await self._take(ground, candidate, study)) is not None:
            self._done(study, outcome)
        return PACE

    # -- days ----------------------------------------------------------------------------------------------------------

    async def _count(self, orthanc: Orthanc) -> float:
        """One day; a restart counts anew, which costs a request a day."""
        ids = await self._ids(orthanc, self._count_day)
        self._counted += len(ids)
        if self._count_day >= self._last:
            self._progress = replace(self._progress, counts=self._progress.counts.model_copy(update={"found": self._counted}))
        self._count_day += timedelta(days=1)
        return PACE

    async def _open_day(self, orthanc: Orthanc) -> None:
        done = self._progress.study
        ids = await self._ids(orthanc, self._progress.day)
        self._queue = [one for one in sorted(ids, reverse=True) if done is None or one > done]

    def _close_day(self) -> float:
        if self._progress.day < self._last:
            self._progress = replace(self._progress, day=self._progress.day + timedelta(days=1), study=None)
            self._queue = None
        elif not self._spec.dry_run and self._host.active() > 0:
            self._finishing = True
            return FULL_PAUSE
        else:
            self._progress = replace(self._progress, ended=self._clock())
        return 0.0

    async def _ids(self, orthanc: Orthanc, day: date) -> set[str]:
        """A study that is deleted while pages are read may hide another; the scan of days is no substitute for the bridge."""
        found: set[str] = set()
        skipped = 0
        while page := await orthanc.studies_of_day(day, since=skipped, limit=PAGE):
            found.update(page)
            skipped += len(page)
            if len(found) > MOST_A_DAY:
                raise _Never(Problem(BackfillReason.TOO_MANY_STUDIES, f"{day.isoformat()} has more than {MOST_A_DAY} studies; choose other days"))
        return found

    # -- a study -------------------------------------------------------------------------------------------------------

    async def _take(self, ground: Ground, candidate: Candidate, study: str) -> "_Study | None":
        """None: Orthanc fails on it and it is tried again. Raises OrthancError when it fails on more than this study."""
        one = _Study(self._name, self._spec, self._host, ground, candidate, self._sleep)
        intake = Intake(self._namespace, ground.bridge, ground.orthanc, one, self._clock, ground.level)
        try:
            await intake.take(study, level=Level.STUDY, origin=Origin.BACKFILL, seen=self._clock(), admits=everybody)
        except Unauthorized:
            raise
        except (OrthancError, HostAway) as fault:
            error = one.fault or fault
            if isinstance(error, HostAway):
                raise
            await ground.orthanc.system()  # raises when it is not this study alone
            self._attempts += 1
            given_up = self._attempts >= ATTEMPTS
            log.warning("Orthanc fails on a study", backfill=self._name, study=study, error=str(error), given_up=given_up)
            if not given_up:
                return None
            one.failed = True
        return one

    def _done(self, study: str, one: "_Study") -> None:
        counts = self._progress.counts
        created = one.number(Outcome.CREATED, Outcome.SUPERSEDING)
        known = one.number(Outcome.KNOWN, Outcome.IGNORED)
        refused = one.number(Outcome.REFUSED)
        update = {
            "examined": counts.examined + 1,
            "matched": counts.matched + (created + known + refused > 0),
            "created": counts.created + created,
            "known": counts.known + known,
            "refused": counts.refused + refused,
            "failed": counts.failed + one.failed,
        }
        self._progress = replace(self._progress, study=study, counts=counts.model_copy(update=update))
        self._attempts = 0
        if self._queue:
            self._queue.pop()

    def _candidate(self, ground: Ground) -> Candidate:
        """The pipeline with this backfill's further requirements, compiled once a generation of it."""
        given = ground.candidate
        if self._rules is None or self._rules[:2] != (given.uid, given.generation):
            match = given.spec.match
            both = match.model_copy(update={"study": [*self._spec.match, *match.study]})
            try:
                rules = compile_rules(given.name, InferencePipeline(spec=given.spec.model_copy(update={"match": both})))
            except InvalidRules as error:  # ours, which stand first: the pipeline's own compile, or it would not be ready
                words = str(error).replace("spec.match.study", "spec.match")
                raise _Never(Problem(BackfillReason.INVALID_REQUIREMENT, words)) from error
            self._rules = (given.uid, given.generation, replace(given, rules=rules))
        return self._rules[2]

    # -- waiting and status --------------------------------------------------------------------------------------------

    def _back_off(self) -> float:
        self._failures += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * float(2 ** min(self._failures - 1, 10)))
        return pause * (0.5 + self._jitter() / 2)

    def status(self) -> BackfillStatus:
        """As it is now, written or not: what the next walk of the same backfill begins with."""
        counts: Counts = self._progress.counts.model_copy(update={"active": 0 if self._spec.dry_run else self._host.active()})
        return compose(
            self._written,
            replace(self._progress, counts=counts),
            generation=self._generation,
            suspended=False,
            finishing=self._finishing,
            now=self._clock(),
        )

    async def _write_status(self) -> bool:
        """False: it should be written and could not be."""
        now, status = self._clock(), self.status()
        if status == self._written:
            return True
        due = self._written_at is None or now - self._written_at >= STATUS_INTERVAL
        if not due and not changes_matter(self._written, status):
            return True
        try:
            await self._host.write_status(status)
        except Exception as error:  # noqa: BLE001 - whatever it was: the walk goes on, and a later turn writes again
            log.warning("a backfill's status could not be written", backfill=self._name, error=str(error))
            return False
        self._written, self._written_at = status, now
        return True


class _Study:
    """The host of one study's intake: shows it one pipeline, marks its Run, and keeps what came of it."""

    def __init__(
        self, name: str, spec: BackfillSpec, host: BackfillHost, ground: Ground, candidate: Candidate, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._name, self._spec, self._host, self._ground, self._candidate, self._sleep = name, spec, host, ground, candidate, sleep
        self._outcomes: list[Outcome] = []
        self.failed = False
        self.fault: OrthancError | None = None
        """Of the question this class asks itself; the intake takes every error here for one of the API server."""
        self._ours = False

    def number(self, *outcomes: Outcome) -> int:
        """How many decisions ended so: one of a study, or one of each of its series."""
        return sum(one in outcomes for one in self._outcomes)

    def pipelines(self) -> tuple[Candidate, ...]:
        return (self._candidate,)

    def run_exists(self, name: str) -> bool:
        self._ours = self._host.made(name)
        return self._ours or self._ground.host.run_exists(name)

    async def earlier_runs(self, pipeline: str, study: str) -> tuple[EarlierRun, ...]:
        return await self._ground.host.earlier_runs(pipeline, study)

    async def create_run(self, body: dict[str, Any]) -> bool:
        """A Run's record may be gone after history.ttl while its report is still there: the study is not analysed again."""
        try:
            if await self._ground.orthanc.holds(self._host.report_series(body["metadata"]["name"])):
                return False
        except OrthancError as error:
            self.fault = error
            raise
        while not self._spec.dry_run and self._host.active() >= self._spec.max_active:
            await self._sleep(FULL_PAUSE)  # only a study taken series by series makes more than one Run
        if self._spec.dry_run or await self._ground.host.create_run(self._marked(body)):
            return True
        self._ours = await self._host.owns(body["metadata"]["name"])
        return False

    def _marked(self, body: dict[str, Any]) -> dict[str, Any]:
        """The Run as this backfill's."""
        meta, spec = body["metadata"], body["spec"]
        marked = {**meta, "labels": {**meta["labels"], labels.BACKFILL: self._name}}
        return {**body, "metadata": marked, "spec": {**spec, "priority": self._spec.priority}}

    async def write_status(self, status: Any) -> None:
        raise NotImplementedError("an intake writes no status")

    def record(self, observation: Observation) -> None:
        match observation:
            case Decided(_, outcome, _, _):
                self._outcomes.append(Outcome.CREATED if outcome is Outcome.KNOWN and self._ours else outcome)
                self._ours = False
                if not self._spec.dry_run:
                    self._ground.host.record(observation)
            case Dropped():
                pass  # gone meanwhile: looked at, and nothing to do
            case _:
                self._ground.host.record(observation)
