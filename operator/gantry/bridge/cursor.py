"""How far the change log is read, and how far its work is durably recorded.

Pure. Two numbers, because one study on which Orthanc fails, or that is not complete yet, must not stop the others: `position` is where reading
goes on, `durable` is what may be written to the status. A crash in between reads some rows again, which makes no second Run: names are derived.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from .host import Origin

ATTEMPTS = 3
"""Looks at one study before it is left to the scan: a second one covers a change while reading, a third a short fault."""
FIRST_PAUSE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A study (or series) that was found, and whose decision failed or was put off."""

    seq: int | None
    """The first of its rows that is not done; None when no row told of it, so that a scan finds it again."""
    count: int
    """Failures so far; 0 of one that is not complete yet."""
    due: datetime
    origin: Origin


@dataclass(frozen=True, slots=True)
class Cursor:
    """Reading position and what is unfinished behind it."""

    position: int
    waiting: Mapping[str, Attempt] = field(default_factory=dict)

    @property
    def durable(self) -> int:
        """Highest number of which it and everything before it is done."""
        return min((one.seq - 1 for one in self.waiting.values() if one.seq is not None), default=self.position)

    @property
    def failing(self) -> int:
        """How many of those that wait do so because Orthanc fails on them."""
        return sum(one.count > 0 for one in self.waiting.values())

    def read(self, seq: int) -> "Cursor":
        """Everything up to `seq` is done or waiting."""
        return replace(self, position=max(self.position, seq))

    def failed(self, study: str, seq: int | None, now: datetime, origin: Origin = Origin.STABLE_STUDY) -> "Cursor":
        """One more failed attempt; after the last one the study is not waited for any longer (see `gives_up`)."""
        if self.gives_up(study):
            return self.settled(study)
        before = self.waiting.get(study)
        count = before.count + 1 if before else 1
        return self._wait(study, Attempt(seq, count, now + FIRST_PAUSE * 2 ** (count - 1), origin))

    def postponed(self, study: str, seq: int | None, due: datetime, origin: Origin = Origin.STABLE_STUDY) -> "Cursor":
        """It is to be looked at again for no fault of anybody."""
        return self._wait(study, Attempt(seq, 0, due, origin))

    def _wait(self, study: str, attempt: Attempt) -> "Cursor":
        """The first row of a study counts, and by it how the study was found."""
        if (before := self.waiting.get(study)) and before.seq is not None:
            attempt = replace(attempt, seq=before.seq, origin=before.origin)
        return replace(self, waiting={**self.waiting, study: attempt})

    def gives_up(self, study: str) -> bool:
        """Whether one more failure is the last one."""
        before = self.waiting.get(study)
        return before is not None and before.count >= ATTEMPTS - 1

    def hurried(self, now: datetime) -> "Cursor":
        """The clock was put back: what was due later than `now` is due."""
        return replace(self, waiting={study: replace(one, due=min(one.due, now)) for study, one in self.waiting.items()})

    def settled(self, study: str) -> "Cursor":
        """The study is decided, gone or given up."""
        return replace(self, waiting={one: attempt for one, attempt in self.waiting.items() if one != study})

    def due(self, now: datetime) -> str | None:
        """The study to try again first, if its time has come."""
        ready = [(attempt.due, study) for study, attempt in self.waiting.items() if attempt.due <= now]
        return min(ready)[1] if ready else None
