"""The bridge against a real Orthanc: no study is missed and none is taken twice, whatever happens to either of them."""

import asyncio
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.builders_bridge import FakeHost, a_candidate, requirement
from tests.builders_slices import a_ct
from tests.component.following import following
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.waiting import until

from gantry.bridge import Decided, Dropped
from gantry.runs import result_uid

THIN = a_candidate(series=[requirement("Modality", "In", "CT"), requirement("SliceThickness", "Lte", "2.5")])
PACS = "gantry_radiology_main_pacs"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path / "orthanc") as started:
        yield started


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a study must be quiet to count as complete without its event: 50 s for an unknown server, here 3 s."""
    monkeypatch.setattr("gantry.bridge.missed.UNKNOWN_AGE", timedelta(seconds=0.5))
    monkeypatch.setattr("gantry.bridge.missed.FACTOR", 1)
    monkeypatch.setattr("gantry.bridge.missed.SLACK", timedelta(seconds=2.5))


def images(server: OrthancServer, study: str, *numbers: int) -> str:
    """Images of a patient of its own, from somebody else than Gantry. Returns Orthanc's id of the study."""
    answers = server.upload(*(a_ct(study, number=number, patient=study) for number in numbers or (1,)), user="other")
    found: str = answers[0]["ParentStudy"]
    return found


def a_result(study: str, role: str, modality: str, run: str = "run") -> bytes:
    """As publish makes it: of any modality, in a series whose UID has Gantry's mark."""
    own = {"SeriesInstanceUID": result_uid("here", "radiology", run, f"{role}-series"), "SOPInstanceUID": result_uid("here", "radiology", run, role)}
    return a_ct(study, patient=study, Modality=modality, **own)


def last_change(server: OrthancServer) -> int:
    found: int = server.rest("GET", "/changes?last")["Last"]
    return found


async def test_a_study_sent_by_c_store_becomes_a_run(server: OrthancServer, tmp_path: Path) -> None:
    files = []
    for number in range(1, 4):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(a_ct("a", number=number))
    async with following(server, FakeHost(THIN)) as bridge:
        command = ["storescu", "-aec", server.aet, "127.0.0.1", str(server.dicom_port), *map(str, files)]
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, timeout=30)
        await bridge.has_runs(1)
        await bridge.says("CaughtUp", "True/CaughtUp")
    (run,) = bridge.runs
    assert run["spec"]["study"]["orthancID"] == server.studies()[0]
    assert run["spec"]["study"]["instances"] == 3
    (decided,) = bridge.host.seen(Decided)
    assert decided.seconds < 1.0, "from seeing the event to the Run"


STUDY_CALLS = ("GET /studies/", "GET /series/", "GET /instances/", "POST /tools/", "GET /dicom-web/")


async def test_a_study_of_one_series_costs_four_requests(server: OrthancServer) -> None:
    """The study, its series, one instance's elements, its instances."""
    async with following(server, FakeHost(THIN)) as bridge:
        images(server, "a", 1, 2, 3)
        await bridge.has_runs(1)
        asked = [call for call in bridge.transport.calls if call.startswith(STUDY_CALLS)]
    assert len(asked) == 4


async def test_a_study_that_comes_while_the_bridge_is_away_is_taken_by_the_next_process(server: OrthancServer) -> None:
    host = FakeHost()
    async with following(server, host) as bridge:
        images(server, "a")
        await bridge.has_runs(1)
    images(server, "b")
    async with following(server, host) as bridge:
        await bridge.has_runs(2)
        await bridge.polls(3)
    assert host.posts == 2
    assert bridge.triggers == ["StableStudy", "StableStudy"]


async def test_a_process_that_lost_its_last_status_takes_nothing_twice(server: OrthancServer) -> None:
    host = FakeHost()
    async with following(server, host) as bridge:
        first = host.statuses[0]
        images(server, "a")
        await bridge.has_runs(1)
    host.statuses.append(first)
    async with following(server, host) as bridge:
        await until(lambda: len(host.seen(Decided)) >= 2, "the study is looked at again", tell=bridge.tell)
    assert (len(host.runs), host.posts) == (1, 1)


async def test_a_late_image_makes_another_run_and_the_same_image_again_none(server: OrthancServer) -> None:
    async with following(server) as bridge:
        images(server, "a", 1, 2)
        await bridge.has_runs(1)
        before = last_change(server)
        images(server, "a", 1)
        images(server, "a", 3)
        await bridge.has_runs(2)
        assert last_change(server) > before
    assert bridge.instances == [2, 3]


async def test_a_result_written_back_starts_nothing(server: OrthancServer) -> None:
    """The report and the secondary capture make the study stable again; both are known by their UIDs."""
    async with following(server, FakeHost(a_candidate())) as bridge:
        images(server, "a", 1, 2)
        await bridge.has_runs(1)
        server.upload(*(a_result("a", name, kind) for name, kind in (("sc", "CT"), ("sr", "SR"))))
        await until(lambda: len(bridge.host.seen(Decided)) >= 2, "the study is stable again", tell=bridge.tell)
        await bridge.polls(3)
    assert bridge.instances == [2]
    assert [one.outcome.value for one in bridge.host.seen(Decided)] == ["Created", "Known"]


@pytest.mark.usefixtures("short_wait")
async def test_an_orthanc_killed_before_the_stable_event_loses_no_study(server: OrthancServer) -> None:
    """The countdown is in memory only: after the restart no event ever comes, and IsStable says true."""
    async with following(server) as bridge:
        images(server, "a", 1, 2)
        await asyncio.to_thread(server.restart)
        await bridge.has_runs(1)
        await bridge.says("CaughtUp", "True/CaughtUp")
    assert (bridge.triggers, bridge.instances) == (["Reconcile"], [2])


