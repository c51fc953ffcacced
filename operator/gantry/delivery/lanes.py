"""One lane a destination: how many sends are under way at once, who is next, and whether the destination is away.

    free place ──▶ the most urgent that waits is called ──▶ it comes, sends, and ends ──▶ the next is called
    a send says that the whole destination is away ──▶ everybody waits; one probe at a time, ever later, until one works

Pure but for `wake`. In memory only: after a restart everybody comes by himself, and the first sends tell what is away. Nobody is kept who does
not come when called (a Run may be deleted meanwhile): his place is free again after a while.
"""

import heapq
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

Order = tuple[int, datetime]
"""Class, then age."""
CALLED = timedelta(seconds=5)
"""How long the place of somebody called is kept; a woken Run comes within milliseconds, behind a burst of others within seconds."""
HELD = timedelta(seconds=90)
"""How long a place is kept whose send is not heard of: three of the longest pauses between two looks at a job."""
ASKS = 2
"""Receipts asked for at once: each holds a connection of Orthanc's for as long as the destination takes to answer."""


@dataclass(slots=True)
class Lane:
    """Of one destination. `wake(who, seconds)` makes somebody come; `pause(n)` is the time to the next probe after n that failed."""

    wake: Callable[[Hashable, float], None]
    pause: Callable[[int], timedelta]
    size: int
    interval: timedelta = timedelta(0)
    """From one send that begins to the next, at least."""
    failures: int = 0
    """Probes that failed in a row; 0: it is not away."""
    probe_at: datetime | None = None
    reason: str = ""
    """Why it is away, in one word."""
    next_at: datetime | None = None
    """Nobody is called before."""
    asking: int = 0
    ask_at: datetime | None = None
    """Until then nobody asks for a receipt: the last who did got no answer."""
    _held: dict[Hashable, datetime] = field(default_factory=dict)
    _called: dict[Hashable, datetime] = field(default_factory=dict)
    _waiting: dict[Hashable, Order] = field(default_factory=dict)
    _heap: list[tuple[Order, int, Hashable]] = field(default_factory=list)
    _count: int = 0

    @property
    def away(self) -> bool:
        """Nothing is sent but probes."""
        return self.failures > 0

    def enter(self, who: Hashable, order: Order, now: datetime) -> bool:
        """Whether `who` may send now. Otherwise it waits and is woken when its turn comes."""
        self._expire(now)
        if who in self._held:
            return True
        if who not in self._called and self._waiting.get(who) != order:
            self._waiting[who] = order
            self._count += 1
            heapq.heappush(self._heap, (order, self._count, who))
        self._call(now, here=who)
        if who not in self._called:
            return False
        del self._called[who]
        self.hold(who, now)
        return True

    def hold(self, who: Hashable, now: datetime) -> None:
        """Its send is under way."""
        self._held[who] = now + HELD

    def leave(self, who: Hashable, now: datetime) -> None:
        """It needs nothing (any more): its send ended, or it gave up waiting."""
        self._held.pop(who, None)
        self._called.pop(who, None)
        self._waiting.pop(who, None)
        self._call(now)

    def works(self) -> None:
        """The destination took something, or refused it for what it was."""
        self.failures, self.probe_at, self.reason = 0, None, ""

    def fails(self, reason: str, now: datetime) -> None:
        """The destination as a whole does not work."""
        if self.probe_at is None or now >= self.probe_at:  # sends that were under way when it went away are no probes
            self.failures += 1
            self.probe_at = now + self.pause(self.failures)
        self.reason = reason

    def _call(self, now: datetime, *, here: Hashable = None) -> None:
        called = False
        while self._has_room(now) and (who := self._next()) is not None:
            heapq.heappop(self._heap)
            del self._waiting[who]
            self._called[who] = now + CALLED
            self.next_at = now + self.interval if self.interval else None
            called = True
            if who != here:
                self.wake(who, 0.0)
        if (first := self._next()) is None:
            return
        if self.probe_at is not None and now < self.probe_at:
            self.wake(first, (self.probe_at - now).total_seconds())
        elif self.next_at is not None and now < self.next_at:
            self.wake(first, (self.next_at - now).total_seconds())
        elif called:
            self.wake(first, (CALLED + timedelta(seconds=1)).total_seconds())  # should nobody come who was called

    def _has_room(self, now: datetime) -> bool:
        if self.next_at is not None and now < self.next_at:
            return False
        busy = len(self._held) + len(self._called)
        if not self.away:
            return busy < self.size
        return busy == 0 and self.probe_at is not None and now >= self.probe_at

    def _next(self) -> Hashable | None:
        while self._heap:
            order, _, who = self._heap[0]
            if self._waiting.get(who) == order:
                return who
            heapq.heappop(self._heap)
        return None

    def _expire(self, now: datetime) -> None:
        for places in (self._held, self._called):
            for who in [one for one, until in places.items() if until <= now]:
                del places[who]
