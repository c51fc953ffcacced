"""Late images, studies that are not complete, and bridges of level Series, turn by turn."""

from typing import Any

import pytest
from tests.bridge_turns import Bridge
from tests.builders_bridge import FakeHost, a_candidate, requirement
from tests.fake_orthanc import FakeOrthanc, identifier

from gantry.bridge import Decided, Faulted, Origin
from gantry.bridge.host import Discovered

SCANNER = {"aet": "SCANNER", "host": "scanner", "port": 104}
CT = requirement("Modality", "In", "CT")


def supersedes(bridge: Bridge) -> list[str | None]:
    """What each Run names, in the order they were made; by place of that Run."""
    names = [run["metadata"]["name"] for run in bridge.runs]
    found = [run["spec"].get("supersedes", {}).get("name") for run in bridge.runs]
    return [f"Run {names.index(one) + 1}" if one else None for one in found]


def late_image(bridge: Bridge) -> None:
    bridge.fake.images("a", count=1)
    bridge.fake.stable(identifier("a"))


POLICIES: dict[str, tuple[str, list[str], list[str | None]]] = {
    "Supersede": ("Supersede", ["Created", "Superseding", "Superseding"], [None, "Run 1", "Run 2"]),
    "Rerun": ("Rerun", ["Created", "Created", "Created"], [None, None, None]),
    "Ignore": ("Ignore", ["Created", "Ignored", "Ignored"], [None]),
}


@pytest.mark.parametrize(("policy", "outcomes", "named"), POLICIES.values(), ids=POLICIES.keys())
async def test_images_that_trickle_in(policy: str, outcomes: list[str], named: list[str | None]) -> None:
    bridge = Bridge(host=FakeHost(a_candidate(late=policy)))
    await bridge.run(lambda: bridge.fake.arrived("a"), 2, lambda: late_image(bridge), 2, lambda: late_image(bridge), 2)
    assert bridge.outcomes() == outcomes
    assert supersedes(bridge) == named


@pytest.mark.parametrize("policy", POLICIES)
async def test_the_same_images_again_change_nothing_whatever_the_policy(policy: str) -> None:
    bridge = Bridge(host=FakeHost(a_candidate(late=policy)))
    await bridge.run(lambda: bridge.fake.arrived("a"), 2, lambda: bridge.fake.stable(identifier("a")), 2)
    assert bridge.outcomes() == ["Created", "Known"]


async def test_our_own_results_are_no_late_images() -> None:
    """Two pipelines that take everything, and the results of both, one sent back by a PACS."""
    bridge = Bridge(host=FakeHost(a_candidate("one"), a_candidate("two")))

    def results() -> None:
        for name, modality in (("sr", "SR"), ("sc", "CT"), ("seg", "SEG"), ("pdf", "DOC")):
            bridge.fake.images("a", name, modality=modality, own=True, sender="PACS" if name == "sc" else "")
        bridge.fake.stable(identifier("a"))

    bridge.credentials = False
    await bridge.run(lambda: bridge.fake.arrived("a"), 2, results, 2)
    assert bridge.outcomes() == ["Created", "Created", "Known", "Known"]
    assert bridge.host.posts == 2


async def test_while_earlier_runs_cannot_be_asked_for_the_study_waits() -> None:
    bridge = Bridge()
    bridge.host.list_fault = ConnectionError("away")

    def back() -> None:
        assert bridge.runs == []
        bridge.host.list_fault = None

    await bridge.run(1, lambda: bridge.fake.arrived("a"), 3, back, 5)
    assert len(bridge.runs) == 1


