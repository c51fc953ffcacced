"""Routing on a real Orthanc: few requests, own results that come back from anywhere, late images, level Series, completeness asked of a real C-FIND SCP."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.builders_bridge import FakeHost, a_candidate, requirement
from tests.builders_slices import a_ct
from tests.component.following import Following, following
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.waiting import until

from gantry.bridge import Decided, Faulted
from gantry.runs import result_uid

CT = requirement("Modality", "In", "CT")
THIN = requirement("SliceThickness", "Lte", "2.5")
STUDY_CALLS = ("GET /studies/", "GET /series/", "GET /instances/", "POST /tools/", "GET /dicom-web/")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path / "orthanc") as started:
        yield started


@pytest.fixture
def console(tmp_path: Path) -> Iterator[OrthancServer]:
    """The sender: another Orthanc, which answers C-FIND."""
    with orthanc_server(tmp_path / "console", name="CONSOLE", config={"Plugins": [], "DicomAlwaysAllowFind": True}) as started:
        yield started


async def c_store(server: OrthancServer, folder: Path, aet: str, *images: bytes) -> None:
    await asyncio.to_thread(_storescu, server, folder, aet, images)


def _storescu(server: OrthancServer, folder: Path, aet: str, images: tuple[bytes, ...]) -> None:
    before = len(list(folder.iterdir()))
    paths = [folder / f"{before + number}.dcm" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(image)
    command = ["storescu", "-aet", aet, "-aec", server.aet, "127.0.0.1", str(server.dicom_port), *map(str, paths)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def slices(study: str, *numbers: int, series: str = "series", **elements: object) -> list[bytes]:
    return [a_ct(study, series=series, number=number, patient=study, **elements) for number in numbers]


def results(study: str) -> list[bytes]:
    """As publish makes them: a report, and captures and segmentations of any modality, in series whose UIDs have Gantry's mark."""
    made = []
    for role, modality in (("sr", "SR"), ("sc", "CT"), ("seg", "SEG"), ("pdf", "OT")):
        series, instance = (result_uid("here", "radiology", "run", name) for name in (f"{role}-series", role))
        made.append(a_ct(study, patient=study, Modality=modality, SeriesInstanceUID=series, SOPInstanceUID=instance))
    return made


def about_the_study(bridge: Following) -> list[str]:
    """Requests since the first one for a study: those of the contact and of the scan came before."""
    calls = bridge.transport.calls
    begin = next(place for place, call in enumerate(calls) if call.startswith("GET /studies/"))
    return [call for call in calls[begin:] if call.startswith(STUDY_CALLS)]


def outcomes(bridge: Following) -> list[str]:
    return [one.outcome.value for one in bridge.host.seen(Decided)]


async def test_a_study_of_twelve_series_against_two_hundred_pipelines_costs_four_requests(server: OrthancServer) -> None:
    """The number does not depend on the number of images, series or pipelines: study, series, elements of all series, instances."""
    others = [a_candidate(f"p{n}", series=[requirement("ConvolutionKernel", "Matches", f"^B{n}f"), THIN]) for n in range(199)]
    async with following(server, FakeHost(a_candidate(series=[CT, THIN]), *others)) as bridge:
        server.upload(*(image for n in range(12) for image in slices("a", *range(20), series=str(n), ConvolutionKernel="STANDARD")), user="other")
        await until(lambda: len(bridge.host.seen(Decided)) >= 200, "all decisions", tell=bridge.tell)
        asked = about_the_study(bridge)
    assert len(asked) == 4, asked
    assert (len(bridge.runs), bridge.instances) == (1, [240])


async def test_without_dicomweb_an_instance_of_each_series_in_question_is_read(tmp_path: Path) -> None:
    with orthanc_server(tmp_path / "plain", config={"Plugins": []}) as plain:
        async with following(plain, FakeHost(a_candidate(series=[CT, THIN]))) as bridge:
            plain.upload(*(image for n in range(5) for image in slices("a", 1, 2, series=str(n))), user="other")
            await bridge.has_runs(1)
            asked = about_the_study(bridge)
    assert len(asked) == 3 + 5


async def test_both_ways_of_reading_elements_give_the_same_decision(server: OrthancServer, tmp_path: Path) -> None:
    """DICOM JSON makes 5 of `5.000`; so does reading the instance."""
    host = FakeHost(a_candidate(series=[requirement("SliceThickness", "In", "5"), requirement("ImageType", "In", "AXIAL")]))
    images = slices("a", 1, SliceThickness="5.000")
    async with following(server, host) as bridge:
        server.upload(*images, user="other")
        await bridge.has_runs(1)
    with orthanc_server(tmp_path / "plain", config={"Plugins": []}) as plain:
        async with following(plain, FakeHost(*host.candidates)) as other:
            plain.upload(*images, user="other")
            await other.has_runs(1)
    assert [run["metadata"]["name"] for run in bridge.runs] == [run["metadata"]["name"] for run in other.runs]


