"""Who is under way, who waits, whose turn has come: by what the store is told, as watches, lists and own writes tell it."""

from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.builders import PIPELINE, changed
from tests.builders_runs import A_BRIDGE, RunBuilder, a_run, at

from gantry.runs import NOT_KNOWN, Held
from gantry.runtime.records import Key
from gantry.runtime.store import Store

PIPELINE_KEY = Key("pipeline", "default", "chest-ct-nodules")
METADATA = {**PIPELINE["metadata"], "uid": "p-uid", "generation": 1, "creationTimestamp": "2026-03-01T00:00:00Z"}


class Ward:
    """A store, whom it woke, and versions that grow."""

    def __init__(self, *, limit: int | None = 1, opened: bool = True) -> None:
        self.woken: list[str] = []
        self.now = at(0)
        self.version = 100
        self.store = Store(changed=lambda key: self.woken.append(key.name), counted=lambda _: None, clock=lambda: self.now)
        self.store.observe("orthancbridges", changed(A_BRIDGE, "metadata.resourceVersion", "5"))
        self.limited_to(limit)
        if opened:
            self.store.turns.open()

    def newer(self, obj: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        return changed(obj, "metadata.resourceVersion", str(self.version))

    def limited_to(self, limit: int | None, *, name: str = PIPELINE_KEY.name) -> None:
        body = changed(changed(PIPELINE, "metadata", {**METADATA, "name": name}), "spec.concurrency", {"maxActive": limit} if limit else {})
        self.store.observe("inferencepipelines", self.newer(changed(body, "metadata.generation", self.version)))

    def pipeline_goes(self) -> None:
        self.store.observe("inferencepipelines", self.newer(changed(PIPELINE, "metadata", METADATA)), deleted=True)

    def sees(self, *builders: RunBuilder) -> None:
        for builder in builders:
            self.store.observe("inferenceruns", self.newer(builder.run))

    def has_job(self, builder: RunBuilder) -> None:
        job = builder.with_job().job
        assert job is not None
        job["metadata"]["ownerReferences"][0]["uid"] = builder.run["metadata"]["uid"]
        self.store.observe("jobs", self.newer(changed(job, "metadata.uid", f"job-{builder.run['metadata']['name']}")))

    def goes(self, builder: RunBuilder) -> None:
        self.store.observe("inferenceruns", self.newer(builder.run), deleted=True)

    def fetches_limited_to(self, limit: int | None) -> None:
        body = changed(A_BRIDGE, "spec.limits", {"concurrentFetches": limit} if limit else {})
        self.store.observe("orthancbridges", self.newer(changed(body, "metadata.generation", self.version)))

    def has_pod(self, builder: RunBuilder) -> None:
        """The newest of the builder's pods."""
        pod = changed(builder.pods[-1], "metadata.uid", f"pod-{builder.run['metadata']['name']}")
        pod["metadata"]["ownerReferences"][0]["uid"] = f"job-{builder.run['metadata']['name']}"
        self.store.observe("pods", self.newer(pod))

    def held(self, name: str) -> Held | None:
        key = Key("run", "default", name)
        return self.store.held(key, self.store.runs[key])


def named(name: str, *, born: float = 0) -> RunBuilder:
    return a_run().named(name).born(born)


def place(held: Held | None) -> int:
    assert held is not None, "its turn has come"
    return held.place


def of(pipeline: str, builder: RunBuilder) -> RunBuilder:
    return RunBuilder(changed(builder.run, "spec.pipelineRef.name", pipeline))


A, B, C, D = (named(name, born=n) for n, name in enumerate("abcd"))


def test_without_a_limit_a_run_begins_at_once() -> None:
    ward = Ward(limit=None)
    ward.sees(A, B)
    assert [ward.held("a"), ward.held("b")] == [None, None]


def test_a_run_made_by_hand_has_no_limit() -> None:
    ward = Ward(limit=1)
    ward.sees(A, named("hand").made_by_hand())
    ward.has_job(A)
    assert ward.held("hand") is None


def test_the_second_waits_and_is_told_its_place() -> None:
    ward = Ward(limit=1)
    ward.sees(A, B, C)
    assert ward.held("a") is None
    assert [place(ward.held("b")), place(ward.held("c"))] == [2, 2]


def test_a_turn_counts_before_the_job_is_seen() -> None:
    """Between the decision and the answer to the POST lie milliseconds, or minutes when the API server is away."""
    ward = Ward(limit=1)
    ward.sees(A, B)
    assert ward.held("a") is None
    assert ward.held("b")
    assert ward.held("a") is None, "asked again after a POST without an answer"
    ward.has_job(A)
    assert ward.held("b")


@pytest.mark.parametrize("end", ["finishes", "only delivers", "is deleted"])
def test_the_next_is_woken_when_one(end: str) -> None:
    ward = Ward(limit=1)
    ward.sees(A, B)
    ward.held("a")
    ward.has_job(A)
    ward.held("b")
    ward.woken.clear()
    match end:
        case "finishes":
            ward.sees(A.finished("Succeeded", ago=timedelta(0)))
        case "only delivers":
            ward.sees(A.with_status({"state": "Delivering"}))
        case _:
            ward.goes(A)
    assert "b" in ward.woken
    assert ward.held("b") is None


@pytest.mark.parametrize("what", ["cancelled", "suspended", "deleted"])
def test_a_waiting_run_that_is(what: str) -> None:
    """It leaves the line, also when its turn had just come."""
    ward = Ward(limit=1)
    ward.sees(A, B)
    ward.held("a")
    ward.held("b")
    ward.woken.clear()
    if what == "deleted":
        ward.goes(A)
    else:
        ward.sees(getattr(A, what)())
    assert "b" in ward.woken
    assert ward.held("b") is None


def test_a_stroke_overtakes_and_a_raised_run_too() -> None:
    ward = Ward(limit=1)
    ward.sees(A, B, C)
    ward.held("a")
    ward.has_job(A)
    ward.sees(named("stroke", born=9).of_class("Stat"))
    ward.sees(C.of_class("Urgent"))
    assert place(ward.held("stroke")) == 1
    ward.sees(A.finished("Succeeded", ago=timedelta(0)))
    assert [ward.held(name) is None for name in ("stroke", "b", "c")] == [True, False, False]
    ward.sees(named("stroke", born=9).of_class("Stat").finished("Succeeded", ago=timedelta(0)))
    assert [ward.held(name) is None for name in ("b", "c")] == [False, True]


def test_pipelines_do_not_wait_for_each_other() -> None:
    ward = Ward(limit=1)
    ward.limited_to(1, name="stroke")
    ward.sees(A, of("stroke", B))
    assert [ward.held("a"), ward.held("b")] == [None, None]


def test_a_raised_limit_wakes_as_many_as_it_lets_in_and_a_lowered_one_ends_nobody() -> None:
    ward = Ward(limit=1)
    ward.sees(A, B, C, D)
    ward.held("a")
    ward.has_job(A)
    ward.woken.clear()
    ward.limited_to(3)
    assert [name for name in ward.woken if name in "bcd"] == ["b", "c"]
    assert ward.held("b") is None
    ward.limited_to(1)
    assert [ward.held("b") is None, ward.held("d") is None] == [True, False]


def test_taking_the_limit_away_lets_all_in() -> None:
    ward = Ward(limit=1)
    ward.sees(A, B, C)
    ward.held("a")
    ward.woken.clear()
    ward.limited_to(None)
    assert [name for name in ward.woken if name in "abc"] == ["b", "c"]


def test_the_runs_of_a_deleted_pipeline_begin_one_at_a_time() -> None:
    """Its limit is gone with it, and a thousand that waited must not begin at once."""
    ward = Ward(limit=2)
    ward.sees(A, B, C, D)
    for one in (A, B):
        ward.held(one.run["metadata"]["name"])
        ward.has_job(one)
    ward.pipeline_goes()
    assert str(ward.held("c")).startswith("no InferencePipeline chest-ct-nodules in this namespace, so its Runs begin one at a time")
    ward.sees(A.finished("Succeeded", ago=timedelta(0)))
    assert ward.held("c")
    ward.sees(B.finished("Succeeded", ago=timedelta(0)))
    assert [ward.held("c") is None, ward.held("d") is None] == [True, False]


def test_a_pipeline_that_comes_back_lets_in_as_many_as_it_says() -> None:
    ward = Ward(limit=1)
    ward.pipeline_goes()
    ward.sees(A, B, C)
    assert [ward.held(name) is None for name in "abc"] == [True, False, False]
    ward.limited_to(2)
    assert [ward.held(name) is None for name in "abc"] == [True, True, False]


def test_after_a_start_nobody_is_let_in_before_all_has_been_read() -> None:
    """Whose turn it is, and how many are under way, only the whole tells; where there is no limit nobody need wait for it."""
    ward = Ward(limit=1, opened=False)
    ward.sees(B)
    assert ward.held("b") == NOT_KNOWN
    ward.sees(A.with_job_ref())
    ward.store.turns.open()
    assert ward.woken[-1] == "b"
    assert place(ward.held("b")) == 1
    free = Ward(limit=None, opened=False)
    free.sees(B)
    assert free.held("b") is None


def test_after_a_start_a_run_that_takes_anothers_place_waits_until_that_may_be_known() -> None:
    """The other may be at work, or have published what this one's report has to name. A Run that came or went lets nobody in either."""
    ward = Ward(limit=None, opened=False)
    ward.sees(B.superseding("a"), C)
    assert (ward.held("b"), ward.held("c")) == (NOT_KNOWN, None)
    ward.goes(C)
    ward.limited_to(None)
    assert ward.held("b") == NOT_KNOWN
    ward.store.turns.open()
    assert "b" in ward.woken
    assert ward.held("b") is None


def test_a_run_whose_bridge_is_missing_takes_nobodys_place() -> None:
    ward = Ward(limit=1)
    ward.sees(RunBuilder(changed(A.run, "spec.bridgeRef.name", "other")), B)
    assert ward.held("b") is None


def test_a_new_run_of_the_same_name_has_a_turn_of_its_own() -> None:
    ward = Ward(limit=1)
    ward.sees(A, B)
    ward.held("a")
    ward.sees(RunBuilder(changed(named("a", born=5).run, "metadata.uid", "another")))
    assert ward.held("b") is None
    assert ward.held("a")


NTH = st.integers(0, 20)


class AWardsDay(RuleBasedStateMachine):
    """Runs come, are raised, suspended and deleted; the limit changes; the operator asks, waits for the answer to a POST, and is killed."""

    @initialize(limit=st.integers(1, 2))
    def begins(self, limit: int) -> None:
        self.limit = limit
        self.runs: dict[str, RunBuilder] = {}
        self.jobs: set[str] = set()
        self.over: set[str] = set()
        self.posting: dict[str, ExitStack] = {}
        self.number = 0
        self.ward = Ward(limit=limit)

    def waiting(self) -> list[str]:
        return sorted(n for n, run in self.runs.items() if n not in self.jobs and "suspend" not in run.run["spec"])

    def working(self) -> list[str]:
        return sorted(self.jobs - self.over)

    @rule(priority=st.sampled_from(["Stat", "Routine", "Background"]))
    def comes(self, priority: str) -> None:
        self.number += 1
        name = f"run-{self.number}"
        self.runs[name] = named(name, born=self.number).of_class(priority)
        self.ward.sees(self.runs[name])

    @precondition(lambda self: self.waiting())
    @rule(nth=NTH, priority=st.sampled_from(["Stat", "Background"]))
    def is_given_another_class(self, nth: int, priority: str) -> None:
        self.patch(pick(self.waiting(), nth), lambda run: run.of_class(priority))

    @precondition(lambda self: self.runs)
    @rule(nth=NTH)
    def is_suspended(self, nth: int) -> None:
        self.patch(pick(sorted(set(self.runs) - self.over), nth), lambda run: run.suspended())

    @precondition(lambda self: self.working())
    @rule(nth=NTH)
    def finishes(self, nth: int) -> None:
        name = pick(self.working(), nth)
        self.over.add(name)
        self.answered(name)
        self.ward.sees(self.runs[name].finished("Succeeded", ago=timedelta(0)))

    @precondition(lambda self: len(self.runs) > 3)
    @rule(nth=NTH)
    def is_deleted(self, nth: int) -> None:
        name = pick(sorted(self.runs), nth)
        self.ward.goes(self.runs.pop(name))
        self.jobs.discard(name)
        self.over.discard(name)
        self.answered(name)

    @precondition(lambda self: self.waiting())
    @rule(nth=NTH)
    def the_operator_passes(self, nth: int) -> None:
        """Its POST has arrived; neither answer nor watch have told yet."""
        name = pick(self.waiting(), nth)
        if self.ward.held(name) is None:
            self.jobs.add(name)
            self.posting[name] = ExitStack()
            self.posting[name].enter_context(self.ward.store.posting(Key("run", "default", name)))

    @precondition(lambda self: self.posting)
    @rule(nth=NTH)
    def the_job_is_seen(self, nth: int) -> None:
        name = pick(sorted(self.posting), nth)
        self.ward.has_job(self.runs[name])
        self.answered(name)

    @rule()
    def the_limit_is_raised(self) -> None:
        self.limit = min(3, self.limit + 1)
        self.ward.limited_to(self.limit)

    @precondition(lambda self: self.runs)
    @rule()
    def the_operator_is_killed_and_reads_all(self) -> None:
        """Jobs and Runs as they are; nothing else has survived."""
        ward = Ward(limit=self.limit, opened=False)
        self.posting.clear()
        for name in self.jobs:
            ward.has_job(self.runs[name])
        for name, run in self.runs.items():
            ward.sees(run.finished("Succeeded", ago=timedelta(0)) if name in self.over else run)
        ward.store.turns.open()
        self.ward = ward

    def patch(self, name: str | None, change: Any) -> None:
        if name is not None:
            self.runs[name] = change(self.runs[name])
            self.ward.sees(self.runs[name])

    def answered(self, name: str) -> None:
        if name in self.posting:
            self.posting.pop(name).close()

    @invariant()
    def never_more_jobs_than_the_limit(self) -> None:
        if hasattr(self, "limit"):
            assert len(self.working()) <= self.limit

    @invariant()
    def no_place_stays_free_while_somebody_waits(self) -> None:
        if hasattr(self, "limit"):
            let_in = sum(self.ward.held(name) is None for name in self.waiting())
            assert let_in == min(len(self.waiting()), self.limit - len(self.working()))


def pick(names: list[str], nth: int) -> Any:
    return names[nth % len(names)] if names else None


TestAWardsDay = AWardsDay.TestCase
TestAWardsDay.settings = settings(max_examples=100, stateful_step_count=30)
