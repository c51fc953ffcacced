"""When a study is complete enough, and when it is looked at again."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from tests.fake_orthanc import START

from gantry.api.matching import Completeness
from gantry.bridge.completeness import age_and_count, age_of, as_sender_says, gives_up


@dataclass(frozen=True)
class Case:
    age: int
    """Seconds since the last image."""
    instances: int
    want: tuple[str, str, str, int] | None
    """Check, wanted, actual, seconds until it is looked at again."""
    rule: dict[str, Any] = field(default_factory=dict)


AGE, COUNT = {"minAge": "2m"}, {"minInstances": 100, "giveUpAfter": "10m"}
CASES = {
    "nothing asked for is complete": Case(0, 1, None),
    "too young waits for its age": Case(30, 1, ("completeness.minAge", "2m", "30s", 91), AGE),
    "a second more than minAge, because LastUpdate has whole seconds": Case(120, 1, ("completeness.minAge", "2m", "120s", 1), AGE),
    "old enough": Case(121, 1, None, AGE),
    "too few images wait until the study is given up": Case(60, 99, ("completeness.minInstances", "100", "99", 540), COUNT),
    "enough images": Case(60, 100, None, COUNT),
    "age comes before number": Case(30, 99, ("completeness.minAge", "2m", "30s", 91), AGE | COUNT),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_age_and_number(case: Case) -> None:
    found = age_and_count(Completeness.model_validate(case.rule), age=timedelta(seconds=case.age), instances=case.instances)
    assert (found and (found.check, found.wanted, found.actual, int(found.look_again.total_seconds()))) == case.want


SENDER = {
    "as many as the sender has": (300, 300, None),
    "more than the sender has": (301, 300, None),
    "fewer are asked about again": (299, 300, ("300", "299", 30)),
    "no answer is asked for again": (299, None, ("no answer", "299", 30)),
}


@pytest.mark.parametrize(("instances", "expected", "want"), SENDER.values(), ids=SENDER.keys())
def test_what_the_sender_says(instances: int, expected: int | None, want: tuple[str, str, int] | None) -> None:
    rule = Completeness(expected_instances="Sender")
    found = as_sender_says(rule, age=timedelta(minutes=1), instances=instances, expected=expected)
    assert (found and (found.wanted, found.actual, int(found.look_again.total_seconds()))) == want


def test_the_last_look_is_when_the_study_is_given_up() -> None:
    rule = Completeness(expected_instances="Sender", give_up_after="10m")
    found = as_sender_says(rule, age=timedelta(minutes=9, seconds=50), instances=1, expected=2)
    assert found is not None
    assert found.look_again == timedelta(seconds=10)
    assert not gives_up(rule, timedelta(minutes=9, seconds=59))
    assert gives_up(rule, timedelta(minutes=10))


def test_a_server_that_does_not_say_when_images_came_cannot_be_waited_for() -> None:
    rule = Completeness(min_age="2m")
    assert gives_up(rule, age_of(None, START, rule))
    assert not gives_up(rule, age_of(START, START, rule))
