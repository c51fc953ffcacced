"""The protocol of Run, Job and pod under every interleaving: the real plan, passes and store against a model of the API server (tests/model).

Three ways to look. Exhaustively: lives without faults, and the operator killed, or a request or its answer lost, at each await and at each two of
them. At random: watches that are late, repeat or lose events, two operators at once, other writers, people who cancel, suspend, delete, supersede.
And backwards: with a part of the protocol taken out a promise must break, or the model proves nothing. A walk is repeated by its seed.
"""

import itertools
import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import structlog
from tests.builders_runs import a_run
from tests.model.api_server import Requests
from tests.model.operators import KINDS, Operator
from tests.model.promises import Broken
from tests.model.world import Event, World

from gantry.api.run import RunStatus
from gantry.runs import Held, Limits, Observed, Plan, RunView
from gantry.runs import status as words
from gantry.runtime.records import Key
from gantry.runtime.turns import Lines, Turns

WALKS = 60
"""A walk takes 12 ms of CPU. `GANTRY_EXPLORE=yes` walks 2,000 that nobody has walked before."""
STEPS = 80
MOST = 500
"""Walks until a mutant must have been caught."""
PLAN: Any = sys.modules["gantry.runs.plan"]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A line a finished Run would be hundreds of thousands."""
    with structlog.testing.capture_logs():
        yield


# ---- exhaustively ----


def live(change: Callable[[World], None], world: World, disturbances: dict[int, str]) -> int:
    """One life, everything in order; `disturbances` by the number of the await at which they come. Gives the number of awaits."""
    awaits, changed = 0, False
    for _ in range(400):
        if world.operators[0].passes:
            awaits += 1
            go_on(world, disturbances.get(awaits))
        elif world.server.find("jobs", "a-1") and not changed:
            changed = True
            change(world)
        elif events := world.events(faults=False):
            world.happen(*events[0])
        elif world.unfinished():
            world.next_moment()
        else:
            break
    world.settle()
    return awaits


def go_on(world: World, fault: str | None) -> None:
    operator = world.operators[0]
    key = next(iter(operator.passes))
    steps: dict[str | None, Event] = {"dies": lambda: world.dies(0), "is lost": lambda: operator.fail(key), None: lambda: operator.go_on(key)}
    world.happen(fault or "goes on", steps[fault])


LIVES: dict[str, Callable[[World], None]] = {
    "it succeeds and is delivered": lambda world: None,
    "it fails and a second Job reports that": lambda world: setattr(world, "fate", 65),
    "a newer Run takes its place": lambda world: world.make_run("c", a_run().delivering_to().superseding("a")),
    "its step dies before the launcher has the barrier": lambda world: setattr(world, "deaths", 1),
    "its pod is gone before anybody has read how it ended": lambda world: setattr(world, "unseen", True),
    "it is cancelled": lambda world: world.respec(world.runs()[0], cancel=True),
}


@pytest.mark.parametrize("change", LIVES.values(), ids=LIVES.keys())
def test_the_operator_is_disturbed_at_every_await(change: Callable[[World], None]) -> None:
    awaits = live(change, World(alone=True, telling=True), {})
    assert awaits >= 5
    for place, fault in itertools.product(range(1, awaits + 1), ("dies", "is lost")):
        live(change, World(alone=True, telling=True), {place: fault})


def test_the_operator_dies_at_every_two_awaits_of_a_life_that_is_told_of() -> None:
    change = LIVES["it fails and a second Job reports that"]
    awaits = live(change, World(alone=True, telling=True), {})
    for one, other in itertools.combinations(range(1, awaits + 2), 2):
        live(change, World(alone=True, telling=True), {one: "dies", other: "dies"})


@pytest.mark.parametrize(("deaths", "end"), [(0, ("Succeeded", None)), (1, ("Succeeded", None)), (2, ("Failed", "StepFailed"))])
def test_a_step_that_dies_unnoticed_is_repeated_while_retries_are_left(deaths: int, end: tuple[str, str | None]) -> None:
    """RETRIES is 1. It does not wait for the Run's timeout."""
    world = World(alone=True)
    live(lambda world: setattr(world, "deaths", deaths), world, {})
    (run,) = world.runs()
    assert (run["status"]["state"], run["status"].get("failure", {}).get("reason")) == end
    assert sum(world.pods_deleted.values()) == min(deaths, 1)


