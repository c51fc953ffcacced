"""The operator process: builds the parts, lets them run, ends them.

    watches (kopf), lists, own writes ──▶ store ──▶ queue ──▶ reconcile a Run, a pipeline, a bridge ──▶ API server
    bridges' Followers ──▶ Runs (API server, and the store at once)

No policy lives here. Of several replicas the one that holds the Lease works, the others stand by with nothing but their connection; two that work
beside each other make the same objects under the same names and write the same words.
"""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NoReturn, cast

import structlog

from gantry import __version__
from gantry.api.bridge import BridgeSpec
from gantry.delivery import Courier
from gantry.kube import AioKube, Freshness, KubeError, Throttle, Transient, api_client, configuration
from gantry.notify import Sender
from gantry.orthanc import Credentials, Orthanc, Trust
from gantry.runs import URGENCY, Installation, Limits

from . import handlers, notifications
from .backfills import Backfills, runs_of, studies_of
from .bridges import Bridges
from .census import INTERVAL, first_look, take_census
from .election import Leadership, contend
from .follow import Follow, expected, longest_pause
from .health import Health, serve
from .metrics import Metrics
from .notifications import Notifications
from .pipelines import Pipelines
from .queue import LAST_LINE, LONGEST_PAUSE, WorkQueue
from .records import Key
from .runs import RunReconciler
from .settings import Settings
from .store import Store

log = structlog.get_logger(__name__)

COUNT_PAUSE = 2.0
"""Seconds changes of a pipeline's counts are collected before its status is written."""
TRANSIENT_PAUSE = 2.0
"""Seconds at most between two tries while the API server is away: work goes on 3 s after it is back."""
SWEEP_INTERVAL = 60.0
"""Seconds between two looks for finished Runs whose time has come; their times are hours."""
CENSUS_PAUSE = 1.0
"""Seconds after a full list that failed; then again."""
FOLLOW_WORKERS = 2
"""A Run is followed in some 50 ms of Orthanc's time; the second goes on while the first waits for a slow answer."""
GRACE = 1.0
"""Seconds for what is under way when the process is asked to end."""
LAG_EVERY, LAG_WINDOW = 0.1, 100
"""The event loop's stall is measured every 0.1 s; the gauge shows the worst of the last hundred."""


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Parts:
    """Everything that runs."""

    queue: WorkQueue[Key]
    store: Store
    runs: RunReconciler
    pipelines: Pipelines
    bridges: Bridges
    backfills: Backfills
    follow: WorkQueue[Key]
    """Finished Runs that other pipelines may start after."""
    notify: WorkQueue[Key]
    """Finished Runs that receivers of events are to be told of."""
    notifications: Notifications
    sender: Sender


