"""The audit line of a finished Run: which of its results went where, and when.

Pure. It names the objects Gantry made (their SOP instances and MD5), destinations and times; never patient, study or image.
"""

from collections.abc import Iterable
from typing import Any

from gantry.api.run import DeliveryStatus, Result, RunStatus
from gantry.runs import RunView

EVENT = "results delivered"
"""What the line is found by in the log."""


def delivery_record(run: RunView, status: RunStatus) -> dict[str, Any] | None:
    """Fields of the line; None of a Run that left no results, and in shadow: nothing of it was to go anywhere."""
    if not status.results or run.shadow:
        return None
    return {
        "namespace": run.namespace,
        "run": run.name,
        "pipeline": run.pipeline,
        "results": _objects(status.results),
        "deliveries": [_delivery(one) for one in status.deliveries or ()],
        **({"alternatives": _objects(status.alternatives)} if status.alternatives else {}),
    }


def _objects(results: Iterable[Result]) -> list[dict[str, Any]]:
    return [{"kind": one.kind, "sopInstanceUID": one.sop_instance_uid, "md5": one.md5} for one in results]


def _delivery(one: DeliveryStatus) -> dict[str, Any]:
    """`reports` says whether it got the reports or their alternatives, where there is a choice."""
    said = {"destination": one.destination, "state": one.state, "time": one.time, "attempts": one.attempts, "reason": one.reason}
    return said | ({"reports": one.reports} if one.reports else {})
