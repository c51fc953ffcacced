"""Whose turn it is: which of the waiting Runs begin when there are places.

Pure. A Run stands in one line, or in two: its bridge's, where Runs of all pipelines that are yet to fetch stand (limits.concurrentFetches), and its
pipeline's (concurrency.maxActive). It begins when every line with a limit has a place for it, and takes them together, so nobody holds one place
while waiting for another. The most urgent class goes first, within it the oldest Run; so that nobody starves, every fifth start of a line goes to
the Run that has waited longest in it once that is half an hour. It must not count who is under way (`runtime.turns` does) nor know what a Run
needs besides its turn (`plan` does).
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heapify, heappop
from typing import Any, Generic, Literal, TypeVar

from gantry.api.matching import Priority

K = TypeVar("K", bound="tuple[str, ...]")

URGENCY: dict[str, int] = {"Stat": 0, "Urgent": 1, "Routine": 2, "Background": 3}
"""Classes, the most urgent first."""
AGED = timedelta(minutes=30)
"""A Run that has waited longer takes part in every fifth start: Stat loses one place in five to it, and a backfill moves on under any load."""
EVERY = 5
ORPHANS = 1
"""Places of a pipeline that does not exist: nobody can say any more how many there may be, so its Runs go on one by one."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many Runs of a line may have a place at once."""

    of: Literal["pipeline", "deleted pipeline", "bridge"]
    name: str
    places: int

    def __str__(self) -> str:
        """What is full, in words."""
        match self.of:
            case "pipeline":
                return f"pipeline {self.name} has {self.places} of {self.places} Runs under way (concurrency.maxActive)"
            case "deleted pipeline":
                return f"no InferencePipeline {self.name} in this namespace, so its Runs begin one at a time"
            case "bridge":
                return f"bridge {self.name} has {self.places} of {self.places} Runs that fetch their images (limits.concurrentFetches)"


@dataclass(frozen=True, slots=True)
class Held:
    """A Run whose turn has not come."""

    by: Limit | None
    """None: nobody can say yet, for the operator still reads what there is."""
    place: int = 0
    """In the line of that limit."""

    def __str__(self) -> str:
        """What it is told: once, for a line of a thousand moves with every start."""
        return f"{self.by}: this one had place {self.place} when it began to wait; the most urgent class goes first, then the oldest Run"


NOT_KNOWN = Held(None)


@dataclass(frozen=True, slots=True)
class Waiting(Generic[K]):
    """A Run that has not begun and is held by nothing but its turn."""

    key: K
    priority: Priority
    created: datetime
    lines: tuple[K, ...]
    """Where it stands: the bridge's line, then the pipeline's."""


def turns(
    waiting: Collection[Waiting[K]], *, free: Callable[[K], int | None], starts: Callable[[K], int], now: datetime
) -> Iterator[Waiting[K]]:
    """Who begins, in order. `free`: places left in a line, None without a limit; `starts`: how many of the line have begun before."""
    room = _Room(free, starts)
    ranked = _Line(iter(waiting), rank)
    aged: dict[K, _Line[K]] = {}

    def longest_waiting(line: K) -> Waiting[K] | None:
        if line not in aged:
            aged[line] = _Line((one for one in waiting if line in one.lines and now - one.created > AGED), age)
        return aged[line].first(room)

    while (first := ranked.first(room)) is not None:
        due = (longest_waiting(line) for line in first.lines if room.is_fifth(line))
        one = next((old for old in due if old is not None), first)
        room.take(one)
        yield one


class _Room(Generic[K]):
    """Places left in each line while turns are given."""

    def __init__(self, free: Callable[[K], int | None], starts: Callable[[K], int]) -> None:
        self._free, self._starts = free, starts
        self._left: dict[K, int | None] = {}
        self._begun: Counter[K] = Counter()
        self._taken: set[K] = set()

    def left(self, line: K) -> int | None:
        if line not in self._left:
            self._left[line] = self._free(line)
        return self._left[line]

    def has(self, one: Waiting[K]) -> bool:
        return one.key not in self._taken and all((left := self.left(line)) is None or left > 0 for line in one.lines)

    def is_fifth(self, line: K) -> bool:
        return self.left(line) is not None and (self._starts(line) + self._begun[line]) % EVERY == EVERY - 1

    def take(self, one: Waiting[K]) -> None:
        self._taken.add(one.key)
        for line in one.lines:
            self._begun[line] += 1
            left = self.left(line)
            self._left[line] = None if left is None else left - 1


class _Line(Generic[K]):
    """Some of the waiting, by an order. Who has no place now has none as long as turns are only given, and is dropped."""

    def __init__(self, some: Iterator[Waiting[K]], order: "Callable[[Waiting[Any]], tuple[Any, ...]]") -> None:
        self._heap = [(order(one), one) for one in some]  # the order ends with the key, so two are never compared further
        heapify(self._heap)

    def first(self, room: _Room[K]) -> Waiting[K] | None:
        while self._heap and not room.has(self._heap[0][1]):
            heappop(self._heap)
        return self._heap[0][1] if self._heap else None


def rank(one: Waiting[Any]) -> tuple[int, datetime, tuple[str, ...]]:
    """The key last, so that two operators by mistake choose the same Run: then the Job's name lets it begin once."""
    return URGENCY[one.priority], one.created, one.key


def age(one: Waiting[Any]) -> tuple[datetime, tuple[str, ...]]:
    """The oldest first, whatever its class."""
    return one.created, one.key