def a_pod_publishes_just_before_it_is_deleted() -> World:
    """Its launcher had written that the step ended well and was killed then; Orthanc was away for a while."""
    world = World(alone=True)
    world.until("pod1-0004 starts")
    (pod,) = world.server.all("pods")
    world.happen("loses its step", lambda: world.dies_unnoticed(pod))
    world.until("0 hears of pods")
    world.until("write a")
    world.time_passes(61)
    world.until("0 the answer to list pods")
    (pod,) = world.server.all("pods")
    world.happen("publishes after all", lambda: world.publishes(pod))
    world.settle()
    return world


def test_a_pod_that_has_published_after_it_was_looked_at_is_not_deleted() -> None:
    world = a_pod_publishes_just_before_it_is_deleted()
    assert [run["status"]["state"] for run in world.runs()] == ["Succeeded"]
    assert not world.pods_deleted


def test_without_its_version_it_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Requests, "delete", whatever_it_is_now(Requests.delete))
    with pytest.raises(Broken, match="over or going already"):
        a_pod_publishes_just_before_it_is_deleted()


def the_deadline_passes_while_publish_is_at_its_last_request() -> None:
    world = World(alone=True, telling=True)
    world.until("starts")
    world.time_passes(3600)
    world.until("the Job controller turns to a-1")
    for _ in range(60):  # whatever else can happen meanwhile
        if events := [one for one in world.events(faults=False) if "a-1-pod1" not in one[0] and "turns to a-1" not in one[0]]:
            world.happen(*events[0])
    world.until("a-1-pod1-0004 publishes")
    world.settle()
    assert [(run["status"]["state"], "failure" in run["status"]) for run in world.runs()] == [("Succeeded", False)]


def test_what_a_pod_publishes_while_it_is_being_ended_is_the_result() -> None:
    """No report that there is none, and no failed Run."""
    the_deadline_passes_while_publish_is_at_its_last_request()


def test_without_waiting_for_it_there_would_be_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Operator, "LIMITS", Limits(ending=timedelta(0)))
    with pytest.raises(Broken, match="a report came into Orthanc after the one"):
        the_deadline_passes_while_publish_is_at_its_last_request()


def a_pass(operator: Operator) -> None:
    """Over Run a, undisturbed."""
    key = Key("run", "default", "a")
    operator.begin(key)
    while key in operator.passes:
        operator.go_on(key)


def another_operator_hears_of_the_run_and_not_yet_of_its_job() -> None:
    world = World(operators=2, alone=True)
    first, second = world.operators
    a_pass(first)
    a_pass(first)
    second.hear("inferenceruns")
    a_pass(second)
    world.settle()


def test_a_job_that_is_not_seen_is_looked_for() -> None:
    another_operator_hears_of_the_run_and_not_yet_of_its_job()


def test_without_looking_it_would_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PLAN, "CHECKS", instead("job_is_lost", lambda seen: PLAN.job_is_lost(replace(seen, looked=True))))
    with pytest.raises(Broken, match="nobody took its Job"):
        another_operator_hears_of_the_run_and_not_yet_of_its_job()


def does_all_it_can(operator: Operator) -> None:
    """While the cluster stands still."""
    while operator.passes or operator.ready() or any(operator.behind(kind) for kind in KINDS):
        for kind in KINDS:
            while operator.behind(kind):
                operator.hear(kind)
        for key in list(operator.passes):
            operator.go_on(key)
        for key in operator.ready():
            operator.begin(key)


def end_of_a_run_whose_job_is_deleted_while_publish_is_at_work() -> str:
    world = World(alone=True)
    (operator,) = world.operators
    world.until("pod1-0004 starts")
    does_all_it_can(operator)
    world.deleted_by_hand(world.server.all("jobs")[0])
    does_all_it_can(operator)
    (pod,) = world.server.all("pods")
    world.happen("publishes in its grace", lambda: world.publishes(pod))
    world.settle()
    return str(world.runs()[0]["status"]["state"])


def test_what_a_pod_of_a_deleted_job_publishes_is_the_result() -> None:
    assert end_of_a_run_whose_job_is_deleted_while_publish_is_at_work() == "Succeeded"


def test_without_waiting_for_it_nobody_would_deliver_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PLAN, "CHECKS", instead("job_is_lost", unawaited))
    assert end_of_a_run_whose_job_is_deleted_while_publish_is_at_work() == "Failed"


def unawaited(seen: Observed) -> Plan | None:
    return PLAN.job_is_lost(replace(seen, pods=tuple(pod for pod in seen.pods if pod.over)))


# ---- at random ----


