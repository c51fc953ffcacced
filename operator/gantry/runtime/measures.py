"""Every metric by definition: name, type, labels, buckets and what it means. `metrics.py` makes them, docs/reference/metrics.md is written from here.

No label ever holds an identifier of patient or study, an id of Orthanc's, nor the name of a Run: only what is in LABELS, each with a bounded number
of values. It measures nothing itself.
"""

from dataclasses import dataclass
from enum import StrEnum

STAGE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 1800, 3600)
"""Seconds: from a Job's creation to an hour of an AI application."""
WAIT_BUCKETS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 1800, 3600, 14400, 86400)
"""Seconds: from what is done at once to a backfill that waits for a night, or a destination that is away until delivery.deadline."""
CALL_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)
"""Seconds: one pass, one poll, one request; their time-outs are 10 and 15 s."""


class Kind(StrEnum):
    """Prometheus' types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric. Counters end in `_total` and infos in `_info`, as they are scraped."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds, seconds."""

    @property
    def samples(self) -> frozenset[str]:
        """Names of its time series, as queries name them."""
        if self.kind is Kind.HISTOGRAM:
            return frozenset(f"{self.name}{suffix}" for suffix in ("_bucket", "_sum", "_count"))
        return frozenset({self.name})


LABELS = {
    "vendor": "manufacturer of the application, as `status.usage` has it; empty: not known",
    "department": "that asked for the study, as the images say; empty: they do not; `other`: one of too many",
    "currency": "of the chart's `prices`",
    "backfill": "name of an InferenceBackfill",
    "bridge": "name of an OrthancBridge",
    "call": "method and path of a request to Orthanc; every id and name in the path is `…`",
    "allowed": "what the default refuses to a step",
    "check": "the check that decided, by its name; never a value of the study",
    "class": "Stat, Urgent, Routine or Background",
    "code": "HTTP status; `none` or the error's class when there was no answer",
    "destination": "name of a destination of a bridge",
    "error": "class of an error",
    "event": "kind of a notification",
    "kind": "what was worked on (run, pipeline, bridge, backfill, follow, notify), or the class of a fault",
    "origin": "how a study was found: its stable event, an event that was missed, the scan, a backfill",
    "outcome": "how it ended",
    "pipeline": "name of an InferencePipeline; empty for a Run made by hand",
    "queue": "main, follow or notify",
    "reason": "one word of the documented reasons; empty on success",
    "resource": "plural name of a Kubernetes resource, or of the GPU resource that is counted",
    "stage": "stable, seen, created, started, fetch, step/<name of the step>, publish, deliver: a dozen a pipeline",
    "state": "how far it is",
    "verb": "get, list, watch, create, patch, delete",
    "version": "of Gantry",
    "watch": "path of a watch at the API server",
    "where": "at what a fault was met",
}
"""What each label holds. A label that is not here cannot be used (a test)."""

_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

# ---- what happens to studies ----

