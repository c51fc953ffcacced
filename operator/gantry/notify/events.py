"""What a Run is worth telling, as CloudEvents 1.0 in structured JSON (https://github.com/cloudevents/spec, http-protocol-binding.md 3.2).

Pure: an event has the same id each time, so that a receiver knows a repetition. No identifier of patient or study: names that people
and Gantry gave, states and counts. Not even Orthanc's id of the study: a receiver may be anybody's.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from gantry.api.notification import NotificationEvent
from gantry.api.run import RunStatus

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
TYPES: dict[NotificationEvent, str] = {
    "Finished": "health.gantry.run.finished",
    "FindingPresent": "health.gantry.run.finding-present",
    "DeliveryFailed": "health.gantry.run.delivery-failed",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One event, ready to be sent."""

    kind: NotificationEvent
    id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """The Run."""

    installation: str
    namespace: str
    name: str
    uid: str
    pipeline: str
    priority: str
    status: RunStatus


def early_events_of(run: Told) -> tuple[Event, ...]:
    """Of a Run that has reported and goes on: what is not repeated at its end."""
    found = run.status.findings and run.status.findings.present
    return (_event("FindingPresent", run, None),) if found else ()


def events_of(run: Told) -> tuple[Event, ...]:
    """Of a Run that has ended, in the order they are sent: what cannot wait first."""
    status = run.status
    reason = status.failure.reason if status.failure else None
    kinds: list[NotificationEvent] = []
    if status.findings and status.findings.present:
        kinds.append("FindingPresent")
    if reason == "DeliveryFailed":
        kinds.append("DeliveryFailed")
    return tuple(_event(kind, run, reason) for kind in (*kinds, "Finished"))


def _event(kind: NotificationEvent, run: Told, reason: str | None) -> Event:
    status = run.status
    name = TYPES[kind].rpartition(".")[2]
    data: dict[str, Any] = {
        "namespace": run.namespace,
        "run": run.name,
        "pipeline": run.pipeline,
        "priority": run.priority,
        "state": status.state,
        "reason": reason,
        "findings": status.findings.model_dump(by_alias=True) if status.findings else None,
        "results": dict(Counter(one.kind for one in status.results or ())),
        "deliveries": [{"destination": one.destination, "state": one.state} for one in status.deliveries or ()],
    }
    identity = f"{run.uid}-{name}"
    envelope = {
        "specversion": "1.0",
        "id": identity,
        "source": f"/gantry/{run.installation}/namespaces/{run.namespace}/pipelines/{run.pipeline}",
        "type": TYPES[kind],
        "subject": run.name,
        "time": _reported_at(status) if kind == "FindingPresent" else status.completion_time,
        "datacontenttype": "application/json",
        "data": data,
    }
    return Event(kind, identity, json.dumps(envelope, separators=(",", ":")).encode())


def _reported_at(status: RunStatus) -> str | None:
    """When its report was in Orthanc."""
    return next((one.last_transition_time for one in status.conditions or () if one.type == "Reported"), status.completion_time)