class TestIncomplete:
    """match.completeness."""

    async def test_a_study_waits_for_its_age_and_holds_up_no_other(self) -> None:
        slow = a_candidate("slow", study=[requirement("StudyDescription", "In", "slow")], completeness={"minAge": "30s"})
        quick = a_candidate("quick", study=[requirement("StudyDescription", "In", "quick")])
        bridge = Bridge(host=FakeHost(slow, quick))

        def both() -> None:
            bridge.fake.arrived("slow", study_tags={"StudyDescription": "slow"})
            bridge.fake.arrived("quick", study_tags={"StudyDescription": "quick"})

        def only_quick() -> None:
            assert [run["spec"]["pipelineRef"]["name"] for run in bridge.runs] == ["quick"]

        await bridge.run(1, both, 20, only_quick, 20)
        assert [run["spec"]["pipelineRef"]["name"] for run in bridge.runs] == ["quick", "slow"]
        looks = [one.outcome.value for one in bridge.host.seen(Decided) if one.pipeline == "slow" and one.check == "completeness.minAge"]
        assert looks == ["Incomplete"]
        assert bridge.runs[1]["spec"]["trigger"] == "StableStudy"
        assert bridge.host.condition("CaughtUp") == ("True", "CaughtUp")

    async def test_a_waiting_study_is_not_lost_by_a_restart(self) -> None:
        bridge = Bridge(host=FakeHost(a_candidate(completeness={"minAge": "60s"})), watch__reconcileInterval="1h")
        before = bridge.fake.last
        await bridge.run(1, lambda: bridge.fake.arrived("a"), 10)
        study = bridge.fake.studies[identifier("a")]
        assert bridge.runs == []
        assert bridge.host.statuses[-1].cursor is not None
        assert before <= bridge.host.statuses[-1].cursor < bridge.fake.last, "its row is read again"
        await bridge.run(5)
        assert bridge.runs == []
        await bridge.run(60)
        assert len(bridge.runs) == 1
        assert bridge.host.statuses[-1].cursor == bridge.fake.last
        assert study.stable

    async def test_too_few_images_wait_for_more_and_are_then_taken_at_once(self) -> None:
        bridge = Bridge(host=FakeHost(a_candidate(completeness={"minInstances": 3})))
        await bridge.run(1, lambda: bridge.fake.arrived("a", count=2), 30, lambda: late_image(bridge), 2)
        assert bridge.outcomes() == ["Incomplete", "Created"]
        assert bridge.runs[0]["spec"]["study"]["instances"] == 3

    async def test_our_own_results_do_not_complete_a_study(self) -> None:
        bridge = Bridge(host=FakeHost(a_candidate(completeness={"minInstances": 3})))
        bridge.fake.images("a", "sr", modality="SR", own=True)
        await bridge.run(1, lambda: bridge.fake.arrived("a", count=2), 3)
        assert bridge.outcomes() == ["Incomplete"]

    async def test_our_own_results_do_not_begin_the_wait_anew(self) -> None:
        quick, slow = a_candidate("quick"), a_candidate("slow", completeness={"minAge": "30s"})
        bridge = Bridge(host=FakeHost(quick, slow))

        def result() -> None:
            assert len(bridge.runs) == 1
            bridge.fake.images("a", "sr", modality="SR", own=True)
            bridge.fake.stable(identifier("a"))

        await bridge.run(1, lambda: bridge.fake.arrived("a"), 20, result, 15)
        assert [run["spec"]["pipelineRef"]["name"] for run in bridge.runs] == ["quick", "slow"]

    async def test_late_images_that_are_ignored_wait_for_nothing(self) -> None:
        bridge = Bridge(host=FakeHost(a_candidate(late="Ignore", completeness={"minAge": "3s"})))
        await bridge.run(1, lambda: bridge.fake.arrived("a"), 8, lambda: late_image(bridge), 8)
        assert bridge.outcomes() == ["Incomplete", "Created", "Ignored"]

    async def test_a_study_that_stays_too_small_is_taken_as_it_is_and_said_so(self) -> None:
        bridge = Bridge(host=FakeHost(a_candidate(completeness={"minInstances": 3, "giveUpAfter": "1m"})))
        await bridge.run(1, lambda: bridge.fake.arrived("a", count=2), 65)
        assert [(one.outcome.value, one.check) for one in bridge.host.seen(Decided)] == [
            ("Incomplete", "completeness.minInstances"),
            ("Created", "completeness.minInstances"),
        ]
        assert bridge.runs[0]["spec"]["study"]["instances"] == 2

    async def test_a_study_deleted_while_it_waits_is_dropped(self) -> None:
        bridge = Bridge(host=FakeHost(a_candidate(completeness={"minAge": "30s"})))
        await bridge.run(1, lambda: bridge.fake.arrived("a"), 5, lambda: bridge.fake.delete(identifier("a")), 40)
        assert bridge.runs == []
        assert bridge.host.statuses[-1].cursor is not None

    async def test_a_study_the_scan_found_waits_too(self) -> None:
        bridge = Bridge(host=FakeHost(a_candidate(completeness={"minAge": "4m"})), watch__reconcileInterval="10s")

        def unseen() -> None:
            bridge.fake.images("a")
            bridge.fake.rows.clear()
            bridge.fake.restarted()

        await bridge.run(1, unseen, 270)
        assert [run["spec"]["trigger"] for run in bridge.runs] == ["Reconcile"]