@pytest.mark.usefixtures("short_wait")
async def test_a_late_image_whose_event_was_lost_is_found_by_the_scan(server: OrthancServer) -> None:
    """An image in a known series writes no New row of study or series, so only LastUpdate tells."""
    async with following(server) as bridge:
        images(server, "a", 1)
        await bridge.has_runs(1)
        images(server, "a", 2)
        server.kill()
        await bridge.says("Reachable", "False/Unreachable")
        await asyncio.to_thread(server.start)
        await bridge.has_runs(2)
    assert bridge.instances == [1, 2]


async def test_a_study_deleted_before_it_is_looked_at_is_dropped(server: OrthancServer) -> None:
    host = FakeHost()
    async with following(server, host):
        pass
    study = images(server, "gone")
    await until(lambda: server.rest("GET", f"/studies/{study}")["IsStable"], "stable")
    server.rest("DELETE", f"/studies/{study}")
    images(server, "b")
    async with following(server, host) as bridge:
        await bridge.has_runs(1)
        await bridge.says("CaughtUp", "True/CaughtUp")
    assert len(bridge.runs) == 1
    assert host.seen(Dropped) == [], "its rows are gone with it"


async def test_deleting_the_newest_study_is_not_taken_for_another_database(server: OrthancServer) -> None:
    """Its rows vanish and ?last goes down; only an empty page's Last below the cursor means another database."""
    async with following(server) as bridge:
        images(server, "a")
        study = images(server, "b")
        await bridge.has_runs(2)
        await bridge.polls()
        before = last_change(server)
        server.rest("DELETE", f"/studies/{study}")
        assert last_change(server) < before
        await bridge.polls(3)
        images(server, "c")
        await bridge.has_runs(3)
    reasons = {one.reason for status in bridge.host.statuses for one in status.conditions or ()}
    assert "DatabaseChanged" not in reasons
    assert len(bridge.runs) == 3


@pytest.mark.usefixtures("short_wait")
async def test_a_wiped_database_is_followed_anew(server: OrthancServer) -> None:
    async with following(server) as bridge:
        images(server, "a")
        images(server, "b")
        await bridge.has_runs(2)
        await bridge.polls()
        await asyncio.to_thread(server.restart, wipe=True)
        images(server, "c")
        await bridge.has_runs(3)
        await bridge.says("CaughtUp", "True/CaughtUp")
    reasons = {one.reason for status in bridge.host.statuses for one in status.conditions or ()}
    assert "DatabaseChanged" in reasons
    assert len(bridge.runs) == 3


async def test_a_cleared_change_log_loses_nothing_that_comes_after(server: OrthancServer) -> None:
    async with following(server) as bridge:
        images(server, "a")
        await bridge.has_runs(1)
        server.rest("DELETE", "/changes")
        images(server, "b")
        await bridge.has_runs(2)
    assert bridge.triggers == ["StableStudy", "StableStudy"]


async def test_a_wrong_password_is_said_and_nothing_is_asked_in_a_hurry(server: OrthancServer) -> None:
    async with following(server, password="wrong") as bridge:
        await bridge.says("Authenticated", "False/Unauthorized")
    assert bridge.condition("Reachable") == "True/Reachable"
    assert bridge.condition("Ready") == "False/Unauthorized"
    assert len(bridge.transport.calls) <= 2


async def test_an_orthanc_that_hangs_is_said_to_and_followed_again(server: OrthancServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.orthanc.http.READ_TIMEOUT", 0.5)
    async with following(server) as bridge:
        await bridge.says("Ready", "True/Ready")
        with server.frozen():
            await bridge.says("Reachable", "False/Unreachable")
        await bridge.says("Reachable", "True/Reachable")
        images(server, "a")
        await bridge.has_runs(1)
    assert bridge.condition("Ready") == "True/Ready"


async def test_an_orthanc_that_is_away_at_first_is_followed_when_it_comes(server: OrthancServer) -> None:
    server.kill()
    async with following(server, watch__startFrom="Beginning") as bridge:
        await bridge.says("Reachable", "False/Unreachable")
        await asyncio.to_thread(server.start)
        images(server, "a")
        await bridge.has_runs(1)
    assert bridge.condition("Ready") == "True/Ready"


async def test_destinations_survive_a_restart_of_orthanc_and_others_entries_are_left_alone(server: OrthancServer) -> None:
    server.overrides["DicomModalities"] = {"OLDPACS": ["OLD", "127.0.0.1", 104]}
    server.restart()
    host = FakeHost()
    async with following(server, host) as bridge:
        await until(lambda: PACS in server.rest("GET", "/modalities"), "the destination", tell=bridge.tell)
        server.kill()
        await bridge.says("Reachable", "False/Unreachable")
        await asyncio.to_thread(server.start)
        await bridge.says("Ready", "True/Ready")
        await until(lambda: PACS in server.rest("GET", "/modalities"), "the destination again", tell=bridge.tell)
        await until(lambda: host.statuses[-1].managed_modalities == [PACS], "it is recorded", tell=bridge.tell)
    async with following(server, host, destinations=[]) as bridge:
        await until(lambda: server.rest("GET", "/modalities") == ["OLDPACS"], "only what others made is left", tell=bridge.tell)
    assert host.seen(Dropped) == []


async def test_a_destination_orthanc_refuses_is_said(server: OrthancServer) -> None:
    refused = {"name": "pacs", "dicom": {"aet": "PACS", "host": "pacs", "port": 65535}}
    async with following(server, destinations=[refused]) as bridge:
        await bridge.says("Ready", "False/DestinationRefused")
    message = next(one.message for one in bridge.host.statuses[-1].conditions or () if one.type == "Ready")
    assert "A TCP port number must be in range" in message
