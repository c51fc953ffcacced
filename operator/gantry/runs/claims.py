"""The GPUs that a pod was given by resource claims (dynamic resource allocation, KEP-4381). Pure.

They are counted under the name of their DeviceClass: that is what an administrator names and prices (a whole GPU, a slice, a model), while one
driver publishes all of them. A device is a GPU when its driver is named after one (gpu.nvidia.com, gpu.amd.com, gpu.intel.com); a claim may ask for
a network card beside it. A device given for admin access is nobody's and is not counted.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gantry.api.run import ClaimedDevices

from . import status as words
from .actions import FindClaims, Plan
from .observed import Observed

Object = Mapping[str, Any]


def devices_are_unknown(seen: Observed) -> Plan | None:
    """A pod has begun whose devices by claim have not been read: its claims go away with its end, so that they are read before anything else."""
    status = seen.run.status
    if seen.claimed is not None or not seen.run.by_claim or words.holds(status, "Reported"):
        return None
    known = {one.name for one in (status.pods if status else None) or () if one.claimed is not None}
    asked = tuple(pod.name for pod in seen.own_pods if pod.started and pod.name not in known)
    return Plan(actions=(FindClaims(asked),)) if asked else None


def given(name: str, claim: Object) -> tuple[ClaimedDevices, ...]:
    """By a ResourceClaim's allocation. `name` is the claim's in the pod."""
    classes = {request: kind for request, kind, _ in _requests(claim.get("spec") or {})}
    allocation = (claim.get("status") or {}).get("allocation") or {}
    counts: dict[tuple[str, str], int] = {}
    for one in (allocation.get("devices") or {}).get("results") or ():
        if one.get("adminAccess") or "gpu" not in one["driver"]:
            continue
        kind = classes.get(one["request"], one["driver"])
        request = one["request"].partition("/")[0]  # of a request with alternatives: request/alternative
        counts[request, kind] = counts.get((request, kind), 0) + 1
    return tuple(ClaimedDevices(claim=name, request=request, resource=kind, count=count) for (request, kind), count in counts.items())


def asked_for(name: str, template: Object) -> tuple[ClaimedDevices, ...]:
    """By a ResourceClaimTemplate, when the claim made of it is gone: what has one class and a number. The driver is not known, so the
    class has to be named after a GPU."""
    requests = _requests((template.get("spec") or {}).get("spec") or {})
    return tuple(
        ClaimedDevices(claim=name, request=request, resource=kind, count=count)
        for request, kind, count in requests
        if count and "gpu" in kind and "/" not in request
    )


def _requests(spec: Object) -> Iterator[tuple[str, str, int]]:
    """Name, class and number of each; 0: all there are on a node, or admin access."""
    for request in (spec.get("devices") or {}).get("requests") or ():
        exactly = request.get("exactly") or {}
        if exactly:
            counted = exactly.get("allocationMode", "ExactCount") == "ExactCount" and not exactly.get("adminAccess")
            yield request["name"], exactly["deviceClassName"], exactly.get("count", 1) if counted else 0
        for one in request.get("firstAvailable") or ():
            yield f"{request['name']}/{one['name']}", one["deviceClassName"], one.get("count", 1)
