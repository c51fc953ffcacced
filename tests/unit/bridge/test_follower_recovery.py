"""What the log does not tell: events that a restart lost, cleared logs, replaced databases."""

from collections.abc import Callable
from typing import Any

from tests.bridge_turns import Bridge, told_reasons
from tests.builders_bridge import FakeHost, a_candidate
from tests.fake_orthanc import FakeOrthanc, identifier

from gantry.bridge import Origin, Polled, Scanned
from gantry.bridge.host import Discovered


async def test_an_event_that_orthancs_restart_lost_is_made_up_for() -> None:
    """The countdown is in Orthanc's memory. IsStable then says true, and no row ever comes."""
    bridge = Bridge()
    await bridge.run(lambda: bridge.fake.arrived("teaches StableAge"), 1, lambda: bridge.fake.images("a"), bridge.fake.restarted, 60)
    lost = [run for run in bridge.runs if run["spec"]["study"]["orthancID"] == identifier("a")]
    assert [run["spec"]["trigger"] for run in lost] == ["Reconcile"]
    assert Origin.MISSED_STABLE in [one.origin for one in bridge.host.seen(Discovered)]


async def test_a_new_series_whose_event_was_lost_is_made_up_for() -> None:
    bridge = Bridge()
    await bridge.run(lambda: bridge.fake.arrived("a", series="1"), 1, lambda: bridge.fake.images("a", "2"), bridge.fake.restarted, 60)
    assert sorted(run["spec"]["study"]["instances"] for run in bridge.runs) == [2, 4]


async def test_a_study_that_still_counts_down_is_not_taken_early() -> None:
    bridge = Bridge()
    await bridge.run(1, lambda: bridge.fake.images("a"), 300)
    assert bridge.runs == []


async def test_a_restart_in_the_middle_of_a_study_waits_until_it_is_quiet() -> None:
    """After the restart IsStable is true at once, though images still come."""
    bridge = Bridge()

    def slice_by_slice() -> None:
        bridge.fake.images("a", count=1)
        bridge.fake.restarted()

    await bridge.run(1, *[slice_by_slice] * 60, 60)
    assert [run["spec"]["study"]["instances"] for run in bridge.runs] == [60]


async def test_the_scan_finds_a_late_image_whose_event_was_lost() -> None:
    """An image in a known series writes no New row that could be watched."""
    bridge = Bridge(watch__reconcileInterval="60s")
    await bridge.run(lambda: bridge.fake.arrived("a", count=2), 1, lambda: bridge.fake.images("a", count=1), bridge.fake.restarted, 130)
    assert sorted(run["spec"]["study"]["instances"] for run in bridge.runs) == [2, 3]


async def test_the_scan_finds_what_a_cleared_log_lost() -> None:
    bridge = Bridge(watch__reconcileInterval="60s")

    def cleared() -> None:
        bridge.fake.arrived("a")
        bridge.fake.rows.clear()

    await bridge.run(1, cleared, 130)
    assert [run["spec"]["trigger"] for run in bridge.runs] == ["Reconcile"]


async def test_a_study_of_the_scan_orthanc_fails_on_stops_no_other() -> None:
    bridge = Bridge(watch__reconcileInterval="60s")
    failing, *others = sorted(map(identifier, "abc"))  # the scan of an older server lists by id

    def cleared() -> None:
        for name in "abc":
            bridge.fake.arrived(name)
        bridge.fake.rows.clear()
        bridge.fake.fails(f"/studies/{failing}", 500)

    await bridge.run(1, cleared, 130)
    assert sorted(run["spec"]["study"]["orthancID"] for run in bridge.runs) == others
    assert len([call for call in bridge.fake.calls if call == f"GET /studies/{failing}"]) <= 6, "two looks of three requests"
    assert bridge.host.condition("Ready") == ("True", "Ready")


