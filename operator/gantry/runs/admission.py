"""Whose turn it is: which of a pipeline's waiting Runs begin when there are places.

Pure. The most urgent class goes first, within it the oldest Run; so that nobody starves, every fifth start goes to the Run that has waited longest
once that is half an hour. It must not count who is under way (`runtime.turns` does) nor know what a Run needs besides its turn (`plan` does).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nsmallest
from typing import Any, Generic, TypeVar

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
class Waiting(Generic[K]):
    """A Run that has not begun and is held by nothing but its turn."""

    key: K
    priority: Priority
    created: datetime


def turns(waiting: Collection[Waiting[K]], *, free: int, starts: int, now: datetime) -> tuple[Waiting[K], ...]:
    """Who begins, in order, when there are `free` places and `starts` Runs of the pipeline have begun before."""
    count = min(free, len(waiting))
    if count <= 0:
        return ()
    ranked = iter(nsmallest(count, waiting, key=_rank))
    oldest = iter(nsmallest(count, (one for one in waiting if now - one.created > AGED), key=_age))
    chosen: dict[K, Waiting[K]] = {}
    for number in range(starts, starts + count):
        aged = _next(oldest, chosen) if number % EVERY == EVERY - 1 else None
        one = aged or _next(ranked, chosen)
        if one is not None:
            chosen[one.key] = one
    return tuple(chosen.values())


def _next(line: Iterator[Waiting[K]], taken: dict[K, Waiting[K]]) -> Waiting[K] | None:
    return next((one for one in line if one.key not in taken), None)


def held_back(pipeline: str, limit: int | None, place: int) -> str:
    """What a waiting Run is told: once, for a line of a thousand moves with every start. `limit` None: the pipeline does not exist."""
    where = f"this one had place {place} when it began to wait; the most urgent class goes first, then the oldest Run"
    if limit is None:
        return f"no InferencePipeline {pipeline} in this namespace, so its Runs begin one at a time: {where}"
    return f"pipeline {pipeline} has {limit} of {limit} Runs under way (concurrency.maxActive): {where}"


def _rank(one: Waiting[Any]) -> tuple[int, datetime, tuple[str, ...]]:
    """The key last, so that two operators by mistake choose the same Run: then the Job's name lets it begin once."""
    return URGENCY[one.priority], one.created, one.key


def _age(one: Waiting[Any]) -> tuple[datetime, tuple[str, ...]]:
    return one.created, one.key
