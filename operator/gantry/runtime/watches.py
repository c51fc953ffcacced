"""Runs, their Jobs and their pods as the API server tells of them, without kopf: they change by the thousand.

Each goes on from the version of a list of ours, so nothing is read twice at the start. After a break it goes on where it was; when the server has
forgotten that version (410), all of the kind is listed anew, which also tells what was deleted meanwhile. What people write (pipelines, bridges,
backfills) comes by kopf: `handlers.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

import aiohttp
import structlog

from gantry.kube import RUNS, Expired, Kube, KubeError, NotFound, Resource, changes

from .census import SELECTORS, Looked, census_of
from .metrics import Metrics
from .store import Store

log = structlog.get_logger(__name__)

FOLLOWED = (RUNS, *SELECTORS)
AGAIN = 0.1
"""Seconds after a watch that ended as it should; the server ends those of slow readers early, two to four times in a burst of 100 s."""
PAUSES = (*(1.0,) * 8, 2.0)
"""Seconds after failures in a row; the API server is back long before a longer pause would end."""


@dataclass(frozen=True)
class Source:
    """Where changes come from and where they go."""

    kube: Kube
    session: aiohttp.ClientSession
    """It authorises, counts and listens (`watch_session`); whoever made it closes it."""
    host: str
    """The API server's address."""
    store: Store
    metrics: Metrics
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Watch:
    """One kind in one namespace, or in all."""

    def __init__(self, source: Source, resource: Resource, namespace: str | None, looked: Looked) -> None:
        """It goes on from what was looked at."""
        self._source, self._resource, self._namespace = source, resource, namespace
        self._version = looked.versions[resource, namespace]
        self._fields = looked.unfinished if resource is RUNS else ""
        self._failures = 0

    async def follow(self) -> NoReturn:
        """For ever. Raises NotFound when the kind is not served any more: the process starts anew then, and waits for it."""
        while True:
            try:
                if not self._version:
                    self._version = await self._list()
                await self._hear()
                pause = AGAIN
            except NotFound:
                raise
            except Expired:
                log.info("a watch's version is forgotten; all is listed anew", resource=self._resource.plural)
                self._version, pause = "", AGAIN if not self._failures else PAUSES[0]
                self._failures += 1
            except KubeError as error:
                pause = max(error.retry_after or 0.0, PAUSES[min(self._failures, len(PAUSES) - 1)])
                self._failures += 1
                log.warning("a watch broke off; trying again", key=self._resource.plural, error=str(error))
            await self._source.sleep(pause)

    async def _list(self) -> str:
        """Also what no watch tells: what was deleted meanwhile, and what has finished."""
        source = self._source
        return await census_of(source.kube, source.store, source.metrics, self._resource, self._namespace)

    async def _hear(self) -> None:
        """Until the server ends it."""
        source, plural = self._source, self._resource.plural
        seen = source.metrics.watch_events.labels(plural)
        told = changes(
            source.session,
            source.host,
            self._resource,
            self._namespace,
            version=self._version,
            selector=SELECTORS.get(self._resource, ""),
            fields=self._fields,
        )
        async for change in told:
            if change.type != "BOOKMARK":
                seen.inc()
                source.store.observe(plural, change.object, deleted=change.type == "DELETED")
            self._version, self._failures = change.version, 0


async def follow_all(source: Source, namespaces: tuple[str, ...], looked: Looked) -> None:
    """Every kind in every namespace, for ever; ends with any of them."""
    async with asyncio.TaskGroup() as group:
        for resource in FOLLOWED:
            for namespace in namespaces or (None,):
                group.create_task(Watch(source, resource, namespace, looked).follow(), name=f"watch-{resource.plural}")
