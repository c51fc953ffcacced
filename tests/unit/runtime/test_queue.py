"""The work queue, by a clock and timers that only move when told."""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import pytest

from gantry.runtime.queue import LAST_LINE, WorkQueue


@dataclass
class FakeTimer:
    due: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class World:
    """Clock, timers, and what the queue told."""

    now: float = 0.0
    timers: list[FakeTimer] = field(default_factory=list)
    worked: list[str] = field(default_factory=list)
    failures: list[tuple[str, str, float]] = field(default_factory=list)
    errors: dict[str, Exception] = field(default_factory=dict)
    urgent: set[str] = field(default_factory=set)
    lines: dict[str, int] = field(default_factory=dict)
    jitter: float = 1.0

    async def work(self, key: str) -> None:
        self.worked.append(key)
        if key in self.errors:
            raise self.errors[key]

    def later(self, seconds: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(self.now + seconds, callback)
        self.timers.append(timer)
        return timer

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for timer in [t for t in self.timers if t.due <= self.now and not t.cancelled]:
            timer.cancelled = True
            timer.callback()

    def failed(self, key: str, error: Exception, pause: float) -> None:
        self.failures.append((key, str(error), pause))

    def queue(self, work: Callable[[str], object] | None = None, *, longest: float = 300.0) -> WorkQueue[str]:
        return WorkQueue(
            work or self.work,  # type: ignore[arg-type]
            workers=2,
            line=lambda key: 0 if key in self.urgent else self.lines.get(key, LAST_LINE),
            clock=lambda: self.now,
            later=self.later,
            jitter=lambda: self.jitter,
            failed=self.failed,
            longest_pause=lambda _: longest,
        )


@pytest.fixture
def world() -> World:
    return World()


async def test_a_key_waits_at_most_once(world: World) -> None:
    queue = world.queue()
    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert queue.depth == 2
    await queue.step()
    await queue.step()
    assert world.worked == ["a", "b"]
    assert queue.depth == 0


async def test_urgent_keys_go_first(world: World) -> None:
    """A burst of 1,000 Runs: all Jobs are made before the first status is written."""
    world.urgent = {"new"}
    queue = world.queue()
    for key in ("old", "older", "new"):
        queue.add(key)
    for _ in range(3):
        await queue.step()
    assert world.worked == ["new", "old", "older"]


async def test_lines_are_emptied_one_after_the_other(world: World) -> None:
    world.lines = {"stat": 0, "urgent": 1, "routine": 2}
    queue = world.queue()
    for key in ("rest", "routine", "urgent", "stat"):
        queue.add(key)
    for _ in range(4):
        await queue.step()
    assert world.worked == ["stat", "urgent", "routine", "rest"]


async def test_a_key_that_waits_comes_into_a_line_further_ahead_and_is_worked_on_once(world: World) -> None:
    """A Run raised to Stat while a thousand others have no Job."""
    world.lines = {"other": 2}
    queue = world.queue()
    for key in ("other", "raised"):
        queue.add(key)
    world.urgent = {"raised"}
    queue.add("raised")
    assert queue.depth == 2
    for _ in range(3):
        await queue.step()
    assert world.worked == ["raised", "other"]
    assert queue.depth == 0
    await asyncio.wait_for(queue.idle(), 1)
    world.urgent.clear()
    queue.add("raised")
    await queue.step()
    assert world.worked == ["raised", "other", "raised"]


async def test_a_key_is_worked_on_by_one_at_a_time_and_again_when_it_became_dirty() -> None:
    world = World()
    begun, may_end = asyncio.Event(), asyncio.Event()
    at_once: list[int] = []
    active: set[Hashable] = set()

    async def work(key: str) -> None:
        assert key not in active, "two workers on one key"
        active.add(key)
        at_once.append(len(active))
        world.worked.append(key)
        begun.set()
        await may_end.wait()
        active.discard(key)

    queue = world.queue(work)
    running = asyncio.create_task(queue.run())
    queue.add("a")
    await begun.wait()
    for _ in range(5):
        queue.add("a")
    queue.add("b")
    assert queue.depth == 2
    may_end.set()
    await queue.idle()
    running.cancel()
    assert sorted(world.worked) == ["a", "a", "b"]


async def test_pauses_double_up_to_five_minutes_and_end_with_success(world: World) -> None:
    queue = world.queue()
    world.errors["a"] = ValueError("no")
    queue.add("a")
    for _ in range(12):
        await queue.step()
        world.pass_time(300)
    assert [pause for _, _, pause in world.failures] == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    del world.errors["a"]
    await queue.step()
    world.errors["a"] = ValueError("again")
    queue.add("a")
    await queue.step()
    assert world.failures[-1] == ("a", "again", 0.5)


async def test_jitter_spreads_half_of_the_pause(world: World) -> None:
    world.jitter = 0.0
    queue = world.queue()
    world.errors["a"] = ValueError("no")
    queue.add("a")
    await queue.step()
    assert world.failures == [("a", "no", 0.25)]


async def test_an_outage_is_looked_at_again_soon_however_long_it_lasts(world: World) -> None:
    queue = world.queue(longest=2.0)
    world.errors["a"] = OSError("away")
    queue.add("a")
    for _ in range(5):
        await queue.step()
        world.pass_time(2)
    assert [pause for _, _, pause in world.failures] == [0.5, 1, 2, 2, 2]


async def test_the_servers_wish_to_wait_counts(world: World) -> None:
    class Busy(Exception):
        retry_after = 7.0

    queue = world.queue()
    world.errors["a"] = Busy("429")
    queue.add("a")
    await queue.step()
    assert world.failures == [("a", "429", 7.0)]
    world.pass_time(6.9)
    assert queue.depth == 0
    world.pass_time(0.2)
    assert queue.depth == 1


async def test_of_several_times_the_earliest_counts(world: World) -> None:
    queue = world.queue()
    queue.add_after("a", 10)
    queue.add_after("a", 60)
    queue.add_after("a", 2)
    world.pass_time(2)
    await queue.step()
    world.pass_time(100)
    assert world.worked == ["a"]
    assert queue.depth == 0


async def test_a_key_that_rests_is_looked_at_when_it_changes_and_not_when_its_time_comes(world: World) -> None:
    queue = world.queue()
    queue.add_after("a", 10)
    queue.rest("a")
    queue.rest("never seen")
    world.pass_time(20)
    assert queue.depth == 0
    queue.add("a")
    await queue.step()
    assert world.worked == ["a"]


async def test_a_pass_that_failed_is_tried_again_though_its_key_rests(world: World) -> None:
    world.errors["a"] = ValueError("no")
    queue = world.queue()
    queue.add("a")
    await queue.step()
    queue.rest("a")
    world.pass_time(2)
    await queue.step()
    assert world.worked == ["a", "a"]


async def test_a_key_worked_on_earlier_is_still_looked_at_when_its_time_comes(world: World) -> None:
    queue = world.queue()
    queue.add_after("a", 10)
    queue.add("a")
    await queue.step()
    world.pass_time(10)
    await queue.step()
    assert world.worked == ["a", "a"]


async def test_one_keys_failure_is_not_the_others(world: World) -> None:
    world.errors["a"] = ValueError("no")
    queue = world.queue()
    running = asyncio.create_task(queue.run())
    for key in ("a", "b", "c"):
        queue.add(key)
    await queue.idle()
    running.cancel()
    assert sorted(world.worked) == ["a", "b", "c"]
    assert len(world.failures) == 1


async def test_a_closed_queue_takes_nothing_and_forgets_its_timers(world: World) -> None:
    queue = world.queue()
    queue.add("a")
    queue.add_after("b", 1)
    queue.close()
    queue.add("c")
    world.pass_time(2)
    assert queue.depth == 0
    await queue.idle()
    assert world.worked == []


async def test_how_long_the_longest_has_waited(world: World) -> None:
    queue = world.queue()
    assert queue.oldest() == 0.0
    queue.add("a")
    world.now = 5.0
    queue.add("b")
    world.now = 7.0
    assert queue.oldest() == 7.0
