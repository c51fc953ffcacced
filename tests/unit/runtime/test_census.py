"""What is read at the start and every ten minutes, and in which order."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, get_args

import pytest
from tests.builders_runs import A_BRIDGE, a_run, at

from gantry.api.run import State
from gantry.kube import NotFound, Rejected, Resource, Unavailable
from gantry.runtime.census import UNFINISHED, KindIsBack, first_look, take_census
from gantry.runtime.metrics import Metrics
from gantry.runtime.store import Store

SEEN_BRIDGE = {**A_BRIDGE, "metadata": {**A_BRIDGE["metadata"], "resourceVersion": "1"}}


class Lists:
    """A Kube that only lists."""

    def __init__(self, *, selectable: bool = True, breaks_at: str = "", unserved: str = "") -> None:
        self.unserved = unserved
        self.asked: list[tuple[str, str | None, str, str]] = []
        self.selectable, self.breaks_at = selectable, breaks_at
        self.objects: dict[str, list[list[dict[str, Any]]]] = {"orthancbridges": [[SEEN_BRIDGE]], "inferenceruns": [[a_run().run], []]}

    async def pages(
        self, resource: Resource, namespace: str | None, *, selector: str = "", fields: str = "", version: Callable[[str], None] = lambda _: None
    ) -> AsyncIterator[list[dict[str, Any]]]:
        self.asked.append((resource.plural, namespace, selector, fields))
        if resource.plural == self.unserved:
            raise NotFound(f"the API server does not serve {resource.plural}; is its CRD applied?", status=404)
        if fields and not self.selectable and resource.plural == "inferenceruns":
            raise Rejected("field label not supported: status.state")
        for page in self.objects.get(resource.plural, [[]]):
            version(str(100 + len(self.asked)))
            yield page
        if resource.plural == self.breaks_at:
            raise Unavailable("away")

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        raise AssertionError

    async def create(self, resource: Resource, namespace: str, body: Any) -> dict[str, Any]:
        raise AssertionError

    async def apply_status(self, resource: Resource, namespace: str, name: str, status: Any, *, uid: str) -> dict[str, Any]:
        raise AssertionError

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str | None = None) -> None:
        raise AssertionError

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, str]:
        raise AssertionError


@pytest.fixture
def store() -> Store:
    return Store(changed=lambda _: None, counted=lambda _: None, clock=lambda: at(0))


METRICS = Metrics(version="1")


async def test_new_runs_are_read_first_and_what_belongs_to_others_before_them(store: Store) -> None:
    kube = Lists()
    looked = await first_look(kube, store, METRICS, ("a", "b"))
    assert looked.unfinished == UNFINISHED
    assert {(resource.plural, namespace): version for (resource, namespace), version in looked.versions.items()} == {
        (plural, namespace): str(101 + number) for number, (plural, namespace, _, _) in enumerate(kube.asked)
    }, "watches go on from the lists"
    assert [(plural, namespace) for plural, namespace, _, _ in kube.asked] == [
        (plural, namespace)
        for plural in ("orthancbridges", "inferencepipelines", "inferencebackfills", "inferenceruns", "jobs", "pods", "inferenceruns")
        for namespace in ("a", "b")
    ]
    assert [(plural, selector, fields) for plural, namespace, selector, fields in kube.asked[6:] if namespace == "a"] == [
        ("inferenceruns", "", "status.state="),
        ("jobs", "gantry.health/run", "status.successful=0"),
        ("pods", "gantry.health/run", "status.phase!=Succeeded"),
        ("inferenceruns", "", UNFINISHED),
    ]
    assert len(store.runs) == 1


async def test_later_all_is_read_and_runs_before_jobs_and_pods(store: Store) -> None:
    """Of those of finished Runs little or nothing is kept."""
    kube = Lists()
    await take_census(kube, store, METRICS, ("a",))
    assert [(plural, selector, fields) for plural, _, selector, fields in kube.asked[-3:]] == [
        ("inferenceruns", "", ""), ("jobs", "gantry.health/run", ""), ("pods", "gantry.health/run", ""),
    ]  # fmt: skip


async def test_a_server_that_cannot_select_by_state_is_asked_for_all(store: Store) -> None:
    kube = Lists(selectable=False)
    assert (await first_look(kube, store, METRICS, ())).unfinished == ""
    assert kube.asked[-1] == ("inferenceruns", None, "", "")
    assert len(store.runs) == 1


async def test_half_a_list_makes_no_ghosts(store: Store) -> None:
    await first_look(Lists(), store, METRICS, ())
    kube = Lists(breaks_at="inferenceruns")
    kube.objects["inferenceruns"] = [[]]
    with pytest.raises(Unavailable):
        await take_census(kube, store, METRICS, ())
    assert len(store.runs) == 1
    kube = Lists()
    kube.objects["inferenceruns"] = [[]]
    await take_census(kube, store, METRICS, ())
    assert store.runs == {}
    assert 'gantry_ghosts_dropped_total{resource="inferenceruns"} 1.0' in METRICS.text().decode()


async def test_a_kind_that_nobody_needs_may_be_missing_until_it_is_back(store: Store) -> None:
    """Its CRD was removed. kopf would not watch it when it comes back, so the process starts anew then."""
    await first_look(Lists(unserved="inferencebackfills"), store, METRICS, ())
    await take_census(Lists(unserved="inferencebackfills"), store, METRICS, ())
    assert (len(store.runs), store.unserved) == (1, {"inferencebackfills"})
    with pytest.raises(KindIsBack, match="inferencebackfills are served again"):
        await take_census(Lists(), store, METRICS, ())


@pytest.mark.parametrize("plural", ["orthancbridges", "inferencepipelines", "inferenceruns"])
async def test_any_other_kind_is_waited_for(store: Store, plural: str) -> None:
    with pytest.raises(NotFound, match=f"does not serve {plural}; is its CRD applied"):
        await first_look(Lists(unserved=plural), store, METRICS, ())


def test_runs_in_every_state_that_is_final_are_in_no_watch() -> None:
    unfinished = {"Waiting", "Queued", "Running", "Delivering"}
    assert {part.removeprefix("status.state!=") for part in UNFINISHED.split(",")} == set(get_args(State)) - unfinished
