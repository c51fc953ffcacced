"""Reads everything from the API server, page by page: first what is unfinished, then all of it, and all of it again every ten minutes.

No watch tells what was deleted while it was away. At first come Runs that nobody has looked at yet, then Jobs and pods before the other Runs, so that
a Run is looked at with what belongs to it. A thousand at work must not hold up a new one, nor ten thousand finished ones: those are read last, and no
watch carries them. Their Jobs and pods come after them, for of those little or nothing is kept. It decides nothing.
"""

import asyncio
from dataclasses import dataclass, field

import structlog

from gantry.api import labels
from gantry.kube import BACKFILLS, BRIDGES, JOBS, PIPELINES, PODS, RUNS, Kube, NotFound, Rejected, Resource

from .metrics import Metrics
from .store import Store

log = structlog.get_logger(__name__)

INTERVAL = 600.0
"""Seconds; a ghost costs nothing but a wrong count."""
UNFINISHED = "status.state!=Succeeded,status.state!=Failed,status.state!=Cancelled,status.state!=Superseded"
"""Field selector of Runs; the CRD makes status.state selectable."""
SELECTORS = {JOBS: labels.RUN, PODS: labels.RUN}
"""Label selectors of what belongs to Runs. A cluster has thousands of other Jobs and pods; none of them comes here, by a list or by a watch."""
NEW = "status.state="
"""Field selector of Runs without a status. Should one have a Job all the same, its name says so when it is to be made again."""
AT_WORK = {JOBS: "status.successful=0", PODS: "status.phase!=Succeeded"}
"""Field selectors of what may still need something. Jobs of finished Runs are kept for an hour with their pods: thousands, of 7 kB each. Of an
unfinished Run whose Job has ended well meanwhile both are looked up (`plan`: LookUp), as those of any Job that is out of sight. Later all are read:
the operator deletes Jobs, and a pod may have ended well whose Job's controller is behind."""
WRITTEN_BY_PEOPLE = (BRIDGES, PIPELINES, BACKFILLS)
DISPENSABLE = frozenset({BACKFILLS})
"""Kinds without which studies are analysed all the same. Without any other, the first look waits for its CRD."""


class KindIsBack(Exception):
    """A CRD was applied again. kopf watches what there was when it began, so the process ends and is started anew."""


@dataclass
class Looked:
    """Where watches go on from."""

    unfinished: str = UNFINISHED
    """Field selector for the watch of Runs; empty where the server has none."""
    versions: dict[tuple[Resource, str | None], str] = field(default_factory=dict)
    """Of each list, by kind and namespace."""


async def first_look(kube: Kube, store: Store, metrics: Metrics, namespaces: tuple[str, ...]) -> Looked:
    """What is needed to work on every unfinished Run.

    Raises KubeError when a list fails; what was read until then stays.
    """
    looked = Looked()

    async def read(resource: Resource) -> None:
        for namespace in namespaces or (None,):
            fields = AT_WORK.get(resource, "")
            looked.versions[resource, namespace] = await census_of(kube, store, metrics, resource, namespace, fields=fields)

    for resource in WRITTEN_BY_PEOPLE:
        await read(resource)
    try:
        await _read_runs(kube, store, namespaces, NEW)
    except Rejected as error:  # 400: Kubernetes before 1.31, or the CRD of an older Gantry
        log.warning("Runs cannot be selected by state; all of them are watched, which takes more memory", error=str(error))
        looked.unfinished = ""
    for resource in SELECTORS:
        await read(resource)
    looked.versions |= await _read_runs(kube, store, namespaces, looked.unfinished)
    return looked


async def take_census(kube: Kube, store: Store, metrics: Metrics, namespaces: tuple[str, ...]) -> None:
    """One full list of all kinds. Raises KubeError when a list fails."""
    for resource in (*WRITTEN_BY_PEOPLE, RUNS, *SELECTORS):
        for namespace in namespaces or (None,):
            await census_of(kube, store, metrics, resource, namespace)


async def _read_runs(kube: Kube, store: Store, namespaces: tuple[str, ...], fields: str) -> dict[tuple[Resource, str | None], str]:
    """Gives the lists' versions."""
    versions: dict[tuple[Resource, str | None], str] = {}
    for namespace in namespaces or (None,):
        of: list[str] = []
        async for page in kube.pages(RUNS, namespace, fields=fields, version=of.append):
            for run in page:
                store.observe(RUNS.plural, run)
            await asyncio.sleep(0)
        versions[RUNS, namespace] = of[0]
    return versions


async def census_of(kube: Kube, store: Store, metrics: Metrics, resource: Resource, namespace: str | None, *, fields: str = "") -> str:
    """A full list of one kind; what it lacks is dropped. Gives its version, empty of a kind that is not served. One at a time.

    Raises KubeError when the list fails.
    """
    async with store.listing:
        return await _census_of(kube, store, metrics, resource, namespace, fields)


async def _census_of(kube: Kube, store: Store, metrics: Metrics, resource: Resource, namespace: str | None, fields: str) -> str:
    of: list[str] = []
    selector = SELECTORS.get(resource, "")
    store.begin_census(resource.plural, namespace)
    try:
        async for page in kube.pages(resource, namespace, selector=selector, fields=fields, version=of.append):
            for obj in page:
                store.listed(resource.plural, obj)
            await asyncio.sleep(0)  # a page takes 5 ms; others may go between two
    except BaseException as error:
        store.give_up_census(resource.plural)  # half a list says nothing about what is missing
        if not (isinstance(error, NotFound) and resource in DISPENSABLE):
            raise
        if resource.plural not in store.unserved:
            log.error("a kind is not served, all others are looked after", resource=resource.plural, error=str(error))
        store.unserved.add(resource.plural)
        return ""
    if resource.plural in store.unserved:
        raise KindIsBack(f"{resource.plural} are served again; starting anew to watch them")
    if dropped := store.end_census(resource.plural):
        metrics.ghosts.labels(resource.plural).inc(dropped)
        log.info("objects were deleted while no watch was open", resource=resource.plural, number=dropped)
    return of[0]
