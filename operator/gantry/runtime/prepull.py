"""Brings the images of pipelines with spec.prePull to the nodes: one DaemonSet a pipeline, and what it tells as the condition ImagesReady.

What the DaemonSet is and how its pods are read is `gantry.runs`' to say. No watch: rights on DaemonSets are optional (chart: prePull.enabled), and
few pipelines ask for it, so each one's DaemonSet is read by name while nodes still pull, and now and then later. No Run waits here.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from gantry.api import PipelineReason, labels
from gantry.kube import DAEMON_SETS, PODS, AlreadyExists, Conflict, KubeError, NotFound, NotPermitted, Object, Rejected, Resource
from gantry.runs import Installation, OnNodes, Owner, daemon_set, on_each, on_nodes, pinned, prepull_name, spec_hash

from .images import Known
from .records import Key, PipelineRecord
from .store import Store

WORKERS = 1
SOON, WHILE_PULLING, LATER = 1.0, 5.0, 60.0
"""Seconds until the next look: after somebody else wrote, while nodes pull (10 GB take minutes), and when all is said: a node that was added is told
then, it pulls at once. A look costs a GET, and while nodes pull a list of their pods."""
LONGEST = 60.0
"""Seconds at most between two tries while the API server is away."""

DISABLED = OnNodes(
    "False",
    PipelineReason.PRE_PULL_DISABLED,
    "spec.prePull is true, and the operator makes no DaemonSets: set prePull.enabled of the chart; until then the first Run on a node pulls",
)
NO_RIGHTS = OnNodes(
    "False",
    PipelineReason.PRE_PULL_DISABLED,
    "spec.prePull is true, and the operator may not make DaemonSets in this namespace: its Role lacks what prePull.enabled of the chart grants",
)
NOT_YET = OnNodes("Unknown", PipelineReason.PULLING, "not looked at yet")
NO_DIGESTS_YET = OnNodes("Unknown", PipelineReason.RESOLVING, "the registries are asked first: nodes get the digests that Runs will carry")


class DaemonSets(Protocol):
    """What is asked of the API server. Raises KubeError."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """One object."""

    def pages(self, resource: Resource, namespace: str | None, *, selector: str = "", fields: str = "") -> AsyncIterator[Iterable[Object]]:
        """All of a selector."""

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        """POST."""

    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        """PUT."""

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str | None = None) -> None:
        """DELETE; gone already is success."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was last found of a pipeline."""

    uid: str
    generation: int
    told: OnNodes | None
    """None: nothing is wanted and nothing is there."""


