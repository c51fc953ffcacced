"""The loop: nothing is missed, nothing is taken twice, whatever Orthanc and the API server do."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from tests.builders import BRIDGE, changed
from tests.builders_bridge import FakeHost, a_candidate, requirement
from tests.fake_orthanc import USERNAME, FakeOrthanc, identifier

from gantry.api import OrthancBridge
from gantry.api.bridge import BridgeStatus
from gantry.bridge import Decided, Drop, Dropped, Follower, Origin, Outcome, Polled, RunRefused, Scanned
from gantry.bridge.host import Discovered, Faulted

Spec = dict[str, Any]
PACS = "gantry_radiology_main_pacs"


class Bridge:
    """A Follower on a fake Orthanc and a fake host, moved turn by turn."""

    def __init__(self, fake: FakeOrthanc | None = None, host: FakeHost | None = None, **spec: Any) -> None:
        self.fake = fake or FakeOrthanc()
        self.host = host or FakeHost()
        self.spec = spec
        self.clock = self.fake.clock
        self.credentials = True
        self._turns = 0

    def follower(self, status: BridgeStatus | None) -> Follower:
        raw = BRIDGE
        for path, value in self.spec.items():
            raw = changed(raw, f"spec.{path.replace('__', '.')}", value)
        spec = OrthancBridge.model_validate({"spec": raw["spec"]}).spec
        return Follower(
            namespace="radiology", name="main", generation=1, spec=spec, status=status, orthanc=self.fake.client(),
            username=USERNAME if self.credentials else None, host=self.host, clock=self.clock, sleep=self._sleep, jitter=lambda: 1.0,
        )  # fmt: skip

    async def run(self, *steps: Callable[[], Any] | float) -> None:
        """A process: between its turns the steps are done. A number is so many seconds of turns."""
        plan: list[Callable[[], Any]] = []
        for step in steps:
            plan += [lambda: None] * round(step) if isinstance(step, (int, float)) else [step]
        self._plan = [*plan, lambda: None, lambda: None]
        follower = self.follower(self.host.statuses[-1] if self.host.statuses else None)
        with pytest.raises(asyncio.CancelledError):
            await follower.run()
        await follower._orthanc.aclose()

    async def _sleep(self, seconds: float) -> None:
        self.clock.slept.append(seconds)
        self.clock.pass_by(max(seconds, 0.001))
        if not self._plan:
            raise asyncio.CancelledError
        self._plan.pop(0)()

    @property
    def runs(self) -> list[dict[str, Any]]:
        return list(self.host.runs.values())

    def outcomes(self) -> list[str]:
        return [one.outcome.value for one in self.host.seen(Decided)]


async def test_a_stable_study_becomes_one_run() -> None:
    bridge = Bridge()
    await bridge.run(lambda: bridge.fake.arrived("a", count=3))
    (run,) = bridge.runs
    assert run["spec"]["study"]["orthancID"] == identifier("a")
    assert run["spec"]["study"]["instances"] == 3
    assert run["spec"]["trigger"] == "StableStudy"
    assert bridge.host.seen(Discovered)[0].origin is Origin.STABLE_STUDY


async def test_what_was_there_before_the_first_contact_is_left_alone() -> None:
    bridge = Bridge()
    bridge.fake.arrived("old")
    bridge.clock.pass_by(60)
    await bridge.run(120)
    assert bridge.runs == []
    assert bridge.host.statuses[-1].cursor == bridge.fake.last


async def test_from_the_beginning_everything_is_taken() -> None:
    bridge = Bridge(watch__startFrom="Beginning")
    bridge.fake.arrived("old")
    bridge.clock.pass_by(60)
    await bridge.run()
    assert len(bridge.runs) == 1


async def test_an_idle_poll_is_one_request_and_writes_nothing() -> None:
    bridge = Bridge()
    await bridge.run(1)
    bridge.fake.calls.clear()
    written = len(bridge.host.statuses)
    bridge._plan = []
    await bridge.run(0)
    bridge.fake.calls.clear()
    await bridge.run(100)
    polls = [call for call in bridge.fake.calls if call == "GET /changes"]
    contact = [call for call in bridge.fake.calls if call != "GET /changes"]
    assert len(polls) == 103
    assert len(contact) == 5, "one contact: /system, /plugins, /tools/now, /modalities and the scan's only page"
    assert len(bridge.host.statuses) - written <= 2, "only the time of the scan at each of the two starts"


async def test_a_study_of_one_series_costs_four_requests() -> None:
    """The study, its series, who stored it, its instances."""
    bridge = Bridge()
    await bridge.run(lambda: bridge.fake.arrived("a"), lambda: bridge.fake.calls.clear() if not bridge.runs else None)
    asked = [call for call in bridge.fake.calls if call.startswith(("GET /studies/", "GET /series/", "GET /instances/"))]
    assert len(asked) == 4
    assert len(bridge.runs) == 1


async def test_a_late_image_makes_another_run_and_a_repeated_event_none() -> None:
    bridge = Bridge()
    study = identifier("a")

    def late() -> None:
        bridge.fake.images("a", count=1)
        bridge.fake.stable(study)

    await bridge.run(lambda: bridge.fake.arrived("a", count=2), 1, lambda: bridge.fake.stable(study), 1, late, 1, lambda: bridge.fake.stable(study))
    assert sorted(run["spec"]["study"]["instances"] for run in bridge.runs) == [2, 3]
    assert bridge.outcomes() == ["Created", "Known", "Created", "Known"]
    assert bridge.host.posts == 2


async def test_an_event_of_a_study_that_grows_again_waits_for_the_next_one() -> None:
    bridge = Bridge()

    def stable_and_growing() -> None:
        bridge.fake.arrived("a")
        bridge.fake.images("a", count=1)

    def complete() -> None:
        bridge.fake.images("a", count=1)
        bridge.fake.stable(identifier("a"))

    await bridge.run(stable_and_growing, 3, complete)
    assert [run["spec"]["study"]["instances"] for run in bridge.runs] == [4]


async def test_an_event_that_waits_for_the_next_one_is_not_lost_when_that_never_comes() -> None:
    bridge = Bridge()

    def stable_and_growing() -> None:
        bridge.fake.arrived("a")
        bridge.fake.images("a", count=1)

    await bridge.run(stable_and_growing, 3, bridge.fake.restarted, 120)
    assert [(run["spec"]["study"]["instances"], run["spec"]["trigger"]) for run in bridge.runs] == [(3, "Reconcile")]


async def test_two_events_of_one_study_in_one_page_are_one_look() -> None:
    bridge = Bridge()

    def twice() -> None:
        bridge.fake.stable(bridge.fake.arrived("a"))

    await bridge.run(1, twice, 2)
    assert bridge.outcomes() == ["Created"]


async def test_our_own_results_do_not_start_it_again() -> None:
    """A pipeline that takes everything, and its own report and secondary capture in the same study."""
    bridge = Bridge(host=FakeHost(a_candidate()))

    def results() -> None:
        bridge.fake.images("a", "sr", modality="SR", username=USERNAME)
        bridge.fake.images("a", "sc", modality="CT", username=USERNAME)
        bridge.fake.stable(identifier("a"))

    await bridge.run(lambda: bridge.fake.arrived("a"), 1, results, 1)
    assert len(bridge.runs) == 1
    assert bridge.outcomes() == ["Created", "Known"]


async def test_a_study_that_is_gone_is_dropped() -> None:
    bridge = Bridge()

    def announced_and_gone() -> None:
        bridge.fake.rows.append({"Seq": 99, "ChangeType": "StableStudy", "ID": identifier("gone"), "Date": "20260301T120000"})
        bridge.fake.last = 99

    await bridge.run(announced_and_gone, lambda: bridge.fake.arrived("b"), 5)
    assert [one.reason for one in bridge.host.seen(Dropped)] == [Drop.GONE]
    assert len(bridge.runs) == 1
    assert bridge.host.statuses[-1].cursor == bridge.fake.last


async def test_the_next_process_goes_on_from_the_cursor_and_makes_nothing_twice() -> None:
    bridge = Bridge()
    await bridge.run(lambda: bridge.fake.arrived("a"), 1)
    bridge.fake.arrived("while away")
    bridge.clock.pass_by(30)
    await bridge.run(1)
    assert len(bridge.runs) == 2
    assert bridge.host.posts == 2


async def test_a_process_that_died_before_writing_its_status_makes_nothing_twice() -> None:
    bridge = Bridge()
    await bridge.run()
    old = bridge.host.statuses[-1]
    await bridge.run(lambda: bridge.fake.arrived("a"), 1)
    bridge.host.statuses.append(old)
    await bridge.run(1)
    assert len(bridge.runs) == 1
    assert bridge.host.posts == 1


async def test_a_409_from_the_api_server_is_success() -> None:
    """The store may lag behind; only the POST decides."""
    bridge = Bridge()
    bridge.host.run_exists = lambda name: False  # type: ignore[method-assign]
    await bridge.run(lambda: bridge.fake.arrived("a"), 1, lambda: bridge.fake.stable(identifier("a")), 1)
    assert (bridge.host.posts, len(bridge.runs)) == (2, 1)
    assert bridge.outcomes() == ["Created", "Known"]


async def test_while_the_api_server_is_away_the_cursor_stays_and_the_run_comes_later() -> None:
    bridge = Bridge()
    await bridge.run()
    before = bridge.host.statuses[-1].cursor

    def api_away() -> None:
        bridge.host.fault = ConnectionError("API server away")
        bridge.fake.arrived("a")

    def api_back() -> None:
        assert bridge.host.statuses[-1].cursor == before
        assert bridge.host.posts > 1, "it is tried again and again"
        bridge.host.fault = None

    await bridge.run(api_away, 10, api_back, 3)
    assert len(bridge.runs) == 1
    assert max(bridge.clock.slept) <= 2.0
    assert bridge.host.statuses[-1].cursor == bridge.fake.last


async def test_a_run_the_api_server_refuses_does_not_stop_other_studies() -> None:
    bridge = Bridge()

    def refused() -> None:
        bridge.host.fault = RunRefused("quota exceeded")
        bridge.fake.arrived("a")

    def allowed() -> None:
        bridge.host.fault = None
        bridge.fake.arrived("b")

    await bridge.run(1, refused, 1, allowed, 2)
    assert [run["spec"]["study"]["orthancID"] for run in bridge.runs] == [identifier("b")]
    assert Outcome.REFUSED in [one.outcome for one in bridge.host.seen(Decided)]


async def test_a_refused_run_is_tried_again_by_the_next_scan() -> None:
    bridge = Bridge(watch__reconcileInterval="60s")

    def refused() -> None:
        bridge.host.fault = RunRefused("quota exceeded")
        bridge.fake.arrived("a")

    def allowed() -> None:
        bridge.host.fault = None

    await bridge.run(1, refused, 1, allowed, 130)
    assert [run["spec"]["trigger"] for run in bridge.runs] == ["Reconcile"]


# -- Orthanc in trouble ------------------------------------------------------------------------------------------------


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
        asked = {call for call in bridge.fake.calls if call.startswith("GET /studies/")}
        assert len(asked) == 1, "the first failure ends the turn"
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


# -- what the log does not tell ----------------------------------------------------------------------------------------


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


def told_reasons(bridge: Bridge) -> set[str]:
    """Reasons of every condition that was ever written."""
    return {one.reason for status in bridge.host.statuses for one in status.conditions or ()}


# -- another database --------------------------------------------------------------------------------------------------


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


# -- destinations, status ----------------------------------------------------------------------------------------------


async def test_destinations_are_put_at_the_start_and_again_when_orthanc_forgot_them() -> None:
    bridge = Bridge(watch__reconcileInterval="60s")
    await bridge.run(2)
    assert bridge.fake.modalities == {PACS: {"AET": "PACS", "Host": "pacs", "Port": 4242}}
    assert bridge.host.statuses[-1].managed_modalities == [PACS]
    await bridge.run(1, bridge.fake.restarted, 130)
    assert PACS in bridge.fake.modalities


async def test_a_destination_that_is_no_longer_listed_is_removed_and_nothing_else() -> None:
    bridge = Bridge()
    bridge.fake.modalities["OLDPACS"] = {"AET": "X", "Host": "x", "Port": 104}
    await bridge.run(2)
    bridge.spec = {"destinations": []}
    await bridge.run(2)
    assert set(bridge.fake.modalities) == {"OLDPACS"}
    assert bridge.host.statuses[-1].managed_modalities == []


async def test_a_refused_destination_makes_the_bridge_not_ready_and_studies_go_on() -> None:
    bridge = Bridge()
    bridge.fake.fails(f"PUT /modalities/{PACS}", 400)
    await bridge.run(lambda: bridge.fake.arrived("a"), 2)
    assert bridge.host.condition("Ready") == ("False", "DestinationRefused")
    assert len(bridge.runs) == 1


async def test_numbers_alone_are_written_every_five_seconds_at_most() -> None:
    bridge = Bridge(host=FakeHost(a_candidate(series=[requirement("Modality", "In", "MR")])))
    await bridge.run(2)
    before = len(bridge.host.statuses)
    arrivals: list[Callable[[], Any]] = [lambda n=n: bridge.fake.arrived(f"s{n}") for n in range(20)]  # type: ignore[misc]
    await bridge.run(*arrivals, 5)
    assert len(bridge.host.statuses) - before <= 7


async def test_a_new_run_is_written_at_once() -> None:
    bridge = Bridge()
    written: list[Any] = []
    await bridge.run(1, lambda: bridge.fake.arrived("a"), lambda: written.append((len(bridge.runs), bridge.host.statuses[-1].cursor)))
    assert written == [(1, bridge.fake.last)]


async def test_a_suspended_bridge_asks_nothing_and_keeps_its_cursor() -> None:
    bridge = Bridge()
    await bridge.run(lambda: bridge.fake.arrived("a"), 2)
    cursor = bridge.host.statuses[-1].cursor
    bridge.spec = {"suspend": True}
    bridge.fake.calls.clear()
    await bridge.run(10)
    assert bridge.fake.calls == []
    assert bridge.host.condition("Ready") == ("False", "Suspended")
    assert bridge.host.statuses[-1].cursor == cursor


async def test_a_status_that_cannot_be_written_is_written_later() -> None:
    bridge = Bridge()
    bridge.host.fault = ConnectionError("away")

    def back() -> None:
        bridge.host.fault = None

    await bridge.run(3, back, 6)
    assert bridge.host.condition("Ready") == ("True", "Ready")
    assert [one.kind for one in bridge.host.seen(Faulted)][:1] == ["ConnectionError"]


async def test_without_credentials_it_works_and_warns() -> None:
    bridge = Bridge()
    bridge.credentials = False
    await bridge.run(lambda: bridge.fake.arrived("a"), 2)
    assert bridge.host.condition("Authenticated") == ("False", "NoCredentials")
    assert bridge.host.condition("Ready") == ("True", "Ready")
    assert len(bridge.runs) == 1


@pytest.mark.parametrize("hours", [-7, 7])
async def test_a_wrong_clock_of_orthanc_does_not_hide_studies_from_the_scan(hours: int) -> None:
    fake = FakeOrthanc()
    fake.clock_ahead = hours * 3600
    bridge = Bridge(fake, watch__reconcileInterval="60s")

    def cleared() -> None:
        fake.arrived("a")
        fake.rows.clear()

    await bridge.run(1, cleared, 130)
    assert len(bridge.runs) == 1


async def test_nothing_that_identifies_a_patient_leaves_orthanc() -> None:
    bridge = Bridge(host=FakeHost(a_candidate(study=[requirement("PatientID", "In", "SECRET-ID")]), a_candidate("other", study=[requirement("PatientID", "In", "x")])))
    with capture_logs() as logs:
        await bridge.run(lambda: bridge.fake.arrived("a"), 2)
    told = repr(bridge.host.observed) + repr(logs) + "".join(one.model_dump_json() for one in bridge.host.statuses)
    body = [{**run, "spec": {**run["spec"], "template": None}} for run in bridge.runs]
    assert bridge.outcomes() == ["Created", "NotMatched"]
    assert "SECRET-ID" not in told + json.dumps(body)
    assert [(one["pipeline"], one["outcome"], one["check"]) for one in logs if one["event"] == "decision"] == [
        ("nodules", "Created", None),
        ("other", "NotMatched", "PatientID In"),
    ]

