"""Holds the Lease for this process, or stands by until it can. What to do next is decided in `leadership`; here it is done.

`run` beside everything else; it ends by `LeaseLost`, and then the process must end at once without another write. `holds` is asked right before each
write, for a process that was stopped for a while wakes up wherever it was.
"""

import asyncio
import platform
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import NoReturn, Protocol

import structlog

from gantry.kube import AioKube, AlreadyExists, Configuration, Conflict, KubeError, LeaseLock, NotFound, Throttle, api_client

from .leadership import Contender, Look, Lost, Terms, Wait, Write, decide, failed, leads, patience, saw, wrote
from .metrics import Metrics
from .settings import Settings

log = structlog.get_logger(__name__)

GIVE_BACK = 1.0
"""Seconds for giving the Lease back; without it the next one waits for its end."""
RATE = 50
"""Requests a second about the Lease, far more than are ever made: a throttle of its own, for behind a burst of Runs a renewal would come too late."""
REFUSED = (Conflict, AlreadyExists, NotFound)
"""The Lease is not what it was when it was looked at."""


class LeaseLost(Exception):
    """This process leads no more. The message says why."""


class Leadership(Protocol):
    """Whether this process may do the work."""

    gained: asyncio.Event
    """It leads."""
    standing_by: asyncio.Event
    """It has seen another lead: as a standby it is ready."""

    def holds(self) -> bool:
        """Whether it may write now."""

    async def run(self) -> NoReturn:
        """Until cancelled. Raises LeaseLost."""

    async def give_back(self) -> None:
        """This process writes nothing any more; `run` has been cancelled."""


class Alone:
    """No Lease: nobody else is there."""

    def __init__(self) -> None:
        self.gained, self.standing_by = asyncio.Event(), asyncio.Event()
        self.gained.set()

    def holds(self) -> bool:
        return True

    async def run(self) -> NoReturn:
        await asyncio.Future()
        raise AssertionError("nobody completes it")

    async def give_back(self) -> None:
        """There is nothing."""


def steady_clock() -> float:
    """Seconds. It never goes back, and goes on while the machine is suspended, as the others' clocks do."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Election:
    """One contender."""

    def __init__(
        self,
        lock: LeaseLock,
        me: str,
        *,
        terms: Terms,
        clock: Callable[[], float] = steady_clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._lock, self._terms, self._clock, self._sleep = lock, terms, clock, sleep
        self._one = Contender(me)
        self._told = ""
        self.gained, self.standing_by = asyncio.Event(), asyncio.Event()

    def holds(self) -> bool:
        return leads(self._one, self._terms, self._clock())

    async def run(self) -> NoReturn:
        while True:
            match decide(self._one, self._terms, self._clock()):
                case Lost(why):
                    raise LeaseLost(why)
                case Wait(seconds):
                    await self._sleep(seconds)
                case Look():
                    await self._try(self._look())
                case Write() as step:
                    await self._try(self._write(step))

    async def give_back(self) -> None:
        lease = self._one.lease
        if lease is None or not self.holds():
            return
        self._one = replace(self._one, renewed=None)  # whatever goes on meanwhile cannot write any more
        until = self._clock() + GIVE_BACK
        try:
            while lease is not None and lease.holder == self._one.me:
                try:
                    await self._lock.give_back(lease, within=until - self._clock())
                except REFUSED:  # a renewal was under way
                    lease = await self._lock.read(within=until - self._clock())
                else:
                    log.info("the Lease is given back", lease=self._lock.name)
                    return
        except KubeError as error:
            log.warning("the Lease could not be given back; the next leader waits for its end", lease=self._lock.name, error=str(error))

    async def _try(self, call: Awaitable[None]) -> None:
        try:
            await call
        except REFUSED:
            self._one = failed(self._one, self._terms, self._clock(), refused=True)
        except KubeError as error:
            self._one = failed(self._one, self._terms, self._clock(), refused=False)
            log.warning("the Lease could not be read or renewed; trying again", lease=self._lock.name, error=str(error))

    async def _look(self) -> None:
        lease = await self._lock.read(within=patience(self._one, self._terms, self._clock()))
        self._one = saw(self._one, lease, self._terms, self._clock())
        if lease is None or lease.holder in ("", self._one.me, self._told) or self.gained.is_set():
            return
        self._told = lease.holder
        self.standing_by.set()
        log.info("standing by", lease=self._lock.name, leader=lease.holder)

    async def _write(self, step: Write) -> None:
        began = self._clock()
        lease = await self._lock.write(step.before, self._one.me, self._terms.duration, within=patience(self._one, self._terms, began))
        self._one = wrote(self._one, lease, self._terms, began=began, now=self._clock())
        if self.holds() and not self.gained.is_set():
            log.info("leading", lease=self._lock.name, me=self._one.me, transitions=lease.transitions)
            self.gained.set()


def contend(settings: Settings, made: Configuration, metrics: Metrics) -> Leadership:
    """By the settings. Its calls have connections of their own, too."""
    if settings.lease is None:
        return Alone()
    namespace, name = settings.lease
    terms = Terms()
    throttle = Throttle(RATE, RATE, clock=time.monotonic, sleep=asyncio.sleep)
    kube = AioKube(api_client(made), throttle=throttle, observe=metrics.called, timeout=terms.call)
    lock = LeaseLock(kube, namespace, name, now=lambda: datetime.now(UTC))
    return Election(lock, settings.identity or f"{platform.node()}-{secrets.token_hex(4)}", terms=terms)
