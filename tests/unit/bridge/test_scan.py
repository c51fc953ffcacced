"""How far back a scan looks, for the bridge and for each pipeline."""

from datetime import datetime, timedelta

import pytest
from tests.builders_bridge import a_candidate
from tests.fake_orthanc import START, Clock, FakeOrthanc

from gantry.bridge.scan import Scan, Window

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def window(**more: object) -> Window:
    arguments = {"now": START, "lookback": DAY, "first_contact": START - 30 * DAY, "from_beginning": False, "skew": timedelta()}
    return Window(**{**arguments, **more})  # type: ignore[arg-type]


OLD, YOUNG = START - 30 * DAY, START - 2 * HOUR
CASES: dict[str, tuple[Window, datetime, datetime | None, bool]] = {
    "within lookback": (window(), OLD, START - 23 * HOUR, True),
    "behind lookback": (window(), OLD, START - 25 * HOUR, False),
    "before the bridge's first contact": (window(first_contact=START - HOUR), OLD, START - 2 * HOUR, False),
    "after the bridge's first contact": (window(first_contact=START - HOUR), OLD, START, True),
    "before the pipeline was made": (window(), YOUNG, START - 3 * HOUR, False),
    "after the pipeline was made": (window(), YOUNG, START - HOUR, True),
    "from the beginning, only lookback counts": (window(first_contact=START, from_beginning=True), START, START - 23 * HOUR, True),
    "from the beginning, lookback counts": (window(from_beginning=True), START, START - 25 * HOUR, False),
    "whole seconds: the second of the first contact itself": (window(first_contact=START - HOUR + timedelta(seconds=0.9)), OLD, START - HOUR, True),
    "Orthanc's clock is 3 h ahead": (window(skew=3 * HOUR), OLD, START - 23 * HOUR + 3 * HOUR, True),
    "Orthanc's clock is 3 h ahead, and too old": (window(skew=3 * HOUR), OLD, START - 25 * HOUR + 3 * HOUR, False),
    "Orthanc does not say when": (window(), OLD, None, False),
}


@pytest.mark.parametrize(("looked", "created", "last_update", "want"), CASES.values(), ids=CASES.keys())
def test_whether_a_study_is_shown_to_a_pipeline(looked: Window, created: datetime, last_update: datetime | None, want: bool) -> None:
    assert looked.admits(a_candidate(created=created), last_update) is want


def archive(clock: Clock, *, extended: bool, studies: int, every: timedelta) -> FakeOrthanc:
    fake = FakeOrthanc(clock, extended=extended)
    for number in range(studies):
        clock.now = START - number * every
        fake.arrived(str(number))
    clock.now = START
    return fake


async def listed(fake: FakeOrthanc, looked: Window, *, newest_first: bool) -> tuple[int, int]:
    """Studies found and requests made."""
    fake.calls.clear()
    async with fake.client() as orthanc:
        scan = Scan(orthanc, looked, newest_first=newest_first, began=START)
        found = 0
        while not scan.ended:
            found += len(await scan.page())
    assert found == scan.studies
    return found, len(fake.calls)


async def test_the_newest_first_end_the_scan_at_the_first_old_one() -> None:
    fake = archive(Clock(), extended=True, studies=450, every=timedelta(minutes=10))
    assert await listed(fake, window(), newest_first=True) == (145, 2)


async def test_an_older_server_lists_everything() -> None:
    fake = archive(Clock(), extended=False, studies=450, every=timedelta(minutes=10))
    assert await listed(fake, window(), newest_first=False) == (145, 6)


async def test_a_server_that_cuts_its_answers_is_asked_on() -> None:
    """LimitFindResults=50 makes every page short; only an empty one is the end."""
    fake = archive(Clock(), extended=True, studies=120, every=timedelta(minutes=1))
    whole = fake._page
    fake._page = lambda ids, since, limit: whole(ids, since, min(limit, 50))  # type: ignore[method-assign]
    assert await listed(fake, window(), newest_first=True) == (120, 4)
