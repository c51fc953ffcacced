"""Whose turn it is, as tables a charge nurse could read, and the promises that hold whatever comes."""

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given as examine
from hypothesis import settings
from hypothesis import strategies as st
from tests.builders_runs import at

from gantry.api.matching import Priority
from gantry.runs import Held, Limit, Waiting, turns
from gantry.runs.admission import AGED, EVERY, URGENCY

NOW = at(3600)


Key = tuple[str, ...]
BRIDGE: Key = ("bridge",)
ONLY: Key = ("pipeline",)


def since(minutes: float, priority: Priority = "Routine", name: str = "", *, of: str = "pipeline") -> Waiting[Key]:
    """A Run that has waited so long."""
    return Waiting((name or f"{priority}-{minutes:g}",), priority, NOW - timedelta(minutes=minutes), (BRIDGE, (of,)))


def given(waiting: Collection[Waiting[Key]], *, free: dict[Key, int], starts: dict[Key, int], now: datetime = NOW) -> list[Waiting[Key]]:
    """`free`: lines that have a limit."""
    return list(turns(waiting, free=free.get, starts=lambda line: starts.get(line, 0), now=now))


def in_one_line(waiting: Collection[Waiting[Key]], *, free: int, starts: int, now: datetime = NOW) -> list[Waiting[Key]]:
    return given(waiting, free={ONLY: free}, starts={ONLY: starts}, now=now)


