"""A report makes an old study stable again, and young to a scan: neither is a reason to analyse its images.

The story: a backfill of one pipeline over a year would otherwise start every other pipeline that matches, by the stable event of each report.
"""

from tests.backfill_walk import Walk
from tests.bridge_turns import Bridge
from tests.builders_bridge import FakeHost, a_candidate
from tests.fake_orthanc import identifier

DAY = 86_400


def a_report_comes(bridge: Bridge, study: str = "a") -> None:
    bridge.fake.images(study, "report", modality="SR", own=True, count=1)
    bridge.fake.stable(identifier(study))


def an_image_comes(bridge: Bridge) -> None:
    bridge.fake.images("a", count=1)


async def test_a_report_on_an_old_study_starts_no_other_pipeline() -> None:
    bridge = Bridge()
    bridge.fake.arrived("a")
    bridge.fake.clock.pass_by(DAY)
    await bridge.run(1, lambda: a_report_comes(bridge), 3)
    assert bridge.outcomes() == ["OwnResult"]
    assert bridge.runs == []


async def test_nor_does_the_scan_that_finds_the_study_young() -> None:
    bridge = Bridge(watch__reconcileInterval="10s")
    bridge.fake.arrived("a")
    bridge.fake.clock.pass_by(DAY)
    bridge.fake.images("a", "report", modality="SR", own=True, count=1)
    bridge.fake.restarted()  # its stable event is lost
    await bridge.run(120)
    assert set(bridge.outcomes()) == {"OwnResult"}
    assert bridge.runs == []


async def test_an_image_that_comes_just_before_a_report_is_analysed() -> None:
    bridge = Bridge()
    bridge.fake.arrived("a")
    bridge.fake.clock.pass_by(DAY)
    await bridge.run(1, lambda: an_image_comes(bridge), 3, lambda: a_report_comes(bridge), 3)
    assert bridge.outcomes() == ["Created"]


async def test_a_study_that_waits_for_completeness_is_not_taken_from_by_a_report_meanwhile() -> None:
    """Of a pipeline that did not wait."""
    bridge = Bridge(host=FakeHost(a_candidate(completeness={"minAge": "3m"})))
    await bridge.run(lambda: bridge.fake.arrived("a"), 100, lambda: a_report_comes(bridge), 120)
    assert "Created" in bridge.outcomes()


async def test_an_event_that_is_read_late_is_its_images_own() -> None:
    """The API server was away while it was first read, and another pipeline's report came meanwhile."""
    bridge = Bridge()
    bridge.host.fault = ConnectionError("no answer")

    def back() -> None:
        bridge.fake.clock.pass_by(300)
        a_report_comes(bridge)
        bridge.host.fault = None

    await bridge.run(lambda: bridge.fake.arrived("a"), 3, back, 5)
    assert "Created" in bridge.outcomes()


async def test_a_bridge_from_the_beginning_takes_all_there_is() -> None:
    bridge = Bridge(watch__startFrom="Beginning")
    bridge.fake.arrived("a")
    bridge.fake.clock.pass_by(DAY)
    a_report_comes(bridge)
    await bridge.run(5)
    assert "Created" in bridge.outcomes()
    assert len(bridge.runs) == 1


def test_a_backfill_does_not_pass_over_a_study_that_only_another_ones_report_made_unstable() -> None:
    walk = Walk()
    walk.study("a")
    walk.fake.images("a", "report", modality="SR", own=True, count=1)
    assert walk.fake.studies[identifier("a")].stable is False
    walk.run()
    assert walk.counts.created == 1


def test_a_backfill_leaves_a_study_that_still_grows_to_the_bridge() -> None:
    walk = Walk()
    walk.study("a")
    walk.fake.images("a", count=1)
    walk.run()
    assert (walk.counts.examined, walk.counts.matched, walk.host.runs) == (1, 0, {})
