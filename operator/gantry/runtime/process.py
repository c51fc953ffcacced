"""The operator process: builds the parts, lets them run, ends them. What they are is `parts.py`'s.

No policy lives here. Of several replicas the one that holds the Lease works, the others stand by with nothing but their connection; two that work
beside each other make the same objects under the same names and write the same words.
"""

import asyncio
import contextlib
import signal
import time
from typing import NoReturn

import aiohttp
import structlog

from gantry import __version__
from gantry.kube import AioKube, Freshness, KubeError, Throttle, api_client, configuration, watch_session

from . import handlers, measures
from .census import INTERVAL, Looked, first_look, take_census
from .election import Leadership, contend
from .health import Health, serve
from .metrics import Metrics
from .parts import Parts, assemble, now
from .settings import Settings
from .watches import FOLLOWED, Source, follow_all

__all__ = ["now", "run"]

log = structlog.get_logger(__name__)

SWEEP_INTERVAL = 60.0
"""Seconds between two looks for finished Runs whose time has come; their times are hours."""
CENSUS_PAUSE = 1.0
"""Seconds after a full list that failed; then again."""
GRACE = 1.0
"""Seconds for what is under way when the process is asked to end."""
LAG_EVERY, LAG_WINDOW = 0.1, 100
"""The event loop's stall is measured every 0.1 s; the gauge shows the worst of the last hundred."""


