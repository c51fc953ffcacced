"""What a watch of Runs, Jobs or pods does when it ends, breaks, or is told that its version is forgotten."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import aiohttp
import pytest
from tests.builders_runs import a_run, at

from gantry.kube import JOBS, PODS, RUNS, Change, Expired, Kube, KubeError, NotFound, Resource, Unavailable
from gantry.runtime import watches
from gantry.runtime.census import SELECTORS, UNFINISHED, Looked
from gantry.runtime.metrics import Metrics
from gantry.runtime.store import Store
from gantry.runtime.watches import PAUSES, Source, Watch

Object = dict[str, Any]
Step = list[Change] | KubeError


class Over(Exception):
    """The script is at its end."""


def of_version(obj: Object, version: int) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}


def bookmark(version: int) -> Change:
    return Change("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


class World:
    """An API server that answers one watch after another by a script, and lists."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *script: Step, listed: "tuple[Object, ...]" = (), list_fails: int = 0) -> None:
        self.script: Iterator[Step] = iter(script)
        self.listed, self.list_fails = listed, list_fails
        self.asked: list[tuple[str, str, str]] = []
        self.lists: list[tuple[str, str, str]] = []
        self.pauses: list[float] = []
        self.woken: list[str] = []
        self.metrics = Metrics(version="1")
        self.store = Store(changed=lambda key: self.woken.append(key.name), counted=lambda _: None, clock=lambda: at(0))
        monkeypatch.setattr(watches, "changes", self.changes)

    async def changes(
        self, session: object, host: str, resource: Resource, namespace: str | None, *, version: str, selector: str, fields: str
    ) -> AsyncIterator[Change]:
        self.asked.append((version, selector, fields))
        step = next(self.script, None)
        if step is None:
            raise Over
        for change in step if isinstance(step, list) else []:
            yield change
        if isinstance(step, KubeError):
            raise step

    async def pages(
        self, resource: Resource, namespace: str | None, *, selector: str = "", fields: str = "", version: Callable[[str], None]
    ) -> "AsyncIterator[list[Object]]":
        self.lists.append((resource.plural, selector, fields))
        if self.list_fails:
            self.list_fails -= 1
            raise Unavailable("away")
        version("500")
        yield list(self.listed)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def follow(self, resource: Resource = RUNS) -> None:
        looked = Looked(versions={(resource, "default"): "100"})
        source = Source(cast(Kube, self), cast(aiohttp.ClientSession, None), "https://api", self.store, self.metrics, self.sleep)
        with pytest.raises(Over):
            await Watch(source, resource, "default", looked).follow()

    @property
    def versions(self) -> list[str]:
        return [version for version, _, _ in self.asked]


A_RUN = a_run().run


async def test_it_goes_on_from_the_last_version_bookmarks_included(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, [Change("ADDED", of_version(A_RUN, 110))], [bookmark(150)], [])
    await world.follow()
    assert world.versions == ["100", "110", "150", "150"]
    assert world.woken == [A_RUN["metadata"]["name"]]
    assert world.lists == []
    assert world.pauses == [watches.AGAIN] * 3
    assert 'gantry_watch_events_total{resource="inferenceruns"} 1.0' in world.metrics.text().decode()


async def test_a_deleted_object_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, [Change("ADDED", of_version(A_RUN, 110)), Change("DELETED", of_version(A_RUN, 111))])
    await world.follow()
    assert world.store.runs == {}


async def test_only_what_is_ours_and_unfinished_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for resource, fields in ((RUNS, UNFINISHED), (JOBS, ""), (PODS, "")):
        world = World(monkeypatch)
        await world.follow(resource)
        assert world.asked == [("100", SELECTORS.get(resource, ""), fields)]
    assert (SELECTORS[JOBS], SELECTORS[PODS]) == ("gantry.health/run", "gantry.health/run")


async def test_a_forgotten_version_means_a_full_list_which_finds_ghosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was deleted while the watch was away is told by nobody else; of Runs finished ones are listed too, or they would be taken for deleted."""
    world = World(monkeypatch, [Change("ADDED", of_version(A_RUN, 110))], Expired("too old"), [bookmark(510)])
    await world.follow()
    assert world.versions == ["100", "110", "500", "510"]
    assert world.lists == [("inferenceruns", "", "")]
    assert world.store.runs == {}
    assert 'gantry_ghosts_dropped_total{resource="inferenceruns"} 1.0' in world.metrics.text().decode()


async def test_versions_that_are_always_forgotten_are_not_listed_ten_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, *[Expired("too old")] * 3)
    await world.follow()
    assert world.pauses == [watches.AGAIN, 1.0, 1.0]
    assert len(world.lists) == 3


async def test_a_list_that_fails_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, Expired("too old"), [], listed=(of_version(A_RUN, 400),), list_fails=2)
    await world.follow()
    assert world.versions == ["100", "500", "500"]
    assert len(world.lists) == 3
    assert world.pauses == [watches.AGAIN, 1.0, 1.0, watches.AGAIN]
    assert len(world.store.runs) == 1


async def test_it_waits_a_little_longer_while_the_server_is_away_and_no_more_once_it_was_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    away = [Unavailable("away")] * 10
    world = World(monkeypatch, *away, [bookmark(101)], Unavailable("away"), Unavailable("later", retry_after=7))
    await world.follow()
    assert world.pauses == [1.0] * 8 + [2.0] * 2 + [watches.AGAIN, 1.0, 7.0]
    assert max(PAUSES) == 2.0
    assert world.versions == ["100"] * 11 + ["101"] * 3


async def test_a_kind_that_is_not_served_any_more_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, NotFound("the API server answered 404", status=404))
    source = Source(cast(Kube, world), cast(aiohttp.ClientSession, None), "https://api", world.store, world.metrics, world.sleep)
    with pytest.raises(NotFound):
        await Watch(source, RUNS, "default", Looked(versions={(RUNS, "default"): "100"})).follow()
    assert world.pauses == []