DISCOVERED = Measure("gantry_studies_discovered_total", _C, "Studies looked at, by how they were found", ("bridge", "origin"))
DECISIONS = Measure(
    "gantry_routing_decisions_total",
    _C,
    "Decisions of pipelines on studies, one at each look. Outcomes: `Created`, `Superseding` (a Run was made, the second in place of an earlier "
    "one), `Known` (it exists), `NotMatched`, `Ignored` (late images), `OwnResult` (only a report came, its images had their turn long before), "
    "`Incomplete` (looked at again), `Refused` (by the API server). `check`: the one that refused, or on `Created` and `Superseding` the check of "
    "completeness that was given up",
    ("pipeline", "outcome", "check"),
)
DROPPED = Measure("gantry_studies_dropped_total", _C, "Studies left without a decision: gone, or Orthanc fails on them", ("bridge", "reason"))
STABLE_TO_SEEN = Measure(
    "gantry_stable_to_seen_seconds",
    _H,
    "From Orthanc's stable event, by Orthanc's clock in whole seconds, to its being read. Up to a second of it is the missing fraction",
    ("bridge",),
    STAGE_BUCKETS,
)
SEEN_TO_RUN = Measure("gantry_seen_to_run_seconds", _H, "From seeing a stable study to its Run", (), STAGE_BUCKETS)
RUNS = Measure("gantry_runs", _G, "Runs that exist; `Waiting` are those held by `maxActive` or `suspend`", ("state",))
WAITED = Measure("gantry_run_wait_seconds", _H, "From a Run's creation to its Job, by the class it had then", ("class",), WAIT_BUCKETS)
JOBS = Measure("gantry_jobs_created_total", _C, "Jobs made (`created`), `found` to be there already, `refused`", ("outcome",))
STAGES = Measure(
    "gantry_stage_seconds",
    _H,
    "Stages of finished Runs. stable: from Orthanc's event to its being read; seen: to the decision; created: from the Run to its Job; started: to "
    "the first container; fetch, each step, publish: their own time; deliver: to the last destination's answer",
    ("pipeline", "stage"),
    STAGE_BUCKETS,
)
FINISHED = Measure("gantry_runs_finished_total", _C, "Finished Runs", ("pipeline", "state", "reason"))
TOTAL = Measure("gantry_run_seconds", _H, "From a Run's creation to its end, by how it ended", ("pipeline", "state"), WAIT_BUCKETS)
RELAXED = Measure(
    "gantry_pipelines_relaxed",
    _G,
    "1 for each thing that a step of a pipeline is allowed beyond the default: `root`, `network`, `writable-image`",
    ("pipeline", "allowed"),
)
GPU_SECONDS = Measure("gantry_gpu_seconds_total", _C, "GPUs times seconds that steps really ran", ("pipeline", "resource"))
GPU_RESERVED = Measure(
    "gantry_gpu_reserved_seconds_total",
    _C,
    "GPUs times seconds that pods held them, from the scheduler's choice to the last container's end. `vendor` and `department` are those of "
    "`status.usage`; departments beyond the first 50 are `other`",
    ("pipeline", "resource", "vendor", "department"),
)
COST = Measure(
    "gantry_cost_total",
    _C,
    "What the reserved GPUs cost by the prices of the chart (`prices`); none without prices",
    ("pipeline", "resource", "vendor", "department", "currency"),
)
BACKFILL_STUDIES = Measure(
    "gantry_backfill_studies",
    _G,
    "Studies of each backfill that exists, as its status says: `found`, `examined` (looked at), `matched`, `failed` (left, Orthanc fails on them). "
    "Not reset by a restart",
    ("backfill", "state"),
)
BACKFILL_RUNS = Measure(
    "gantry_backfill_runs",
    _G,
    "Runs of each backfill: `created`, `known` (there already), `refused` (by the API server), `active` (unfinished)",
    ("backfill", "state"),
)

# ---- delivery and notifications ----

DELIVERIES = Measure(
    "gantry_deliveries_total",
    _C,
    "Ended deliveries: `Sent` (no receipt was asked for, or none was offered), `Committed`, `Failed`",
    ("destination", "state"),
)
SENDS = Measure("gantry_delivery_attempts_total", _C, "Sends begun; more of them than ended deliveries are repetitions", ("destination",))
DELIVERED = Measure(
    "gantry_delivery_seconds",
    _H,
    "From the results being in Orthanc to the destination's success: of the send (`Sent`), of the receipt (`Committed`)",
    ("destination", "state"),
    WAIT_BUCKETS,
)
OPEN = Measure(
    "gantry_deliveries_open",
    _G,
    "Deliveries that something is still to happen to: `Pending`, `Sending`, `Sent` (waits for its receipt)",
    ("destination", "state"),
)
OLDEST_DELIVERY = Measure(
    "gantry_delivery_oldest_seconds", _G, "How long the results of the oldest open delivery have been in Orthanc", ("destination",)
)
AWAY = Measure("gantry_destinations_away", _G, "Destinations that are away, with the number of probes that failed in a row", ("destination",))
NOTIFICATIONS = Measure(
    "gantry_notifications_total",
    _C,
    "Events offered to receivers: `accepted`, `failed` (an attempt; tried again), `given-up` at the deadline",
    ("pipeline", "event", "outcome"),
)

# ---- Orthanc ----

REACHABLE = Measure(
    "gantry_bridge_reachable",
    _G,
    "1: Orthanc answers; 0: it does not, or a secret it needs is missing. Absent while the bridge is suspended",
    ("bridge",),
)
LAG = Measure("gantry_bridge_lag", _G, "Changes of Orthanc not read yet", ("bridge",))
POLL_AGE = Measure("gantry_bridge_poll_age_seconds", _G, "Time since the change log was last read to its end", ("bridge",))
POLLS = Measure("gantry_bridge_poll_seconds", _H, "One look at the change log", ("bridge",), CALL_BUCKETS)
FAULTS = Measure(
    "gantry_bridge_faults_total",
    _C,
    "Faults met while following Orthanc; `where`: orthanc, study, destination, sender, runs, status, follower",
    ("bridge", "where", "kind"),
)
ORTHANC_CALLS = Measure("gantry_orthanc_calls_total", _C, "The operator's requests to Orthanc", ("bridge", "call", "code"))
ORTHANC_SECONDS = Measure("gantry_orthanc_call_seconds", _H, "How long they took", ("bridge", "call"), CALL_BUCKETS)

