"""A pipeline's DaemonSet is made, changed and taken away; what is known of it outlives the process."""

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.builders import PIPELINE, changed
from tests.builders_runs import at

from gantry.api import PipelineReason
from gantry.api.images import ImageStatus
from gantry.kube import PIPELINES, AlreadyExists, Conflict, NotFound, NotPermitted, Rejected, Resource
from gantry.runs import Installation, OnNodes
from gantry.runtime.images import Known
from gantry.runtime.prepull import DISABLED, LATER, NO_DIGESTS_YET, NO_RIGHTS, NOT_YET, SOON, WHILE_PULLING, PrePull
from gantry.runtime.records import Key, PipelineRecord
from gantry.runtime.store import Store

KEY = Key("pipeline", "radiology", "chest-ct-nodules")
NAME = "chest-ct-nodules-images"
INSTALLATION = Installation(identity="hospital-a", worker_image="gantry/worker@sha256:1")
TAG = "registry.example/nodules:1.2"
DIGESTS = [f"sha256:{letter * 64}" for letter in "ab"]
PRESENT = OnNodes("True", PipelineReason.IMAGES_PRESENT, "1 of 1 node has all images")
Object = dict[str, Any]


class FakeKube:
    """DaemonSets as an API server keeps them; `fault` is raised in place of the next call of that verb."""

    def __init__(self) -> None:
        self.daemons: dict[str, Object] = {}
        self.pods: list[Object] = []
        self.calls: list[str] = []
        self.fault: dict[str, Exception] = {}
        self.versions = 0

    def _called(self, verb: str) -> None:
        self.calls.append(verb)
        if (fault := self.fault.pop(verb, None)) is not None:
            raise fault

    def _keep(self, body: Object, generation: int) -> Object:
        self.versions += 1
        kept = copy.deepcopy(body)
        kept["metadata"] |= {"uid": kept["metadata"].get("uid", f"uid-{self.versions}"), "resourceVersion": str(self.versions), "generation": generation}
        self.daemons[body["metadata"]["name"]] = kept
        return kept

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self._called("get")
        if name not in self.daemons:
            raise NotFound(f'daemonsets.apps "{name}" not found')
        return self.daemons[name]

    async def pages(self, resource: Resource, namespace: str | None, *, selector: str = "", fields: str = "") -> AsyncIterator[list[Object]]:
        self._called("list")
        assert selector == f"gantry.health/prepull={KEY.name}"
        yield self.pods

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        self._called("create")
        if body["metadata"]["name"] in self.daemons:
            raise AlreadyExists("already exists")
        return self._keep(body, 1)

    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        self._called("update")
        before = self.daemons[name]["metadata"]
        if body["metadata"]["resourceVersion"] != before["resourceVersion"] or body["metadata"]["uid"] != before["uid"]:
            raise Conflict("the object has been modified")
        return self._keep(body, before["generation"] + 1)

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str | None = None) -> None:
        self._called("delete")
        if self.daemons[name]["metadata"]["uid"] == uid:
            del self.daemons[name]

    def pulled(self) -> None:
        """What the controller says when all is there."""
        daemon = self.daemons[NAME]
        counts = {"desiredNumberScheduled": 1, "numberReady": 1, "updatedNumberScheduled": 1}
        daemon["status"] = {"observedGeneration": daemon["metadata"]["generation"], **counts}


