"""kopf as a feed of watches and nothing else, of what people write: each object goes to the store as it comes. Runs, Jobs and pods: `watches.py`.

The only module that imports kopf. None of its habits is wanted here: no finalizers, annotations, Events, peering, CRD scan, diffs or indices (an
index makes the start quadratic: 10,000 Runs were not through after 104 s of CPU). It runs on an HTTP session of our own.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import kopf

from gantry.kube import BACKFILLS, BRIDGES, PIPELINES, Configuration, Resource

from .metrics import Metrics
from .store import Store

WATCHED: tuple[Resource, ...] = (PIPELINES, BRIDGES, BACKFILLS)


class NoDiffBase(kopf.DiffBaseStorage):
    """kopf deep-copies every object of every event for a diff nobody asked for, unless its storage says that there is nothing to compare."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        """Nothing is kept at the object."""


def settings(*, streaming: bool) -> kopf.OperatorSettings:
    """`streaming`: the first list as a stream, from Kubernetes 1.34; it needs the least memory."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.peering.standalone = True
    made.scanning.disabled = True  # no watch of CRDs and namespaces: rights in the namespaces are enough
    made.persistence.diffbase_storage = NoDiffBase()
    made.queueing.idle_timeout = 0.1  # seconds a task outlives its object's last event; 5 s by default, and 14 KiB each
    made.watching.initial_streaming = streaming
    made.watching.chunk_size = 500
    made.watching.server_timeout = 300
    made.networking.connect_timeout = 5  # else a SYN without an answer waits on the kernel: 17 s late after a cut of 120 s
    made.networking.error_backoffs = (1,) * 8 + (2,) * 60  # the default grows to 21 s, and the API server is back long before
    return made


def registry(store: Store, metrics: Metrics, configuration: Configuration, session: Callable[[], aiohttp.ClientSession]) -> kopf.OperatorRegistry:
    """One handler a resource; its body is one call. kopf closes the session."""
    made = kopf.OperatorRegistry()

    @kopf.on.login(registry=made)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=configuration.host, aiohttp_session=session())

    def feed(resource: Resource) -> None:
        seen = metrics.watch_events.labels(resource.plural)

        @kopf.on.event(resource.group, resource.version, resource.plural, id=f"feed-{resource.plural}", registry=made)
        async def handler(event: Mapping[str, Any], **_: Any) -> None:
            seen.inc()
            store.observe(resource.plural, event["object"], deleted=event["type"] == "DELETED")

    for resource in WATCHED:
        feed(resource)
    return made


async def feed(
    registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, *, namespaces: tuple[str, ...], ready: asyncio.Event
) -> None:
    """Until cancelled, or until kopf takes a signal for itself. `ready` is set when the watches begin, before their first objects."""
    if namespaces:
        await kopf.operator(registry=registry, settings=settings, standalone=True, ready_flag=ready, namespaces=namespaces)
    else:
        await kopf.operator(registry=registry, settings=settings, standalone=True, ready_flag=ready, clusterwide=True)
