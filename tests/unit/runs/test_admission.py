"""Whose turn it is, as tables a charge nurse could read, and the promises that hold whatever comes."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders_runs import at

from gantry.api.matching import Priority
from gantry.runs import Waiting, held_back, turns
from gantry.runs.admission import AGED, EVERY, URGENCY

NOW = at(3600)


def since(minutes: float, priority: Priority = "Routine", name: str = "") -> Waiting[tuple[str, ...]]:
    """A Run that has waited so long."""
    return Waiting((name or f"{priority}-{minutes:g}",), priority, NOW - timedelta(minutes=minutes))


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
def test_whose_turn_it_is(waiting: list[Waiting[tuple[str, ...]]], free: int, starts: int, want: list[str]) -> None:
    assert [one.key[0] for one in turns(waiting, free=free, starts=starts, now=NOW)] == want


def test_a_waiting_run_is_told_why_and_where_it_stands() -> None:
    assert held_back("stroke", 2, 4) == (
        "pipeline stroke has 2 of 2 Runs under way (concurrency.maxActive): this one had place 4 when it began to wait; "
        "the most urgent class goes first, then the oldest Run"
    )
    assert held_back("stroke", None, 1) == (
        "no InferencePipeline stroke in this namespace, so its Runs begin one at a time: this one had place 1 when it began to wait; "
        "the most urgent class goes first, then the oldest Run"
    )


WAITING = st.lists(
    st.tuples(st.sampled_from(list(URGENCY)), st.integers(0, 7200)), max_size=30
).map(lambda drawn: [Waiting((f"{n:02}",), priority, NOW - timedelta(seconds=age)) for n, (priority, age) in enumerate(drawn)])  # type: ignore[arg-type]


@given(waiting=WAITING, free=st.integers(-3, 40), starts=st.integers(0, 20))
def test_never_more_than_there_are_places_nobody_twice_and_no_place_is_left(
    waiting: list[Waiting[tuple[str, ...]]], free: int, starts: int
) -> None:
    chosen = turns(waiting, free=free, starts=starts, now=NOW)
    assert len(chosen) == max(0, min(free, len(waiting)))
    assert max(Counter(one.key for one in chosen).values(), default=1) == 1
    assert set(chosen) <= set(waiting)


@given(waiting=WAITING, free=st.integers(1, 40), starts=st.integers(0, 20), order=st.randoms())
def test_the_order_they_came_to_us_in_does_not_matter(waiting: list[Waiting[tuple[str, ...]]], free: int, starts: int, order: object) -> None:
    other = list(waiting)
    order.shuffle(other)  # type: ignore[attr-defined]
    assert turns(waiting, free=free, starts=starts, now=NOW) == turns(other, free=free, starts=starts, now=NOW)


@given(waiting=WAITING, starts=st.integers(0, 20), free=st.integers(1, 6))
def test_several_places_at_once_are_given_as_one_after_the_other(waiting: list[Waiting[tuple[str, ...]]], starts: int, free: int) -> None:
    left, singly = list(waiting), []
    for number in range(free):
        for one in turns(left, free=1, starts=starts + number, now=NOW):
            left.remove(one)
            singly.append(one)
    assert list(turns(waiting, free=free, starts=starts, now=NOW)) == singly


@given(waiting=WAITING, starts=st.integers(0, 20))
def test_nobody_less_urgent_goes_before_one_more_urgent_but_by_age(waiting: list[Waiting[tuple[str, ...]]], starts: int) -> None:
    for one in turns(waiting, free=1, starts=starts, now=NOW):
        first = min(URGENCY[other.priority] for other in waiting)
        assert URGENCY[one.priority] == first or (starts % EVERY == EVERY - 1 and NOW - one.created > AGED)


@settings(max_examples=25)
@given(
    others=st.lists(st.sampled_from(list(URGENCY)), min_size=1, max_size=8),
    places=st.integers(1, 4),
    ahead=st.integers(0, 10),
)
def test_nobody_starves_under_a_stream_of_more_urgent_runs(others: list[Priority], places: int, ahead: int) -> None:
    """Each minute as many Runs come as there are places, without end; a Background Run waits with `ahead` older ones before it."""
    clock: datetime = NOW
    waiting = [Waiting((f"old-{n:02}",), "Background", clock - timedelta(seconds=1 + n)) for n in range(ahead)]  # type: ignore[arg-type]
    patient = Waiting(("patient",), "Background", clock)  # type: ignore[arg-type]
    waiting.append(patient)
    starts = 0
    for minute in range(1, 400):
        clock += timedelta(minutes=1)
        came = [Waiting((f"{minute:03}-{n}",), others[(minute + n) % len(others)], clock) for n in range(places)]
        waiting += came
        begun = turns(waiting, free=places, starts=starts, now=clock)
        starts += len(begun)
        waiting = [one for one in waiting if one not in begun]
        if patient in begun:
            break
    limit = 30 + EVERY * (ahead + 1)  # half an hour, then one start in five for each that is older
    assert patient not in waiting
    assert minute <= limit + 1