# ---- the operator ----

BUILD = Measure("gantry_build_info", Kind.INFO, "What runs", ("version",))
LEADER = Measure("gantry_leader", _G, "1: this replica works; 0: it stands by, watches nothing and counts nothing")
API_CALLS = Measure("gantry_api_calls_total", _C, "Requests to the API server", ("verb", "resource", "code"))
API_SECONDS = Measure("gantry_api_call_seconds", _H, "How long they took, of a watch to its first byte", ("verb", "resource"), CALL_BUCKETS)
RECONCILES = Measure("gantry_reconcile_seconds", _H, "One pass over an object", ("kind",), CALL_BUCKETS)
RECONCILE_FAILURES = Measure("gantry_reconcile_failures_total", _C, "Passes that failed and are tried again", ("kind", "error"))
CONFLICTS = Measure(
    "gantry_status_conflicts_total",
    _C,
    "Statuses of Runs that were not written, for somebody had changed the Run meanwhile; it was looked at anew. A few are normal; steadily more "
    "means two operators",
)
QUEUE_DEPTH = Measure("gantry_queue_depth", _G, "Objects that wait for their turn")
QUEUE_OLDEST = Measure("gantry_queue_oldest_seconds", _G, "How long the longest of them has waited")
QUEUE_RETRYING = Measure("gantry_queue_retrying", _G, "Objects whose last pass failed; each is tried again after a pause", ("queue",))
FOLLOW_DEPTH = Measure("gantry_follow_queue_depth", _G, "Finished Runs that wait to be asked for pipelines that start after them")
NOTIFY_DEPTH = Measure("gantry_notify_queue_depth", _G, "Finished Runs whose receivers are to be told now")
WATCH_EVENTS = Measure("gantry_watch_events_total", _C, "Objects the watches gave", ("resource",))
WATCH_SILENCE = Measure("gantry_watch_silence_seconds", _G, "Time since each watch was heard of", ("watch",))
GHOSTS = Measure("gantry_ghosts_dropped_total", _C, "Objects a full list no longer had: deleted unseen", ("resource",))
LOOP_LAG = Measure("gantry_loop_lag_seconds", _G, "Longest stall of the event loop in the last 10 s")
TRACES = Measure("gantry_traces_total", _C, "Traces of finished Runs, when tracing is on: `queued` for the receiver, `failed`", ("outcome",))

GROUPS: dict[str, tuple[Measure, ...]] = {
    "What happens to studies": (
        DISCOVERED,
        DECISIONS,
        DROPPED,
        STABLE_TO_SEEN,
        SEEN_TO_RUN,
        RUNS,
        WAITED,
        JOBS,
        STAGES,
        FINISHED,
        TOTAL,
        GPU_SECONDS,
        RELAXED,
        GPU_RESERVED,
        COST,
        BACKFILL_STUDIES,
        BACKFILL_RUNS,
    ),
    "Delivery and notifications": (DELIVERIES, SENDS, DELIVERED, OPEN, OLDEST_DELIVERY, AWAY, NOTIFICATIONS),
    "Orthanc": (REACHABLE, LAG, POLL_AGE, POLLS, FAULTS, ORTHANC_CALLS, ORTHANC_SECONDS),
    "The operator": (
        BUILD,
        LEADER,
        API_CALLS,
        API_SECONDS,
        RECONCILES,
        RECONCILE_FAILURES,
        CONFLICTS,
        QUEUE_DEPTH,
        QUEUE_OLDEST,
        QUEUE_RETRYING,
        FOLLOW_DEPTH,
        NOTIFY_DEPTH,
        WATCH_EVENTS,
        WATCH_SILENCE,
        GHOSTS,
        LOOP_LAG,
        TRACES,
    ),
}
"""In the order of the page."""
ALL: tuple[Measure, ...] = tuple(measure for group in GROUPS.values() for measure in group)