async def test_a_run_names_who_sent_its_series(server: OrthancServer, files: Path) -> None:
    big = a_candidate(series=[requirement("SeriesDescription", "In", "big")])
    async with following(server, FakeHost(big)) as bridge:
        await c_store(server, files, "SCANNER1", *slices("a", 1, series="small"))
        await c_store(server, files, "SCANNER2", *slices("a", 1, 2, series="big", SeriesDescription="big"))
        await bridge.has_runs(1)
    assert bridge.runs[0]["spec"]["sender"] == "SCANNER2"


async def test_senders_decide_and_order(server: OrthancServer, files: Path) -> None:
    only = a_candidate("only", series=[CT], spec={"match.senders": ["SCANNER2"]})
    urgent = a_candidate("urgent", series=[CT], spec={"priority": {"rules": [{"senders": ["EMERGENCY"], "class": "Stat"}]}})
    async with following(server, FakeHost(only, urgent)) as bridge:
        for number, aet in enumerate(("SCANNER1", "SCANNER2", "EMERGENCY")):
            await c_store(server, files, aet, *slices(f"s{number}", 1))
        await bridge.has_runs(4)
    made = sorted((run["spec"]["pipelineRef"]["name"], run["spec"]["sender"], run["spec"]["priority"]) for run in bridge.runs)
    assert made == [
        ("only", "SCANNER2", "Routine"),
        ("urgent", "EMERGENCY", "Stat"),
        ("urgent", "SCANNER1", "Routine"),
        ("urgent", "SCANNER2", "Routine"),
    ]


@pytest.mark.parametrize("credentials", [True, False], ids=["with credentials", "without credentials"])
async def test_results_never_trigger_though_two_pipelines_match_everything(tmp_path: Path, files: Path, credentials: bool) -> None:
    """Stored by publish, and then sent back by a PACS that knows them under its own AE title, and forgotten here in between."""
    config = {} if credentials else {"AuthenticationEnabled": False}
    with orthanc_server(tmp_path / "orthanc", config=config) as server:
        async with following(server, FakeHost(a_candidate("one"), a_candidate("two"))) as bridge:
            await c_store(server, files, "SCANNER", *slices("a", 1, 2))
            await bridge.has_runs(2)
            stored = server.upload(*results("a"))
            await until(lambda: len(bridge.host.seen(Decided)) >= 4, "the study is stable again", tell=bridge.tell)
            for one in stored:
                server.rest("DELETE", f"/instances/{one['ID']}")
            await c_store(server, files, "PACS", *results("a"))
            await until(lambda: len(bridge.host.seen(Decided)) >= 6, "and once more", tell=bridge.tell)
            await c_store(server, files, "PACS", *results("b"))
            await until(lambda: len(bridge.host.seen(Decided)) >= 8, "a study of nothing but results", tell=bridge.tell)
    assert outcomes(bridge) == ["Created", "Created", *["Known"] * 4, "NotMatched", "NotMatched"]
    assert bridge.host.posts == 2


async def test_a_study_that_trickles_in_ends_in_one_run_that_supersedes_the_others(server: OrthancServer, files: Path) -> None:
    async with following(server, FakeHost(a_candidate(series=[CT]))) as bridge:
        for number in (1, 2, 3):
            await c_store(server, files, "SCANNER", *slices("a", number))
            await bridge.has_runs(number)
        await c_store(server, files, "SCANNER", *slices("a", 1, 2, 3))
        await bridge.polls(12)
    first, second, third = bridge.runs
    assert [run["spec"]["study"]["instances"] for run in bridge.runs] == [1, 2, 3]
    assert "supersedes" not in first["spec"]
    assert second["spec"]["supersedes"]["name"] == first["metadata"]["name"]
    assert third["spec"]["supersedes"]["name"] == second["metadata"]["name"]
    assert outcomes(bridge) == ["Created", "Superseding", "Superseding"], "the same images again are no event at all"


@pytest.mark.parametrize(("policy", "runs"), [("Rerun", 2), ("Ignore", 1)])
async def test_late_images_by_policy(server: OrthancServer, policy: str, runs: int) -> None:
    async with following(server, FakeHost(a_candidate(series=[CT], late=policy))) as bridge:
        server.upload(*slices("a", 1), user="other")
        await bridge.has_runs(1)
        server.upload(*slices("a", 2), user="other")
        await until(lambda: len(outcomes(bridge)) >= 2, "the late image is decided", tell=bridge.tell)
    assert len(bridge.runs) == runs
    assert not any("supersedes" in run["spec"] for run in bridge.runs)


