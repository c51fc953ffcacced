"""Runs of all pipelines of a bridge in one line (limits.concurrentFetches), beside the line of each pipeline (concurrency.maxActive)."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.builders import changed
from tests.builders_runs import RUNNING, RunBuilder, a_run, a_state, an_end, at
from tests.unit.runtime.test_turns import NTH, A, B, C, Ward, named, of, pick, place

from gantry.runs import NOT_KNOWN, plan
from gantry.runtime.records import Key


def a_ward(fetches: int, *, opened: bool = True, **limits: int | None) -> Ward:
    """Pipelines a and b, by their limits."""
    ward = Ward(limit=None, opened=opened)
    ward.fetches_limited_to(fetches)
    for name, limit in ({"a": None, "b": None} | limits).items():
        ward.limited_to(limit, name=name)
    return ward


def begins(ward: Ward, *builders: RunBuilder) -> None:
    for builder in builders:
        ward.sees(builder)
        assert ward.held(builder.run["metadata"]["name"]) is None
        ward.has_job(builder)


def test_runs_of_all_pipelines_wait_in_one_line() -> None:
    ward = a_ward(1)
    begins(ward, of("a", A))
    ward.sees(of("b", B), of("a", C))
    assert str(ward.held("b")) == (
        "bridge main has 1 of 1 Runs that fetch their images (limits.concurrentFetches): this one had place 2 when it began to wait; "
        "the most urgent class goes first, then the oldest Run"
    )
    ward.sees(of("b", named("stroke", born=9).of_class("Stat")))
    assert place(ward.held("stroke")) == 1
    ward.woken.clear()
    ward.has_pod(of("a", A).with_job().running())
    assert [name for name in ward.woken if name in ("b", "c", "stroke")] == ["stroke"]
    assert [ward.held(name) is None for name in ("b", "c", "stroke")] == [False, False, True]


def test_a_run_made_by_hand_fetches_too() -> None:
    ward = a_ward(1)
    begins(ward, of("a", A))
    ward.sees(B.made_by_hand())
    assert place(ward.held("b")) == 1


def test_the_pipelines_limit_is_named_where_both_are_reached() -> None:
    ward = a_ward(1, a=1)
    begins(ward, of("a", A))
    ward.sees(of("a", B))
    assert str(ward.held("b")).startswith("pipeline a has 1 of 1 Runs under way (concurrency.maxActive)")
    ward.sees(of("a", A).finished("Succeeded", ago=timedelta(0)))
    assert ward.held("b") is None


def test_a_full_pipeline_holds_up_no_other() -> None:
    ward = a_ward(2, a=1)
    begins(ward, of("a", A))
    ward.sees(of("a", B), of("b", C))
    assert [ward.held("b") is None, ward.held("c") is None] == [False, True]


PODS: dict[str, tuple[Callable[[RunBuilder], RunBuilder | None], bool]] = {
    "the pod has not been seen": (lambda run: None, False),
    "the pod has no node yet": (lambda run: run.with_pod(), False),
    "fetch waits for its image": (lambda run: run.with_pod(fetch=a_state("waiting", reason="PodInitializing")), False),
    "fetch runs": (lambda run: run.with_pod(fetch=RUNNING), False),
    "fetch has ended": (lambda run: run.with_pod(fetch=an_end(0), detect=RUNNING), True),
    "fetch has failed": (lambda run: run.fetch_ended(1), True),
    "no node has a GPU for it": (lambda run: run.unschedulable("0/3 nodes: insufficient nvidia.com/gpu"), True),
    "the worker's image cannot be pulled": (lambda run: run.waiting("ImagePullBackOff", "", container="fetch"), True),
    "a secret of fetch is missing": (lambda run: run.waiting("CreateContainerConfigError", "", container="fetch"), True),
    "the node put the pod out": (lambda run: run.with_pod(phase="Failed", reason="Evicted", fetch=RUNNING), True),
}


@pytest.mark.parametrize(("pod", "want"), PODS.values(), ids=PODS.keys())
def test_whether_a_place_is_free(pod: Callable[[RunBuilder], RunBuilder | None], want: bool) -> None:
    ward = a_ward(1)
    begins(ward, of("a", A))
    ward.sees(of("b", B))
    ward.held("b")
    if (made := pod(A)) is not None:
        ward.has_pod(made)
    assert (ward.held("b") is None) is want


def test_a_place_given_back_is_taken_again_and_nobody_else_begins_until_it_is_free() -> None:
    """A GPU is found after all: for a moment two fetch. It is the only way above the limit, and nobody else is let in."""
    ward = a_ward(1)
    begins(ward, of("a", A))
    ward.has_pod(A.unschedulable("no GPU"))
    begins(ward, of("b", B))
    ward.has_pod(A.with_pod(fetch=RUNNING))
    ward.has_pod(B.with_pod(fetch=an_end(0)))
    ward.sees(of("b", C))
    assert ward.held("c")
    ward.has_pod(A.running())
    assert ward.held("c") is None


def test_a_job_that_gets_no_pod_gives_its_place_back_by_the_clock() -> None:
    """A quota lets no pod be made: no object ever says so."""
    ward = a_ward(1)
    begins(ward, of("a", A))
    ward.sees(of("b", B))
    assert ward.held("b")
    again = plan(a_run().with_job().where_fetches_are_counted().at(11).observed()).again_after
    assert again == timedelta(seconds=50)
    assert plan(a_run().with_job().at(11).observed()).again_after is None, "nobody counts"
    ward.woken.clear()
    ward.now = at(61)
    ward.held("a")
    assert ward.woken == ["b"]
    assert ward.held("b") is None


def test_a_deleted_job_fetches_no_more() -> None:
    ward = a_ward(1)
    begins(ward, of("a", A))
    ward.sees(of("b", B))
    job = A.with_job(deleting=True).job
    assert job is not None
    job["metadata"]["ownerReferences"][0]["uid"] = A.run["metadata"]["uid"]
    ward.store.observe("jobs", ward.newer(changed(job, "metadata.uid", "job-a")))
    assert ward.held("b") is None


def test_an_edited_limit_counts_at_once() -> None:
    ward = a_ward(1)
    begins(ward, of("a", A))
    ward.sees(of("b", B), of("a", C))
    assert ward.held("b")
    ward.woken.clear()
    ward.fetches_limited_to(2)
    assert [name for name in ward.woken if name in "bc"] == ["b"]
    ward.fetches_limited_to(None)
    assert ward.held("c") is None


def test_after_a_start_the_pods_tell_who_fetches() -> None:
    ward = a_ward(1, opened=False)
    ward.has_job(A)
    ward.has_pod(A.with_job().running())
    ward.sees(of("b", B))
    assert ward.held("b") == NOT_KNOWN
    ward.sees(of("a", A))
    ward.store.turns.open()
    assert ward.held("b") is None


class AHospitalsDay(RuleBasedStateMachine):
    """Runs of two pipelines come, fetch, work and finish; pods cannot be scheduled for a while; the limits change; the operator is killed."""

    @initialize(fetches=st.integers(1, 2), limit=st.integers(1, 2))
    def begins(self, fetches: int, limit: int) -> None:
        self.most = {"bridge": fetches, "a": limit, "b": 3}
        self.runs: dict[str, RunBuilder] = {}
        self.pipelines: dict[str, str] = {}
        self.stages: dict[str, str] = {}
        """posted, stuck, fetches, works, over; by Run with a Job."""
        self.let_in: set[str] = set()
        """Their turn has come, as of the last look."""
        self.posting: dict[str, ExitStack] = {}
        self.number = 0
        self.ward = a_ward(fetches, a=limit, b=3)

    def waiting(self) -> list[str]:
        return sorted(n for n in self.runs if n not in self.stages)

    def those(self, *stages: str) -> list[str]:
        return sorted(n for n, stage in self.stages.items() if stage in stages)

    def working(self, pipeline: str) -> int:
        return sum(self.pipelines[n] == pipeline for n in self.those("posted", "stuck", "fetches", "works"))

    @rule(priority=st.sampled_from(["Stat", "Routine", "Background"]), pipeline=st.sampled_from("ab"))
    def comes(self, priority: str, pipeline: str) -> None:
        self.number += 1
        name = f"run-{self.number}"
        self.pipelines[name] = pipeline
        self.runs[name] = of(pipeline, named(name, born=self.number).of_class(priority))
        self.ward.sees(self.runs[name])

    @precondition(lambda self: self.waiting())
    @rule(nth=NTH)
    def the_operator_passes(self, nth: int) -> None:
        name = pick(self.waiting(), nth)
        if self.ward.held(name) is None:
            self.stages[name] = "posted"
            self.posting[name] = ExitStack()
            self.posting[name].enter_context(self.ward.store.posting(Key("run", "default", name)))

    @precondition(lambda self: self.posting)
    @rule(nth=NTH)
    def the_job_is_seen(self, nth: int) -> None:
        name = pick(sorted(self.posting), nth)
        self.ward.has_job(self.runs[name])
        self.posting.pop(name).close()

    @precondition(lambda self: self.seen("posted", "stuck", "fetches"))
    @rule(nth=NTH, stage=st.sampled_from(["stuck", "fetches", "works"]))
    def its_pod_tells(self, nth: int, stage: str) -> None:
        name = pick(self.seen("posted", "stuck", "fetches"), nth)
        if not (self.stages[name] == "fetches" and stage == "stuck"):
            self.stages[name] = stage
            self.ward.has_pod(self.pod(name))

    @precondition(lambda self: self.seen("works"))
    @rule(nth=NTH)
    def finishes(self, nth: int) -> None:
        name = pick(self.seen("works"), nth)
        self.stages[name] = "over"
        self.ward.sees(self.runs[name].finished("Succeeded", ago=timedelta(0)))

    @precondition(lambda self: len(self.runs) > 3)
    @rule(nth=NTH)
    def is_deleted(self, nth: int) -> None:
        name = pick(sorted(set(self.runs) - set(self.posting)), nth)
        if name is not None:
            self.ward.goes(self.runs.pop(name))
            self.stages.pop(name, None)

    @rule(what=st.sampled_from(["bridge", "a"]), most=st.integers(1, 3))
    def a_limit_is_edited(self, what: str, most: int) -> None:
        self.most[what] = most
        if what == "bridge":
            self.ward.fetches_limited_to(most)
        else:
            self.ward.limited_to(most, name=what)

    @precondition(lambda self: self.runs)
    @rule()
    def the_operator_is_killed_and_reads_all(self) -> None:
        ward = a_ward(self.most["bridge"], opened=False, a=self.most["a"], b=self.most["b"])
        self.posting.clear()
        self.let_in.clear()
        for name, stage in self.stages.items():
            ward.has_job(self.runs[name])
            if stage not in ("posted", "over"):
                ward.has_pod(self.pod(name))
        for name, run in self.runs.items():
            ward.sees(run.finished("Succeeded", ago=timedelta(0)) if self.stages.get(name) == "over" else run)
        ward.store.turns.open()
        self.ward = ward

    def seen(self, *stages: str) -> list[str]:
        return [name for name in self.those(*stages) if name not in self.posting]

    def pod(self, name: str) -> RunBuilder:
        run = self.runs[name].with_job()
        match self.stages[name]:
            case "stuck":
                return run.unschedulable("no GPU")
            case "fetches":
                return run.with_pod(fetch=RUNNING)
            case _:
                return run.running()

    @invariant()
    def nobody_is_let_in_above_a_limit_and_nobody_waits_who_has_a_place(self) -> None:
        if not hasattr(self, "most"):
            return
        let_in = {name for name in self.waiting() if self.ward.held(name) is None}
        fetching = len(self.those("posted", "fetches")) + len(let_in)
        under_way = {p: self.working(p) + sum(self.pipelines[n] == p for n in let_in) for p in "ab"}
        for name in let_in - self.let_in:
            assert fetching <= self.most["bridge"]
            assert under_way[self.pipelines[name]] <= self.most[self.pipelines[name]]
        for name in set(self.waiting()) - let_in:
            assert fetching >= self.most["bridge"] or under_way[self.pipelines[name]] >= self.most[self.pipelines[name]]
        self.let_in = let_in


TestAHospitalsDay = AHospitalsDay.TestCase
TestAHospitalsDay.settings = settings(max_examples=100, stateful_step_count=30)
