"""The loop on a healthy day: each stable study is taken once, whatever the API server does."""


from tests.bridge_turns import Bridge
from tests.builders_bridge import FakeHost, a_candidate
from tests.fake_orthanc import identifier

from gantry.bridge import Decided, Drop, Dropped, Origin, Outcome, RunRefused
from gantry.bridge.host import Discovered


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


async def test_a_study_of_one_series_costs_three_requests() -> None:
    """The study, its series, its instances."""
    bridge = Bridge()
    await bridge.run(lambda: bridge.fake.arrived("a"), lambda: bridge.fake.calls.clear() if not bridge.runs else None)
    asked = [call for call in bridge.fake.calls if call.startswith(("GET /studies/", "GET /series/", "GET /instances/", "POST"))]
    assert len(asked) == 3
    assert len(bridge.runs) == 1


async def test_a_late_image_makes_another_run_and_a_repeated_event_none() -> None:
    bridge = Bridge()
    study = identifier("a")

    def late() -> None:
        bridge.fake.images("a", count=1)
        bridge.fake.stable(study)

    await bridge.run(lambda: bridge.fake.arrived("a", count=2), 1, lambda: bridge.fake.stable(study), 1, late, 1, lambda: bridge.fake.stable(study))
    assert sorted(run["spec"]["study"]["instances"] for run in bridge.runs) == [2, 3]
    assert bridge.outcomes() == ["Created", "Known", "Superseding", "Known"]
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
        bridge.fake.images("a", "sr", modality="SR", own=True)
        bridge.fake.images("a", "sc", modality="CT", own=True)
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
