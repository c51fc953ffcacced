"""What is looked for in a pod as the API server shows it."""

from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
Look = Callable[[Object], bool]


def states(pod: Object) -> dict[str, Object]:
    """Container states by name."""
    told = (*pod["status"].get("initContainerStatuses", ()), *pod["status"].get("containerStatuses", ()))
    return {one["name"]: one["state"] for one in told}


def over(pod: Object) -> bool:
    return pod["status"]["phase"] in ("Succeeded", "Failed")


def at_work(pod: Object) -> bool:
    """Step and publish both run."""
    return {"detect", "publish"} <= {name for name, state in states(pod).items() if "running" in state}


def being_deleted(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def bound(pod: Object) -> bool:
    return "nodeName" in pod["spec"]


def unschedulable(pod: Object) -> bool:
    return any(one.get("reason") == "Unschedulable" for one in pod["status"].get("conditions", ()))


def has(kind: str, reason: str) -> Look:
    """A container whose state of that kind has that reason."""
    return lambda pod: any(state.get(kind, {}).get("reason") == reason for state in states(pod).values())


def ended(container: str) -> Look:
    return lambda pod: "terminated" in states(pod).get(container, {})


def disrupted(reason: str) -> Look:
    return lambda pod: any((one["type"], one.get("reason")) == ("DisruptionTarget", reason) for one in pod["status"].get("conditions", ()))


def both(*looks: Look) -> Look:
    return lambda pod: all(look(pod) for look in looks)