async def test_level_series_takes_a_series_while_its_study_still_comes(server: OrthancServer) -> None:
    async with following(server, FakeHost(a_candidate(series=[CT])), watch__level="Series") as bridge:
        server.upload(*slices("a", 1, 2, series="first"), user="other")
        for number in range(30):  # the study is kept busy; its first series is stable after two seconds
            server.upload(*slices("a", number, series="second"), user="other")
            await asyncio.sleep(0.1)
            if bridge.runs:
                break
        assert [run["spec"]["study"]["instances"] for run in bridge.runs] == [2]
        await bridge.has_runs(2)
        await bridge.says("CaughtUp", "True/CaughtUp")
    assert bridge.triggers == ["StableSeries", "StableSeries"]
    assert not any("supersedes" in run["spec"] for run in bridge.runs)


async def test_level_series_loses_nothing_while_the_bridge_is_away(server: OrthancServer) -> None:
    host = FakeHost(a_candidate(series=[CT]))
    async with following(server, host, watch__level="Series") as bridge:
        server.upload(*slices("a", 1, series="first"), user="other")
        await bridge.has_runs(1)
    server.upload(*slices("a", 1, series="second"), *slices("b", 1), user="other")
    async with following(server, host, watch__level="Series") as bridge:
        await bridge.has_runs(3)
    assert host.posts == 3


def sender(console: OrthancServer) -> dict[str, object]:
    return {"aet": console.aet, "host": "127.0.0.1", "port": console.dicom_port}


async def test_a_study_waits_until_it_has_as_many_images_as_its_sender(server: OrthancServer, console: OrthancServer, files: Path) -> None:
    """A stable event in the middle of sending; the sender says by C-FIND that there is more."""
    whole = slices("a", *range(1, 6))
    console.upload(*whole)
    waiting = a_candidate(series=[CT], completeness={"expectedInstances": "Sender"})
    async with following(server, FakeHost(waiting), senders=[sender(console)]) as bridge:
        await c_store(server, files, console.aet, *whole[:3])
        await until(lambda: outcomes(bridge) == ["Incomplete"], "the study waits", tell=bridge.tell)
        assert bridge.host.seen(Decided)[0].check == "completeness.expectedInstances"
        await c_store(server, files, console.aet, *whole[3:])
        await bridge.has_runs(1)
        await bridge.says("CaughtUp", "True/CaughtUp")
    assert bridge.instances == [5]
    assert server.rest("GET", "/queries") == [], "questions that were answered are removed"


async def test_a_series_waits_until_it_has_as_many_images_as_its_sender(server: OrthancServer, console: OrthancServer, files: Path) -> None:
    console.upload(*slices("a", 1, 2, series="whole"), *slices("a", 1, 2, series="part"))
    waiting = a_candidate(series=[CT], completeness={"expectedInstances": "Sender"})
    async with following(server, FakeHost(waiting), senders=[sender(console)], watch__level="Series") as bridge:
        await c_store(server, files, console.aet, *slices("a", 1, 2, series="whole"), *slices("a", 1, series="part"))
        await until(lambda: sorted(outcomes(bridge)) == ["Created", "Incomplete"], "one is taken, one waits", tell=bridge.tell)
        await c_store(server, files, console.aet, *slices("a", 2, series="part"))
        await bridge.has_runs(2)
    assert bridge.instances == [2, 2]


async def test_a_silent_sender_is_said_and_holds_up_no_other_study(server: OrthancServer, console: OrthancServer, files: Path) -> None:
    waiting = a_candidate("waiting", series=[CT], completeness={"expectedInstances": "Sender"})
    quick = a_candidate("quick", series=[requirement("Modality", "In", "MR")])
    async with following(server, FakeHost(waiting, quick), senders=[sender(console)]) as bridge:
        with console.frozen():
            await c_store(server, files, console.aet, *slices("a", 1), *slices("c", 1), *slices("d", 1))
            await bridge.says("CaughtUp", "False/SenderSilent")
            server.upload(*slices("b", 1, Modality="MR"), user="other")
            await bridge.has_runs(1)
    assert [run["spec"]["pipelineRef"]["name"] for run in bridge.runs] == ["quick"]
    assert [one.where for one in bridge.host.seen(Faulted)] == ["sender"], "asked once for three studies"


async def test_a_study_that_waits_survives_a_kill(server: OrthancServer) -> None:
    host = FakeHost(a_candidate(series=[CT], completeness={"minAge": "5s"}))
    async with following(server, host) as bridge:
        server.upload(*slices("a", 1), user="other")
        await until(lambda: outcomes(bridge) == ["Incomplete"], "the study waits", tell=bridge.tell)
    async with following(server, host) as bridge:
        await bridge.has_runs(1)
        await bridge.says("CaughtUp", "True/CaughtUp")
    assert bridge.triggers == ["StableStudy"]