CASES = {
    "nobody waits": ([], 1, 0, []),
    "no place is free": ([since(1)], 0, 0, []),
    "more Runs than allowed are under way, for the limit was lowered": ([since(1)], -2, 0, []),
    "the oldest goes first": ([since(1), since(3), since(2)], 2, 0, ["Routine-3", "Routine-2"]),
    "a stroke that has just come overtakes everybody": (
        [since(25, "Background"), since(20, "Routine"), since(15, "Urgent"), since(0, "Stat")], 2, 0, ["Stat-0", "Urgent-15"],
    ),
    "within a class by age": ([since(1, "Stat"), since(2, "Stat"), since(29)], 2, 0, ["Stat-2", "Stat-1"]),
    "of the same second, by name, so that two operators choose the same": ([since(1, name="b"), since(1, name="a")], 1, 0, ["a"]),
    "the fifth start goes to whom has waited longest, if that is half an hour": (
        [since(0, "Stat"), since(31, "Background"), since(90, "Background")], 1, 4, ["Background-90"],
    ),
    "the fifth start goes by class while nobody has waited half an hour": ([since(0, "Stat"), since(30, "Background")], 1, 4, ["Stat-0"]),
    "the other four starts go by class however long somebody has waited": ([since(0, "Stat"), since(900, "Background")], 1, 3, ["Stat-0"]),
    "of six places one goes to the longest waiting": (
        [*(since(n, "Stat") for n in range(6)), since(600, "Background"), since(500, "Routine")], 6, 0,
        ["Stat-5", "Stat-4", "Stat-3", "Stat-2", "Background-600", "Stat-1"],
    ),
    "who has waited longest may be the most urgent as well": (
        [since(40, "Stat"), since(1, "Stat"), since(35)], 2, 3, ["Stat-40", "Routine-35"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("waiting", "free", "starts", "want"), CASES.values(), ids=CASES.keys())
def test_whose_turn_it_is(waiting: list[Waiting[Key]], free: int, starts: int, want: list[str]) -> None:
    assert [one.key[0] for one in in_one_line(waiting, free=free, starts=starts)] == want


IN_TWO_LINES = {
    "Runs of all pipelines stand in the bridge's line": (
        [since(3, of="a"), since(2, "Urgent", of="b"), since(1, "Stat", of="c")], {BRIDGE: 2}, {}, ["Stat-1", "Urgent-2"],
    ),
    "a Run whose pipeline is full is passed by": (
        [since(3, "Stat", of="a"), since(2, of="b")], {BRIDGE: 1, ("a",): 0}, {}, ["Routine-2"],
    ),
    "a pipeline's last place goes to its most urgent Run, the bridge's next to another pipeline's": (
        [since(9, "Urgent", of="a"), since(8, "Urgent", of="a"), since(7, of="b")], {BRIDGE: 5, ("a",): 1}, {}, ["Urgent-9", "Routine-7"],
    ),
    "no place of the bridge, however many the pipelines have": ([since(3, of="a")], {BRIDGE: 0, ("a",): 9}, {}, []),
    "the bridge's fifth goes to the longest waiting of all pipelines": (
        [since(1, "Stat", of="a"), since(50, of="b"), since(40, of="a")], {BRIDGE: 1}, {BRIDGE: 4}, ["Routine-50"],
    ),
    "the bridge's fifth goes to the longest waiting that has a place at its pipeline": (
        [since(1, "Stat", of="a"), since(50, of="b"), since(40, of="a")], {BRIDGE: 1, ("b",): 0}, {BRIDGE: 4}, ["Routine-40"],
    ),
    "a pipeline's fifth goes to its longest waiting when the bridge's order gives that pipeline a place": (
        [since(1, "Stat", of="a"), since(50, of="b"), since(40, of="a")], {BRIDGE: 1, ("a",): 1}, {("a",): 4}, ["Routine-40"],
    ),
    "a pipeline's fifth does not pass by another's emergency": (
        [since(1, of="a"), since(40, "Background", of="a"), since(2, "Stat", of="b")], {BRIDGE: 1, ("a",): 1}, {("a",): 4}, ["Stat-2"],
    ),
    "a line without a limit has no fifth start": (
        [since(1, "Stat", of="a"), since(50, of="b")], {("a",): 1}, {BRIDGE: 4}, ["Stat-1", "Routine-50"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("waiting", "free", "starts", "want"), IN_TWO_LINES.values(), ids=IN_TWO_LINES.keys())
def test_whose_turn_it_is_where_both_limits_count(
    waiting: list[Waiting[Key]], free: dict[Key, int], starts: dict[Key, int], want: list[str]
) -> None:
    assert [one.key[0] for one in given(waiting, free=free, starts=starts)] == want


def test_a_waiting_run_is_told_for_what_and_where_it_stands() -> None:
    where = "this one had place 4 when it began to wait; the most urgent class goes first, then the oldest Run"
    assert str(Held(Limit("pipeline", "stroke", 2), 4)) == f"pipeline stroke has 2 of 2 Runs under way (concurrency.maxActive): {where}"
    assert str(Held(Limit("bridge", "main", 8), 4)) == f"bridge main has 8 of 8 Runs that fetch their images (limits.concurrentFetches): {where}"
    assert str(Held(Limit("deleted pipeline", "stroke", 1), 4)) == (
        f"no InferencePipeline stroke in this namespace, so its Runs begin one at a time: {where}"
    )


WAITING = st.lists(
    st.tuples(st.sampled_from(list(URGENCY)), st.integers(0, 7200), st.sampled_from("abc")), max_size=30
).map(
    lambda drawn: [
        Waiting((f"{n:02}",), priority, NOW - timedelta(seconds=age), (BRIDGE, (of,)))  # type: ignore[arg-type]
        for n, (priority, age, of) in enumerate(drawn)
    ]
)
LIMITS = st.fixed_dictionaries({}, optional={BRIDGE: st.integers(-2, 12), ("a",): st.integers(-2, 6), ("b",): st.integers(-2, 6)})
STARTS = st.fixed_dictionaries({BRIDGE: st.integers(0, 9), ("a",): st.integers(0, 9), ("b",): st.integers(0, 9)})


def begun_of(chosen: Collection[Waiting[Key]], line: Key) -> int:
    return sum(line in one.lines for one in chosen)


@examine(waiting=WAITING, free=LIMITS, starts=STARTS)
def test_never_above_a_limit_nobody_twice_and_nobody_is_left_who_has_a_place(
    waiting: list[Waiting[Key]], free: dict[Key, int], starts: dict[Key, int]
) -> None:
    """Nobody left who could begin: so there is no deadlock between the two limits."""
    chosen = given(waiting, free=free, starts=starts)
    assert len({one.key for one in chosen}) == len(chosen)
    left = {line: places - begun_of(chosen, line) for line, places in free.items()}
    assert all(places >= min(0, free[line]) for line, places in left.items())
    for one in waiting:
        assert one in chosen or any(left.get(line, 1) <= 0 for line in one.lines)


@examine(waiting=WAITING, free=LIMITS, starts=STARTS, order=st.randoms())
def test_the_order_they_came_to_us_in_does_not_matter(
    waiting: list[Waiting[Key]], free: dict[Key, int], starts: dict[Key, int], order: object
) -> None:
    other = list(waiting)
    order.shuffle(other)  # type: ignore[attr-defined]
    assert given(waiting, free=free, starts=starts) == given(other, free=free, starts=starts)


@examine(waiting=WAITING, free=LIMITS, starts=STARTS)
def test_several_places_at_once_are_given_as_one_after_the_other(
    waiting: list[Waiting[Key]], free: dict[Key, int], starts: dict[Key, int]
) -> None:
    left, places, begun, singly = list(waiting), dict(free), Counter(starts), list[Waiting[Key]]()
    while one := next(iter(given(left, free=places, starts=begun)), None):
        left.remove(one)
        singly.append(one)
        begun.update(one.lines)
        places = {line: number - (line in one.lines) for line, number in places.items()}
    assert given(waiting, free=free, starts=starts) == singly


@examine(waiting=WAITING, free=LIMITS, starts=STARTS)
def test_nobody_less_urgent_goes_before_one_more_urgent_but_by_age(
    waiting: list[Waiting[Key]], free: dict[Key, int], starts: dict[Key, int]
) -> None:
    for one in given(waiting, free=free, starts=starts)[:1]:
        able = [other for other in waiting if all(free.get(line, 1) > 0 for line in other.lines)]
        first = min(URGENCY[other.priority] for other in able)
        is_fifth = any(starts.get(line, 0) % EVERY == EVERY - 1 for line in one.lines if line in free)
        assert URGENCY[one.priority] == first or (is_fifth and NOW - one.created > AGED)


@settings(max_examples=25)
@examine(
    others=st.lists(st.sampled_from(list(URGENCY)), min_size=1, max_size=8),
    places=st.integers(1, 4),
    ahead=st.integers(0, 10),
)
def test_nobody_starves_under_a_stream_of_more_urgent_runs(others: list[Priority], places: int, ahead: int) -> None:
    """Each minute as many Runs come as there are places, without end; a Background Run waits with `ahead` older ones before it."""
    clock: datetime = NOW
    waiting = [replace(since(0, "Background", f"old-{n:02}"), created=clock - timedelta(seconds=1 + n)) for n in range(ahead)]
    patient = since(0, "Background", "patient")
    waiting.append(patient)
    starts = 0
    for minute in range(1, 400):
        clock += timedelta(minutes=1)
        came = [replace(since(0, others[(minute + n) % len(others)], f"{minute:03}-{n}"), created=clock) for n in range(places)]
        waiting += came
        begun = in_one_line(waiting, free=places, starts=starts, now=clock)
        starts += len(begun)
        waiting = [one for one in waiting if one not in begun]
        if patient in begun:
            break
    limit = 30 + EVERY * (ahead + 1)  # half an hour, then one start in five for each that is older
    assert patient not in waiting
    assert minute <= limit + 1


@settings(max_examples=50)
@examine(
    most=st.fixed_dictionaries({BRIDGE: st.integers(1, 3), ("a",): st.integers(1, 2)}, optional={("b",): st.integers(1, 2)}),
    streams=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["Stat", "Routine"])), min_size=1, max_size=5),
    minutes=st.lists(st.integers(1, 4), min_size=1, max_size=6),
)
def test_nobody_starves_between_two_limits(most: dict[Key, int], streams: list[tuple[str, Priority]], minutes: list[int]) -> None:
    """Pipelines a and b get urgent Runs each minute without end; their Runs take so many minutes, and fetch in the first. One Background Run of a waits."""
    patient = since(0, "Background", "patient", of="a")
    waiting, begun, starts = [patient], list[tuple[int, Waiting[Key]]](), Counter[Key]()
    for minute in range(1, 600):
        now = NOW + timedelta(minutes=minute)
        waiting += [replace(since(0, priority, f"{minute:03}-{n}", of=of), created=now) for n, (of, priority) in enumerate(streams)]
        busy = [one for since_, one in begun if minute - since_ < minutes[since_ % len(minutes)]]
        free = {line: places - (0 if line == BRIDGE else begun_of(busy, line)) for line, places in most.items()}
        chosen = given(waiting, free=free, starts=starts, now=now)
        assert all(places >= begun_of(chosen, line) for line, places in free.items() if places >= 0)
        begun = [(since_, one) for since_, one in begun if one in busy] + [(minute, one) for one in chosen]
        for one in chosen:
            starts.update(one.lines)
        if patient in chosen:
            return
        waiting = [patient, *[one for one in waiting if one not in chosen and one != patient][-200:]]
    raise AssertionError("the patient one never began")
