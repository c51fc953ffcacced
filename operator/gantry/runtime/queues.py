"""Whether a LocalQueue of Kueue exists. It reads one by name, and keeps the answer for a while: thousands of Runs may wait in the same queue.

No watch: Kueue is not in every cluster, and a right to its kinds is optional (chart: kueue.enabled).
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from gantry.kube import LOCAL_QUEUES, Kube, NotFound, NotPermitted, Rejected
from gantry.runs import Queue

KEPT = timedelta(seconds=30)
"""A queue that has just been made is seen by the next look, which a Run whose queue is missing takes after a minute."""


class Queues:
    """`look` at one."""

    def __init__(self, *, kube: Kube, clock: Callable[[], datetime]) -> None:
        self._kube, self._clock = kube, clock
        self._known: dict[tuple[str, str], tuple[datetime, Queue]] = {}

    async def look(self, namespace: str, name: str) -> Queue:
        """Raises KubeError when the API server does not answer."""
        now, place = self._clock(), (namespace, name)
        known = self._known.get(place)
        if known is None or now - known[0] >= KEPT:
            known = self._known[place] = now, await self._ask(namespace, name)
        return known[1]

    async def _ask(self, namespace: str, name: str) -> Queue:
        try:
            await self._kube.get(LOCAL_QUEUES, namespace, name)
        except NotFound as missing:
            return "Missing" if missing.of_object else "NoKueue"
        except (NotPermitted, Rejected):  # some authorizers refuse in words of their own
            return "NotKnown"
        return "Found"
