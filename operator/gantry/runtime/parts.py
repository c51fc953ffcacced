"""The parts of the operator and how they are wired: a change in the store wakes keys, a key's turn calls its reconciler.

    watches (kopf), lists, own writes ──▶ store ──▶ queue ──▶ reconcile a Run, a pipeline, a bridge ──▶ API server
    bridges' Followers ──▶ Runs (API server, and the store at once)

It starts nothing; `process` does.
"""

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import cast

import structlog
from structlog.contextvars import bound_contextvars

from gantry import __version__
from gantry.api.bridge import BridgeSpec
from gantry.delivery import Courier
from gantry.kube import AioKube, KubeError, Transient
from gantry.notify import Sender
from gantry.orthanc import CallObserver, Credentials, Orthanc, Trust
from gantry.registry import Registries
from gantry.runs import URGENCY, Installation, Limits

from . import images, measures, notifications, pipeline_queues, prepull
from .backfills import Backfills, runs_of, studies_of
from .beside import beside
from .bridges import Bridges
from .deliveries import oldest_deliveries, open_deliveries
from .follow import Follow, expected, longest_pause
from .images import Images
from .logs import whose
from .metrics import Metrics, Read
from .notifications import Notifications
from .pipeline_queues import PipelineQueues
from .pipelines import Pipelines, relaxations
from .prepull import PrePull
from .queue import LAST_LINE, LONGEST_PAUSE, WorkQueue
from .queues import Queues
from .records import Key
from .runs import RunReconciler
from .settings import Settings
from .store import Store
from .tracing import NO_TRACING, NoTracing, Tracing

log = structlog.get_logger(__name__)

COUNT_PAUSE = 2.0
"""Seconds changes of a pipeline's counts are collected before its status is written."""
TRANSIENT_PAUSE = 2.0
"""Seconds at most between two tries while the API server is away: work goes on 3 s after it is back."""
FOLLOW_WORKERS = 2
"""A Run is followed in some 50 ms of Orthanc's time; the second goes on while the first waits for a slow answer."""


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
    tracing: NoTracing
    looks: WorkQueue[Key]
    """Pipelines whose images are looked at."""
    pulls: WorkQueue[Key]
    """Pipelines whose images are brought to the nodes."""
    queue_looks: WorkQueue[Key]
    """Pipelines whose queue of Kueue is looked at."""


