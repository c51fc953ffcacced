"""What a Run costs must not depend on how many others there are.

Ten thousand Runs that waited for a place of their pipeline made each end of a Run look at all of them (3 ms of CPU with 1,000, ten times that with
10,000), and thousands on one study made each new one look at the others. What is counted here is how often the store compares or reads Runs.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import changed
from tests.builders_runs import RunBuilder, at
from tests.unit.runtime.test_turns import Ward, named

from gantry.runs import URGENCY, RunView, Waiting, turns
from gantry.runtime.lineage import Lineage
from gantry.runtime.records import Key
from gantry.runtime.waiting import Cell

LINE = Key("pipeline", "default", "p")
FAILURE = {"reason": "InputMismatch", "message": "other images"}


class Counted(dict[Key, RunView]):
    """Counts how often somebody reads a Run."""

    reads = 0

    def __getitem__(self, key: Key) -> RunView:
        self.reads += 1
        return super().__getitem__(key)


def view(number: int, *, shadow: bool = False, status: Any = None) -> RunView:
    builder = named(f"run-{number:05}", born=number)
    body = builder.in_shadow().run if shadow else builder.run
    body = changed(body, "metadata.uid", f"uid-{number}")
    return RunView.from_object(body if status is None else changed(body, "status", status))


def family(number: int) -> tuple[Lineage, Counted]:
    runs = Counted()
    lineage = Lineage(runs)
    for index in range(number):
        key = Key("run", "default", f"run-{index:05}")
        runs[key] = one = view(index, shadow=index % 3 == 0)
        lineage.replace(key, None, one)
    return lineage, runs


@pytest.mark.parametrize("number", [10, 1000])
def test_a_further_run_of_a_study_looks_at_no_other(number: int) -> None:
    lineage, runs = family(number)
    runs.reads = 0
    key, one = Key("run", "default", f"run-{number:05}"), view(number)
    runs[key] = one
    lineage.replace(key, None, one)
    oldest = Key("run", "default", "run-00001")
    assert lineage.newer(oldest, view(1), alone=False) == key
    assert lineage.newer(key, one, alone=False) is None
    assert lineage.failing("default", one.pipeline or "", one.study) == ()
    assert runs.reads == 0


def test_runs_of_a_study_come_the_oldest_first_and_go() -> None:
    lineage, runs = family(5)
    one = view(2)
    names = [key.name for key in lineage.of_study("default", one.pipeline or "", one.study)]
    assert names == [f"run-{index:05}" for index in range(5)]
    for index in (0, 3, 1, 4, 2):
        key = Key("run", "default", f"run-{index:05}")
        gone = runs.pop(key)
        lineage.replace(key, gone, None)
    assert lineage.of_study("default", one.pipeline or "", one.study) == ()


def test_who_failed_and_waits_to_report_it_is_known_until_it_has_ended() -> None:
    ward = Ward()
    old, new = named("old", born=0), named("new", born=60)
    failing = RunBuilder(changed(old.run, "status", {"state": "Running", "failure": FAILURE, "jobRef": {"name": "old-1", "uid": "1"}}))

    def known() -> list[str]:
        run = ward.store.runs[Key("run", "default", "old")]
        return [key.name for key in ward.store.lineage.failing(run.namespace, run.pipeline or "", run.study)]

    ward.sees(failing, new)
    assert known() == ["old"]
    ward.sees(old.finished("Failed", ago=timedelta(0)))
    assert known() == []


def test_it_is_known_too_when_it_fails_with_its_kin_there() -> None:
    ward = Ward()
    old, new = named("old", born=0), named("new", born=60)
    ward.sees(old, new)
    ward.sees(RunBuilder(changed(old.run, "status", {"state": "Running", "failure": FAILURE, "jobRef": {"name": "old-1", "uid": "1"}})))
    ward.woken.clear()
    ward.sees(named("newest", born=90))
    assert "old" in ward.woken


def test_the_end_of_a_run_compares_few_of_those_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    ward = Ward(limit=1)
    everyone = [named(f"run-{index:05}", born=index) for index in range(300)]
    ward.sees(*everyone)
    assert ward.held("run-00000") is None
    ward.has_job(everyone[0])
    compared: list[Key] = []
    whole = Cell.foremost

    def foremost(cell: Cell, number: int) -> list[Waiting[Key]]:
        found = whole(cell, number)
        compared.extend(one.key for one in found)
        return found

    monkeypatch.setattr(Cell, "foremost", foremost)
    ward.woken.clear()
    ward.sees(everyone[0].finished("Succeeded", ago=timedelta(0)))
    assert ward.woken == ["run-00001"]
    assert 1 <= len(compared) <= 4


def some_waiting() -> st.SearchStrategy[list[Waiting[Key]]]:
    ages = st.lists(st.tuples(st.integers(0, 5000), st.sampled_from(sorted(URGENCY))), max_size=30)
    return ages.map(lambda made: [Waiting(Key("run", "default", f"{number:03}"), priority, at(age), (LINE,)) for number, (age, priority) in enumerate(made)])  # type: ignore[arg-type]


@given(everyone=some_waiting(), places=st.integers(0, 6), starts=st.integers(0, 9))
def test_the_foremost_are_enough_to_say_who_begins(everyone: list[Waiting[Key]], places: int, starts: int) -> None:
    cell = Cell()
    for one in everyone:
        cell.add(one)

    def begun(some: list[Waiting[Key]]) -> Iterator[Waiting[Key]]:
        return turns(some, free=lambda _: places, starts=lambda _: starts, now=at(6000))

    assert list(begun(cell.foremost(places))) == list(begun(everyone))


def test_who_begins_or_goes_leaves_both_orders() -> None:
    cell = Cell()
    one, other = (Waiting(Key("run", "default", name), "Routine", at(0), (LINE,)) for name in "ab")
    cell.add(one)
    cell.add(other)
    assert cell.pop(one.key) == one
    assert cell.pop(one.key) is None
    assert (cell.foremost(5), len(cell), one.key in cell) == ([other], 1, False)
