"""Finds what the change log did not tell: events lost by a restart of Orthanc, and everything else by a scan of what it holds.

It keeps the work as small pieces that `follower.py` does one by one between two polls. What it decided once it does not ask again while the
study and the pipelines stay as they are; that memory is only a saving, a restart forgets it and asks once more.
A study on which Orthanc fails is put aside until the next interval, so that it stops nothing else.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from gantry.orthanc import NotFound, Orthanc, OrthancError, StudyResource, TooSlow, Unauthorized, Unreachable

from .host import Candidate, Drop, Dropped, Faulted, Host, Level, Origin, Scanned
from .intake import Admits, End, Taken
from .missed import MissedStable, Suspect
from .scan import Scan, Window

log = structlog.get_logger(__name__)

MEMORY_MARGIN = timedelta(hours=1)
"""How long a decision is remembered beyond lookback, behind which no scan looks."""

PUT_BACK = timedelta(seconds=5)
"""An image that came later than now came by a clock that was put back since; two clocks with whole seconds differ by less."""


class Take(Protocol):
    """Has one study or series decided; see `intake.py`."""

    def __call__(self, resource: str, *, level: Level, origin: Origin, seen: datetime, admits: Admits) -> Awaitable[Taken]: ...


@dataclass(frozen=True, slots=True)
class _Decided:
    """What a decision rested on."""

    last_update: datetime | None
    pipelines: frozenset[tuple[str, int]]


class Recovery:
    """The watch for lost events, the scan, and the studies either of them found."""

    def __init__(
        self, *, bridge: str, level: Level, orthanc: Orthanc, host: Host, interval: timedelta, clock: Callable[[], datetime], take: Take
    ) -> None:
        self._bridge, self._level, self._orthanc, self._host = bridge, level, orthanc, host
        self._interval, self._clock, self._take = interval, clock, take
        self.missed = MissedStable(level)
        self._window: Window | None = None
        self._scan: Scan | None = None
        self._backlog: dict[str, None] = {}
        self._found = 0
        self._decided: dict[str, _Decided] = {}
        self._aside: dict[str, datetime] = {}
        self._pipelines: frozenset[tuple[str, int]] = frozenset()
        self.last_scan: datetime | None = None

    @property
    def scanning(self) -> bool:
        """A scan, or the work it found, is under way."""
        return self._scan is not None or bool(self._backlog)

    def begin_scan(self, window: Window, *, newest_first: bool) -> None:
        """A pass over what Orthanc holds; one that is under way begins anew."""
        now = self._clock()
        self._window = window
        self._scan = Scan(self._orthanc, window, newest_first=newest_first, began=now)
        self._found = 0

    def forget(self) -> None:
        """Another database: nothing known of the old one holds."""
        self.missed.clear()
        self._backlog.clear()
        self._decided.clear()
        self._aside.clear()

    def hurry(self) -> None:
        """The clock was put back: times that were set by it lie further away than was meant."""
        self.missed.hurry(self._clock())
        self._aside.clear()

    def pipelines_now(self) -> frozenset[tuple[str, int]]:
        """Who decides now. One object until that changes: every study remembers it, and of 200 pipelines it takes 20 kB."""
        now = frozenset((one.uid, one.generation) for one in self._host.pipelines())
        if now != self._pipelines:
            self._pipelines = now
        return self._pipelines

    def decided(self, resource: str, last_update: datetime | None, pipelines: frozenset[tuple[str, int]]) -> None:
        """Remembers that the images of a study or series were decided by these pipelines."""
        self._decided[resource] = _Decided(last_update, pipelines)

    def put_aside(self, study: str) -> None:
        """Left alone for one interval."""
        self._aside[study] = self._clock() + self._interval

    async def piece(self) -> bool:
        """The most urgent piece of work; False when there is none. Only to be called when the log is read to its end: what came is then not lost."""
        now = self._clock()
        if suspect := self.missed.due(now):
            await self._look_at(suspect, now)
        elif self._backlog:
            await self._work_off(next(iter(self._backlog)), now)
        elif self._scan:
            await self._list(self._scan)
        else:
            return False
        return True

    async def _look_at(self, suspect: Suspect, now: datetime) -> None:
        """A study or series whose stable event did not come for long."""
        self.missed.later(suspect, now + self.missed.quiet)  # first, so that a failing one lets others come before it
        try:
            if suspect.level is Level.SERIES and self._level is Level.STUDY:
                self.missed.watch((await self._orthanc.series(suspect.id)).study, due=now)
                self.missed.forget(suspect.id)
                return
            seen = await (self._orthanc.series if suspect.level is Level.SERIES else self._orthanc.study)(suspect.id)
            if not seen.is_stable:
                return
            if (quiet_until := self._quiet_until(seen.last_update, now)) > now:
                self.missed.later(suspect, quiet_until)
                return
            if suspect.level is not self._level:  # a study of which each series is decided by itself
                self._backlog[suspect.id] = None
            elif not self._is_decided(seen.id, seen.last_update, self.pipelines_now()):
                await self._take(suspect.id, level=self._level, origin=Origin.MISSED_STABLE, seen=now, admits=everybody)
            self.missed.forget(suspect.id)
        except NotFound:
            self.missed.forget(suspect.id)
        except OrthancError as error:
            self._failed(suspect.id, error)

    async def _work_off(self, study: str, now: datetime) -> None:
        """A study the scan found."""
        try:
            taken = await self._take(study, level=Level.STUDY, origin=Origin.RECONCILE, seen=now, admits=self.admits)
        except OrthancError as error:
            self._backlog.pop(study, None)
            self._failed(study, error)
            return
        self._backlog.pop(study, None)
        for one in (study,) if taken.end is End.UNSTABLE else taken.unstable:
            self.missed.watch(one, due=now + self.missed.quiet)

    def _failed(self, study: str, error: OrthancError) -> None:
        """Raises it again when it says more of the server than of this study."""
        if isinstance(error, Unauthorized):
            raise error
        self.put_aside(study)
        self._host.record(Faulted("study", type(error).__name__))
        self._host.record(Dropped(Drop.FAILING))
        log.warning("Orthanc fails on a study; a later scan tries it again", bridge=self._bridge, study=study, error=str(error))
        if isinstance(error, (Unreachable, TooSlow)):
            raise error

    async def _list(self, scan: Scan) -> None:
        """One page of the scan."""
        page = await scan.page()
        now = self._clock()
        candidates, pipelines = self._host.pipelines(), self.pipelines_now()
        for study in page:
            known = self._is_decided(study.id, study.last_update, pipelines) or self._is_aside(study.id, now)
            if known or not any(self.admits(one, study) for one in candidates):
                continue
            quiet_until = self._quiet_until(study.last_update, now)
            if not study.is_stable or quiet_until > now:
                self.missed.watch(study.id, due=max(quiet_until, now), level=Level.STUDY)
            else:
                self._backlog[study.id] = None
                self._found += 1
        if scan.ended:
            self._scan = None
            self.last_scan = now
            self._host.record(Scanned(scan.studies, self._found, (now - scan.began).total_seconds()))
            oldest = scan.window.not_before - MEMORY_MARGIN
            self._decided = {one: state for one, state in self._decided.items() if state.last_update and state.last_update >= oldest}
            self._aside = {one: until for one, until in self._aside.items() if until > now}

    def admits(self, candidate: Candidate, study: StudyResource) -> bool:
        """Whether a study that a scan found may be shown to a pipeline."""
        return self._window is not None and self._window.admits(candidate, study.last_update)

    def _quiet_until(self, last_update: datetime | None, now: datetime) -> datetime:
        """When a study or series will have been quiet for long enough, by our clock."""
        if last_update is None or self._window is None:
            return now
        came = last_update - self._window.skew
        return now if came > now + PUT_BACK else came + self.missed.quiet

    def _is_decided(self, resource: str, last_update: datetime | None, pipelines: frozenset[tuple[str, int]]) -> bool:
        return self._decided.get(resource) == _Decided(last_update, pipelines)

    def _is_aside(self, study: str, now: datetime) -> bool:
        return study in self._aside and now < self._aside[study]


def everybody(candidate: Candidate, study: StudyResource) -> bool:
    """A study that is announced, or whose announcement was lost, is shown to every pipeline."""
    return True
