"""What the operator measures of itself and of its Runs, in a registry of its own. `measures.py` defines each metric and says what it means.

It must not be read to decide anything.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gantry.api import parse_timestamp
from gantry.api.run import RunStatus

from . import measures
from .measures import Measure
from .settings import NO_PRICES, Prices

_without_created: Callable[[], None] = cast(Any, disable_created_metrics)  # it carries no types
_without_created()  # a series more for each counter and histogram, which Prometheus' text format has no use for

Read = Callable[[], Mapping[str, float] | Mapping[tuple[str, ...], float]]
"""Numbers by the values of a gauge's labels."""


MOST_DEPARTMENTS = 50
"""Told apart in labels by one process."""


class Metrics:
    """All of them, and how they are read."""

    def __init__(self, *, version: str, prices: Prices = NO_PRICES) -> None:
        self._prices = prices
        self._departments: set[str] = set()
        self.registry = CollectorRegistry()
        Info(measures.BUILD.name.removesuffix("_info"), measures.BUILD.text, registry=self.registry).info({"version": version})
        self.decisions = self._counter(measures.DECISIONS)
        self.discovered = self._counter(measures.DISCOVERED)
        self.dropped = self._counter(measures.DROPPED)
        self.stable_to_seen = self._histogram(measures.STABLE_TO_SEEN)
        self.seen_to_run = self._histogram(measures.SEEN_TO_RUN)
        self.polls = self._histogram(measures.POLLS)
        self.faults = self._counter(measures.FAULTS)
        self.stages = self._histogram(measures.STAGES)
        self.finished = self._counter(measures.FINISHED)
        self.total = self._histogram(measures.TOTAL)
        self.gpu_seconds = self._counter(measures.GPU_SECONDS)
        self.gpu_reserved = self._counter(measures.GPU_RESERVED)
        self.cost = self._counter(measures.COST)
        self.deliveries = self._counter(measures.DELIVERIES)
        self.sends = self._counter(measures.SENDS)
        self.delivered = self._histogram(measures.DELIVERED)
        self.notifications = self._counter(measures.NOTIFICATIONS)
        self.jobs = self._counter(measures.JOBS)
        self.waited = self._histogram(measures.WAITED)
        self.api_calls = self._counter(measures.API_CALLS)
        self.api_seconds = self._histogram(measures.API_SECONDS)
        self.orthanc_calls = self._counter(measures.ORTHANC_CALLS)
        self.orthanc_seconds = self._histogram(measures.ORTHANC_SECONDS)
        self.reconciles = self._histogram(measures.RECONCILES)
        self.failures = self._counter(measures.RECONCILE_FAILURES)
        self.conflicts = self._counter(measures.CONFLICTS)
        self.loop_lag = Gauge(measures.LOOP_LAG.name, measures.LOOP_LAG.text, registry=self.registry)
        self.ghosts = self._counter(measures.GHOSTS)
        self.traces = self._counter(measures.TRACES)
        self.watch_events = self._counter(measures.WATCH_EVENTS)

    def collect(self, measure: Measure, read: Read) -> None:
        """A gauge that is read when somebody asks."""
        self.registry.register(_Read(measure, read))

    def called(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """A request to the API server ended (kube.CallObserver)."""
        self.api_calls.labels(verb, resource, code).inc()
        self.api_seconds.labels(verb, resource).observe(seconds)

    def of_orthanc(self, bridge: str) -> Callable[[str, str, float], None]:
        """Told of each request to a bridge's Orthanc (orthanc.CallObserver)."""

        def called(call: str, code: str, seconds: float) -> None:
            self.orthanc_calls.labels(bridge, call, code).inc()
            self.orthanc_seconds.labels(bridge, call).observe(seconds)

        return called

    def run_written(self, before: RunStatus | None, after: RunStatus) -> None:
        """A Run's status has just been written: what happened to its deliveries since the status that was there."""
        known = {one.destination: one for one in (before.deliveries if before else None) or ()}
        begun = next((parse_timestamp(stage.start_time) for stage in after.stages or () if stage.name == "deliver"), None)
        for one in after.deliveries or ():
            earlier = known.get(one.destination)
            if sent := one.attempts - (earlier.attempts if earlier else 0):
                self.sends.labels(one.destination).inc(max(0, sent))
            if one.state in ("Sent", "Committed") and one.time and begun and (earlier is None or earlier.state != one.state):
                self.delivered.labels(one.destination, one.state).observe(max(0.0, (parse_timestamp(one.time) - begun).total_seconds()))

    def run_finished(self, pipeline: str | None, status: RunStatus, created: datetime | None = None) -> None:
        """A Run has just been written as finished; once a Run."""
        name = pipeline or ""
        reason = status.failure.reason if status.failure else ""
        self.finished.labels(name, status.state or "", reason).inc()
        if created and status.completion_time:
            took = (parse_timestamp(status.completion_time) - created).total_seconds()
            self.total.labels(name, status.state or "").observe(max(0.0, took))
        for stage in status.stages or ():
            if stage.seconds is not None:
                self.stages.labels(name, stage.name).observe(stage.seconds)
        self._used(name, status)
        for delivery in status.deliveries or ():
            if delivery.final:
                self.deliveries.labels(delivery.destination, delivery.state).inc()

    def _used(self, pipeline: str, status: RunStatus) -> None:
        """What its applications used, what its pods held, and what that costs."""
        usage = status.usage
        for gpu in usage.by_resource if usage else ():
            if gpu.gpu_seconds:
                self.gpu_seconds.labels(pipeline, gpu.resource).inc(gpu.gpu_seconds)
            if usage is None or not gpu.reserved_gpu_seconds:
                continue
            labels = pipeline, gpu.resource, usage.vendor or "", self._known_department(usage.department or "")
            self.gpu_reserved.labels(*labels).inc(gpu.reserved_gpu_seconds)
            if (price := self._prices.per_hour.get(gpu.resource)) is not None:
                self.cost.labels(*labels, self._prices.currency).inc(gpu.reserved_gpu_seconds / 3600 * price)

    def _known_department(self, name: str) -> str:
        """Free text of somebody's order entry: a new word each day must not make a new series each day."""
        if name not in self._departments and len(self._departments) >= MOST_DEPARTMENTS:
            return "other"
        self._departments.add(name)
        return name

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, measure: Measure) -> Counter:
        return Counter(measure.name, measure.text, measure.labels, registry=self.registry)

    def _histogram(self, measure: Measure) -> Histogram:
        return Histogram(measure.name, measure.text, measure.labels, buckets=measure.buckets, registry=self.registry)


class _Read(Collector):
    """A gauge family filled when it is scraped."""

    def __init__(self, measure: Measure, read: Read) -> None:
        self._measure, self._read = measure, read

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        labels = self._measure.labels
        family = GaugeMetricFamily(self._measure.name, self._measure.text, labels=labels or None)
        for values, number in self._read().items():
            family.add_metric([] if not labels else [values] if isinstance(values, str) else values, number)
        yield family
