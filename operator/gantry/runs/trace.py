"""A Run as a trace: one span for the whole way and one for each stage, made of what stands in the Run when it has finished.

Pure. Every id is derived from the Run's uid, so nothing has to be remembered while the Run is under way, a killed operator breaks no trace, and
telling a trace twice tells the same spans. The pod gets the ids of its own stages before they have ended (W3C Trace Context, `traceparent`).
No attribute holds an identifier of patient or study, nor an id of Orthanc's, which is a hash of one.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from gantry.api import parse_timestamp
from gantry.api.run import RunStatus, Stage

WHOLE = "inference run"
"""The root span's name."""
Attributes = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Span:
    """One of a trace."""

    name: str
    trace: int
    """128 bits."""
    id: int
    """64 bits."""
    parent: int | None
    """None: the root."""
    start: datetime
    end: datetime
    attributes: Attributes = field(default_factory=dict)
    failure: str = ""
    """One word of the documented reasons; empty: it went well."""


def trace_id(uid: str) -> int:
    """Of the Run with this uid."""
    return _number(uid, "", 16)


def span_id(uid: str, name: str) -> int:
    """Of a stage of that Run: `fetch`, `publish`, `step/<name>`."""
    return _number(uid, name, 8)


def traceparent(uid: str, stage: str) -> str:
    """What a container gets, so that what it tells of itself comes under its stage's span
    (https://www.w3.org/TR/trace-context/#traceparent-header)."""
    return f"00-{trace_id(uid):032x}-{span_id(uid, stage):016x}-01"


def spans_of(run: Mapping[str, Any]) -> tuple[Span, ...]:
    """The trace of a finished Run as the API server has it, the root first; of one that has not finished, nothing.

    Raises ValidationError when the status is none of ours.
    """
    metadata, spec = run["metadata"], run["spec"]
    status = RunStatus.model_validate(run.get("status") or {})
    if status.completion_time is None:
        return ()
    uid, made = metadata["uid"], []
    trace, root = trace_id(uid), span_id(uid, WHOLE)
    failure = status.failure
    failed = failure.reason if failure else ""
    for stage in status.stages or ():
        start, end = _times(stage, parse_timestamp(status.completion_time))
        mine = failed if failure and failure.step and stage.name in (failure.step, f"step/{failure.step}") else ""
        made.append(Span(stage.name, trace, span_id(uid, stage.name), root, start, end, failure=mine))
        if stage.name == "deliver":
            made += _deliveries(uid, status, start)
    begin = min([parse_timestamp(metadata["creationTimestamp"]), *(span.start for span in made)])
    end = max([parse_timestamp(status.completion_time), *(span.end for span in made)])
    attributes = _facts(metadata, spec, status)
    return (Span(WHOLE, trace, root, None, begin, end, attributes, failed), *made)


def _deliveries(uid: str, status: RunStatus, start: datetime) -> Iterator[Span]:
    for one in status.deliveries or ():
        name = f"deliver/{one.destination}"
        end = max(start, parse_timestamp(one.time)) if one.time else start
        attributes: Attributes = {"gantry.destination": one.destination, "gantry.delivery.state": one.state, "gantry.attempts": one.attempts}
        lost = (one.reason or "DeliveryFailed") if one.state == "Failed" else ""
        yield Span(name, trace_id(uid), span_id(uid, name), span_id(uid, "deliver"), start, end, attributes, lost)


def _times(stage: Stage, over: datetime) -> tuple[datetime, datetime]:
    """A stage that never ended ended with the Run."""
    start = parse_timestamp(stage.start_time)
    return start, (max(start, over) if stage.seconds is None else start + timedelta(seconds=stage.seconds))


def _facts(metadata: Mapping[str, Any], spec: Mapping[str, Any], status: RunStatus) -> Attributes:
    found, cost = status.findings, status.usage
    facts: dict[str, str | int | float | None] = {
        "k8s.namespace.name": metadata["namespace"],
        "gantry.run": metadata["name"],
        "gantry.pipeline": (spec.get("pipelineRef") or {}).get("name"),
        "gantry.bridge": spec["bridgeRef"]["name"],
        "gantry.trigger": spec.get("trigger"),
        "gantry.mode": spec.get("mode"),
        "gantry.priority": spec.get("priority"),
        "gantry.state": status.state,
        "gantry.reason": status.failure.reason if status.failure else None,
        "gantry.attempts": status.attempts,
        "gantry.instances": spec["study"]["instances"],
        "gantry.input.bytes": cost.input_bytes if cost else None,
        "gantry.gpu_seconds": cost.gpu_seconds if cost else None,
        "gantry.results": len(status.results or ()),
        "gantry.findings.present": found.present if found else None,
        "gantry.findings.absent": found.absent if found else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _number(uid: str, name: str, size: int) -> int:
    """Never 0, which both standards call invalid."""
    return int.from_bytes(hashlib.sha256(f"gantry\x1f{uid}\x1f{name}".encode()).digest()[:size]) or 1