class TestSender:
    """completeness.expectedInstances: Sender."""

    def bridge(self, **rule: str) -> Bridge:
        candidate = a_candidate(completeness={"expectedInstances": "Sender", **rule})
        return Bridge(host=FakeHost(candidate), senders=[SCANNER])

    async def test_as_many_images_as_the_sender_has_are_complete(self) -> None:
        bridge = self.bridge()
        bridge.fake.counts["SCANNER"] = 2
        await bridge.run(1, lambda: bridge.fake.arrived("a", count=2, sender="SCANNER"), 2)
        assert bridge.outcomes() == ["Created"]
        assert bridge.runs[0]["spec"]["sender"] == "SCANNER"
        assert bridge.fake.queries == {}

    async def test_fewer_wait_and_the_last_image_ends_the_wait(self) -> None:
        bridge = self.bridge()
        bridge.fake.counts["SCANNER"] = 3
        await bridge.run(1, lambda: bridge.fake.arrived("a", count=2, sender="SCANNER"), 10, lambda: late_image(bridge), 2)
        assert bridge.outcomes() == ["Incomplete", "Created"]

    async def test_a_sender_that_is_asked_again_and_has_no_more(self) -> None:
        bridge = self.bridge()
        bridge.fake.counts["SCANNER"] = 3

        def fewer() -> None:
            bridge.fake.counts["SCANNER"] = 2

        await bridge.run(1, lambda: bridge.fake.arrived("a", count=2, sender="SCANNER"), 10, fewer, 25)
        assert bridge.outcomes() == ["Incomplete", "Created"]

    async def test_a_sender_the_bridge_does_not_name_is_not_asked(self) -> None:
        bridge = self.bridge()
        await bridge.run(1, lambda: bridge.fake.arrived("a", sender="OTHER"), 2)
        assert bridge.outcomes() == ["Created"]

    async def test_a_silent_sender_is_said_left_alone_and_given_up(self) -> None:
        bridge = self.bridge(giveUpAfter="2m")

        def three() -> None:
            for name in "abc":
                bridge.fake.arrived(name, sender="SCANNER")

        def said() -> None:
            assert bridge.host.condition("CaughtUp") == ("False", "SenderSilent")
            assert len([one for one in bridge.host.seen(Faulted) if one.where == "sender"]) == 1, "asked once for all three"
            message = next(one.message for one in bridge.host.statuses[-1].conditions or () if one.type == "CaughtUp")
            assert "sender SCANNER" in message
            assert "Connection refused" in message

        await bridge.run(1, three, 3, said, 120)
        assert len(bridge.runs) == 3
        assert {(one.outcome.value, one.check) for one in bridge.host.seen(Decided)} == {
            ("Incomplete", "completeness.expectedInstances"),
            ("Created", "completeness.expectedInstances"),
        }
        assert bridge.host.condition("CaughtUp") == ("True", "CaughtUp")

    async def test_senders_are_kept_in_orthancs_modalities_and_removed_when_unused(self) -> None:
        bridge = self.bridge()
        await bridge.run(2)
        assert bridge.fake.modalities["gantry_radiology_main_from_SCANNER"] == {"AET": "SCANNER", "Host": "scanner", "Port": 104}
        bridge.spec = {"senders": []}
        await bridge.run(2)
        assert "gantry_radiology_main_from_SCANNER" not in bridge.fake.modalities


