"""What the nodes offer, for the words of a Run that no node takes. The list is kept for a while: hundreds of Runs may wait for the same GPUs.

No watch: nodes report every few seconds, and only people who wait for a GPU read this. Without the right to list nodes (chart: registries.readNodes)
the scheduler's words stand alone.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from gantry.kube import NODES, Kube, NotPermitted
from gantry.runs import Node

KEPT = timedelta(seconds=30)
"""A list of 1,000 nodes is some 10 MB from the API server."""


class Offers:
    """`look` at all nodes."""

    def __init__(self, *, kube: Kube, allowed: bool, clock: Callable[[], datetime]) -> None:
        self._kube, self._allowed, self._clock = kube, allowed, clock
        self._known: tuple[datetime, tuple[Node, ...]] | None = None

    async def look(self) -> tuple[Node, ...]:
        """None at all where they may not be read. Raises KubeError when the API server does not answer."""
        if not self._allowed:
            return ()
        now = self._clock()
        if self._known is None or now - self._known[0] >= KEPT:
            self._known = now, await self._ask()
        return self._known[1]

    async def _ask(self) -> tuple[Node, ...]:
        try:
            return tuple([Node.from_object(node) async for page in self._kube.pages(NODES, None) for node in page])
        except NotPermitted:
            return ()
