"""The operator's work queue: which key is worked on next, and when again after a failure.

A key is worked on by one worker at a time and waits at most once, so the queue is never longer than the number of keys. It knows nothing of what
the work is. Clock, timers and jitter are arguments.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_PAUSE = 0.5
"""Seconds after the first failure of a key; doubled at each further one."""
LONGEST_PAUSE = 300.0
"""Seconds; a fault that has lasted for minutes is looked at every five."""


LINES = 4
"""Lines of keys; one is worked on when all before it are empty."""
LAST_LINE = LINES - 1


class Timer(Protocol):
    """What `later` gives back: asyncio.TimerHandle, or a test's own."""

    def cancel(self) -> None:
        """It shall not go off."""


class WorkQueue(Generic[K]):
    """`add` a key, `rest` one that has ended, `run` the workers."""

    def __init__(
        self,
        work: Callable[[K], Awaitable[None]],
        *,
        workers: int,
        line: Callable[[K], int],
        clock: Callable[[], float],
        later: Callable[[float, Callable[[], None]], Timer],
        jitter: Callable[[], float],
        failed: Callable[[K, Exception, float], None],
        longest_pause: Callable[[Exception], float] = lambda _: LONGEST_PAUSE,
    ) -> None:
        """`line` of a key: 0 goes before all others, LAST_LINE after them. `jitter` gives 0 to 1. `failed` is told of each failure and of the pause
        that follows."""
        self._work, self._workers, self._line = work, workers, line
        self._clock, self._later, self._jitter = clock, later, jitter
        self._failed, self._longest_pause = failed, longest_pause
        self._lines: tuple[deque[K], ...] = tuple(deque() for _ in range(LINES))
        self._stands: dict[K, int] = {}
        """The line a waiting key stands in; in lines after it the key may be left over."""
        self._since: dict[K, float] = {}
        """Keys that wait, or became dirty while they were worked on."""
        self._active: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, tuple[float, Timer]] = {}
        self._wake = asyncio.Semaphore(0)
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, key: K) -> None:
        """Work on it soon: at once, or again when the work under way is done. A key that waits may come into a line further ahead."""
        if self._closed:
            return
        if key in self._since:
            if key in self._stands and self._line(key) < self._stands[key]:
                self._enqueue(key)
            return
        self._since[key] = self._clock()
        self._idle.clear()
        if key not in self._active:
            self._enqueue(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Work on it after so many seconds, if nothing wakes it earlier. The earliest of several times counts."""
        due = self._clock() + seconds
        if (waiting := self._timers.get(key)) is not None:
            if waiting[0] <= due:
                return
            waiting[1].cancel()
        self._timers[key] = (due, self._later(seconds, lambda: self._ring(key)))

    def rest(self, key: K) -> None:
        """It has ended: nothing is waited for any more, and a timer of hours would be kept for each of thousands. A change still wakes it, and a pass
        that failed is tried again."""
        if key not in self._failures and (waiting := self._timers.pop(key, None)) is not None:
            waiting[1].cancel()

    @property
    def depth(self) -> int:
        """Keys that wait."""
        return len(self._since)

    @property
    def retrying(self) -> int:
        """Keys whose last pass failed."""
        return len(self._failures)

    def oldest(self) -> float:
        """Seconds the longest waiting key has waited."""
        return self._clock() - min(self._since.values(), default=self._clock())

    async def idle(self) -> None:
        """Waits until nothing waits and nothing is worked on; timers may run."""
        await self._idle.wait()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._worker(), name=f"worker-{number}")

    def close(self) -> None:
        """Takes nothing more; what waits is dropped, what is worked on may end."""
        self._closed = True
        for line in self._lines:
            line.clear()
        self._stands.clear()
        self._since.clear()
        self._settle()
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    async def step(self) -> None:
        """Works on the next key; waits for one."""
        await self._wake.acquire()
        number = next((n for n, line in enumerate(self._lines) if line), None)
        if number is None:
            return  # closed meanwhile
        key = self._lines[number].popleft()
        if self._stands.get(key) != number:
            return  # left over: it has gone ahead in another line
        del self._stands[key]
        self._since.pop(key, None)
        self._active.add(key)
        try:
            await self._work(key)
            self._failures.pop(key, None)
        except Exception as error:  # noqa: BLE001 - whatever it was, one key's trouble is not the others'; it is logged and tried again
            self._pause(key, error)
        finally:
            self._active.discard(key)
            if key in self._since:
                self._enqueue(key)
            self._settle()

    async def _worker(self) -> None:
        while True:
            await self.step()

    def _enqueue(self, key: K) -> None:
        self._stands[key] = number = self._line(key)
        self._lines[number].append(key)
        self._wake.release()

    def _settle(self) -> None:
        if not self._since and not self._active:
            self._idle.set()

    def _ring(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _pause(self, key: K, error: Exception) -> None:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        pause = min(FIRST_PAUSE * 2 ** min(count - 1, 20), self._longest_pause(error)) * (0.5 + self._jitter() / 2)
        pause = max(pause, getattr(error, "retry_after", None) or 0.0)
        self._failed(key, error, pause)
        if not self._closed:
            self.add_after(key, pause)