class PrePull:
    """Of all pipelines."""

    def __init__(
        self,
        *,
        kube: DaemonSets,
        store: Store,
        enabled: bool,
        installation: Installation,
        images: Callable[[Key, PipelineRecord], Known],
        changed: Callable[[Key], None],
        wake_after: Callable[[Key, float], None],
    ) -> None:
        """`images`: what the registries said of a pipeline's; `changed` is told of a pipeline of which something else is known now."""
        self._kube, self._store, self._enabled, self._installation = kube, store, enabled, installation
        self._images, self._changed, self._wake_after = images, changed, wake_after
        self._seen: dict[Key, _Seen] = {}

    def of(self, key: Key, record: PipelineRecord) -> OnNodes | None:
        """Never waits: what is in memory, else what the status says. None: no condition is due."""
        seen = self._seen.get(key)
        if seen is not None and (seen.uid, seen.generation) == (record.uid, record.generation):
            return seen.told
        if not self._enabled:
            return DISABLED if record.spec.pre_pull else None
        before = next((one for one in (record.status.conditions if record.status else None) or () if one.type == "ImagesReady"), None)
        if before is None:
            return NOT_YET if record.spec.pre_pull else None
        reason = PipelineReason(before.reason) if before.reason in list(PipelineReason) else PipelineReason.PULLING
        return OnNodes(before.status, reason, before.message)

    async def reconcile(self, key: Key) -> None:
        """One look at a pipeline's DaemonSet, which becomes as it should be. The pipeline gone, the garbage collector takes it."""
        record = self._store.pipelines.get(key)
        if record is None:
            self._seen.pop(key, None)
            return
        if not self._enabled:
            return
        told: OnNodes | None = None
        if record.spec.pre_pull:
            told, pause = await self._bring(key, record)
            self._wake_after(key, pause)
        elif (seen := self._seen.get(key)) is not None and seen.uid == record.uid and seen.told is None:
            return
        else:
            await self._take_away(key, record)
        before = self.of(key, record)
        self._seen[key] = _Seen(record.uid, record.generation, told)
        if told != before:
            self._changed(key)

    async def _bring(self, key: Key, record: PipelineRecord) -> tuple[OnNodes, float]:
        known = self._images(key, record)
        if known.reason is PipelineReason.RESOLVING:
            return NO_DIGESTS_YET, WHILE_PULLING
        owner = Owner(key.namespace, record.name, record.uid)
        wanted = daemon_set(owner, pinned(record.spec.template, known.images), self._installation)
        try:
            found = await self._as_wanted(owner, wanted)
        except NotPermitted:
            return NO_RIGHTS, LATER
        except Rejected as error:
            return OnNodes("False", PipelineReason.PRE_PULL_REFUSED, f"the API server does not take the DaemonSet: {error}"), LATER
        except (AlreadyExists, Conflict):  # somebody wrote between two of our calls
            return self.of(key, record) or NOT_YET, SOON
        if isinstance(found, OnNodes):
            return found, WHILE_PULLING
        told = on_nodes(found) or on_each(found, await self._pods(owner))
        return told, LATER if told.holds == "True" or told.reason is PipelineReason.NO_NODES else WHILE_PULLING

    async def _as_wanted(self, owner: Owner, wanted: Object) -> Object | OnNodes:
        """The DaemonSet, or why there is none of this pipeline's."""
        name = prepull_name(owner.name)
        try:
            found = await self._kube.get(DAEMON_SETS, owner.namespace, name)
        except NotFound:
            return await self._kube.create(DAEMON_SETS, owner.namespace, wanted)
        if found["metadata"].get("deletionTimestamp"):
            return OnNodes("False", PipelineReason.PULLING, f"DaemonSet {name} is being deleted; it is made anew then")
        if not _is_of(found, owner.uid):
            words = f"a DaemonSet {name} that is not this pipeline's is in the way: delete it, or give the pipeline another name"
            return OnNodes("False", PipelineReason.PRE_PULL_REFUSED, words)
        if spec_hash(found) == spec_hash(wanted):
            return found
        version = {"resourceVersion": found["metadata"]["resourceVersion"], "uid": found["metadata"]["uid"]}
        return await self._kube.replace(DAEMON_SETS, owner.namespace, name, {**wanted, "metadata": {**wanted["metadata"], **version}})

    async def _take_away(self, key: Key, record: PipelineRecord) -> None:
        """Looked for once for each generation a process sees: whoever made it may have been killed before it could say so."""
        try:
            found = await self._kube.get(DAEMON_SETS, key.namespace, prepull_name(record.name))
        except (NotFound, NotPermitted):  # without the right nothing was made, or it is no more ours to take away
            return
        if _is_of(found, record.uid):
            await self._kube.delete(DAEMON_SETS, key.namespace, prepull_name(record.name), uid=found["metadata"]["uid"])

    async def _pods(self, owner: Owner) -> list[Object]:
        return [pod async for page in self._kube.pages(PODS, owner.namespace, selector=f"{labels.PREPULL}={owner.name}") for pod in page]


def expected(error: Exception) -> bool:
    """The API server is away; no stack trace tells more."""
    return isinstance(error, KubeError)


def _is_of(daemon: Object, uid: str) -> bool:
    return any(one.get("uid") == uid for one in daemon["metadata"].get("ownerReferences") or ())