def assemble(settings: Settings, kube: AioKube, metrics: Metrics) -> Parts:
    """Wires the parts: a change in the store wakes keys, a key's turn calls its reconciler."""
    loop = asyncio.get_running_loop()

    def changed(key: Key) -> None:
        queue.add(key)
        if key.kind == "bridge":
            for pipeline, _ in store.pipelines_of_bridge(key):
                queue.add(pipeline)
            for run in store.runs_of_bridge(key):
                queue.add(run)
        elif key.kind == "pipeline":  # what it starts after, and a circle, are judged by the others' specs
            for other, record in store.pipelines.items():
                if other.namespace == key.namespace and record.spec.after is not None:
                    queue.add(other)

    def counted(key: Key) -> None:
        if key in store.pipelines:
            queue.add_after(key, COUNT_PAUSE)

    store = Store(changed=changed, counted=counted, clock=now)
    pipelines = Pipelines(kube=kube, store=store, clock=now)

    async def work(key: Key) -> None:
        reconcile = {
            "run": runs.reconcile, "pipeline": pipelines.reconcile, "bridge": bridges.reconcile, "backfill": backfills.reconcile
        }[key.kind]  # fmt: skip
        with metrics.reconciles.labels(key.kind).time():
            await reconcile(key)

    def failed(key: Key, error: Exception, pause: float) -> None:
        metrics.failures.labels(key.kind, type(error).__name__).inc()
        fault = None if isinstance(error, KubeError) else error
        log.warning("a pass failed; trying again", key="/".join(key), error=str(error) or type(error).__name__, pause=round(pause, 1), exc_info=fault)

    def line(key: Key) -> int:
        """Runs that are about to begin go first, by class, or a burst makes its last Job after a minute; Background waits in line with the rest."""
        run = store.about_to_begin(key)
        return min(URGENCY[run.priority], LAST_LINE) if run else LAST_LINE

    queue = WorkQueue[Key](
        work,
        workers=settings.workers,
        line=line,
        clock=time.monotonic,
        later=loop.call_later,
        jitter=random.random,
        failed=failed,
        longest_pause=lambda error: TRANSIENT_PAUSE if isinstance(error, Transient) else LONGEST_PAUSE,
    )
    bridges = Bridges(
        kube=kube,
        store=store,
        pipelines=pipelines,
        metrics=metrics,
        wake_after=queue.add_after,
        clock=now,
        monotonic=time.monotonic,
        sleep=asyncio.sleep,
        connect=_connect,
    )
    backfills = Backfills(
        kube=kube,
        store=store,
        pipelines=pipelines,
        bridges=bridges,
        metrics=metrics,
        installation=settings.installation,
        wake_after=queue.add_after,
        clock=now,
        sleep=asyncio.sleep,
    )
    courier = Courier(clock=now, jitter=random.random, wake=lambda who, seconds: queue.add_after(cast(Key, who), seconds))
    runs = RunReconciler(
        kube=kube,
        store=store,
        bridges=bridges,
        courier=courier,
        installation=Installation(settings.installation, settings.worker_image, settings.worker_pull_policy),
        limits=Limits(image_pull=timedelta(seconds=settings.image_pull_limit)),
        metrics=metrics,
        wake_after=queue.add_after,
        clock=now,
    )
    follow = Follow(kube=kube, store=store, bridges=bridges, pipelines=pipelines, add=lambda key: followers.add(key), clock=now)
    sender = Sender(hosts=settings.notify_hosts, clock=time.time)
    notices = Notifications(
        kube=kube,
        store=store,
        sender=sender,
        metrics=metrics,
        installation=settings.installation,
        add=lambda key: tellers.add(key),
        wake_after=lambda key, seconds: tellers.add_after(key, seconds),
        clock=now,
        monotonic=time.monotonic,
    )

    def ended(key: Key) -> None:
        follow.ended(key)
        notices.ended(key)

    store.ended, store.reported, pipelines.became_ready = ended, notices.reported, follow.look_again
    followers = _beside("follow", follow.reconcile, FOLLOW_WORKERS, expected, longest_pause, metrics, loop)
    tellers = _beside("notify", notices.reconcile, notifications.WORKERS, notifications.expected, lambda _: TRANSIENT_PAUSE, metrics, loop)
    metrics.collect("gantry_runs", "Runs by state", "state", lambda: dict(store.tallies.states))
    metrics.collect("gantry_deliveries_open", "Deliveries under way or waiting", "destination,state", store.open_deliveries)
    metrics.collect("gantry_queue_depth", "Keys that wait for their turn", "", lambda: {"": queue.depth})
    metrics.collect("gantry_queue_oldest_seconds", "How long the longest of them has waited", "", lambda: {"": queue.oldest()})
    metrics.collect("gantry_follow_queue_depth", "Finished Runs that wait to be followed", "", lambda: {"": followers.depth})
    metrics.collect("gantry_destinations_away", "Failed probes of destinations that take nothing now", "destination", courier.away)
    metrics.collect("gantry_backfill_studies", "Studies of backfills, by how far they are", "backfill,state", lambda: studies_of(store))
    metrics.collect("gantry_backfill_runs", "Runs of backfills, by what became of them", "backfill,state", lambda: runs_of(store))
    metrics.collect("gantry_notify_queue_depth", "Finished Runs that wait to be told of", "", lambda: {"": tellers.depth})
    return Parts(queue, store, runs, pipelines, bridges, backfills, followers, tellers, notices, sender)


