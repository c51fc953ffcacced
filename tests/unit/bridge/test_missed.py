"""Which studies are suspected of having lost their stable event."""

from datetime import timedelta

import pytest
from tests.fake_orthanc import START

from gantry.bridge.missed import FACTOR, SLACK, UNKNOWN_AGE, Level, MissedStable
from gantry.orthanc import Change

QUIET = FACTOR * UNKNOWN_AGE + SLACK


def row(kind: str, resource: str = "s") -> Change:
    return Change(1, kind, resource, START)


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


CASES: dict[str, tuple[list[Change], list[str]]] = {
    "a study that became stable is not suspected": ([row("NewStudy"), row("StableStudy")], []),
    "a study that did not is": ([row("NewStudy")], ["s"]),
    "a series that did not is": ([row("NewSeries", "e")], ["e"]),
    "a series' event does not speak for its study": ([row("NewStudy"), row("NewSeries", "e"), row("StableSeries", "e")], ["s"]),
    "instances and patients say nothing": ([row("NewInstance", "i"), row("NewPatient", "p"), row("UpdatedMetadata", "s")], []),
}


@pytest.mark.parametrize(("rows", "want"), CASES.values(), ids=CASES.keys())
def test_what_is_suspected(rows: list[Change], want: list[str]) -> None:
    missed = MissedStable()
    for one in rows:
        missed.see(one, START)
    assert missed.due(START + QUIET - after(1)) is None
    found = missed.due(START + QUIET)
    assert ([found.id] if found else []) == want


def test_the_wait_follows_the_server() -> None:
    """StableAge is learnt from the events that come; the longest of the last ones counts."""
    missed = MissedStable()
    assert missed.quiet == QUIET
    missed.learn(START + after(2), START)
    assert missed.quiet == FACTOR * after(2) + SLACK
    missed.learn(START + after(61), START)
    assert missed.quiet == FACTOR * after(61) + SLACK
    for _ in range(5):
        missed.learn(START + after(1), START)
    assert missed.quiet == FACTOR * after(1) + SLACK


def test_an_event_before_the_newest_image_teaches_nothing() -> None:
    missed = MissedStable()
    missed.learn(START, START + after(5))
    missed.learn(None, START)
    missed.learn(START, None)
    assert missed.quiet == QUIET


def test_what_was_put_off_comes_later_and_the_oldest_first() -> None:
    missed = MissedStable()
    missed.watch("b", due=START + after(2))
    missed.watch("a", due=START + after(1))
    first = missed.due(START + after(3))
    assert first is not None
    assert (first.id, first.level) == ("a", Level.STUDY)
    missed.later(first, START + after(9))
    second = missed.due(START + after(3))
    assert second is not None
    assert second.id == "b"


def test_a_watched_study_keeps_its_time() -> None:
    missed = MissedStable()
    missed.watch("a", due=START)
    missed.watch("a", due=START + after(100))
    assert missed.due(START) is not None


def test_what_is_forgotten_is_gone() -> None:
    missed = MissedStable()
    missed.watch("a", due=START)
    missed.watch("b", due=START)
    missed.forget("a")
    missed.forget("never seen")
    assert len(missed) == 1
    missed.clear()
    assert len(missed) == 0
