"""One walk for each InferenceBackfill that is neither held nor over, alive as long as the object is there; begun anew when its spec changes.

What walking means is `gantry.bridge.backfill`'s; here it is started, watched and ended. It begins when every Run has been read: before, a cap
could not be kept, and Runs of the past would be asked for again. A walk asks its bridge's client, so it ends before that client closes.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from gantry.api import BackfillReason, labels
from gantry.api.backfill import BackfillStatus
from gantry.bridge import Backfill, Ground, Level, Problem, over, suspended_status
from gantry.kube import BACKFILLS, RUNS, Conflict, Kube, KubeError, NotFound
from gantry.runs import result_uid

from .bridges import Bridges
from .metrics import Metrics
from .pipelines import Judgement, Pipelines
from .records import BackfillRecord, Key
from .store import Store

log = structlog.get_logger(__name__)

RESUME_PAUSE = 1.0
"""Seconds until a walk whose bridge connects anew goes on: by then it has mostly done so."""
CRASH_PAUSE = 5.0
"""Seconds until a walk that ended by a fault of its own is started again."""


def studies_of(store: Store) -> dict[tuple[str, ...], float]:
    """Of all backfills as their statuses say, so a restart of the process changes nothing; by name, and how far they are."""
    return _counts(store, ("found", "examined", "matched", "failed"))


def runs_of(store: Store) -> dict[tuple[str, ...], float]:
    """The same of their Runs. A dry run makes none."""
    return _counts(store, ("created", "known", "refused", "active"), mode="Run")


def _counts(store: Store, states: tuple[str, ...], *, mode: str = "") -> dict[tuple[str, ...], float]:
    """Those of one name in several namespaces are added up."""
    made: Counter[tuple[str, ...]] = Counter()
    for key, record in store.backfills.items():
        status = record.status
        if status is None or status.counts is None or (mode and status.mode != mode):
            continue
        for state in states:
            made[key.name, state] += getattr(status.counts, state) or 0
    return dict(made)


class WalkHost:
    """What a walk gets from this process. It implements `gantry.bridge.BackfillHost` and decides nothing."""

    def __init__(
        self, key: Key, record: BackfillRecord, *, kube: Kube, store: Store, pipelines: Pipelines, bridges: Bridges, installation: str
    ) -> None:
        self._key, self._uid, self._pipeline = key, record.uid, Key("pipeline", key.namespace, record.spec.pipeline_ref.name)
        self._kube, self._store, self._pipelines, self._bridges, self._installation = kube, store, pipelines, bridges, installation
        self.status = record.status
        """What was written last; a further walk of the same backfill begins with it."""
        self.bridge: Key | None = None
        """Whose client is asked."""

    def ground(self) -> Ground | Problem:
        self.bridge = None
        pipeline = self._store.pipelines.get(self._pipeline)
        if pipeline is None:
            return Problem(BackfillReason.PIPELINE_MISSING, f"no InferencePipeline {self._pipeline.name} in this namespace; create it")
        if (after := pipeline.spec.after) is not None:
            words = f"{self._pipeline.name} starts after Runs of {after.pipeline}; backfill {after.pipeline}, and this one follows by itself"
            return Problem(BackfillReason.STARTS_AFTER, words)
        candidate = self._pipelines.candidate(self._pipeline)
        if isinstance(candidate, Judgement):
            words = f"pipeline {self._pipeline.name} takes no studies ({candidate.reason}): {candidate.message}"
            return Problem(BackfillReason.PIPELINE_NOT_READY, words)
        bridge = Key("bridge", self._key.namespace, pipeline.spec.bridge_ref.name)
        orthanc, host, record = self._bridges.orthanc(bridge), self._bridges.host(bridge), self._store.bridges.get(bridge)
        if orthanc is None or host is None or record is None:
            return Problem(BackfillReason.BRIDGE_NOT_READY, f"bridge {bridge.name} has no connection; see its condition Ready")
        if record.view.spec.suspend:
            return Problem(BackfillReason.BRIDGE_NOT_READY, f"bridge {bridge.name} is suspended; set its spec.suspend to false")
        self.bridge = bridge
        return Ground(bridge.name, Level(record.view.spec.watch.level), orthanc, candidate, host)

    def active(self) -> int:
        return self._store.tallies.backfills[self._key]

    def made(self, run: str) -> bool:
        found = self._store.runs.get(Key("run", self._key.namespace, run))
        return found is not None and found.backfill == self._key.name

    async def owns(self, run: str) -> bool:
        selector = f"{labels.BACKFILL}={self._key.name}"
        pages = self._kube.pages(RUNS, self._key.namespace, selector=selector, fields=f"metadata.name={run}")
        return any([True async for page in pages for _ in page])

    def report_series(self, run: str) -> str:
        return result_uid(self._installation, self._key.namespace, run, "sr-series")

    async def write_status(self, status: BackfillStatus) -> None:
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        try:
            written = await self._kube.apply_status(BACKFILLS, self._key.namespace, self._key.name, body, uid=self._uid)
        except (NotFound, Conflict):
            return  # deleted meanwhile, or replaced by another of the name: the watch tells, and this walk ends
        self.status = status
        self._store.observe(BACKFILLS.plural, written, quiet=True)


@dataclass(slots=True)
class Walk:
    """A backfill that walks."""

    uid: str
    generation: int
    host: WalkHost
    backfill: Backfill
    task: "asyncio.Task[None]"


class Backfills:
    """All backfills."""

    def __init__(
        self,
        *,
        kube: Kube,
        store: Store,
        pipelines: Pipelines,
        bridges: Bridges,
        metrics: Metrics,
        installation: str,
        wake_after: Callable[[Key, float], None],
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._kube, self._store, self._pipelines, self._bridges, self._metrics = kube, store, pipelines, bridges, metrics
        self._installation, self._wake_after, self._clock, self._sleep = installation, wake_after, clock, sleep
        self._walks: dict[Key, Walk] = {}
        bridges.leaving = self._end_those_of

    async def reconcile(self, key: Key) -> None:
        """Starts, restarts or ends the walk; nothing when it fits."""
        record = self._store.backfills.get(key)
        walk = self._walks.get(key)
        if record is not None and walk is not None and not walk.task.done() and (walk.uid, walk.generation) == (record.uid, record.generation):
            return
        before = await self._end(key)
        if record is None or not self._store.complete:
            return  # looked at again when the Runs are counted
        host = WalkHost(
            key, record, kube=self._kube, store=self._store, pipelines=self._pipelines, bridges=self._bridges, installation=self._installation
        )
        if before is not None and before.uid == record.uid:
            host.status = before.backfill.status()  # with what was not written yet
        if host.status is not None and over(record.spec, host.status):
            if host.status != record.status:
                await host.write_status(host.status)
            return
        if record.spec.suspend:
            status = suspended_status(record.spec, host.status, generation=record.generation, now=self._clock())
            if status != host.status:
                await host.write_status(status)
            return
        self._begin(key, record, host)

    async def close(self) -> None:
        """Ends all walks and writes how far each has come."""
        ended = [walk for key in list(self._walks) if (walk := await self._end(key)) is not None]
        await asyncio.gather(*(_flush(walk) for walk in ended))

    def _begin(self, key: Key, record: BackfillRecord, host: WalkHost) -> None:
        backfill = Backfill(
            namespace=key.namespace,
            name=key.name,
            generation=record.generation,
            spec=record.spec,
            status=host.status,
            host=host,
            clock=self._clock,
            sleep=self._sleep,
        )
        task = asyncio.create_task(backfill.run(), name=f"backfill-{key.namespace}-{key.name}")
        self._walks[key] = Walk(record.uid, record.generation, host, backfill, task)
        task.add_done_callback(lambda done: self._ended(key, done))

    async def _end(self, key: Key) -> Walk | None:
        walk = self._walks.pop(key, None)
        if walk is not None:
            walk.task.cancel()
            await asyncio.wait([walk.task])
        return walk

    async def _end_those_of(self, bridge: Key) -> None:
        """The bridge's client closes; its walks begin again and wait for the next one."""
        for key in [key for key, walk in self._walks.items() if walk.host.bridge == bridge]:
            await self._end(key)
            self._wake_after(key, RESUME_PAUSE)

    def _ended(self, key: Key, task: "asyncio.Task[None]") -> None:
        """A walk ends by cancellation or because all is done; anything else is a fault of ours."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._metrics.faults.labels(key.name, "backfill", type(error).__name__).inc()
        log.error("a backfill ended by a fault of its own; starting again", backfill=key.name, key="/".join(key), exc_info=error)
        self._wake_after(key, CRASH_PAUSE)


async def _flush(walk: Walk) -> None:
    status = walk.backfill.status()
    if status == walk.host.status:
        return
    try:
        await walk.host.write_status(status)
    except KubeError as error:
        log.warning("a backfill's progress could not be written; the next walk does a little again", error=str(error))
