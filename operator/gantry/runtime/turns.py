"""Which of a pipeline's Runs are under way, which wait, and whose turn has come. The rule is `gantry.runs.turns`; here are its inputs, kept up to
date change by change.

Under way is what objects say: a Run that is not finished, has or had a Job, and does not only deliver any more (a PACS that is away must not keep
studies from being analysed). Beside it stand the Runs whose turn has come and whose Job has not been seen yet: they are taken into account from
the decision on, before the Job's POST, and until its outcome is known. So one process never has more under way than the limit; after a kill nothing
is forgotten, for nothing but objects counts and nobody is let in before all of them have been read. Two processes by mistake each keep the limit on
what they have seen; they choose by the same rule, so mostly the same Run, whose one Job has one name.

It makes no request.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from gantry.runs import ORPHANS, URGENCY, RunView, Waiting, held_back, turns

from .records import Key
from .tallies import pipeline_of


@dataclass(slots=True)
class Line:
    """The unfinished Runs of a pipeline."""

    waiting: dict[Key, Waiting[Key]] = field(default_factory=dict)
    called: set[Key] = field(default_factory=set)
    """Their turn has come; the Job has not been seen."""
    begun: set[Key] = field(default_factory=set)
    classes: Counter[str] = field(default_factory=Counter)
    """How many wait, by class."""
    starts: int = 0
    """Turns given since the process began, for every fifth is another's."""

    @property
    def places_taken(self) -> int:
        return len(self.begun) + len(self.called)

    def leave(self, key: Key) -> None:
        """From wherever it stood."""
        if (one := self.waiting.pop(key, None)) is not None:
            self.classes[one.priority] -= 1
        self.called.discard(key)
        self.begun.discard(key)

    def wait(self, one: Waiting[Key]) -> None:
        self.leave(one.key)
        self.waiting[one.key] = one
        self.classes[one.priority] += 1

    def call(self, key: Key) -> None:
        self.leave(key)
        self.called.add(key)
        self.starts += 1


class Turns:
    """`replace` and `limit_changed` write; a Run's pass asks `held`."""

    def __init__(
        self, *, limit: Callable[[Key], int | None], exists: Callable[[Key], bool], fit: Callable[[Key], bool], wake: Callable[[Key], None],
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        """`limit` and `exists` are of pipelines; `fit`: whether a Run could begin if it were its turn; `wake`: a Run whose turn has come."""
        self._limit_of, self._exists, self._fit, self._wake, self._clock = limit, exists, fit, wake, clock
        self._lines: defaultdict[Key, Line] = defaultdict(Line)
        self._open = False
        self._posting: set[Key] = set()

    def open(self) -> None:
        """Every unfinished Run and every Job has been read: those that wait are looked at."""
        self._open = True
        for line in self._lines.values():
            for key in (*line.waiting, *line.called):
                self._wake(key)

    @contextmanager
    def posting(self, key: Key) -> Iterator[None]:
        """While the Job's POST is under way its place is taken, whatever becomes of the Run's spec meanwhile."""
        self._posting.add(key)
        try:
            yield
        finally:
            self._posting.discard(key)

    def replace(self, key: Key, before: RunView | None, after: RunView | None, *, begun: bool) -> None:
        """A Run, or its Job, came, changed or went."""
        old = pipeline_of(before) if before is not None else None
        new = pipeline_of(after) if after is not None and not after.finished else None
        if old is not None and old in self._lines and (old != new or (before and after and before.uid != after.uid)):
            self._change(old, key, None, begun=False)
        if new is not None:
            self._change(new, key, after, begun=begun)

    def limit_changed(self, pipeline: Key) -> None:
        """The pipeline came, changed or went."""
        self._call(pipeline)

    def held(self, key: Key, run: RunView) -> str | None:
        """Why the Run's turn has not come; None when it has, empty while that is not known."""
        pipeline = pipeline_of(run)
        if pipeline is None or pipeline not in self._lines or key not in self._lines[pipeline].waiting:
            return None
        self._call(pipeline, asking=key)
        line = self._lines[pipeline]
        if key not in line.waiting:
            return None
        if not self._open:
            return ""
        place = sum(line.classes[one] for one, urgency in URGENCY.items() if urgency <= URGENCY[run.priority])
        return held_back(pipeline.name, self._limit_of(pipeline) if self._exists(pipeline) else None, max(1, place))

    def may_begin(self, key: Key, run: RunView) -> bool:
        """Whether a pass over this Run, which has no Job, is likely to make one."""
        pipeline = pipeline_of(run)
        if pipeline is None or pipeline not in self._lines:
            return True
        line = self._lines[pipeline]
        return key in line.called or (key in line.waiting and self._free(pipeline) > 0)

    def _change(self, pipeline: Key, key: Key, run: RunView | None, *, begun: bool) -> None:
        line = self._lines[pipeline]
        taken = line.places_taken
        if run is None or (begun and run.state == "Delivering"):
            line.leave(key)
        elif begun:
            line.leave(key)
            line.begun.add(key)
        elif run.deleting or run.cancel or run.suspend:
            if key not in self._posting:
                line.leave(key)
        elif key not in line.called:
            line.wait(Waiting(key, run.priority, run.created))
        if line.places_taken < taken:
            self._call(pipeline)

    def _free(self, pipeline: Key) -> int:
        line, limit = self._lines[pipeline], self._limit(pipeline)
        if limit is None:
            return len(line.waiting)
        return limit - line.places_taken if self._open else 0

    def _limit(self, pipeline: Key) -> int | None:
        return self._limit_of(pipeline) if self._exists(pipeline) else ORPHANS

    def _call(self, pipeline: Key, *, asking: Key | None = None) -> None:
        if pipeline not in self._lines or (free := self._free(pipeline)) <= 0:
            return
        line = self._lines[pipeline]
        ready = [one for one in line.waiting.values() if self._fit(one.key)]
        for one in turns(ready, free=free, starts=line.starts, now=self._clock()):
            line.call(one.key)
            if one.key != asking:
                self._wake(one.key)