class World:
    """One pipeline, and everything PrePull is given."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.kube, self.enabled = FakeKube(), enabled
        self.store = Store(changed=lambda _: None, counted=lambda _: None, clock=lambda: at(0))
        self.reason, self.digest = PipelineReason.RESOLVED, DIGESTS[0]
        self.changes: list[Key] = []
        self.pauses: list[float] = []
        self.generation = self.version = 0
        self.again()

    def again(self) -> None:
        """A new process."""
        self.prepull = PrePull(
            kube=self.kube,
            store=self.store,
            enabled=self.enabled,
            installation=INSTALLATION,
            images=self.images,
            changed=self.changes.append,
            wake_after=lambda _, seconds: self.pauses.append(seconds),
        )

    def images(self, key: Key, record: PipelineRecord) -> Known:
        images = (ImageStatus(step="detect", image=TAG, digest=self.digest),)
        return Known(record.uid, record.generation, images, True, self.reason, "")

    def applied(self, *, pre_pull: bool, uid: str = "p-uid", status: Object | None = None) -> None:
        self.generation, self.version = self.generation + 1, self.version + 1
        meta = {"uid": uid, "resourceVersion": str(self.version), "generation": self.generation, "creationTimestamp": "2026-03-01T00:00:00Z"}
        body = changed(PIPELINE, "metadata", {**PIPELINE["metadata"], "namespace": KEY.namespace, "name": KEY.name, **meta})
        body = changed(changed(body, "spec.prePull", pre_pull), "spec.template.steps.0.image", TAG)
        self.store.observe(PIPELINES.plural, body | ({"status": status} if status else {}))

    async def look(self) -> OnNodes | None:
        await self.prepull.reconcile(KEY)
        return self.told()

    def told(self) -> OnNodes | None:
        return self.prepull.of(KEY, self.store.pipelines[KEY])


def image(world: World) -> str:
    (container,) = world.kube.daemons[NAME]["spec"]["template"]["spec"]["containers"]
    return str(container["image"])


async def test_it_is_made_followed_and_told_once() -> None:
    world = World()
    world.applied(pre_pull=True)
    assert world.told() == NOT_YET
    assert await world.look() == OnNodes("False", PipelineReason.PULLING, "the cluster's controller has not begun to bring the images to the nodes")
    assert (world.kube.calls, world.pauses, image(world)) == (["get", "create"], [WHILE_PULLING], f"{TAG}@{DIGESTS[0]}")
    world.kube.pulled()
    assert await world.look() == PRESENT
    assert (world.kube.calls[2:], world.pauses[1:], len(world.changes)) == (["get"], [LATER], 2)
    await world.look()
    assert (world.kube.calls[3:], len(world.changes)) == (["get"], 2), "nothing is written and nobody woken when nothing has changed"


async def test_a_tag_that_moved_changes_it_and_the_nodes_are_asked() -> None:
    world = World()
    world.applied(pre_pull=True)
    await world.look()
    world.kube.pulled()
    world.digest = DIGESTS[1]
    await world.look()
    assert image(world) == f"{TAG}@{DIGESTS[1]}"
    world.kube.pulled()
    world.kube.daemons[NAME]["status"]["numberReady"] = 0
    assert await world.look() == OnNodes("False", PipelineReason.PULLING, "0 of 1 node has all images")
    assert world.kube.calls == ["get", "create", "get", "update", "get", "list"]


async def test_digests_are_waited_for_but_not_a_registry_that_is_away() -> None:
    world = World()
    world.applied(pre_pull=True)
    world.reason = PipelineReason.RESOLVING
    assert await world.look() == NO_DIGESTS_YET
    assert world.kube.calls == []
    world.reason = PipelineReason.REGISTRY_AWAY
    await world.look()
    assert NAME in world.kube.daemons


async def test_it_is_taken_away_when_nobody_wants_it() -> None:
    world = World()
    world.applied(pre_pull=True)
    await world.look()
    world.applied(pre_pull=False)
    assert await world.look() is None
    assert world.kube.daemons == {}
    calls = list(world.kube.calls)
    world.applied(pre_pull=False)
    await world.look()
    assert world.kube.calls == calls, "looked for once a process"


async def test_what_a_process_made_before_it_was_killed_is_found() -> None:
    """Killed before it could write the condition; meanwhile prePull was taken out."""
    world = World()
    world.applied(pre_pull=True)
    await world.look()
    world.again()
    world.applied(pre_pull=False)
    assert await world.look() is None
    assert world.kube.daemons == {}


async def test_a_new_process_begins_with_what_the_status_says() -> None:
    world = World()
    condition = {
        "type": "ImagesReady", "status": "True", "reason": "ImagesPresent", "message": PRESENT.message,
        "lastTransitionTime": "2026-03-01T00:00:00Z", "observedGeneration": 1,
    }  # fmt: skip
    world.applied(pre_pull=True, status={"conditions": [condition]})
    assert world.told() == PRESENT


async def test_without_the_charts_leave_nothing_is_asked_and_the_way_out_is_told() -> None:
    world = World(enabled=False)
    world.applied(pre_pull=True)
    assert await world.look() == DISABLED
    assert "set prePull.enabled of the chart" in DISABLED.message
    world.applied(pre_pull=False)
    assert await world.look() is None
    assert world.kube.calls == []


REFUSALS = {
    "rights that are missing": ("create", NotPermitted('User "x" cannot create resource "daemonsets"'), NO_RIGHTS, LATER),
    "a quota": (
        "create", Rejected("exceeded quota: radiology"),
        OnNodes("False", PipelineReason.PRE_PULL_REFUSED, "the API server does not take the DaemonSet: exceeded quota: radiology"), LATER,
    ),
    "somebody was quicker": ("create", AlreadyExists("already exists"), NOT_YET, SOON),
}  # fmt: skip


@pytest.mark.parametrize(("verb", "fault", "told", "pause"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_what_the_api_server_refuses_is_told_and_tried_again(verb: str, fault: Exception, told: OnNodes, pause: float) -> None:
    world = World()
    world.applied(pre_pull=True)
    world.kube.fault[verb] = fault
    assert await world.look() == told
    assert world.pauses == [pause]
    await world.look()
    assert NAME in world.kube.daemons


async def test_a_daemon_set_of_somebody_else_is_left_alone() -> None:
    world = World()
    world.kube.daemons[NAME] = {"metadata": {"name": NAME, "uid": "other", "resourceVersion": "1", "generation": 1}}
    world.applied(pre_pull=True)
    told = await world.look()
    assert told is not None
    assert (told.reason, told.message) == (
        PipelineReason.PRE_PULL_REFUSED,
        f"a DaemonSet {NAME} that is not this pipeline's is in the way: delete it, or give the pipeline another name",
    )
    world.applied(pre_pull=False)
    await world.look()
    assert world.kube.daemons[NAME]["metadata"]["uid"] == "other"


async def test_one_that_is_being_deleted_is_made_anew() -> None:
    world = World()
    world.applied(pre_pull=True)
    await world.look()
    world.kube.daemons[NAME]["metadata"]["deletionTimestamp"] = "2026-03-01T00:00:00Z"
    assert await world.look() == OnNodes("False", PipelineReason.PULLING, f"DaemonSet {NAME} is being deleted; it is made anew then")
    del world.kube.daemons[NAME]
    await world.look()
    assert NAME in world.kube.daemons