def _beside(
    name: str,
    reconcile: Callable[[Key], Awaitable[None]],
    workers: int,
    is_expected: Callable[[Exception], bool],
    longest: Callable[[Exception], float],
    metrics: Metrics,
    loop: asyncio.AbstractEventLoop,
) -> WorkQueue[Key]:
    """What is done with finished Runs has workers of its own: they wait for Orthanc or for receivers, and Jobs must not."""

    async def work(key: Key) -> None:
        with metrics.reconciles.labels(name).time():
            await reconcile(key)

    def failed(key: Key, error: Exception, pause: float) -> None:
        metrics.failures.labels(name, type(error).__name__).inc()
        fault = None if is_expected(error) else error
        words = str(error) or type(error).__name__
        log.warning(f"a Run could not be {UNDONE[name]} yet; trying again", key="/".join(key), error=words, pause=round(pause, 1), exc_info=fault)

    return WorkQueue[Key](
        work,
        workers=workers,
        line=lambda _: LAST_LINE,
        clock=time.monotonic,
        later=loop.call_later,
        jitter=random.random,
        failed=failed,
        longest_pause=longest,
    )


UNDONE = {"follow": "followed", "notify": "told of"}


def _connect(spec: BridgeSpec, credentials: Credentials | None, trust: Trust | None) -> Orthanc:
    return Orthanc(spec.url, credentials=credentials, trust=trust)


async def run(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises RuntimeError when a part ends that should not; the caller exits."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    _take_signals(loop, stop)
    metrics = Metrics(version=__version__)
    freshness = Freshness(time.monotonic)
    watches = len(handlers.WATCHED) * max(1, len(settings.namespaces))
    health = Health(freshness, watches=watches, clock=time.monotonic)
    metrics.collect("gantry_watch_silence_seconds", "Time since each watch was heard of", "watch", freshness.silence)
    _, port = await serve(health, metrics, settings.port)
    log.info("starting", port=port, namespaces=list(settings.namespaces) or "all")

    made = await configuration()
    leadership = contend(settings, made, metrics)
    metrics.collect("gantry_leader", "Whether this process leads: 1, or 0 while it stands by", "", lambda: {"": float(leadership.holds())})
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
        selector, minor = await _first_look(kube, parts, metrics, settings)
        health.expect((len(handlers.WATCHED) - len(parts.store.unserved)) * max(1, len(settings.namespaces)))
        parts.store.turns.open()
        registry = handlers.registry(parts.store, metrics, made, freshness, metrics.called)
        await handlers.feed(registry, handlers.settings(streaming=minor >= 34, runs=selector), namespaces=settings.namespaces, ready=ready)

    async def look_after() -> None:
        """What begins once the watches do."""
        await ready.wait()
        _take_signals(loop, stop)  # kopf has taken them for itself when it started, and would need 5 s to end
        health.ready = True
        log.info("watching", seconds=round(time.monotonic() - began, 2), runs=len(parts.store.runs))
        await _count_all(kube, parts, metrics, settings)
        async with asyncio.TaskGroup() as group:
            group.create_task(_sweep(parts), name="sweep")
            group.create_task(_census_regularly(kube, parts, metrics, settings), name="census")

    began = time.monotonic()
    # Before kopf starts: it cancels every task born after it when it ends.
    jobs = {
        asyncio.create_task(parts.queue.run(), name="queue"),
        asyncio.create_task(parts.follow.run(), name="follow"),
        asyncio.create_task(parts.notify.run(), name="notify"),
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


async def _first_look(kube: AioKube, parts: Parts, metrics: Metrics, settings: Settings) -> tuple[str, int]:
    """Until it works. Gives the field selector for Runs and the server's minor version."""
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
    for queue in (parts.queue, parts.follow, parts.notify):
        queue.close()
    with contextlib.suppress(TimeoutError):  # the grace is over: the same as a kill, which loses nothing
        async with asyncio.timeout(GRACE):
            await parts.backfills.close()
            await asyncio.gather(parts.bridges.stop(), parts.queue.idle(), parts.follow.idle(), parts.notify.idle())
            await asyncio.gather(parts.bridges.close(), parts.sender.aclose())


async def _hand_over(leadership: Leadership, lease: "asyncio.Task[NoReturn]") -> None:
    """Last of all."""
    lease.cancel()
    await asyncio.wait([lease])
    await leadership.give_back()
    log.info("ended")


def _take_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