def assemble(settings: Settings, kube: AioKube, metrics: Metrics) -> Parts:
    """Wires the parts: a change in the store wakes keys, a key's turn calls its reconciler."""
    loop = asyncio.get_running_loop()
    tracing = Tracing(version=__version__, metrics=metrics) if settings.tracing else NO_TRACING

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

    def resolved(key: Key) -> None:
        changed(key)
        pullers.add(key)

    installation = Installation(settings.installation, settings.worker_image, settings.worker_pull_policy, tracing.on)
    store = Store(changed=changed, counted=counted, clock=now)
    looks = Images(
        kube=kube,
        store=store,
        registries=_registries(settings),
        interval=settings.images_interval,
        read_nodes=settings.read_nodes,
        changed=resolved,
        wake_after=lambda key, seconds: lookers.add_after(key, seconds),
        clock=now,
    )
    pulls = PrePull(
        kube=kube,
        store=store,
        enabled=settings.pre_pull,
        installation=installation,
        images=looks.of,
        changed=changed,
        wake_after=lambda key, seconds: pullers.add_after(key, seconds),
    )

    def queue_changed(namespace: str, name: str) -> None:
        for pipeline in admitting.naming(namespace, name):
            queue_lookers.add(pipeline)

    kueue = Queues(kube=kube, clock=now, changed=queue_changed)
    admitting = PipelineQueues(store=store, queues=kueue, changed=changed, wake_after=lambda key, seconds: queue_lookers.add_after(key, seconds))
    pipelines = Pipelines(kube=kube, store=store, clock=now, images=looks.of, on_nodes=pulls.of, queue=admitting.of)

    async def work(key: Key) -> None:
        reconcile = {
            "run": runs.reconcile, "pipeline": pipelines.reconcile, "bridge": bridges.reconcile, "backfill": backfills.reconcile
        }[key.kind]  # fmt: skip
        with metrics.reconciles.labels(key.kind).time(), bound_contextvars(**whose(key, store, traced=tracing.on)):
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
        installation=installation,
        limits=Limits(image_pull=timedelta(seconds=settings.image_pull_limit)),
        metrics=metrics,
        tracing=tracing,
        wake_after=queue.add_after,
        clock=now,
        read_nodes=settings.read_nodes,
        queues=kueue,
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
        queue.rest(key)
        follow.ended(key)
        notices.ended(key)

    store.ended, store.reported, pipelines.became_ready = ended, notices.reported, follow.look_again
    bind = partial(whose, store=store, traced=tracing.on)
    followers = beside("follow", follow.reconcile, FOLLOW_WORKERS, expected, longest_pause, metrics, loop, bind)
    tellers = beside("notify", notices.reconcile, notifications.WORKERS, notifications.expected, lambda _: TRANSIENT_PAUSE, metrics, loop, bind)
    lookers = beside("images", looks.reconcile, images.WORKERS, images.expected, images.pause_of, metrics, loop, bind)
    pullers = beside("prepull", pulls.reconcile, prepull.WORKERS, prepull.expected, lambda _: prepull.LONGEST, metrics, loop, bind)
    queue_lookers = beside(
        "queues", admitting.reconcile, pipeline_queues.WORKERS, pipeline_queues.expected, lambda _: pipeline_queues.LONGEST, metrics, loop, bind
    )

    def pipeline_changed(key: Key) -> None:
        queue_lookers.add(key)
        lookers.add(key)
        pullers.add(key)

    store.pipeline_changed = pipeline_changed
    queues = {"main": queue, "follow": followers, "notify": tellers, "images": lookers, "prepull": pullers, "queues": queue_lookers}
    gauges: dict[measures.Measure, Read] = {
        measures.RUNS: lambda: dict(store.tallies.states),
        measures.RELAXED: lambda: relaxations(store),
        measures.OPEN: lambda: open_deliveries(store),
        measures.OLDEST_DELIVERY: lambda: oldest_deliveries(store, now()),
        measures.AWAY: courier.away,
        measures.REACHABLE: bridges.reachable,
        measures.LAG: bridges.lags,
        measures.POLL_AGE: bridges.poll_ages,
        measures.BACKFILL_STUDIES: lambda: studies_of(store),
        measures.BACKFILL_RUNS: lambda: runs_of(store),
        measures.QUEUE_DEPTH: lambda: {"": queue.depth},
        measures.QUEUE_OLDEST: lambda: {"": queue.oldest()},
        measures.QUEUE_RETRYING: lambda: {name: one.retrying for name, one in queues.items()},
        measures.FOLLOW_DEPTH: lambda: {"": followers.depth},
        measures.NOTIFY_DEPTH: lambda: {"": tellers.depth},
    }
    for measure, read in gauges.items():
        metrics.collect(measure, read)
    return Parts(queue, store, runs, pipelines, bridges, backfills, followers, tellers, notices, sender, tracing, lookers, pullers, queue_lookers)


def _registries(settings: Settings) -> Registries | None:
    if not settings.registries:
        return None
    authorities = Path(settings.registry_ca).read_text(encoding="utf-8") if settings.registry_ca else ""
    return Registries(authorities=authorities, insecure=settings.insecure_registries)


def _connect(spec: BridgeSpec, credentials: Credentials | None, trust: Trust | None, observe: CallObserver) -> Orthanc:
    return Orthanc(spec.url, credentials=credentials, trust=trust, observe=observe)
