"""Which objects tell a pod's devices by claim: the claim made for it, the one it shares, or the template when the claim is gone."""

import asyncio
from typing import Any

import pytest
from tests.builders_runs import T0, a_run

from gantry.api.pipeline import PodClaim
from gantry.kube import KubeError, NotFound, NotPermitted, Resource, Unavailable
from gantry.runs import PodView
from gantry.runtime.claims import Claims

SPEC = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.nvidia.com", "count": 2}}]}}
GIVEN = {"request": "gpu", "driver": "gpu.nvidia.com", "pool": "node-1", "device": "gpu-0"}
OWN = {"spec": SPEC, "status": {"allocation": {"devices": {"results": [GIVEN]}}}}
TEMPLATE = {"spec": {"spec": SPEC}}
OF_TEMPLATE = PodClaim(name="mine", resource_claim_template_name="two")
SHARED = PodClaim(name="shared", resource_claim_name="the-gpu")


class Server:
    """An API server that has these objects, by plural and name."""

    def __init__(self, objects: dict[str, dict[str, Any]], error: KubeError | None = None) -> None:
        self.objects, self.error = objects, error

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        if self.error:
            raise self.error
        if (found := self.objects.get(f"{resource.plural}/{name}")) is None:
            raise NotFound(f"{name} not found")
        return found


def a_pod() -> PodView:
    """With the claim that was made for it."""
    pod = a_run().running().pods[-1]
    pod["status"]["resourceClaimStatuses"] = [{"name": "mine", "resourceClaimName": "pod1-mine-x7k"}, {"name": "not-made"}]
    return PodView.from_object(pod, now=T0)


def looked(server: Server, *claims: PodClaim) -> list[tuple[str, str, int]]:
    found = asyncio.run(Claims(kube=server).look("ct", a_pod(), list(claims)))  # type: ignore[arg-type]
    return [(one.claim, one.resource, one.count) for one in found]


CASES: dict[str, tuple[Server, PodClaim, list[tuple[str, str, int]]]] = {
    "the claim that was made for the pod": (Server({"resourceclaims/pod1-mine-x7k": OWN}), OF_TEMPLATE, [("mine", "gpu.nvidia.com", 1)]),
    "the one it shares": (Server({"resourceclaims/the-gpu": OWN}), SHARED, [("shared", "gpu.nvidia.com", 1)]),
    "gone with the pod: what the template asks for": (Server({"resourceclaimtemplates/two": TEMPLATE}), OF_TEMPLATE, [("mine", "gpu.nvidia.com", 2)]),
    "given back with the pod's end: likewise": (
        Server({"resourceclaims/pod1-mine-x7k": {"spec": SPEC, "status": {}}, "resourceclaimtemplates/two": TEMPLATE}),
        OF_TEMPLATE,
        [("mine", "gpu.nvidia.com", 2)],
    ),
    "nothing is left": (Server({}), OF_TEMPLATE, []),
    "no right to read them": (Server({}, NotPermitted("resourceclaims is forbidden")), OF_TEMPLATE, []),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_pod_has(name: str) -> None:
    server, claim, want = CASES[name]
    assert looked(server, claim) == want


def test_claims_of_a_pod_add_up() -> None:
    server = Server({"resourceclaims/pod1-mine-x7k": OWN, "resourceclaims/the-gpu": OWN})
    assert looked(server, OF_TEMPLATE, SHARED) == [("mine", "gpu.nvidia.com", 1), ("shared", "gpu.nvidia.com", 1)]


def test_an_api_server_that_is_away_is_asked_again() -> None:
    """An answer that nobody gave must not be written down as none."""
    with pytest.raises(Unavailable):
        looked(Server({}, Unavailable("no answer")), OF_TEMPLATE)
