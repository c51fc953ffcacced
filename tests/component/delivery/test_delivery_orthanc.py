"""Results on their way from a real Orthanc to real receivers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.component.control_plane import free_port
from tests.component.delivering import NAME, a_result, content, delivered, node_at, node_of, same_content
from tests.component.dicom_receiver import Receiver, dicom_receiver
from tests.component.orthanc_server import OrthancServer, orthanc_server

from gantry.api.run import DeliveryStatus


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with dicom_receiver(tmp_path / "received") as made:
        yield made


async def test_a_result_reaches_a_pacs_whose_name_orthanc_did_not_know(server: OrthancServer, pacs: OrthancServer) -> None:
    result = a_result(server, "first")
    server_copy = content(server, result)
    assert NAME not in server.rest("GET", "/modalities")
    sent = await delivered(server, result, node_of(pacs))
    assert (sent.state, sent.attempts, sent.message) == ("Sent", 1, None)
    assert same_content(server_copy, pacs, result)


async def test_a_result_sent_twice_is_there_once(server: OrthancServer, pacs: OrthancServer) -> None:
    result = a_result(server, "twice")
    for _ in range(2):
        assert (await delivered(server, result, node_of(pacs))).state == "Sent"
    found = pacs.rest("POST", "/tools/lookup", json=None, content=result.sop_instance_uid.encode())
    assert len(found) == 1


async def test_a_result_reaches_a_receiver_that_is_not_orthanc(server: OrthancServer, receiver: Receiver) -> None:
    receiver.start()
    result = a_result(server, "storescp")
    server.rest("PUT", f"/modalities/{NAME}", json={"AET": receiver.aet, "Host": "127.0.0.1", "Port": receiver.port})
    assert (await delivered(server, result, node_at(receiver))).state == "Sent"
    assert [one.SOPInstanceUID for one in receiver.received()] == [result.sop_instance_uid]


async def test_a_pacs_that_is_away_gets_the_result_when_it_is_back(server: OrthancServer, receiver: Receiver) -> None:
    result = a_result(server, "away")
    server.rest("PUT", f"/modalities/{NAME}", json={"AET": receiver.aet, "Host": "127.0.0.1", "Port": receiver.port})
    seen: list[DeliveryStatus] = []

    def come_back(delivery: DeliveryStatus) -> None:
        seen.append(delivery)
        if delivery.attempts == 2 and delivery.state == "Pending":
            receiver.start()

    sent = await delivered(server, result, node_at(receiver), between=come_back)
    assert (sent.state, sent.attempts) == ("Sent", 3)
    waited = [one.message or "" for one in seen if one.state == "Pending"]
    assert waited
    assert all(f'connecting to AET "{receiver.aet}"' in message for message in waited), waited
    assert len(receiver.received()) == 1


async def test_a_pacs_that_refuses_until_the_deadline_is_told_by_its_words(server: OrthancServer, receiver: Receiver) -> None:
    receiver.start("--refuse")
    result = a_result(server, "refused")
    server.rest("PUT", f"/modalities/{NAME}", json={"AET": receiver.aet, "Host": "127.0.0.1", "Port": receiver.port})
    failed = await delivered(server, result, node_at(receiver), limit=2.0)
    assert failed.state == "Failed"
    assert failed.attempts >= 2
    assert f'connecting to AET "{receiver.aet}"' in (failed.message or "")
    assert receiver.received() == []


async def test_a_result_that_was_deleted_from_orthanc_is_said_to_be_gone(server: OrthancServer, pacs: OrthancServer) -> None:
    result = a_result(server, "deleted")
    server.rest("DELETE", f"/instances/{result.orthanc_id}")
    failed = await delivered(server, result, node_of(pacs), limit=1.0)
    assert (failed.state, failed.reason, failed.attempts) == ("Failed", "ResultsGone", 2)
    assert failed.message == "Orthanc does not have the results any more; twice the same, it is not tried again"


async def test_an_orthanc_killed_during_the_send_sends_again(tmp_path: Path, pacs: OrthancServer) -> None:
    """It forgets the job (or not, by when it was killed) and the name of the destination; the PACS gets the result all the same."""
    with orthanc_server(tmp_path / "killed") as server:
        result = a_result(server, "killed")
        server_copy = content(server, result)
        killed: list[int] = []

        def kill_once(delivery: DeliveryStatus) -> None:
            if delivery.state == "Sending" and not killed:
                killed.append(server.pid)
                server.restart()

        sent = await delivered(server, result, node_of(pacs), between=kill_once)
    assert (sent.state, len(killed)) == ("Sent", 1)
    assert same_content(server_copy, pacs, result)


async def test_a_job_that_fell_out_of_the_history_is_sent_again(tmp_path: Path, pacs: OrthancServer) -> None:
    """JobsHistorySize is 10 by default: the answer 404 says nothing of how the job ended."""
    with orthanc_server(tmp_path / "forgetful", config={"JobsHistorySize": 1}) as server:
        result, other = a_result(server, "forgotten"), a_result(server, "other")
        server.rest("PUT", "/modalities/nobody", json={"AET": "X", "Host": "127.0.0.1", "Port": free_port()})
        pushed: list[str] = []

        def push_out(delivery: DeliveryStatus) -> None:
            if delivery.state == "Sending" and not pushed:
                for _ in range(3):
                    pushed.append(server.rest("POST", "/modalities/nobody/store", json={"Resources": [other.orthanc_id], "Synchronous": False})["ID"])

        sent = await delivered(server, result, node_of(pacs), between=push_out)
    assert sent.state == "Sent"
    assert pushed
