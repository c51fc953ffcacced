"""One pass over a Run: which requests it costs, and what becomes of its place when the answer is late, lost or a refusal."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.builders_runs import RunBuilder, at
from tests.unit.runtime.test_turns import Ward, named

from gantry.kube import AlreadyExists, Conflict, NotFound, Rejected, Resource, Unavailable
from gantry.runs import Installation, Limits
from gantry.runtime.metrics import Metrics
from gantry.runtime.records import Key
from gantry.runtime.runs import RunReconciler


class FakeKube:
    """Jobs are made when `may_answer` is set; then `fault` is raised once."""

    def __init__(self, ward: Ward) -> None:
        self.ward = ward
        self.calls: list[str] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_answer.set()
        self.fault: Exception | None = None
        self.outrun: set[str] = set()
        """Runs that somebody writes just before the operator does."""
        self.refuses: set[str] = set()
        """Runs whose status is refused as changed, though nobody changed them."""

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        self.calls.append(f"get {resource.plural}/{name}")
        self.asked.set()
        await self.may_answer.wait()
        found = (self.jobs if resource.plural == "jobs" else self.runs).get(name)
        if found is None:
            raise NotFound(name)
        return found

    async def create(self, resource: Resource, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        name = body["metadata"]["name"]
        self.calls.append(f"create {resource.plural}/{name}")
        if name in self.jobs:
            raise AlreadyExists(name)
        if not isinstance(self.fault, Rejected):
            meta = {**body["metadata"], "uid": f"job-{name}", "creationTimestamp": "2026-03-01T12:00:01Z"}
            self.jobs[name] = self.ward.newer({**body, "metadata": meta})
        self.asked.set()
        await self.may_answer.wait()
        if self.fault:
            fault, self.fault = self.fault, None
            raise fault
        return self.jobs[name]

    async def apply_status(self, resource: Resource, namespace: str, name: str, status: dict[str, Any], *, uid: str, version: str) -> dict[str, Any]:
        self.calls.append(f"patch {name} {status['state']}")
        if self.ward.store.runs[Key("run", "default", name)].version != int(version) or name in self.outrun | self.refuses:
            self.outrun.discard(name)
            raise Conflict("it changed meanwhile")
        return self.ward.newer({**self.runs[name], "status": status})

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str | None = None) -> None:
        self.calls.append(f"delete {resource.plural}/{name}")

    async def pages(self, resource: Resource, namespace: str, *, selector: str = "", fields: str = "") -> AsyncIterator[list[Any]]:
        yield []


class NoClients:
    """The bridge's secret is missing, so nobody can ask its Orthanc."""

    def orthanc(self, bridge: Key) -> None:
        return None


class Passes:
    def __init__(self, *, limit: int | None = 1) -> None:
        self.ward = Ward(limit=limit)
        self.kube = FakeKube(self.ward)
        self.runs = RunReconciler(
            kube=self.kube,  # type: ignore[arg-type]
            store=self.ward.store,
            bridges=NoClients(),  # type: ignore[arg-type]
            courier=None,  # type: ignore[arg-type]
            installation=Installation("test", "worker:1"),
            limits=Limits(),
            metrics=Metrics(version="1"),
            wake_after=lambda _key, _seconds: None,
            clock=lambda: at(60),
        )

    def sees(self, *builders: RunBuilder) -> None:
        for one in builders:
            self.kube.runs[one.run["metadata"]["name"]] = one.run
        self.ward.sees(*builders)

    async def over(self, name: str) -> None:
        await self.runs.reconcile(Key("run", "default", name))


A, B = named("a"), named("b", born=1)


@pytest.fixture
def passes() -> Passes:
    return Passes()


@pytest.mark.parametrize("limit", [None, 1], ids=["without a limit", "with a free place"])
async def test_a_run_that_may_begin_costs_one_request(limit: int | None) -> None:
    passes = Passes(limit=limit)
    passes.sees(A)
    await passes.over("a")
    assert passes.kube.calls == ["create jobs/a-1"]


