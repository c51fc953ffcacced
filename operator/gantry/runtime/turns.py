"""Which Runs are under way, which wait, and whose turn has come. The rule is `gantry.runs.turns`; here are its inputs, kept up to date change by
change.

A Run stands in the lines of its bridge and of its pipeline. A place of the pipeline (concurrency.maxActive) is taken while the Run is under way:
not finished, has or had a Job, and does not only deliver any more (a PACS that is away must not keep studies from being analysed). A place of the
bridge (limits.concurrentFetches) is taken while it fetches (`gantry.runs.holds_for`). Both are what objects say. Beside them stand the Runs whose
turn has come and whose Job has not been seen yet: they have their places from the decision on, before the Job's POST, and until its outcome is
known. So one process never lets anybody in above a limit; after a kill nothing is forgotten, for nothing but objects counts and nobody is let in
before all of them have been read. Two processes by mistake each keep the limit on what they have seen; they choose by the same rule, so mostly the
same Run, whose one Job has one name.

It makes no request.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from gantry.runs import NOT_KNOWN, URGENCY, Held, Limit, RunView, Waiting, turns

from .records import Key
from .tallies import pipeline_of
from .waiting import Cell

Lines = tuple[Key, ...]


@dataclass(slots=True)
class Line:
    """The unfinished Runs of a bridge or of a pipeline."""

    taken: set[Key] = field(default_factory=set)
    """Who has a place."""
    cells: set[Lines] = field(default_factory=set)
    """Where those that wait are."""
    classes: Counter[str] = field(default_factory=Counter)
    """How many wait, by class."""
    starts: int = 0
    """Turns given since the process began, for every fifth is another's."""


