"""The token bucket, by a clock that only moves when told."""

import pytest

from gantry.kube import Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def a_throttle(clock: Clock, *, rate: float = 10, burst: int = 3) -> Throttle:
    return Throttle(rate, burst, clock=clock, sleep=clock.sleep)


async def test_a_burst_goes_at_once_and_the_rest_in_turn(clock: Clock) -> None:
    throttle = a_throttle(clock)
    for _ in range(6):
        await throttle.take()
    assert clock.slept == pytest.approx([0.1, 0.2, 0.3])


async def test_what_was_not_used_is_saved_up_to_the_burst(clock: Clock) -> None:
    throttle = a_throttle(clock)
    for _ in range(3):
        await throttle.take()
    clock.now = 100.0
    for _ in range(4):
        await throttle.take()
    assert clock.slept == pytest.approx([0.1])


async def test_a_pause_holds_everybody(clock: Clock) -> None:
    throttle = a_throttle(clock)
    throttle.pause(2)
    await throttle.take()
    assert clock.slept == pytest.approx([2.1])


async def test_a_pause_does_not_add_up(clock: Clock) -> None:
    """A burst of 429 answers all ask for the same second."""
    throttle = a_throttle(clock)
    for _ in range(20):
        throttle.pause(1)
    await throttle.take()
    assert clock.slept == pytest.approx([1.1])
