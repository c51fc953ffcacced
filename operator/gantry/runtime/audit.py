"""The audit line of a finished Run: which of its results went where, and when.

Pure. It names the objects Gantry made (their SOP instances and MD5), destinations and times; never patient, study or image.
"""

from typing import Any

from gantry.api.run import RunStatus
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
        "results": [{"kind": one.kind, "sopInstanceUID": one.sop_instance_uid, "md5": one.md5} for one in status.results],
        "deliveries": [
            {"destination": one.destination, "state": one.state, "time": one.time, "attempts": one.attempts, "reason": one.reason}
            for one in status.deliveries or ()
        ],
    }
