"""The loop while Orthanc is in trouble: it says so, waits, goes on, and one study stops no other."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.bridge_turns import Bridge
from tests.fake_orthanc import FakeOrthanc, identifier

from gantry.bridge import Drop, Dropped, Faulted, Polled


async def test_while_orthanc_is_away_it_says_so_waits_and_goes_on() -> None:
    bridge = Bridge()
    seen: list[tuple[str, str]] = []

    def back() -> None:
        seen.append(bridge.host.condition("Reachable"))
        seen.append(bridge.host.condition("Ready"))
        bridge.fake.up()
        bridge.fake.arrived("a")

    await bridge.run(1, bridge.fake.down, 8, back, 2)
    assert seen == [("False", "Unreachable"), ("False", "Unreachable")]
    assert bridge.host.condition("Reachable") == ("True", "Reachable")
    assert bridge.host.condition("Ready") == ("True", "Ready")
    assert len(bridge.runs) == 1


async def test_the_pauses_grow_to_thirty_seconds_and_no_further() -> None:
    bridge = Bridge()
    bridge.fake.down()
    await bridge.run(8)
    pauses = [pause for pause in bridge.clock.slept if pause >= 1]
    assert pauses[:6] == [1, 2, 4, 8, 16, 30]
    assert set(pauses[6:]) == {30}


TROUBLE: dict[str, tuple[Callable[[FakeOrthanc], None], str, str]] = {
    "it does not answer": (lambda fake: fake.hangs(), "Reachable", "Unreachable"),
    "a proxy answers 503": (lambda fake: fake.fails("", 503), "Reachable", "ServerFault"),
    "it refuses the credentials": (lambda fake: fake.fails("", 401), "Authenticated", "Unauthorized"),
    "it is a web page": (lambda fake: fake.faults.update({"": lambda request: httpx.Response(200, text="<html>")}), "Reachable", "ServerFault"),
}


@pytest.mark.parametrize(("trouble", "kind", "reason"), TROUBLE.values(), ids=TROUBLE.keys())
async def test_trouble_is_told_and_survived(trouble: Callable[[FakeOrthanc], None], kind: str, reason: str) -> None:
    bridge = Bridge()
    told: list[Any] = []

    def back() -> None:
        told.append(bridge.host.condition(kind))
        bridge.fake.up()
        bridge.fake.arrived("a")

    await bridge.run(1, lambda: trouble(bridge.fake), 3, back, 2)
    assert told == [("False", reason)]
    assert len(bridge.runs) == 1
    assert bridge.host.condition("Ready") == ("True", "Ready")


async def test_one_study_orthanc_fails_on_stops_no_other() -> None:
    bridge = Bridge()
    bad, good = identifier("bad"), identifier("good")

    def both() -> None:
        bridge.fake.arrived("bad")
        bridge.fake.fails(f"/studies/{bad}", 500)
        bridge.fake.arrived("good")

    held: list[int | None] = []
    await bridge.run(1, both, lambda: held.append(bridge.host.statuses[-1].cursor), 12)
    assert [run["spec"]["study"]["orthancID"] for run in bridge.runs] == [good]
    assert held[0] is not None
    assert held[0] < bridge.fake.last, "the cursor waits for the failing study"
    assert bridge.host.statuses[-1].cursor == bridge.fake.last, "and not for ever"
    assert [one.reason for one in bridge.host.seen(Dropped)] == [Drop.FAILING]
    assert bridge.host.condition("Reachable") == ("True", "Reachable")


async def test_a_study_that_failed_is_found_by_a_later_scan() -> None:
    bridge = Bridge(watch__reconcileInterval="60s")

    def bad() -> None:
        study = bridge.fake.arrived("bad")
        bridge.fake.fails(f"/studies/{study}", 500)

    await bridge.run(1, bad, 30, bridge.fake.up, 200)
    assert [run["spec"]["trigger"] for run in bridge.runs] == ["Reconcile"]


async def test_a_study_orthanc_hangs_on_is_given_up_too() -> None:
    """Each attempt costs a time-out and a new contact, so it must not go on for ever."""
    bridge = Bridge()

    def both() -> None:
        bridge.fake.arrived("bad")
        bridge.fake.hangs(f"/studies/{identifier('bad')}")
        bridge.fake.arrived("good")

    await bridge.run(1, both, 40)
    assert [run["spec"]["study"]["orthancID"] for run in bridge.runs] == [identifier("good")]
    assert len([call for call in bridge.fake.calls if call == f"GET /studies/{identifier('bad')}"]) == 3
    assert bridge.host.condition("Ready") == ("True", "Ready")


async def test_an_outage_in_the_middle_of_many_studies_is_not_counted_against_each() -> None:
    bridge = Bridge()

    def many_and_away() -> None:
        for number in range(5):
            bridge.fake.arrived(f"s{number}")
        bridge.fake.down("/studies/")
        bridge.fake.calls.clear()

    def back() -> None:
        assert len([one for one in bridge.host.seen(Faulted) if one.where == "study"]) == 1, "the first failure ends the turn"
        bridge.fake.up()

    await bridge.run(1, many_and_away, back, 20)
    assert [run["spec"]["trigger"] for run in bridge.runs] == ["StableStudy"] * 5


async def test_refused_credentials_are_not_counted_against_a_study() -> None:
    bridge = Bridge()

    def refused() -> None:
        bridge.fake.arrived("a")
        bridge.fake.fails("/studies", 401)

    await bridge.run(1, refused, 10, bridge.fake.up, 40)
    assert [run["spec"]["trigger"] for run in bridge.runs] == ["StableStudy"]
    assert bridge.host.seen(Dropped) == []


def slow(bridge: Bridge, seconds: float) -> None:
    """Every look at the change log takes so long."""
    quick = bridge.fake._changes

    def answer(params: httpx.QueryParams) -> dict[str, Any]:
        bridge.clock.pass_by(seconds)
        return quick(params)

    bridge.fake._changes = answer  # type: ignore[method-assign]


async def test_a_log_that_takes_long_to_read_is_said_to_be_behind() -> None:
    bridge = Bridge(watch__startFrom="Beginning")
    bridge.fake.arrived("a", count=4500)
    slow(bridge, 4.0)
    await bridge.run(2)
    behind = [status for status in bridge.host.statuses for one in status.conditions or () if one.reason == "Behind"]
    assert behind
    assert (behind[0].lag or 0) > 0
    assert bridge.host.condition("CaughtUp") == ("True", "CaughtUp")


async def test_polls_that_take_longer_than_their_interval_do_not_starve_the_scan() -> None:
    bridge = Bridge(watch__reconcileInterval="60s")
    slow(bridge, 2.0)

    def cleared() -> None:
        bridge.fake.arrived("a")
        bridge.fake.rows.clear()

    await bridge.run(1, cleared, 80)
    assert [run["spec"]["trigger"] for run in bridge.runs] == ["Reconcile"]


async def test_a_clock_that_is_put_back_in_the_midst_of_a_turn_makes_no_pause_longer() -> None:
    """Found by chaos: the rest of a poll's interval was counted by the wall clock, so a clock put back by two hours stopped the bridge for two hours."""
    bridge = Bridge()
    record = bridge.host.record

    def jumps(observation: Any) -> None:
        record(observation)
        if len(bridge.host.seen(Polled)) == 3:
            bridge.clock.pass_by(-7200)

    bridge.host.record = jumps  # type: ignore[method-assign]
    await bridge.run(4, lambda: bridge.fake.arrived("a"), 2)
    assert max(bridge.clock.slept) <= 1
    assert len(bridge.runs) == 1


async def test_what_waits_for_a_time_does_not_wait_longer_when_the_clock_is_put_back() -> None:
    """A study on which Orthanc failed, and a lost stable event, whose times lay hours away then."""
    bridge = Bridge()
    failing = f"/studies/{identifier('a')}"

    def back() -> None:
        bridge.fake.up()
        bridge.fake.restarted()
        bridge.clock.pass_by(-7200)

    await bridge.run(1, lambda: bridge.fake.fails(failing), lambda: bridge.fake.arrived("a"), lambda: bridge.fake.images("b"), 1, back, 60)
    assert len(bridge.runs) == 2
