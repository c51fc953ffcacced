"""Studies that came and of which the stable event may have been lost: Orthanc counts down in memory, so a restart forgets it for ever.

Pure: no clock, no calls. Every New row opens an entry and every Stable row closes it. What stays open for `quiet` is looked at:
`IsStable` true with no image for that long means the event was lost, because a study that still counts down says false.

Orthanc does not tell its StableAge. It is learnt from the events that do come (their date minus the study's LastUpdate, one clock); until
then UNKNOWN_AGE stands. Guessing too short costs a Run on half a study when Orthanc is restarted while images come; too long, only time.
"""

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gantry.orthanc import Change

from .host import Level

UNKNOWN_AGE = timedelta(seconds=15)
"""Between the 1 to 5 s of AI gateways and Orthanc's default of 60 s."""
FACTOR = 3
SLACK = timedelta(seconds=5)
"""Orthanc's whole-second clock, its check each 100 ms, and our own poll."""
REMEMBERED = 5
"""Newest ages kept; their maximum counts, so that one odd event does not shorten the wait."""


_OPENS = {"NewStudy": Level.STUDY, "NewSeries": Level.SERIES}
_CLOSES = frozenset({"StableStudy", "StableSeries"})


@dataclass(frozen=True, slots=True)
class Suspect:
    """A study or series without a stable event so far."""

    id: str
    level: Level
    due: datetime


class MissedStable:
    """The open entries and what was learnt of StableAge."""

    def __init__(self, level: Level = Level.STUDY) -> None:
        """At level Series only series are watched."""
        self._level = level
        self._open: dict[str, Suspect] = {}
        self._ages: deque[timedelta] = deque(maxlen=REMEMBERED)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def quiet(self) -> timedelta:
        """How long nothing must have come before a study counts as complete without its event."""
        return FACTOR * max(self._ages, default=UNKNOWN_AGE) + SLACK

    def learn(self, event: datetime | None, last_update: datetime | None) -> None:
        """From a stable event and the study's LastUpdate. An event older than the newest image says nothing of StableAge."""
        if event and last_update and event > last_update:
            self._ages.append(event - last_update)

    def see(self, change: Change, now: datetime) -> None:
        """One row of the change log."""
        level = _OPENS.get(change.type)
        if level and (level is self._level or self._level is Level.STUDY):
            self._open[change.id] = Suspect(change.id, level, now + self.quiet)
        elif change.type in _CLOSES:
            self._open.pop(change.id, None)

    def watch(self, resource: str, *, due: datetime, level: Level | None = None) -> None:
        """A study (at level Series, a series) seen otherwise than by its New row; an entry that is there stays."""
        self._open.setdefault(resource, Suspect(resource, level or self._level, due))

    def later(self, suspect: Suspect, due: datetime) -> None:
        self._open[suspect.id] = Suspect(suspect.id, suspect.level, due)

    def hurry(self, now: datetime) -> None:
        """The clock was put back: nothing is due later than one that is opened now."""
        self._open = {name: replace(one, due=min(one.due, now + self.quiet)) for name, one in self._open.items()}

    def forget(self, resource: str) -> None:
        self._open.pop(resource, None)

    def clear(self) -> None:
        """Another database: its ids are others; StableAge is a setting of the server and may be kept."""
        self._open.clear()

    def due(self, now: datetime) -> Suspect | None:
        """The entry whose time came first, if it has come."""
        ready = [one for one in self._open.values() if one.due <= now]
        return min(ready, key=lambda one: (one.due, one.id)) if ready else None
