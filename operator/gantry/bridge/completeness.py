"""Is a study complete enough to be analysed (spec.match.completeness)? A stable event only says that no image came for a while.

Pure: time and counts come in. What is still open is a value: which check, what is wanted, what is there, and when to look again. A further
image brings a stable event of its own, so a count is only looked at again when time alone may have changed the answer.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gantry.api import parse_duration
from gantry.api.matching import Completeness

ASK_AGAIN = timedelta(seconds=30)
"""Between two questions to a sender about one study."""
WHOLE_SECOND = timedelta(seconds=1)
"""LastUpdate has whole seconds: the last image came up to a second later than it says."""
MIN_AGE, MIN_INSTANCES, EXPECTED = "completeness.minAge", "completeness.minInstances", "completeness.expectedInstances"


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A check that does not hold yet."""

    check: str
    wanted: str
    actual: str
    look_again: timedelta
    """From now."""


def age_and_count(rule: Completeness, *, age: timedelta, instances: int) -> Incomplete | None:
    """The checks that need no sender. `age`: time since the last image; `instances`: without Gantry's own results."""
    if rule.min_age and age < (wanted := parse_duration(rule.min_age) + WHOLE_SECOND):
        return Incomplete(MIN_AGE, rule.min_age, f"{age.total_seconds():.0f}s", wanted - age)
    if rule.min_instances and instances < rule.min_instances:
        return Incomplete(MIN_INSTANCES, str(rule.min_instances), str(instances), left(rule, age))
    return None


def as_sender_says(rule: Completeness, *, age: timedelta, instances: int, expected: int | None) -> Incomplete | None:
    """`expected`: what the sender has; None when it does not say, which leaves the check open until the study is given up."""
    if expected is not None and instances >= expected:
        return None
    return Incomplete(EXPECTED, "no answer" if expected is None else str(expected), str(instances), min(ASK_AGAIN, left(rule, age)))


def gives_up(rule: Completeness, age: timedelta) -> bool:
    """Whether the study is taken as it is."""
    return age >= parse_duration(rule.give_up_after)


def left(rule: Completeness, age: timedelta) -> timedelta:
    """Until it is given up."""
    return parse_duration(rule.give_up_after) - age


def age_of(last_update: datetime | None, now: datetime, rule: Completeness) -> timedelta:
    """Time since the last image, both by Orthanc's clock. A server that does not say it cannot be waited for: given up at once."""
    return now - last_update if last_update else parse_duration(rule.give_up_after)
