"""Which finished Runs other pipelines may start after, and what is said on them."""

from datetime import timedelta

import pytest
from tests.builders_runs import RunBuilder, a_run, at, told

from gantry.api.run import RunStatus
from gantry.runs import Answer, followed, to_be_followed, within_reach

HOUR = timedelta(hours=1)
DONE = a_run().finished("Succeeded", ago=HOUR)


def saying(status: str) -> RunBuilder:
    body = dict(DONE.run["status"])
    word = {"type": "Followed", "status": status, "reason": "Followed", "message": "", "lastTransitionTime": told(0)}
    return DONE.with_status({**body, "conditions": [*body["conditions"], word]})


CASES: dict[str, tuple[RunBuilder, bool]] = {
    "finished well": (DONE, True),
    "not finished": (a_run().running(), False),
    "failed": (a_run().finished("Failed", ago=HOUR), False),
    "cancelled": (a_run().finished("Cancelled", ago=HOUR), False),
    "made by hand, without pipeline": (a_run().made_by_hand().finished("Succeeded", ago=HOUR), False),
    "all decided": (saying("True"), False),
    "one pipeline was not ready": (saying("False"), True),
}


@pytest.mark.parametrize(("run", "want"), CASES.values(), ids=CASES.keys())
def test_a_run_is_taken_up(run: RunBuilder, want: bool) -> None:
    assert to_be_followed(run.view()) is want


def test_a_pipeline_starts_after_no_run_from_before_it_was_there() -> None:
    run = DONE.view()
    assert run.completed is not None
    assert within_reach(run, since=run.completed)
    assert not within_reach(run, since=run.completed + timedelta(seconds=1))
    assert not within_reach(a_run().view(), since=at(-1000))


SAID: dict[str, tuple[tuple[Answer, ...], tuple[str, str, str]]] = {
    "a Run was made": ((Answer("b", run="b-1"),), ("True", "Followed", "b: Run b-1")),
    "none, and why": ((Answer("b", why="after.when does not hold"),), ("True", "Followed", "b: none, after.when does not hold")),
    "several pipelines": (
        (Answer("b", run="b-1"), Answer("c", why="the study does not match (Modality In)")),
        ("True", "Followed", "b: Run b-1; c: none, the study does not match (Modality In)"),
    ),
    "one is not ready yet": (
        (Answer("b", run="b-1"), Answer("c", why="it is not ready (Suspended)", open=True)),
        ("False", "Pending", "b: Run b-1; c: none, it is not ready (Suspended)"),
    ),
}


@pytest.mark.parametrize(("answers", "want"), SAID.values(), ids=SAID.keys())
def test_what_is_said(answers: tuple[Answer, ...], want: tuple[str, str, str]) -> None:
    status = RunStatus.model_validate(DONE.run["status"])
    made = followed(status, answers, at(20))
    assert [one.type for one in made.conditions or ()] == ["Followed", "Complete"]
    (word, _) = made.conditions or ()
    assert (word.status, word.reason, word.message, word.last_transition_time) == (*want, told(20))
    assert followed(made, answers, at(99)) == made, "the same words are not written again"


def test_a_condition_keeps_its_time_while_it_stays_open() -> None:
    status = RunStatus.model_validate(DONE.run["status"])
    first = followed(status, (Answer("c", why="it is not ready (Suspended)", open=True),), at(20))
    second = followed(first, (Answer("c", why="it is not ready (AfterCycle)", open=True),), at(30))
    third = followed(second, (Answer("c", run="c-1"),), at(40))
    times = [next(one.last_transition_time for one in made.conditions or () if one.type == "Followed") for made in (first, second, third)]
    assert times == [told(20), told(20), told(40)]
