"""The Lease by which replicas agree who leads (coordination.k8s.io/v1): read, write and give back. It decides nothing and keeps nothing.

`kubernetes.aio`'s own election is not used: in 37.0.2 it cannot make its Lease, ends by a refused connection, has no time-out for a hanging call,
writes local time as UTC, never gives the Lease back, and dies unseen.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from .client import AioKube, Object
from .errors import NotFound, Unavailable
from .resources import LEASES

RELEASED_SECONDS = 1
"""The shortest duration a Lease may have; nobody waits for one without holder."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a Lease says."""

    holder: str
    """Empty when it was given back."""
    duration: float
    """Seconds it holds after each renewal, by its holder's word."""
    transitions: int
    """How often it changed hands."""
    version: str
    """resourceVersion: any write changes it."""


class LeaseLock:
    """One Lease by name. Every call ends after the given seconds, whatever hangs; raises errors of `errors`."""

    def __init__(self, kube: AioKube, namespace: str, name: str, *, now: Callable[[], datetime]) -> None:
        self._kube, self._namespace, self.name, self._now = kube, namespace, name, now

    async def read(self, *, within: float) -> Lease | None:
        """None: there is none."""
        try:
            return _lease(await _bounded(self._kube.get(LEASES, self._namespace, self.name), within))
        except NotFound:
            return None

    async def write(self, before: Lease | None, holder: str, duration: int, *, within: float) -> Lease:
        """Takes or renews it. Conflict, AlreadyExists or NotFound when it is not as `before` any more."""
        now = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: Object = {"holderIdentity": holder, "leaseDurationSeconds": duration, "renewTime": now}
        if before is None or before.holder != holder:
            taken = before is not None and holder != ""
            spec |= {"acquireTime": now, "leaseTransitions": (before.transitions if before else 0) + taken}
        return _lease(await _bounded(self._put(before, spec), within))

    async def give_back(self, mine: Lease, *, within: float) -> None:
        """So that the next one need not wait for its end."""
        await self.write(mine, "", RELEASED_SECONDS, within=within)

    async def _put(self, before: Lease | None, spec: Object) -> Object:
        if before is None:
            body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": {"name": self.name}, "spec": spec}
            return await self._kube.create(LEASES, self._namespace, body)
        change = {"metadata": {"resourceVersion": before.version}, "spec": spec}  # labels and annotations of others stay
        return await self._kube.merge(LEASES, self._namespace, self.name, change)


async def _bounded(call: Awaitable[Object], seconds: float) -> Object:
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError as error:
        raise Unavailable(f"no answer about the Lease within {seconds:.1f} s") from error


def _lease(found: Object) -> Lease:
    """Whatever others wrote: what is missing counts as given back."""
    spec = found.get("spec") or {}
    return Lease(
        holder=spec.get("holderIdentity") or "",
        duration=float(spec.get("leaseDurationSeconds") or RELEASED_SECONDS),
        transitions=spec.get("leaseTransitions") or 0,
        version=found["metadata"]["resourceVersion"],
    )
