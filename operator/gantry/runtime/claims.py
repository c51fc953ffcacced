"""Reads what devices a pod was given by resource claims, for `status.usage`.

A claim made of a template goes away when its pod has ended. Where the operator was away for the pod's whole life, the template tells how many were
asked for. No watch: rights on claims are optional (chart: resourceClaims.enabled), and a pod's are read once.
"""

from typing import Any

from gantry.api.pipeline import PodClaim
from gantry.api.run import ClaimedDevices
from gantry.kube import RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS, Kube, NotFound, NotPermitted, Rejected, Resource
from gantry.runs import PodView, asked_for, given


class Claims:
    """`look` at those of one pod."""

    def __init__(self, *, kube: Kube) -> None:
        self._kube = kube

    async def look(self, namespace: str, pod: PodView, claims: list[PodClaim]) -> tuple[ClaimedDevices, ...]:
        """None at all without the right to read them. Raises KubeError when the API server does not answer."""
        found: list[ClaimedDevices] = []
        for claim in claims:
            found += await self._devices(namespace, pod, claim)
        return tuple(found)

    async def _devices(self, namespace: str, pod: PodView, claim: PodClaim) -> tuple[ClaimedDevices, ...]:
        name = claim.resource_claim_name or dict(pod.claims).get(claim.name)
        one = await self._get(RESOURCE_CLAIMS, namespace, name) if name else None
        if one is not None and (one.get("status") or {}).get("allocation"):
            return given(claim.name, one)
        if claim.resource_claim_template_name:
            template = await self._get(RESOURCE_CLAIM_TEMPLATES, namespace, claim.resource_claim_template_name)
            return asked_for(claim.name, template) if template else ()
        return ()

    async def _get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        try:
            return await self._kube.get(resource, namespace, name)
        except (NotFound, NotPermitted, Rejected):  # some authorizers refuse in words of their own
            return None
