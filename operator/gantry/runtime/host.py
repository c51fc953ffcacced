"""What a bridge's Follower gets from this process: pipelines from the store, Runs and status at the API server, metrics.

It implements `gantry.bridge.Host` and decides nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

from gantry.api import labels, parse_timestamp
from gantry.api.bridge import BridgeStatus
from gantry.bridge import STUDY_LABEL_LENGTH, Candidate, Decided, Discovered, Dropped, EarlierRun, Faulted, Observation, Polled, RunRefused
from gantry.kube import BRIDGES, RUNS, AlreadyExists, Kube, Rejected

from .metrics import Metrics
from .pipelines import Pipelines
from .records import Key
from .store import Store


class BridgeHost:
    """The host of one Follower."""

    def __init__(
        self,
        bridge: Key,
        uid: str,
        *,
        kube: Kube,
        store: Store,
        pipelines: Pipelines,
        metrics: Metrics,
        unauthorized: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        """`unauthorized` is called when Orthanc refuses the credentials: the secret may have been rotated."""
        self._bridge, self._uid = bridge, uid
        self._kube, self._store, self._pipelines, self._metrics = kube, store, pipelines, metrics
        self._unauthorized, self._monotonic = unauthorized, monotonic
        self.reachable = False
        """Whether Orthanc answered when it was last asked for changes."""
        self.lag = 0
        """Changes of Orthanc not read yet."""
        self.polled: float | None = None
        """When the change log was last read to its end, by `monotonic`; None: not yet."""
        self.status: BridgeStatus | None = None
        """What was written last; a further Follower of the same bridge begins with it."""

    def pipelines(self) -> Sequence[Candidate]:
        return self._pipelines.candidates(self._bridge)

    def run_exists(self, name: str) -> bool:
        return Key("run", self._bridge.namespace, name) in self._store.runs

    async def earlier_runs(self, pipeline: str, study: str) -> tuple[EarlierRun, ...]:
        """Most studies have none, and the store knows; the API server is asked for the series of those there are."""
        if self._store.complete and not self._store.earlier_runs(self._bridge.namespace, pipeline, study):
            return ()
        selector = f"{labels.PIPELINE}={pipeline},{labels.STUDY}={study[:STUDY_LABEL_LENGTH]}"
        found = [run async for page in self._kube.pages(RUNS, self._bridge.namespace, selector=selector) for run in page]
        return tuple(_earlier(run) for run in found if run["spec"]["study"]["orthancID"] == study)

    async def create_run(self, body: dict[str, Any]) -> bool:
        try:
            made = await self._kube.create(RUNS, self._bridge.namespace, body)
        except AlreadyExists:
            return False
        except Rejected as error:
            raise RunRefused(str(error)) from error
        self._store.observe(RUNS.plural, made)  # the Job need not wait for the watch
        return True

    async def write_status(self, status: BridgeStatus) -> None:
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"destinations"})  # `destinations.py` writes those
        written = await self._kube.apply_status(BRIDGES, self._bridge.namespace, self._bridge.name, body, uid=self._uid)
        self.status = status
        self._store.observe(BRIDGES.plural, written, quiet=True)

    def record(self, observation: Observation) -> None:
        name, metrics = self._bridge.name, self._metrics
        match observation:
            case Polled(_, lag, seconds):
                self.reachable, self.lag, self.polled = True, lag, self._monotonic()
                metrics.polls.labels(name).observe(seconds)
            case Discovered(origin, _, since_stable):
                metrics.discovered.labels(name, origin.value).inc()
                if since_stable is not None:
                    metrics.stable_to_seen.labels(name).observe(max(0.0, since_stable))
            case Decided(pipeline, outcome, check, seconds):
                metrics.decisions.labels(pipeline, outcome.value, check or "").inc()
                if seconds is not None:
                    metrics.seen_to_run.observe(seconds)
            case Dropped(reason):
                metrics.dropped.labels(name, reason.value).inc()
            case Faulted(where, kind):
                metrics.faults.labels(name, where, kind).inc()
                self.reachable = self.reachable and where != "orthanc"
                if where == "orthanc" and kind in ("Unauthorized", "Untrusted"):
                    self._unauthorized()
            case _:
                pass  # a scan's figures are in the bridge's status


def _earlier(run: dict[str, Any]) -> EarlierRun:
    status = run.get("status") or {}
    conditions = status.get("conditions") or ()
    return EarlierRun(
        name=run["metadata"]["name"],
        created=parse_timestamp(run["metadata"]["creationTimestamp"]),
        finished=any(one["type"] in ("Complete", "Failed") and one["status"] == "True" for one in conditions),
        state=status.get("state"),
        series=tuple(run["spec"]["study"]["seriesIDs"]),
    )