async def test_a_scan_after_a_restart_does_not_take_half_a_study() -> None:
    """IsStable is true at once after a restart, although images came a moment ago and more may come."""
    bridge = Bridge()
    early: list[int] = []

    def away() -> None:
        bridge.fake.images("a")
        bridge.fake.restarted()
        bridge.fake.down()

    await bridge.run(1, away, 2, bridge.fake.up, 10, lambda: early.append(len(bridge.runs)), 60)
    assert early == [0]
    assert len(bridge.runs) == 1


async def test_a_scan_does_not_ask_again_about_what_was_decided() -> None:
    bridge = Bridge(watch__reconcileInterval="60s")
    study = identifier("a")
    await bridge.run(lambda: bridge.fake.arrived("a"), 400)
    assert len([call for call in bridge.fake.calls if call == f"GET /studies/{study}"]) == 1
    assert len(bridge.host.seen(Scanned)) >= 4


async def test_a_scan_shows_nothing_to_a_pipeline_that_is_younger() -> None:
    bridge = Bridge(host=FakeHost(a_candidate("first")), watch__reconcileInterval="60s")

    def second() -> None:
        bridge.host.candidates.append(a_candidate("second", created=bridge.clock.now))

    await bridge.run(lambda: bridge.fake.arrived("a"), 30, second, 200)
    assert [run["spec"]["pipelineRef"]["name"] for run in bridge.runs] == ["first"]


async def test_after_an_outage_there_is_a_scan_at_once() -> None:
    bridge = Bridge()

    def away() -> None:
        bridge.fake.down()
        bridge.fake.images("a")
        bridge.fake.restarted()
        bridge.clock.pass_by(600)

    await bridge.run(1, away, 3, bridge.fake.up, 3)
    assert [run["spec"]["trigger"] for run in bridge.runs] == ["Reconcile"]


async def test_a_database_that_was_wiped_is_followed_from_its_start() -> None:
    """Its last number is lower than the cursor; waiting for the numbers to come again would lose days."""
    bridge = Bridge()
    told: list[Any] = []

    def wiped() -> None:
        bridge.fake.replaced()
        bridge.fake.arrived("b")

    def look() -> None:
        told.append(bridge.host.statuses[-1].cursor)

    fill: list[Callable[[], Any]] = [lambda n=n: bridge.fake.arrived(f"a{n}") for n in range(5)]  # type: ignore[misc]
    await bridge.run(1, *fill, 1, wiped, 3, look, 60, lambda: bridge.fake.arrived("c"), 2)
    assert told[0] <= bridge.fake.last
    assert {run["spec"]["study"]["orthancID"] for run in bridge.runs} >= {identifier("b"), identifier("c")}
    assert "DatabaseChanged" in told_reasons(bridge)
    assert bridge.host.condition("CaughtUp") == ("True", "CaughtUp")


async def test_another_database_with_higher_numbers_is_told_by_its_identifier() -> None:
    fake = FakeOrthanc(extended=True, identity="one")
    bridge = Bridge(fake)

    def another() -> None:
        fake.replaced(identity="two")
        for number in range(9):
            fake.arrived(f"b{number}")
        bridge.clock.pass_by(120)

    await bridge.run(lambda: fake.arrived("a"), 1)
    another()
    await bridge.run(3)
    assert len(bridge.runs) == 10
    assert bridge.host.statuses[-1].orthanc is not None
    assert bridge.host.statuses[-1].orthanc.database_server_identifier == "two"
    assert "DatabaseChanged" in told_reasons(bridge)
    assert bridge.host.condition("CaughtUp") == ("True", "CaughtUp")


async def test_a_server_with_extended_changes_is_asked_for_four_types_only() -> None:
    fake = FakeOrthanc(extended=True)
    bridge = Bridge(fake)
    await bridge.run(lambda: fake.arrived("a", count=50), 2)
    assert len(bridge.runs) == 1
    assert sum(one.changes for one in bridge.host.seen(Polled)) == 4


async def test_a_large_study_is_read_in_pages() -> None:
    bridge = Bridge()
    await bridge.run(lambda: bridge.fake.arrived("a", count=2500), 1)
    assert [run["spec"]["study"]["instances"] for run in bridge.runs] == [2500]
    assert bridge.host.statuses[-1].cursor == bridge.fake.last
