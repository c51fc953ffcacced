"""How long a container waits for an Orthanc that is away.

A pod that waits holds its GPU, so waiting is bounded: as long as something succeeds now and then there is no limit but the Job's deadline;
without any success it ends after `limit` seconds and the Job decides about a further attempt.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gantry.orthanc import Transient

from .log import tell

T = TypeVar("T")
LIMIT = 300.0
"""Seconds without any success. A restart of Orthanc with its database takes seconds to 2 minutes, a node's reboot 2 to 4."""
SHARE = 0.8
"""Of the Run's own timeout at most: the reason should be told before the Job's deadline ends the pod without a word."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0  # seconds; doubled each time


class Patience:
    """Shared by all connections of a container."""

    def __init__(self, limit: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._since = clock()

    def succeeded(self) -> None:
        """Something worked: the time without success begins anew."""
        with self._lock:
            self._since = self._clock()

    def pause(self, failures: int, fault: Transient) -> float:
        """Seconds to wait after the `failures`th fault in a row; raises the fault when there is no patience left."""
        seconds = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 10))
        with self._lock:
            if self._clock() + seconds - self._since > self._limit:
                raise fault
        return seconds


def patience_for(timeout: float, *, clock: Callable[[], float] = time.monotonic) -> Patience:
    """For a Run that may take `timeout` seconds as a whole."""
    return Patience(min(LIMIT, SHARE * timeout), clock=clock)


async def persistently(ask: Callable[[], Awaitable[T]], patience: Patience) -> T:
    """Asks again while Orthanc is away and there is patience left."""
    failures = 0
    while True:
        try:
            answer = await ask()
        except Transient as fault:
            failures += 1
            await asyncio.sleep(patience.pause(failures, fault))
        else:
            patience.succeeded()
            return answer


def downloaded(once: Callable[[], T], patience: Patience, *, over: threading.Event | None = None) -> T:
    """The same where a thread may block. `over`: nobody waits for this download any more, the fault is raised."""
    over, failures = over or threading.Event(), 0
    while True:
        try:
            answer = once()
        except Transient as fault:
            failures += 1
            pause = patience.pause(failures, fault)
            tell("download repeated", {"failures": failures, "fault": type(fault).__name__, "pause": pause})
            if over.wait(pause):
                raise
        else:
            patience.succeeded()
            return answer