async def run(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises RuntimeError when a part ends that should not; the caller exits."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    _take_signals(loop, stop)
    metrics = Metrics(version=__version__, prices=settings.prices)
    freshness = Freshness(time.monotonic)
    watches = len(handlers.WATCHED) + len(FOLLOWED)
    health = Health(freshness, watches=watches * max(1, len(settings.namespaces)), clock=time.monotonic)
    metrics.collect(measures.WATCH_SILENCE, freshness.silence)
    _, port = await serve(health, metrics, settings.port)
    log.info("starting", port=port, namespaces=list(settings.namespaces) or "all")

    made = await configuration()
    leadership = contend(settings, made, metrics)
    metrics.collect(measures.LEADER, lambda: {"": float(leadership.holds())})
    lease, stopping = asyncio.create_task(leadership.run(), name="lease"), asyncio.create_task(stop.wait(), name="stop")
    if not await _comes_to_lead(leadership, lease, stopping, health):
        await _hand_over(leadership, lease)
        return
    throttle = Throttle(settings.api_rate, int(2 * settings.api_rate), clock=time.monotonic, sleep=asyncio.sleep)
    kube = AioKube(api_client(made), throttle=throttle, observe=metrics.called, may_write=leadership.holds)
    parts = assemble(settings, kube, metrics)
    ready = asyncio.Event()

    async def watch() -> None:
        """Everything a decision needs is read first, then the watches begin."""
        looked, minor = await _first_look(kube, parts, metrics, settings)
        health.expect((watches - len(parts.store.unserved)) * max(1, len(settings.namespaces)))
        parts.store.turns.open()

        def session() -> aiohttp.ClientSession:
            return watch_session(made, freshness, metrics.called)

        registry = handlers.registry(parts.store, metrics, made, session)
        async with session() as own, asyncio.TaskGroup() as group:
            group.create_task(follow_all(Source(kube, own, made.host, parts.store, metrics), settings.namespaces, looked))
            await handlers.feed(registry, handlers.settings(streaming=minor >= 34), namespaces=settings.namespaces, ready=ready)
            raise RuntimeError("kopf ended by itself")

    async def look_after() -> None:
        """What begins once the watches do."""
        await ready.wait()
        _take_signals(loop, stop)  # kopf has taken them for itself when it started, and would need 5 s to end
        health.ready = True
        log.info("watching", seconds=round(time.monotonic() - began, 2), runs=len(parts.store.runs))
        await _count_all(kube, parts, metrics, settings)
        await parts.tracing.tell_again(kube, parts.store)
        async with asyncio.TaskGroup() as group:
            group.create_task(_sweep(parts), name="sweep")
            group.create_task(_census_regularly(kube, parts, metrics, settings), name="census")

    began = time.monotonic()
    # Before kopf starts: it cancels every task born after it when it ends.
    jobs = {
        asyncio.create_task(parts.queue.run(), name="queue"),
        asyncio.create_task(parts.follow.run(), name="follow"),
        asyncio.create_task(parts.notify.run(), name="notify"),
        asyncio.create_task(parts.looks.run(), name="images"),
        asyncio.create_task(parts.pulls.run(), name="prepull"),
        asyncio.create_task(parts.queue_looks.run(), name="queues"),
        asyncio.create_task(look_after(), name="look-after"),
        asyncio.create_task(_measure_lag(metrics), name="lag"),
        asyncio.create_task(watch(), name="watches"),
    }
    done, _ = await asyncio.wait({lease, stopping, *jobs}, return_when=asyncio.FIRST_COMPLETED)
    if lease.done():
        lease.result()  # raises: another may lead by now, so nothing is written any more
    await _end(parts)
    await _hand_over(leadership, lease)
    for task in done - {stopping}:
        if not stop.is_set():
            raise RuntimeError(f"{task.get_name()} ended by itself") from (None if task.cancelled() else task.exception())


async def _comes_to_lead(leadership: Leadership, lease: "asyncio.Task[NoReturn]", stopping: "asyncio.Task[object]", health: Health) -> bool:
    """Waits as a standby, which is ready once it sees a leader. False: asked to end before."""

    async def is_ready() -> None:
        await leadership.standing_by.wait()
        health.ready = True

    ready, gained = asyncio.create_task(is_ready()), asyncio.create_task(leadership.gained.wait())
    await asyncio.wait({lease, stopping, gained}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    if lease.done():
        lease.result()
    health.begin()
    return not stopping.done()


async def _first_look(kube: AioKube, parts: Parts, metrics: Metrics, settings: Settings) -> tuple[Looked, int]:
    """Until it works. Gives where watches go on from, and the server's minor version."""
    while True:
        try:
            return await first_look(kube, parts.store, metrics, settings.namespaces), await kube.server_minor()
        except KubeError as error:
            log.warning("the first list failed; trying again", error=str(error))
            await asyncio.sleep(CENSUS_PAUSE)


async def _count_all(kube: AioKube, parts: Parts, metrics: Metrics, settings: Settings) -> None:
    """Finished Runs too; only then pipelines can be counted."""
    while not parts.store.complete:
        try:
            await take_census(kube, parts.store, metrics, settings.namespaces)
            parts.store.complete = True
        except KubeError as error:
            log.warning("the first full list failed; trying again", error=str(error))
            await asyncio.sleep(CENSUS_PAUSE)
    for key in (*parts.store.pipelines, *parts.store.backfills):
        parts.queue.add(key)
    parts.notifications.look_at_all()
    log.info("counted", runs=len(parts.store.runs))


async def _census_regularly(kube: AioKube, parts: Parts, metrics: Metrics, settings: Settings) -> None:
    while True:
        await asyncio.sleep(INTERVAL)
        try:
            await take_census(kube, parts.store, metrics, settings.namespaces)
        except KubeError as error:
            log.warning("a full list failed; the next is in ten minutes", error=str(error))


async def _sweep(parts: Parts) -> None:
    while True:
        for number, (key, _) in enumerate(parts.store.finished()):
            if parts.runs.due(key):
                parts.queue.add(key)
            if number % 500 == 499:
                await asyncio.sleep(0)
        await asyncio.sleep(SWEEP_INTERVAL)


async def _measure_lag(metrics: Metrics) -> None:
    window: list[float] = []
    while True:
        before = time.monotonic()
        await asyncio.sleep(LAG_EVERY)
        window = [*window[1 - LAG_WINDOW :], time.monotonic() - before - LAG_EVERY]
        metrics.loop_lag.set(max(window))


async def _end(parts: Parts) -> None:
    """What is under way ends, what is done is written: cursors, progress of backfills. All else is found again by the next leader."""
    for queue in (parts.queue, parts.follow, parts.notify, parts.looks, parts.pulls, parts.queue_looks):
        queue.close()
    with contextlib.suppress(TimeoutError):  # the grace is over: the same as a kill, which loses nothing
        async with asyncio.timeout(GRACE):
            await parts.backfills.close()
            await asyncio.gather(parts.bridges.stop(), parts.queue.idle(), parts.follow.idle(), parts.notify.idle())
            await asyncio.gather(parts.bridges.close(), parts.sender.aclose(), parts.tracing.flush())


async def _hand_over(leadership: Leadership, lease: "asyncio.Task[NoReturn]") -> None:
    """Last of all."""
    lease.cancel()
    await asyncio.wait([lease])
    await leadership.give_back()
    log.info("ended")


def _take_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
