"""What is read from the model's objects."""

from tests.builders_runs import T0
from tests.model.api_server import OVER, Object

from gantry.api import parse_timestamp


def uid(obj: Object) -> str:
    return str(obj["metadata"]["uid"])


def owner_uid(obj: Object) -> str:
    return str(obj["metadata"]["ownerReferences"][0]["uid"])


def over(run: Object) -> bool:
    return (run.get("status") or {}).get("state") in OVER


def ends(job: Object) -> list[str]:
    return [one["type"] for one in (job.get("status") or {}).get("conditions", [])]


def is_notice(job: Object) -> bool:
    return str(job["metadata"]["name"]).endswith("-np")


def code_of(pod: Object) -> int:
    told_ = next((one for one in pod["status"].get("containerStatuses", []) if one["name"] == "detect"), {"state": {}})
    return int(told_["state"].get("terminated", {}).get("exitCode", 0))


def is_dead(pod: Object) -> bool:
    """Its step has ended badly and publish waits for it: the launcher had not locked the barrier."""
    states = {one["name"]: one["state"] for one in pod["status"].get("containerStatuses", [])}
    return code_of(pod) != 0 and "running" in states.get("publish", {})


def going(pod: Object) -> bool:
    """Somebody has told it to end."""
    return "deletionTimestamp" in pod["metadata"]


def at_seconds(obj: Object) -> float:
    """When it was made."""
    return (parse_timestamp(obj["metadata"]["creationTimestamp"]) - T0).total_seconds()
