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

from .host import Candidate, Drop, Dropped, Faulted, Host, Origin, Scanned
from .intake import Admits, End, Taken
from .missed import Level, MissedStable, Suspect
from .scan import Scan, Window

log = structlog.get_logger(__name__)

MEMORY_MARGIN = timedelta(hours=1)
"""How long a decision is remembered beyond lookback, behind which no scan looks."""


class Take(Protocol):
    """Has one study decided; see `intake.py`."""

    def __call__(self, study: str, *, origin: Origin, seen: datetime, admits: Admits) -> Awaitable[Taken]: ...


@dataclass(frozen=True, slots=True)
class _Decided:
    """What a decision rested on."""

    last_update: datetime | None
    pipelines: frozenset[tuple[str, int]]


class Recovery:
    """The watch for lost events, the scan, and the studies either of them found."""

    def __init__(self, *, bridge: str, orthanc: Orthanc, host: Host, interval: timedelta, clock: Callable[[], datetime], take: Take) -> None:
        self._bridge, self._orthanc, self._host, self._interval, self._clock, self._take = bridge, orthanc, host, interval, clock, take
        self.missed = MissedStable()
        self._window: Window | None = None
        self._scan: Scan | None = None
        self._backlog: dict[str, None] = {}
        self._found = 0
        self._decided: dict[str, _Decided] = {}
        self._aside: dict[str, datetime] = {}
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

    def pipelines_now(self) -> frozenset[tuple[str, int]]:
        return frozenset((one.uid, one.generation) for one in self._host.pipelines())

    def decided(self, study: StudyResource, pipelines: frozenset[tuple[str, int]]) -> None:
        """Remembers that these images were decided by these pipelines."""
        self._decided[study.id] = _Decided(study.last_update, pipelines)

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
            if suspect.level is Level.SERIES:
                self.missed.watch((await self._orthanc.series(suspect.id)).study, due=now)
                self.missed.forget(suspect.id)
                return
            study = await self._orthanc.study(suspect.id)
            if not study.is_stable:
                return
            if (quiet_until := self._quiet_until(study, now)) > now:
                self.missed.later(suspect, quiet_until)
                return
            if not self._is_decided(study):
                await self._take(suspect.id, origin=Origin.MISSED_STABLE, seen=now, admits=everybody)
            self.missed.forget(suspect.id)
        except NotFound:
            self.missed.forget(suspect.id)
        except OrthancError as error:
            self._failed(suspect.id, error)

    async def _work_off(self, study: str, now: datetime) -> None:
        """A study the scan found."""
        try:
            taken = await self._take(study, origin=Origin.RECONCILE, seen=now, admits=self._admits)
        except OrthancError as error:
            self._backlog.pop(study, None)
            self._failed(study, error)
            return
        self._backlog.pop(study, None)
        if taken.end is End.UNSTABLE:
            self.missed.watch(study, due=now + self.missed.quiet)

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
        candidates = self._host.pipelines()
        for study in page:
            if self._is_decided(study) or self._is_aside(study.id, now) or not any(self._admits(one, study) for one in candidates):
                continue
            quiet_until = self._quiet_until(study, now)
            if not study.is_stable or quiet_until > now:
                self.missed.watch(study.id, due=max(quiet_until, now))
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

    def _admits(self, candidate: Candidate, study: StudyResource) -> bool:
        return self._window is not None and self._window.admits(candidate, study.last_update)

    def _quiet_until(self, study: StudyResource, now: datetime) -> datetime:
        """When the study will have been quiet for long enough, by our clock."""
        if study.last_update is None or self._window is None:
            return now
        return study.last_update - self._window.skew + self.missed.quiet

    def _is_decided(self, study: StudyResource) -> bool:
        return self._decided.get(study.id) == _Decided(study.last_update, self.pipelines_now())

    def _is_aside(self, study: str, now: datetime) -> bool:
        return study in self._aside and now < self._aside[study]


def everybody(candidate: Candidate, study: StudyResource) -> bool:
    """A study that is announced, or whose announcement was lost, is shown to every pipeline."""
    return True