async def test_a_run_that_waits_costs_one_write_and_then_none(passes: Passes) -> None:
    passes.sees(A, B)
    await passes.over("a")
    for _ in range(3):
        await passes.over("b")
    assert passes.kube.calls == ["create jobs/a-1", "patch b Waiting"]


@pytest.mark.parametrize("change", ["suspended", "cancelled"])
@pytest.mark.parametrize("superseding", [False, True], ids=["while the Job is asked for", "while the Run before it is read"])
async def test_a_run_that_is_changed_meanwhile_keeps_its_place(passes: Passes, change: str, superseding: bool) -> None:
    """Its Job comes into being whatever its spec says now."""
    run = A.superseding("gone") if superseding else A
    passes.sees(run, B)
    passes.kube.may_answer.clear()
    under_way = asyncio.create_task(passes.over("a"))
    await passes.kube.asked.wait()
    passes.sees(getattr(run, change)())
    await passes.over("b")
    passes.kube.may_answer.set()
    await under_way
    await passes.over("b")
    assert "create jobs/b-1" not in passes.kube.calls
    assert "create jobs/a-1" in passes.kube.calls


async def test_a_post_without_an_answer_keeps_the_place_and_the_job_is_found(passes: Passes) -> None:
    passes.sees(A, B)
    passes.kube.fault = Unavailable("no answer")
    with pytest.raises(Unavailable):
        await passes.over("a")
    await passes.over("b")
    await passes.over("a")
    await passes.over("b")
    assert passes.kube.calls == ["create jobs/a-1", "patch b Waiting", "create jobs/a-1", "get jobs/a-1", "patch a Queued"]


async def test_a_refused_job_gives_the_place_back(passes: Passes) -> None:
    passes.sees(A, B)
    passes.kube.fault = Rejected("exceeded quota")
    await passes.over("a")
    await passes.over("b")
    assert passes.kube.calls == ["create jobs/a-1", "patch a Failed", "create jobs/b-1"]


async def test_a_run_that_another_operator_called_running_again_is_looked_up(passes: Passes) -> None:
    """It wrote late what it knew; the pods that tell how the Run ended had been dropped."""
    passes.ward.store.complete = True
    passes.sees(A)
    passes.sees(A.finished("Succeeded", ago=timedelta(0)))
    passes.sees(A.with_job_ref())
    await passes.over("a")
    assert passes.kube.calls[0] == "get jobs/a-1"
    assert not passes.ward.store.doubtful


async def test_the_older_run_ends_before_the_newer_begins(passes: Passes) -> None:
    passes.sees(A)
    await passes.over("a")
    passes.sees(B.superseding("a"))
    passes.kube.calls.clear()
    for name in ("b", "a", "b"):
        await passes.over(name)
    assert passes.kube.calls[-3:] == ["patch a Superseded", "get inferenceruns/a", "create jobs/b-1"]


async def test_a_status_that_somebody_outran_is_not_written_and_the_run_is_looked_at_anew(passes: Passes) -> None:
    """What a second operator, or the same one's other writer, has said since must not be undone by what this pass knew."""
    passes.sees(A, B)
    await passes.over("a")
    passes.kube.outrun = {"b"}
    passes.ward.woken.clear()
    passes.kube.runs["b"] = passes.ward.newer(B.with_job_ref().run)
    await passes.over("b")
    assert passes.kube.calls[-2:] == ["patch b Waiting", "get inferenceruns/b"]
    assert passes.ward.woken == ["b"]
    await passes.over("b")
    assert passes.kube.calls[-2:] == ["get jobs/b-1", "patch b Running"], "it is decided on what the other wrote: there was a Job"


async def test_a_status_refused_though_nothing_changed_is_written_by_a_later_pass(passes: Passes) -> None:
    """A Run whose results had been delivered stayed `Delivering`: both writes were answered 409, no event came, and nothing woke it."""
    passes.sees(A, B)
    await passes.over("a")
    passes.kube.refuses = {"b"}
    with pytest.raises(Conflict):
        await passes.over("b")
    assert passes.kube.calls[-3:] == ["patch b Waiting", "get inferenceruns/b", "patch b Waiting"]
    passes.kube.refuses = set()
    await passes.over("b")
    assert passes.kube.calls[-1] == "patch b Waiting"
