"""The client against a real Orthanc."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pydicom
import pytest
from tests.builders_slices import a_ct, encoded, uid
from tests.component.control_plane import free_port
from tests.component.orthanc_server import OrthancServer, orthanc_server

from gantry.orthanc import Credentials, Modality, NotFound, Orthanc, Refused, TooSlow, Unauthorized, Unreachable


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("orthanc")) as started:
        yield started


def connected(server: OrthancServer, **more: object) -> Orthanc:
    return Orthanc(server.url, credentials=Credentials(server.username, server.password), **more)  # type: ignore[arg-type]


@pytest.fixture
async def orthanc(server: OrthancServer) -> AsyncIterator[Orthanc]:
    async with connected(server) as client:
        yield client


async def test_it_says_who_it_is(orthanc: Orthanc) -> None:
    system = await orthanc.system()
    assert system.version
    assert system.name == "ORTHANC"
    assert await orthanc.now() is not None


async def test_proxies_of_the_environment_are_not_used(server: OrthancServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images must not take the way of a proxy that happens to stand in a pod's environment."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with connected(server) as orthanc:
        assert (await orthanc.system()).name == "ORTHANC"


async def test_the_same_file_again_is_already_stored_and_writes_no_change(orthanc: Orthanc) -> None:
    first = await orthanc.upload(a_ct("again"))
    last = await orthanc.last_change()
    second = await orthanc.upload(a_ct("again"))
    assert (first.status, second.status) == ("Success", "AlreadyStored")
    assert second.id == first.id
    rows = await orthanc.changes(since=last)
    assert not [row for row in rows.changes if row.type == "NewInstance"]


async def test_ten_uploads_of_one_file_at_once_store_it_once(orthanc: Orthanc) -> None:
    answers = await asyncio.gather(*(orthanc.upload(a_ct("at once")) for _ in range(10)))
    assert len({one.id for one in answers}) == 1
    assert sorted(one.status for one in answers)[-1] == "Success"
    assert [one.status for one in answers].count("Success") == 1


async def test_other_content_under_the_same_uids_is_dropped_silently_and_the_md5_tells(orthanc: Orthanc) -> None:
    """This is why publish reads back what it stored."""
    old, new = a_ct("other content"), a_ct("other content", SeriesDescription="changed")
    stored = await orthanc.upload(old)
    assert (await orthanc.upload(new)).status == "AlreadyStored"
    assert await orthanc.md5(stored.id) == hashlib.md5(old).hexdigest()


async def test_a_study_its_series_and_its_instances(orthanc: Orthanc) -> None:
    for number in (1, 2):
        stored = await orthanc.upload(a_ct("read", number=number))
    study = await orthanc.study(stored.study)
    (series,) = await orthanc.series_of_study(stored.study)
    instances = await orthanc.instances_of_series(stored.series)
    assert (study.tags["StudyDescription"], study.tags["0008,1030"], study.tags["PatientID"]) == ("CT Thorax", "CT Thorax", "PATIENT1")
    assert study.last_update is not None
    assert (series.id, series.study, series.tags["0008,0060"]) == (stored.series, stored.study, "CT")
    assert {one.sop_instance_uid for one in instances} == {uid("read", "series", 1), uid("read", "series", 2)}
    assert {one.number for one in instances} == {1, 2}
    assert (await orthanc.instance_metadata(stored.id))["HttpUsername"] == "gantry"
    assert stored.study in {one.id for one in await orthanc.studies(since=0, limit=100, newest_first=False)}


async def test_all_elements_of_an_instance_private_ones_by_their_creator(orthanc: Orthanc, tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(a_ct("private"))
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    dataset.private_block(0x0019, "ACME", create=True).add_new(0x10, "LO", "7\\8")
    tags = await orthanc.instance_tags((await orthanc.upload(encoded(dataset))).id)
    assert tags["SliceThickness"] == tags["0018,0050"] == "1.25"
    assert tags["ImageType"] == "ORIGINAL\\PRIMARY\\AXIAL"
    assert tags['0019,"ACME",10'] == "7\\8"
    assert "PixelData" not in tags


async def test_what_is_not_there_is_not_found(orthanc: Orthanc) -> None:
    nowhere = "11111111-22222222-33333333-44444444-55555555"
    for question in (orthanc.study(nowhere), orthanc.series_of_study(nowhere), orthanc.instance_metadata(nowhere), orthanc.md5(nowhere)):
        with pytest.raises(NotFound):
            await question
    assert await orthanc.job(nowhere) is None


async def test_what_is_no_dicom_is_refused_for_good(orthanc: Orthanc) -> None:
    for body in (b"", b"garbage"):
        with pytest.raises(Refused, match="Bad file format"):
            await orthanc.upload(body)


async def test_modalities_come_and_go(orthanc: Orthanc) -> None:
    node = Modality("PACS", "127.0.0.1", 11112)
    await orthanc.put_modality("gantry_a_b_c", node)
    assert (await orthanc.modalities())["gantry_a_b_c"] == node
    await orthanc.delete_modality("gantry_a_b_c")
    assert "gantry_a_b_c" not in await orthanc.modalities()
    with pytest.raises(NotFound):
        await orthanc.delete_modality("gantry_a_b_c")
    with pytest.raises(NotFound):
        await orthanc.store("gantry_a_b_c", [(await orthanc.upload(a_ct("to nowhere"))).id])
    with pytest.raises(Refused, match="Only alphanumeric"):
        await orthanc.put_modality("a b", node)


@pytest.mark.parametrize("credentials", [None, Credentials("gantry", "wrong"), Credentials("nobody", "secret")])
async def test_wrong_credentials_are_told_apart_from_everything_else(server: OrthancServer, credentials: Credentials | None) -> None:
    async with Orthanc(server.url, credentials=credentials) as orthanc:
        with pytest.raises(Unauthorized, match="HTTP 401"):
            await orthanc.system()


async def test_a_port_nobody_listens_on_is_unreachable() -> None:
    async with Orthanc(f"http://127.0.0.1:{free_port()}") as orthanc:
        with pytest.raises(Unreachable, match="check the address"):
            await orthanc.system()


async def test_a_server_that_takes_connections_and_never_answers_is_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gantry.orthanc.http.READ_TIMEOUT", 0.3)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        async with Orthanc(f"http://127.0.0.1:{listener.getsockname()[1]}") as orthanc:
            with pytest.raises(TooSlow, match="no answer in time"):
                await orthanc.system()


async def test_polling_each_second_never_meets_a_connection_orthanc_has_closed(server: OrthancServer) -> None:
    """Orthanc closes an idle connection after 1 s; reusing it then costs a repetition now and then."""
    repeated: list[float] = []

    async def sleep(seconds: float) -> None:
        repeated.append(seconds)

    async with connected(server, sleep=sleep) as orthanc:
        for pause in (0.9, 0.95, 1.0, 1.05):
            await orthanc.last_change()
            await asyncio.sleep(pause)  # the pause itself is what is tested
        await orthanc.last_change()
    assert repeated == []
