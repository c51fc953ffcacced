"""Reads everything from the API server, page by page: before the watches begin, and every ten minutes.

kopf tells neither when its first list has been handled nor what was deleted while a watch was away. Jobs and pods come before Runs, so that a
Run is looked at with what belongs to it. It decides nothing.
"""

import asyncio

import structlog

from gantry.api import labels
from gantry.kube import BRIDGES, JOBS, PIPELINES, PODS, RUNS, Kube, Resource

from .metrics import Metrics
from .store import Store

log = structlog.get_logger(__name__)

INTERVAL = 600.0
"""Seconds; a ghost costs nothing but a wrong count."""
ORDER: tuple[tuple[Resource, str], ...] = ((BRIDGES, ""), (PIPELINES, ""), (JOBS, labels.RUN), (PODS, labels.RUN), (RUNS, ""))
"""Resources and their label selectors."""


async def take_census(kube: Kube, store: Store, metrics: Metrics, namespaces: tuple[str, ...]) -> None:
    """One full list of all kinds. Raises KubeError when a list fails; what was read until then stays."""
    for resource, selector in ORDER:
        for namespace in namespaces or (None,):
            await _census_of(kube, store, metrics, resource, selector, namespace)


async def _census_of(kube: Kube, store: Store, metrics: Metrics, resource: Resource, selector: str, namespace: str | None) -> None:
    store.begin_census(resource.plural, namespace)
    try:
        async for page in kube.pages(resource, namespace, selector=selector):
            for obj in page:
                store.listed(resource.plural, obj)
            await asyncio.sleep(0)  # a page of 500 takes 20 ms; others may go between two
    except BaseException:
        store.give_up_census(resource.plural)  # half a list says nothing about what is missing
        raise
    if dropped := store.end_census(resource.plural):
        metrics.ghosts.labels(resource.plural).inc(dropped)
        log.info("objects were deleted while no watch was open", resource=resource.plural, number=dropped)
