"""The Runs that wait in the very same lines, in the two orders in which they may begin. Kept up to date change by change; values only.

With ten thousand waiting each end of a Run gives one place, and who gets it must not cost a look at all of them.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import Any

from gantry.runs import Waiting, age, rank

from .records import Key

Order = Callable[[Waiting[Any]], tuple[Any, ...]]


class Cell:
    """Who has a place in its lines and who has not is the same for all in it."""

    def __init__(self) -> None:
        self._by_key: dict[Key, Waiting[Key]] = {}
        self._orders: tuple[tuple[Order, list[Waiting[Key]]], ...] = ((rank, []), (age, []))

    def __len__(self) -> int:
        return len(self._by_key)

    def __contains__(self, key: Key) -> bool:
        return key in self._by_key

    def __iter__(self) -> Iterator[Key]:
        return iter(self._by_key)

    def add(self, one: Waiting[Key]) -> None:
        """Its key must not be there."""
        self._by_key[one.key] = one
        for order, line in self._orders:
            insort(line, one, key=order)

    def pop(self, key: Key) -> Waiting[Key] | None:
        """None: it was not there."""
        one = self._by_key.pop(key, None)
        if one is not None:
            for order, line in self._orders:
                del line[bisect_left(line, order(one), key=order)]
        return one

    def foremost(self, number: int) -> list[Waiting[Key]]:
        """Among whom are those that begin when so many may: the first of each order. With fewer places nobody else can come."""
        chosen = {one.key: one for _, line in self._orders for one in line[:number]}
        return list(chosen.values())
