"""How far the log is read, and how far it may be said to be done."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.fake_orthanc import START

from gantry.bridge.cursor import ATTEMPTS, Cursor

LATER = START + timedelta(hours=1)


def test_without_failures_everything_read_is_done() -> None:
    cursor = Cursor(4).read(9)
    assert (cursor.position, cursor.durable) == (9, 9)


def test_a_failing_study_holds_what_is_durable_but_not_the_reading() -> None:
    cursor = Cursor(4).failed("bad", 6, START).read(6).read(9)
    assert (cursor.position, cursor.durable) == (9, 5)
    assert cursor.settled("bad").durable == 9


def test_the_first_of_several_failing_studies_holds() -> None:
    cursor = Cursor(4).failed("later", 8, START).failed("earlier", 6, START).read(9)
    assert cursor.durable == 5
    assert cursor.settled("earlier").durable == 7


def test_a_failing_study_is_tried_again_with_growing_pauses() -> None:
    once = Cursor(4).failed("bad", 6, START)
    assert once.due(START) is None
    assert once.due(START + timedelta(seconds=1)) == "bad"
    twice = once.failed("bad", 6, START + timedelta(seconds=1))
    assert twice.due(START + timedelta(seconds=2)) is None
    assert twice.due(START + timedelta(seconds=3)) == "bad"


def test_after_its_last_attempt_a_study_holds_nothing_any_more() -> None:
    cursor = Cursor(9)
    for attempt in range(ATTEMPTS):
        assert cursor.gives_up("bad") is (attempt == ATTEMPTS - 1)
        cursor = cursor.failed("bad", 6, START)
    assert cursor.durable == 9
    assert cursor.due(LATER) is None


def test_a_second_event_of_a_waiting_study_keeps_the_first_number() -> None:
    cursor = Cursor(4).failed("bad", 6, START).read(6).failed("bad", 8, START).read(8)
    assert cursor.durable == 5


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30))
def test_what_is_durable_never_passes_a_waiting_study_and_never_the_reading(events: list[tuple[str, bool]]) -> None:
    cursor = Cursor(0)
    for seq, (study, works) in enumerate(events, start=1):
        cursor = (cursor.settled(study) if works else cursor.failed(study, seq, START)).read(seq)
        assert cursor.durable <= cursor.position == seq
        assert all(cursor.durable < attempt.seq for attempt in cursor.waiting.values())
