"""A pipeline that starts after a finished Run: what its Run is for, and when there is none."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.builders_bridge import FakeHost, a_candidate, requirement
from tests.fake_orthanc import START, Clock, FakeOrthanc, identifier

from gantry.bridge import AfterIntake, Candidate, Decided, First, Outcome, RunRefused, Started, Unsettled
from gantry.orthanc import Unreachable
from gantry.runs import fingerprint

RESULTS = ("2.25.1", "2.25.2")
CT = requirement("Modality", "In", "CT")


class Place:
    """A study of two series, stable; the first Run's report came last, so the study as a whole is not."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.server = FakeOrthanc(self.clock)
        self.host = FakeHost()
        self.server.images("a", "1", count=2)
        self.study = self.server.images("a", "2", count=3, modality="MR")
        self.server.stable(self.study)
        self.server.images("a", "report", count=1, modality="SR", own=True)
        self.first = First("triage-a", self.study, RESULTS, "Urgent", "CT_ER")

    def start(self, candidate: Candidate, *, supersedes: str | None = None, **changes: Any) -> Started:
        async def work() -> Started:
            async with self.server.client() as orthanc:
                intake = AfterIntake("radiology", "main", orthanc, self.host, self.clock)
                return await intake.start(candidate, replace(self.first, **changes), seen=START, supersedes=supersedes)

        return asyncio.run(work())

    @property
    def spec(self) -> dict[str, Any]:
        (run,) = self.host.runs.values()
        spec = run["spec"]
        assert isinstance(spec, dict)
        return spec

    def decided(self) -> list[tuple[str, str, str | None]]:
        return [(one.pipeline, one.outcome.value, one.check) for one in self.host.seen(Decided)]


@pytest.fixture
def place() -> Place:
    return Place()


def test_the_run_is_for_the_chosen_images_and_what_the_first_left(place: Place) -> None:
    made = place.start(a_candidate("volumetry", series=[CT]))
    images = place.server.series[identifier("a", "1")].instances
    uids = [place.server._instance(one)["MainDicomTags"]["SOPInstanceUID"] for one in images]
    identity = fingerprint("radiology", "volumetry", place.study, [*uids, *RESULTS])
    assert made == Started(Outcome.CREATED, run=f"volumetry-{identity[:13]}")
    assert place.spec["study"] == {"orthancID": place.study, "seriesIDs": [identifier("a", "1")], "instances": 2, "fingerprint": identity}
    assert (place.spec["trigger"], place.spec["after"], place.spec["sender"]) == ("After", {"name": "triage-a"}, "CT_ER")
    assert "supersedes" not in place.spec
    assert place.decided() == [("volumetry", "Created", None)]


def test_a_rerun_of_the_first_starts_another_and_the_same_run_does_not(place: Place) -> None:
    first, again = place.start(a_candidate(series=[CT])), place.start(a_candidate(series=[CT]))
    assert (again.outcome, again.run, place.host.posts) == (Outcome.KNOWN, first.run, 1)
    other = place.start(a_candidate(series=[CT]), name="triage-a-r2", results=("2.25.7",))
    assert (other.outcome, other.run == first.run) == (Outcome.CREATED, False)


PRIORITIES = {
    "its own rule": ("Routine", "Stat", "Stat"),
    "not that of the first Run": ("Stat", None, "Routine"),
    "but after a backfill it waits for everybody": ("Background", "Stat", "Background"),
}


@pytest.mark.parametrize(("of_first", "rule", "want"), PRIORITIES.values(), ids=PRIORITIES.keys())
def test_its_class_is(of_first: str, rule: str | None, want: str, place: Place) -> None:
    rules = [{"study": [requirement("StudyDescription", "Exists")], "class": rule}] if rule else []
    place.start(a_candidate(series=[CT], spec={"priority": {"rules": rules}}), priority=of_first)
    assert place.spec["priority"] == want


def test_it_takes_the_place_it_is_told(place: Place) -> None:
    place.start(a_candidate(series=[CT]), supersedes="volumetry-old")
    assert place.spec["supersedes"] == {"name": "volumetry-old"}


def test_images_that_come_to_a_chosen_series_are_waited_for(place: Place) -> None:
    place.server.images("a", "1", count=1)
    with pytest.raises(Unsettled, match="images come to 1 of 1 chosen series"):
        place.start(a_candidate(series=[CT]))
    assert place.host.posts == 0
    assert place.start(a_candidate("mr", series=[requirement("Modality", "In", "MR")])).outcome is Outcome.CREATED


def test_at_level_series_it_is_decided_on_the_series_of_the_first_run(place: Place) -> None:
    place.start(a_candidate(), alone=identifier("a", "2"))
    assert (place.spec["study"]["seriesIDs"], place.spec["study"]["instances"]) == ([identifier("a", "2")], 3)


def test_a_study_that_does_not_match_says_by_which_check(place: Place) -> None:
    made = place.start(a_candidate(study=[requirement("StudyDescription", "Matches", "Kopf")]))
    assert made == Started(Outcome.NOT_MATCHED, why="the study does not match (StudyDescription Matches)")
    assert place.decided() == [("nodules", "NotMatched", "StudyDescription Matches")]


def test_a_study_that_was_deleted_starts_nothing(place: Place) -> None:
    place.server.delete(place.study)
    assert place.start(a_candidate(series=[CT])) == Started(Outcome.NOT_MATCHED, why="the study was deleted from Orthanc")


def test_a_run_the_api_server_refuses_is_said_without_its_words(place: Place) -> None:
    place.host.fault = RunRefused("spec.template: too long: 1.2.840.1")
    made = place.start(a_candidate(series=[CT]))
    assert made == Started(Outcome.REFUSED, why="the API server refuses its Run; the operator's log says why")


def test_an_orthanc_or_api_server_that_is_away_is_the_callers_to_wait_for(place: Place) -> None:
    place.host.fault = ConnectionError("away")
    with pytest.raises(ConnectionError):
        place.start(a_candidate(series=[CT]))
    place.server.down()
    with pytest.raises(Unreachable):
        place.start(a_candidate(series=[CT]))