class TestSeries:
    """watch.level Series."""

    def bridge(self, *candidates: Any, **spec: Any) -> Bridge:
        return Bridge(host=FakeHost(*(candidates or (a_candidate(series=[CT]),))), watch__level="Series", **spec)

    async def test_each_series_is_taken_as_soon_as_it_is_stable(self) -> None:
        bridge = self.bridge()

        def first() -> None:
            bridge.fake.images("a", "1", count=3)
            bridge.fake.images("a", "2", count=1)
            bridge.fake.stable_series(identifier("a", "1"))

        def one() -> None:
            assert [run["spec"]["study"]["seriesIDs"] for run in bridge.runs] == [[identifier("a", "1")]]
            bridge.fake.images("a", "2", count=1)
            bridge.fake.stable(identifier("a"))

        await bridge.run(1, first, 2, one, 2)
        assert [run["spec"]["study"]["seriesIDs"] for run in bridge.runs] == [[identifier("a", "1")], [identifier("a", "2")]]
        assert {run["spec"]["trigger"] for run in bridge.runs} == {"StableSeries"}
        assert supersedes(bridge) == [None, None]
        assert bridge.host.seen(Discovered)[0].origin is Origin.STABLE_SERIES

    async def test_a_series_is_decided_in_the_light_of_its_study(self) -> None:
        bridge = self.bridge(a_candidate(study=[requirement("ModalitiesInStudy", "In", "PT")], series=[CT]))

        def pet_ct() -> None:
            bridge.fake.images("a", "pt", modality="PT")
            bridge.fake.arrived("a", series="ct")

        await bridge.run(1, pet_ct, 2)
        assert [run["spec"]["study"]["seriesIDs"] for run in bridge.runs] == [[identifier("a", "ct")]]

    async def test_a_late_image_supersedes_the_run_of_its_series_only(self) -> None:
        bridge = self.bridge()

        def two() -> None:
            bridge.fake.images("a", "2")
            bridge.fake.arrived("a", series="1")

        def late() -> None:
            bridge.fake.images("a", "2", count=1)
            bridge.fake.stable_series(identifier("a", "2"))

        await bridge.run(1, two, 2, late, 2)
        by_series = {run["metadata"]["name"]: run["spec"]["study"]["seriesIDs"] for run in bridge.runs}
        third = bridge.runs[2]["spec"]
        assert by_series[third["supersedes"]["name"]] == third["study"]["seriesIDs"] == [identifier("a", "2")]

    async def test_our_own_results_start_nothing(self) -> None:
        bridge = self.bridge(a_candidate())

        def results() -> None:
            bridge.fake.images("a", "sc", own=True)
            bridge.fake.stable(identifier("a"))

        await bridge.run(1, lambda: bridge.fake.arrived("a"), 2, results, 2)
        assert len(bridge.runs) == 1

    async def test_a_lost_event_is_found_by_the_watch(self) -> None:
        bridge = self.bridge()
        await bridge.run(1, lambda: bridge.fake.images("a"), bridge.fake.restarted, 100)
        assert [run["spec"]["trigger"] for run in bridge.runs] == ["Reconcile"]

    async def test_a_series_no_row_tells_of_is_found_by_the_scan(self) -> None:
        bridge = self.bridge(watch__reconcileInterval="10s")

        def unseen() -> None:
            bridge.fake.images("a", "1")
            bridge.fake.images("a", "2")
            bridge.fake.rows.clear()
            bridge.fake.restarted()

        await bridge.run(1, unseen, 100)
        assert len(bridge.runs) == 2
        assert {run["spec"]["trigger"] for run in bridge.runs} == {"Reconcile"}

    async def test_a_scan_asks_about_each_study_once_while_nothing_changes(self) -> None:
        bridge = self.bridge(watch__reconcileInterval="10s")
        await bridge.run(1, lambda: bridge.fake.arrived("a"), 150)
        looks = [one.origin for one in bridge.host.seen(Discovered)]
        assert looks == [Origin.STABLE_SERIES, Origin.RECONCILE]
        assert bridge.host.posts == 1

    async def test_completeness_is_of_the_series(self) -> None:
        bridge = self.bridge(a_candidate(completeness={"expectedInstances": "Sender"}), senders=[SCANNER])
        bridge.fake.counts["SCANNER"] = 2

        def two() -> None:
            bridge.fake.images("a", "small", count=1, sender="SCANNER")
            bridge.fake.arrived("a", series="whole", count=2, sender="SCANNER")

        await bridge.run(1, two, 5)
        assert [run["spec"]["study"]["seriesIDs"] for run in bridge.runs] == [[identifier("a", "whole")]]
        assert sorted(bridge.outcomes()) == ["Created", "Incomplete"]

    async def test_a_deleted_series_is_dropped(self) -> None:
        bridge = Bridge(FakeOrthanc(), host=FakeHost(a_candidate()), watch__level="Series")

        def gone() -> None:
            bridge.fake.arrived("a")
            rows = list(bridge.fake.rows)
            bridge.fake.delete(identifier("a"))
            bridge.fake.rows = rows

        await bridge.run(1, gone, 2)
        assert bridge.runs == []
