"""What a Follower gets from the process: Runs made once, refusals told apart from faults, and observations as metrics."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.builders import BRIDGE as BRIDGE_OBJECT
from tests.builders import PIPELINE, changed
from tests.builders_runs import NAME, a_run, at

from gantry.api.bridge import BridgeStatus
from gantry.bridge import Decided, Discovered, Drop, Dropped, Faulted, Origin, Outcome, Polled, RunRefused
from gantry.kube import AlreadyExists, Rejected, Resource, Unavailable
from gantry.runtime.host import BridgeHost
from gantry.runtime.metrics import Metrics
from gantry.runtime.pipelines import Pipelines
from gantry.runtime.records import Key
from gantry.runtime.store import Store

BRIDGE = Key("bridge", "default", "main")


class FakeKube:
    """Answers every call with what it was given."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls: list[tuple[str, str]] = []

    def _say(self, verb: str, resource: Resource) -> Any:
        self.calls.append((verb, resource.plural))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def get(self, resource: Resource, namespace: str, name: str) -> Any:
        return self._say("get", resource)

    async def pages(self, resource: Resource, namespace: str | None, *, selector: str = "", fields: str = "") -> AsyncIterator[list[Any]]:
        yield self._say("list", resource)

    async def create(self, resource: Resource, namespace: str, body: Any) -> Any:
        return self._say("create", resource)

    async def apply_status(self, resource: Resource, namespace: str, name: str, status: Any, *, uid: str) -> Any:
        return self._say("patch", resource)

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str | None = None) -> None:
        self._say("delete", resource)

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, str]:
        return {}


class World:
    def __init__(self, answer: Any) -> None:
        self.woken: list[Key] = []
        self.doubts = 0
        self.store = Store(changed=self.woken.append, counted=lambda _: None, clock=lambda: at(0))
        self.metrics = Metrics(version="1")
        self.kube = FakeKube(answer)
        pipelines = Pipelines(kube=self.kube, store=self.store, clock=lambda: at(0))
        self.host = BridgeHost(
            BRIDGE, "uid", kube=self.kube, store=self.store, pipelines=pipelines, metrics=self.metrics, unauthorized=self._doubt, monotonic=lambda: 7.0
        )  # fmt: skip

    def _doubt(self) -> None:
        self.doubts += 1


async def test_a_run_that_was_made_is_worked_on_without_waiting_for_the_watch() -> None:
    world = World(a_run().run)
    assert await world.host.create_run(a_run().run)
    assert world.woken == [Key("run", "default", NAME)]
    assert world.host.run_exists(NAME)


async def test_a_run_that_is_there_already_is_no_fault() -> None:
    assert not await World(AlreadyExists("exists")).host.create_run(a_run().run)


async def test_a_run_the_server_will_never_take_is_refused() -> None:
    with pytest.raises(RunRefused, match="spec: too long"):
        await World(Rejected("spec: too long")).host.create_run(a_run().run)


async def test_a_server_that_is_away_is_another_matter() -> None:
    with pytest.raises(Unavailable):
        await World(Unavailable("away")).host.create_run(a_run().run)


class TestEarlierRuns:
    """For late images: which Runs there are of a pipeline on a study."""

    async def test_they_come_from_the_server_with_their_series_before_all_runs_are_counted(self) -> None:
        run = a_run().run
        world = World([run, changed(run, "spec.study.orthancID", "of another study")])
        study = run["spec"]["study"]
        (found,) = await world.host.earlier_runs("chest-ct-nodules", study["orthancID"])
        assert (found.name, found.series, found.finished) == (NAME, tuple(study["seriesIDs"]), False)
        assert world.kube.calls == [("list", "inferenceruns")]

    async def test_the_server_is_not_asked_about_a_study_without_runs(self) -> None:
        world = World([])
        world.store.complete = True
        assert await world.host.earlier_runs("chest-ct-nodules", "a study") == ()
        assert world.kube.calls == []

    async def test_of_a_study_with_runs_the_server_is_asked_for_their_series(self) -> None:
        run = a_run().run
        world = World([run])
        world.store.complete = True
        world.store.observe("inferenceruns", run)
        found = await world.host.earlier_runs(run["spec"]["pipelineRef"]["name"], run["spec"]["study"]["orthancID"])
        assert [one.name for one in found] == [NAME]


