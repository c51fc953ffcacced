"""What the operator measures of itself and of its Runs, in a registry of its own. docs/reference/metrics.md lists them.

No label ever holds an identifier of patient or study, nor the name of a Run: only states, reasons, and names people gave (pipeline, bridge,
destination, step). It must not be read to decide anything.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gantry.api.run import RunStatus

STAGE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 1800, 3600)
"""Seconds: from a Job's creation to an hour of an AI application."""
WAIT_BUCKETS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 1800, 3600, 14400, 86400)
"""Seconds: from a Run that begins at once to a backfill's that waits for a night."""
QUICK_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)
"""Seconds: one pass, one poll."""


Read = Callable[[], Mapping[str, float] | Mapping[tuple[str, ...], float]]
"""Numbers by the values of a gauge's labels."""


class Metrics:
    """All of them, and how they are read."""

    def __init__(self, *, version: str) -> None:
        self.registry = made = CollectorRegistry()
        Info("gantry_build", "What runs here", registry=made).info({"version": version})
        self.decisions = Counter(
            "gantry_routing_decisions", "Decisions of pipelines on studies", ["pipeline", "outcome", "check"], registry=made
        )
        self.discovered = Counter("gantry_studies_discovered", "Studies looked at, by how they were found", ["bridge", "origin"], registry=made)
        self.dropped = Counter("gantry_studies_dropped", "Studies left without a decision", ["bridge", "reason"], registry=made)
        self.seen_to_run = Histogram(
            "gantry_seen_to_run_seconds", "From seeing a stable study to its Run", buckets=STAGE_BUCKETS, registry=made
        )
        self.lag = Gauge("gantry_bridge_lag", "Changes of Orthanc not read yet", ["bridge"], registry=made)
        self.polls = Histogram("gantry_bridge_poll_seconds", "One look at the change log", ["bridge"], buckets=QUICK_BUCKETS, registry=made)
        self.faults = Counter("gantry_bridge_faults", "Faults met while following Orthanc", ["bridge", "where", "kind"], registry=made)
        self.stages = Histogram("gantry_stage_seconds", "Stages of finished Runs", ["pipeline", "stage"], buckets=STAGE_BUCKETS, registry=made)
        self.finished = Counter("gantry_runs_finished", "Finished Runs", ["pipeline", "state", "reason"], registry=made)
        self.gpu_seconds = Counter("gantry_gpu_seconds", "GPUs times seconds that steps really ran", ["pipeline", "resource"], registry=made)
        self.deliveries = Counter("gantry_deliveries", "Ended deliveries", ["destination", "state"], registry=made)
        self.notifications = Counter(
            "gantry_notifications", "Events offered to receivers", ["pipeline", "event", "outcome"], registry=made
        )
        self.jobs = Counter("gantry_jobs_created", "Jobs made, and found to be there already", ["outcome"], registry=made)
        self.waited = Histogram(
            "gantry_run_wait_seconds", "From a Run's creation to its Job, by the class it had then", ["class"], buckets=WAIT_BUCKETS, registry=made
        )
        self.api_calls = Counter("gantry_api_calls", "Requests to the API server", ["verb", "resource", "code"], registry=made)
        self.reconciles = Histogram("gantry_reconcile_seconds", "One pass over a key", ["kind"], buckets=QUICK_BUCKETS, registry=made)
        self.failures = Counter("gantry_reconcile_failures", "Passes that failed and are tried again", ["kind", "error"], registry=made)
        self.conflicts = Counter("gantry_status_conflicts", "Statuses not written, for the Run had changed meanwhile", registry=made)
        self.loop_lag = Gauge("gantry_loop_lag_seconds", "Longest stall of the event loop in the last 10 s", registry=made)
        self.ghosts = Counter("gantry_ghosts_dropped", "Objects a full list no longer had: deleted unseen", ["resource"], registry=made)
        self.watch_events = Counter("gantry_watch_events", "Objects the watches gave", ["resource"], registry=made)

    def collect(self, name: str, text: str, labels: str, read: Read) -> None:
        """A gauge that is read when somebody asks; names of labels are joined by commas."""
        self.registry.register(_Read(name, text, labels, read))

    def called(self, verb: str, resource: str, code: str) -> None:
        """A request to the API server ended (kube.CallObserver)."""
        self.api_calls.labels(verb, resource, code).inc()

    def run_finished(self, pipeline: str | None, status: RunStatus) -> None:
        """A Run has just been written as finished; once a Run."""
        name = pipeline or ""
        reason = status.failure.reason if status.failure else ""
        self.finished.labels(name, status.state or "", reason).inc()
        for stage in status.stages or ():
            if stage.seconds is not None:
                self.stages.labels(name, stage.name).observe(stage.seconds)
        if status.usage and status.usage.gpu_seconds and status.usage.gpu_resource:
            self.gpu_seconds.labels(name, status.usage.gpu_resource).inc(status.usage.gpu_seconds)
        for delivery in status.deliveries or ():
            if delivery.final:
                self.deliveries.labels(delivery.destination, delivery.state).inc()

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


class _Read(Collector):
    """A gauge family filled when it is scraped."""

    def __init__(self, name: str, text: str, labels: str, read: Read) -> None:
        self._name, self._text, self._read = name, text, read
        self._labels = [label for label in labels.split(",") if label]

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._text, labels=self._labels or None)
        for values, number in self._read().items():
            family.add_metric([] if not self._labels else [values] if isinstance(values, str) else values, number)
        yield family