class Turns:
    """`replace` and `limit_changed` write; a Run's pass asks `held`."""

    def __init__(
        self, *, limit: Callable[[Key], Limit | None], wake: Callable[[Key], None], clock: Callable[[], datetime]
    ) -> None:
        """`limit`: of a bridge or a pipeline, None when it has none; `wake`: a Run whose turn has come."""
        self._limit, self._wake, self._clock = limit, wake, clock
        self._lines: defaultdict[Key, Line] = defaultdict(Line)
        self._cells: defaultdict[Lines, Cell] = defaultdict(Cell)
        self._called: set[Key] = set()
        """Their turn has come; the Job has not been seen."""
        self._open = False
        self._posting: set[Key] = set()

    def open(self) -> None:
        """Every unfinished Run, every Job and every pod has been read: those that wait are looked at."""
        self._open = True
        for key in (*(key for cell in self._cells.values() for key in cell), *self._called):
            self._wake(key)

    @contextmanager
    def posting(self, key: Key) -> Iterator[None]:
        """While the Job's POST is under way its places are taken, whatever becomes of the Run's spec meanwhile."""
        self._posting.add(key)
        try:
            yield
        finally:
            self._posting.discard(key)

    def replace(self, key: Key, before: RunView | None, after: RunView | None, *, holds: Container[str] | None) -> None:
        """A Run, its Job or its pod came, changed or went. `holds`: in which kinds of lines it has a place; None before it has a Job."""
        old = lines_of(before) if before is not None else ()
        new = lines_of(after) if after is not None and not after.finished else ()
        left: list[Key] = []
        if old and (not new or (before and after and before.uid != after.uid)):
            left += self._leave(key, old)
        if after is not None and new:
            left += self._change(key, after, new, holds)
        for line in left:
            self._call(line)

    def limit_changed(self, line: Key) -> None:
        """The bridge or the pipeline came, changed or went."""
        self._call(line)

    def held(self, key: Key, run: RunView) -> Held | None:
        """Why the Run's turn has not come; None when it has."""
        lines = lines_of(run)
        if key not in self._cells.get(lines, ()):
            return None
        if run.supersedes and not self._open:
            return NOT_KNOWN  # the Run whose place it takes may be at work, and have a result that this one has to name
        if not (limited := [line for line in lines if self._limit(line) is not None]):
            self._begin(key, lines)  # nothing is in its way, so nobody else's turn is touched
            return None
        if self._has_room(lines):
            self._call(limited[0], asking=key)
        if key not in self._cells.get(lines, ()):
            return None
        return self._why(run, limited) if self._open else NOT_KNOWN

    def may_begin(self, key: Key, run: RunView) -> bool:
        """Whether a pass over this Run, which has no Job, is likely to make one."""
        lines = lines_of(run)
        return key in self._called or (key in self._cells.get(lines, ()) and self._has_room(lines))

    # ---- standing in lines ----

    def _change(self, key: Key, run: RunView, lines: Lines, holds: Container[str] | None) -> list[Key]:
        """Gives the lines in which it has left a place."""
        if holds is not None:
            self._called.discard(key)
            self._wait_no_more(key, lines)
            for line in lines:
                if line.kind in holds:
                    self._lines[line].taken.add(key)
            return self._give_back(key, [line for line in lines if line.kind not in holds])
        if run.deleting or run.cancel or run.suspend:
            return [] if key in self._posting else self._leave(key, lines)
        if key in self._called:
            return []
        left = self._leave(key, lines)
        self._wait(Waiting(key, run.priority, run.created, lines))
        return left

    def _wait(self, one: Waiting[Key]) -> None:
        self._cells[one.lines].add(one)
        for line in one.lines:
            self._lines[line].cells.add(one.lines)
            self._lines[line].classes[one.priority] += 1

    def _wait_no_more(self, key: Key, lines: Lines) -> None:
        one = self._cells[lines].pop(key) if lines in self._cells else None
        if one is None:
            return
        for line in lines:
            self._lines[line].classes[one.priority] -= 1
        if not self._cells[lines]:
            del self._cells[lines]
            for line in lines:
                self._lines[line].cells.discard(lines)

    def _begin(self, key: Key, lines: Lines) -> None:
        self._wait_no_more(key, lines)
        self._called.add(key)
        for line in lines:
            self._lines[line].taken.add(key)
            self._lines[line].starts += 1

    def _leave(self, key: Key, lines: Lines) -> list[Key]:
        self._called.discard(key)
        self._wait_no_more(key, lines)
        return self._give_back(key, lines)

    def _give_back(self, key: Key, lines: "Lines | list[Key]") -> list[Key]:
        left = [line for line in lines if line in self._lines and key in self._lines[line].taken]
        for line in left:
            self._lines[line].taken.discard(key)
        return left

    # ---- giving turns ----

    def _free(self, line: Key) -> int | None:
        limit = self._limit(line)
        if limit is None:
            return None
        return limit.places - len(self._lines[line].taken) if self._open else 0

    def _room(self, lines: Lines) -> int:
        """How many of those that wait in these lines may begin."""
        limits = [free for line in lines if (free := self._free(line)) is not None]
        return min(limits) if limits else len(self._cells[lines])

    def _has_room(self, lines: Lines) -> bool:
        return all((free := self._free(line)) is None or free > 0 for line in lines)

    def _call(self, line: Key, *, asking: Key | None = None) -> None:
        """Those of the line that may begin now. Of other lines nobody can: each change calls the line that it touches."""
        if not self._open or line not in self._lines or not self._has_room((line,)):
            return
        ready = [one for lines in self._lines[line].cells if (room := self._room(lines)) > 0 for one in self._cells[lines].foremost(room)]
        for one in list(turns(ready, free=self._free, starts=self._starts, now=self._clock())):
            self._begin(one.key, one.lines)
            if one.key != asking:
                self._wake(one.key)

    def _starts(self, line: Key) -> int:
        return self._lines[line].starts

    def _why(self, run: RunView, limited: list[Key]) -> Held:
        """The pipeline's limit first: it is what keeps a Run longest."""
        full = next((line for line in reversed(limited) if not self._has_room((line,))), limited[-1])
        before = sum(self._lines[full].classes[one] for one, urgency in URGENCY.items() if urgency <= URGENCY[run.priority])
        return Held(self._limit(full), max(1, before))


def lines_of(run: RunView) -> Lines:
    """A Run made by hand stands in its bridge's line alone."""
    pipeline = pipeline_of(run)
    bridge = Key("bridge", run.namespace, run.bridge)
    return (bridge,) if pipeline is None else (bridge, pipeline)