async def test_pipelines_are_judged_again_when_one_has_changed() -> None:
    """Every study asks for them; judging 200 takes 8 ms."""
    world = World(None)
    bridge = changed(changed(BRIDGE_OBJECT, "metadata.namespace", "default"), "metadata.resourceVersion", "1")
    world.store.observe("orthancbridges", changed(changed(bridge, "metadata.uid", "b"), "metadata.name", "main"))
    made = {"uid": "p", "name": "chest", "namespace": "default", "resourceVersion": "2", "generation": 1, "creationTimestamp": "2026-03-01T12:00:00Z"}
    pipeline = {**PIPELINE, "metadata": made}
    world.store.observe("inferencepipelines", pipeline)
    first = world.host.pipelines()
    assert [one.generation for one in first] == [1]
    assert world.host.pipelines() is first
    newer = {**changed(pipeline, "spec.onLateImages", "Ignore"), "metadata": {**made, "resourceVersion": "3", "generation": 2}}
    world.store.observe("inferencepipelines", newer)
    assert [(one.generation, one.spec.on_late_images) for one in world.host.pipelines()] == [(2, "Ignore")]
    held = {**changed(newer, "spec.suspend", True), "metadata": {**made, "resourceVersion": "4", "generation": 3}}
    world.store.observe("inferencepipelines", held)
    assert world.host.pipelines() == ()


async def test_the_status_written_last_is_kept_for_the_next_follower() -> None:
    world = World({"metadata": {"name": "main", "namespace": "default", "uid": "uid", "resourceVersion": "7"}, "spec": {"url": "http://orthanc:8042"}})
    await world.host.write_status(BridgeStatus(cursor=7))
    assert world.host.status == BridgeStatus(cursor=7)
    assert world.woken == []


def test_observations_become_metrics_without_identifiers() -> None:
    world = World(None)
    for one in (
        Polled(3, 2, 0.01), Discovered(Origin.RECONCILE, 0.1), Discovered(Origin.STABLE_STUDY, 0.1, 0.7), Decided("chest", Outcome.NOT_MATCHED, "Modality In"),
        Decided("chest", Outcome.CREATED, None, 0.2), Dropped(Drop.GONE), Faulted("study", "ServerFault"),
    ):  # fmt: skip
        world.host.record(one)
    text = world.metrics.text().decode()
    for line in (
        'gantry_studies_discovered_total{bridge="main",origin="Reconcile"} 1.0',
        'gantry_stable_to_seen_seconds_count{bridge="main"} 1.0',
        'gantry_stable_to_seen_seconds_sum{bridge="main"} 0.7',
        'gantry_routing_decisions_total{check="Modality In",outcome="NotMatched",pipeline="chest"} 1.0',
        "gantry_seen_to_run_seconds_sum 0.2",
        'gantry_studies_dropped_total{bridge="main",reason="Gone"} 1.0',
        'gantry_bridge_faults_total{bridge="main",kind="ServerFault",where="study"} 1.0',
    ):
        assert line in text
    assert world.doubts == 0
    assert (world.host.reachable, world.host.lag, world.host.polled) == (True, 2, 7.0), "a study Orthanc fails on is no Orthanc that is away"


def test_an_orthanc_that_does_not_answer_is_not_reachable_until_it_is_polled_again() -> None:
    world = World(None)
    assert not world.host.reachable
    world.host.record(Polled(0, 0, 0.01))
    world.host.record(Faulted("orthanc", "Unreachable"))
    assert not world.host.reachable
    world.host.record(Polled(0, 0, 0.01))
    assert world.host.reachable


def test_refused_credentials_raise_a_doubt_about_the_secret() -> None:
    world = World(None)
    world.host.record(Faulted("orthanc", "Unauthorized"))
    assert world.doubts == 1
