"""One pass over a Run: observe, plan, do, plan again with what was learnt, one status write.

All policy is in `gantry.runs.plan`; here are the actions. A pass may be killed at any await: the next one finds everything in the API server.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from gantry import runs
from gantry.api import RunReason, labels, parse_duration
from gantry.api.run import RunStatus
from gantry.delivery import Cargo, Courier, Errand, Terms
from gantry.kube import JOBS, PODS, RUNS, AlreadyExists, Conflict, Kube, NotFound, Rejected
from gantry.runs import (
    URGENCY,
    Action,
    CreateJob,
    CreateNotice,
    DeleteJob,
    DeletePod,
    DeleteRun,
    Deliver,
    FindClaims,
    FindOffers,
    FindQueue,
    FindReceipt,
    Installation,
    JobView,
    Limits,
    LookUp,
    Observed,
    PodView,
    RunView,
    plan,
)

from .audit import EVENT, delivery_record
from .bridges import Bridges
from .claims import Claims
from .destinations import Destinations
from .metrics import Metrics
from .offers import Offers
from .predecessors import left_by_first, predecessors
from .queues import Queues
from .receipts import find_receipt
from .records import Key
from .store import Store
from .targets import targets_of
from .tracing import NO_TRACING, NoTracing

log = structlog.get_logger(__name__)

PASSES = 6
"""Plans in one pass: the first, after claims, after a look-up, after Orthanc, after a refusal, after the courier. More would be a circle."""
NO_ORTHANC_PAUSE = 10.0
"""Seconds until delivery is tried again whose bridge has no client (its secret is missing)."""


class RunReconciler:
    """`reconcile` a Run; `sweep` finds finished ones whose time has come."""

    def __init__(
        self,
        *,
        kube: Kube,
        store: Store,
        bridges: Bridges,
        courier: Courier,
        installation: Installation,
        limits: Limits,
        metrics: Metrics,
        wake_after: Callable[[Key, float], None],
        clock: Callable[[], datetime],
        tracing: NoTracing = NO_TRACING,
        read_nodes: bool = False,
        queues: Queues | None = None,
    ) -> None:
        self._kube, self._store, self._bridges, self._courier = kube, store, bridges, courier
        self._installation, self._limits = installation, limits
        self._destinations = Destinations(kube=kube, store=store, clock=clock)
        self._queues = queues or Queues(kube=kube, clock=clock)
        self._claims = Claims(kube=kube)
        self._offers = Offers(kube=kube, allowed=read_nodes, clock=clock)
        self._metrics, self._tracing, self._wake_after, self._clock = metrics, tracing, wake_after, clock

    async def reconcile(self, key: Key) -> None:
        """One pass."""
        seen = self._observe(key)
        if seen is not None and key in self._store.doubtful:
            seen = await self._look_up(key, seen)
            self._store.doubtful.discard(key)
        for _ in range(PASSES):
            if seen is None:
                return
            answer = plan(seen)
            learnt = await self._do_all(key, answer.actions, seen)
            if learnt is None:
                if answer.again_after is not None:
                    self._wake_after(key, answer.again_after.total_seconds())
                if answer.status is not None:
                    await self._write(key, seen, answer.status)
                return
            seen = learnt
        raise RuntimeError("the plan goes in circles")

    def due(self, key: Key) -> bool:
        """Whether a finished Run needs something now: its Job deleted, or itself."""
        seen = self._observe(key)
        moment = runs.finished_due(seen) if seen else None
        return moment is not None and moment <= self._clock()

    def _observe(self, key: Key) -> Observed | None:
        run = self._store.runs.get(key)
        if run is None:
            return None
        pipeline = self._store.pipelines.get(Key("pipeline", run.namespace, run.pipeline)) if run.pipeline else None
        successor = self._store.lineage.successor(key) if not run.finished else None
        return Observed(
            run=run,
            now=self._clock(),
            successor=successor.name if successor else None,
            newer=None if run.finished else self._store.newer_run(key, run),
            predecessor_ends=not run.finished and self._store.lineage.predecessor_ends(key, run),
            held=None if run.finished else self._store.held(key, run),
            job=self._store.jobs.get(key),
            notice=self._store.notices.get(key),
            pods=tuple(self._store.pods.get(key, {}).values()),
            vanished=tuple(self._store.vanished.get(key, {}).values()),
            bridge=self._store.bridge_of(run),
            notifies=pipeline is not None and bool(pipeline.spec.notifications) and not run.shadow,
            ttl=parse_duration(pipeline.spec.history.ttl) if pipeline else runs.HISTORY,
            limits=self._limits,
        )

    # ---- actions: each gives what was learnt, None when the plan need not be made again ----

    async def _do_all(self, key: Key, actions: tuple[Action, ...], seen: Observed) -> Observed | None:
        learnt = None
        for action in actions:
            learnt = await self._do(key, action, learnt or seen)
        return learnt

    async def _do(self, key: Key, action: Action, seen: Observed) -> Observed | None:
        match action:
            case CreateJob():
                with self._store.posting(key):  # before anything is awaited: the place was given for what was seen
                    return await self._create_job(key, seen)
            case CreateNotice(reason):
                return await self._create_notice(key, reason, seen)
            case LookUp():
                return await self._look_up(key, seen)
            case FindQueue(name, job):
                found = await self._queues.look(key.namespace, name, job)
                return replace(seen, queue=replace(found, queued=self._store.tallies.states["Queued"]))
            case FindClaims(pods):
                return await self._find_claims(key, pods, seen)
            case FindOffers():
                return replace(seen, offers=await self._offers.look())
            case FindReceipt():
                orthanc = self._bridges.orthanc(Key("bridge", key.namespace, seen.run.bridge))
                kept = await find_receipt(orthanc, seen.run, installation=self._installation.identity)
                log.info("looked for a receipt in Orthanc", namespace=key.namespace, run=key.name, found=not isinstance(kept, str))
                return replace(seen, kept=kept)
            case Deliver():
                return await self._deliver(key, action, seen)
            case DeleteJob(name, uid):
                await self._kube.delete(JOBS, key.namespace, name, uid=uid)
            case DeletePod(name, uid, version):
                log.info("deleting a pod whose step ended unnoticed", namespace=key.namespace, run=key.name)
                await self._kube.delete(PODS, key.namespace, name, uid=uid, version=str(version))
            case DeleteRun():
                await self._kube.delete(RUNS, key.namespace, key.name, uid=seen.run.uid)
                self._store.forget(seen.run)
        return None

    async def _create_job(self, key: Key, seen: Observed) -> Observed | None:
        """POST first: whether it was there is the server's to say. The new Job wakes the Run again, behind Runs that have none yet."""
        if seen.bridge is None:
            return None
        earlier = await predecessors(self._kube, seen.run)
        try:
            after = await left_by_first(self._kube, seen.run)
            body = runs.job(seen.run, seen.bridge, self._installation, predecessors=earlier, after=after)
            made = await self._kube.create(JOBS, key.namespace, body)
        except AlreadyExists:
            self._metrics.jobs.labels("found").inc()
            found = await self._kube.get(JOBS, key.namespace, runs.job_name(key.name))
            self._store.observe(JOBS.plural, found, quiet=True)
            return replace(seen, job=JobView.from_object(found))
        except (Rejected, runs.UnfitRun) as error:
            self._metrics.jobs.labels("refused").inc()
            return replace(seen, refusal=str(error))
        self._store.observe(JOBS.plural, made)
        self._metrics.jobs.labels("created").inc()
        self._metrics.waited.labels(seen.run.priority).observe(max(0.0, (self._clock() - seen.run.created).total_seconds()))
        return None

    async def _create_notice(self, key: Key, reason: RunReason, seen: Observed) -> Observed | None:
        """The Job that reports a failure. It wakes the Run again."""
        if seen.bridge is None:
            return None
        try:
            made = await self._kube.create(JOBS, key.namespace, runs.notice_job(seen.run, seen.bridge, self._installation, reason))
        except AlreadyExists:
            return replace(seen, notice=await self._job(key, runs.notice_name(key.name)))
        except (Rejected, runs.UnfitRun) as error:
            return replace(seen, refusal=str(error))
        self._store.observe(JOBS.plural, made)
        log.info("reporting that the analysis was not performed", namespace=key.namespace, run=key.name, reason=reason)
        return None

    async def _job(self, key: Key, name: str) -> JobView | None:
        try:
            found = await self._kube.get(JOBS, key.namespace, name)
        except NotFound:
            log.info("a Job is gone", namespace=key.namespace, run=key.name)
            return None
        self._store.observe(JOBS.plural, found, quiet=True)
        return JobView.from_object(found)

    async def _look_up(self, key: Key, seen: Observed) -> Observed:
        job = await self._job(key, runs.job_name(key.name))
        notice = await self._job(key, runs.notice_name(key.name)) if runs.tells_failure(seen) else None
        pods: list[PodView] = []
        # By the Job controller's label, for somebody may have taken ours.
        names = ",".join(one.name for one in (job, notice) if one is not None)
        for selector in (f"{labels.RUN}={key.name}", *([f"batch.kubernetes.io/job-name in ({names}),!{labels.RUN}"] if names else [])):
            async for page in self._kube.pages(PODS, key.namespace, selector=selector):
                for pod in page:
                    self._store.observe(PODS.plural, pod, quiet=True)
                    pods.append(PodView.from_object(pod, now=seen.now))
        return replace(seen, job=job, notice=notice, pods=tuple(pods), looked=True)

    async def _find_claims(self, key: Key, pods: tuple[str, ...], seen: Observed) -> Observed:
        claims = seen.run.parsed.template.scheduling.resource_claims
        asked = [pod for pod in seen.own_pods if pod.name in pods]
        return replace(seen, claimed={pod.name: await self._claims.look(key.namespace, pod, claims) for pod in asked})

    async def _deliver(self, key: Key, errand: Deliver, seen: Observed) -> Observed | None:
        bridge = Key("bridge", key.namespace, seen.run.bridge)
        orthanc = self._bridges.orthanc(bridge)
        if orthanc is None or seen.bridge is None:
            self._wake_after(key, NO_ORTHANC_PAUSE)
            return None
        chosen = seen.run.parsed.template.delivery
        order = (URGENCY[seen.run.priority], seen.run.created)
        terms = Terms(errand.deadline, chosen.storage_commitment)
        progress = await self._courier.advance(
            orthanc,
            Errand(who=key, order=order, bridge=bridge, cargo=self._cargo(seen, errand), terms=terms),
            targets=targets_of(bridge, seen.bridge, self._bridges.logins(bridge), seen.run.parsed.sender),
            deliveries=errand.deliveries,
        )
        if progress.found:
            await self._destinations.write(bridge, progress.found)
        if any(one.reason == "Unauthorized" for one in progress.deliveries):
            self._bridges.doubt(bridge)
        if progress.again_after is not None:
            self._wake_after(key, progress.again_after)
        return replace(seen, now=self._clock(), deliveries=progress.deliveries)

    def _cargo(self, seen: Observed, errand: Deliver) -> Cargo:
        run, alternatives = seen.run, errand.alternatives
        if not alternatives:
            return Cargo(errand.results)
        installation = self._installation.identity
        replaced = runs.replaced_by_alternatives(errand.results, installation=installation, namespace=run.namespace, run=run.name)
        return Cargo(errand.results, alternatives, replaced)

    async def _write(self, key: Key, seen: Observed, status: RunStatus) -> None:
        """Only onto the version that was looked at: what an operator knew late must not undo what another, or a person, has written since."""
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"notifications"})  # theirs
        try:
            written = await self._apply(key, body, seen.run)
        except NotFound:
            self._store.forget(seen.run)  # the watch may never tell, and a Job made for it would be collected and made again
            return
        if written is None:
            return
        self._store.observe(RUNS.plural, written, quiet=True)
        run = self._store.runs.get(key)
        self._metrics.run_written(seen.run.status, status)
        if run is not None and run.finished:
            self._metrics.run_finished(run.pipeline, status, run.created)
            self._tracing.finished(written)
            reason = status.failure.reason if status.failure else ""
            if (record := delivery_record(run, status)) is not None:
                log.info(EVENT, **record)
            log.info("Run finished", namespace=key.namespace, run=key.name, state=status.state, reason=reason)

    async def _apply(self, key: Key, body: dict[str, Any], looked_at: RunView) -> dict[str, Any] | None:
        """None: the Run changed since it was looked at, and the newest wakes it. That only its receivers have heard meanwhile is no change.
        Raises Conflict when it is refused though nothing changed: no event would wake the Run, so the queue has to."""
        try:
            return await self._kube.apply_status(RUNS, key.namespace, key.name, body, uid=looked_at.uid, version=str(looked_at.version))
        except Conflict:
            self._metrics.conflicts.inc()
        newest = await self._kube.get(RUNS, key.namespace, key.name)
        self._store.observe(RUNS.plural, newest)
        run = RunView.from_object(newest)
        if run.uid != looked_at.uid or run.but_for_what_was_told() != looked_at.but_for_what_was_told():
            return None
        return await self._kube.apply_status(RUNS, key.namespace, key.name, body, uid=run.uid, version=str(run.version))