def weight(event: str) -> float:
    """The operator is quicker than the cluster, and faults are rarer than work."""
    if any(word in event for word in ("hears again", "lists", "destination", "touched", "suspended", "bridge", "cancelled", "time", "hour")):
        return 0.3
    if any(word in event for word in ("dies", "lost", "loses", "deleted", "evicted", "takes")):
        return 1
    return 4 if "pod" in event or "controller" in event else 8


def walk(seed: int, *, operators: int | None = None) -> None:
    chance = random.Random(seed)
    world = World(operators=operators or chance.choice([1, 1, 2]), limit=chance.choice([None, 1]), telling=chance.random() < 0.5, alone=chance.random() < 0.3)
    try:
        for _ in range(STEPS):
            events = world.events(faults=True)
            world.happen(*chance.choices(events, [weight(event) for event, _ in events])[0])
        world.settle()
    except Broken as error:
        error.add_note(f"walk({seed}):\n" + "\n".join(world.history[:STEPS]))
        raise


def test_walks_at_random() -> None:
    exploring = bool(os.environ.get("GANTRY_EXPLORE"))
    for seed in range(2000) if exploring else range(WALKS):
        walk(random.SystemRandom().getrandbits(32) if exploring else seed)


# ---- backwards ----


def job_complete_is_success(seen: Observed) -> Plan | None:
    job = seen.own_job
    return Plan(status=words.complete(seen, seen.run.status or RunStatus())) if job is not None and job.ended == "Complete" else None


def instead(name: str, check: Callable[[Observed], Plan | None]) -> tuple[Any, ...]:
    """The list of checks with another one under that name."""
    return tuple(check if one.__name__ == name else one for one in PLAN.CHECKS)


def unguarded(made: Any) -> Any:
    async def apply_status(self: Requests, *args: Any, version: str | None = None, **more: Any) -> Any:
        return await made(self, *args, **more)

    return apply_status


def whatever_it_is_now(made: Any) -> Any:
    async def delete(self: Requests, *args: Any, version: str | None = None, **more: Any) -> Any:
        return await made(self, *args, **more)

    return delete


def begins_unnoticed(turns: Turns, key: Key, lines: Lines) -> None:
    turns._wait_no_more(key, lines)
    turns._called.add(key)


def as_soon_as_it_is_read(self: Turns, key: Key, run: RunView) -> Held | None:
    return HELD(self, key, replace(run, supersedes=None))


def unasked(seen: Observed) -> Plan | None:
    return PLAN.pod_is_out_of_sight(replace(seen, kept="Nothing"))


READ, HELD = RunView.from_object, Turns.held


def forgetting_the_job(obj: Any, *, before: RunView | None = None) -> RunView:
    return replace(READ(obj, before=before), job_made=False)


MUTANTS: dict[str, tuple[Any, str, Any, str]] = {
    "a Job of the name is taken for the Run's own, whoever owns it": (Observed, "own_job", property(lambda seen: seen.job), "somebody else's|nobody will look|nobody took"),
    "that a Job was made is forgotten": (RunView, "from_object", staticmethod(forgetting_the_job), "made twice"),
    "a Job that is complete is success": (PLAN, "CHECKS", instead("attempt_failed", job_complete_is_success), "without publish's receipt"),
    "Orthanc is not asked": (PLAN, "CHECKS", instead("pod_is_out_of_sight", unasked), "its report is in Orthanc"),
    "a status is written onto whatever is there": (Requests, "apply_status", unguarded(Requests.apply_status), "had ended as"),
    "a place is free until the Job is seen": (Turns, "_begin", begins_unnoticed, "are under way"),
    "a Run that takes another's place begins before all is read": (Turns, "held", as_soon_as_it_is_read, "beside the one"),
    "the full list is skipped": (Operator, "resync", lambda operator: None, "nobody will look|not over"),
}  # fmt: skip


OVERLAP = ("nobody took its Job", "had ended as")
"""What only a second operator, or one that thinks it still leads, can break."""


@pytest.mark.parametrize(("place", "name", "mutant", "promise"), MUTANTS.values(), ids=MUTANTS.keys())
def test_a_protocol_with_a_part_taken_out_is_caught(place: Any, name: str, mutant: Any, promise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, name, mutant)
    with pytest.raises(Broken, match=promise):
        walk_until_it_breaks(operators=2 if promise in OVERLAP else 1)


def walk_until_it_breaks(*, operators: int) -> None:
    for seed in range(MOST):
        walk(seed, operators=operators)
