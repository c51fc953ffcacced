"""What is remembered of decisions, so that a scan does not ask again."""

import tracemalloc
from datetime import timedelta
from typing import Any

from tests.builders_bridge import FakeHost, a_candidate
from tests.fake_orthanc import START, identifier

from gantry.bridge import Level
from gantry.bridge.recovery import Recovery

STUDIES = 2_000


def a_recovery(host: FakeHost) -> Recovery:
    unused: Any = None
    return Recovery(bridge="main", level=Level.STUDY, orthanc=unused, host=host, interval=timedelta(minutes=5), clock=lambda: START, take=unused)


def test_a_study_decided_by_two_hundred_pipelines_is_remembered_in_half_a_kilobyte() -> None:
    """Two hundred names and generations are 20 kB; a day of 1,500 studies would take 30 MB."""
    recovery = a_recovery(FakeHost(*(a_candidate(f"p{number}") for number in range(200))))
    tracemalloc.start()
    try:
        for number in range(STUDIES):
            recovery.decided(identifier(str(number)), START + timedelta(seconds=number), recovery.pipelines_now())
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / STUDIES < 512


def test_another_generation_decides_anew() -> None:
    host = FakeHost(a_candidate("p", generation=1))
    recovery = a_recovery(host)
    before = recovery.pipelines_now()
    assert recovery.pipelines_now() is before
    host.candidates = [a_candidate("p", generation=2)]
    assert recovery.pipelines_now() != before
