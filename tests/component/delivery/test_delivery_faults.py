"""Peers that misbehave, and what is said of each: real Orthanc, real associations, a script at the other end."""

import time
from datetime import timedelta
from pathlib import Path

import pytest
from tests.component.control_plane import free_port
from tests.component.delivering import a_result, delivered, node_at, node_of
from tests.component.dicom_receiver import dicom_receiver
from tests.component.orthanc_server import OrthancServer
from tests.component.scripted_scp import Script, ScriptedSCP, aborts, answers, forgets, full_after, scripted_scp, slowly, stores

from gantry.api.run import DeliveryStatus
from gantry.delivery import Target, ToModality, ToServer
from gantry.orthanc import DicomWebServer, Modality


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PACS has 1 s to list what it took."""
    monkeypatch.setattr("gantry.delivery.plan.QUERY_PATIENCE", timedelta(seconds=1))


def to(scp: ScriptedSCP, server: OrthancServer, *, verify: bool = False) -> Target:
    """Under a name of its own, put before: Orthanc keeps what it knows of a name."""
    node = Modality(scp.aet, "127.0.0.1", scp.port)
    name = f"gantry_radiology_main_{scp.port}"
    server.rest("PUT", f"/modalities/{name}", json={"AET": node.aet, "Host": node.host, "Port": node.port})
    return Target(ToModality(name, node), verify=verify)


PERMANENT: dict[str, tuple[Script, dict[str, object], str]] = {
    "no presentation context": (stores, {"storage": False}, "SOPClassRefused"),
    "SOP class not supported": (answers(0x0122), {}, "SOPClassRefused"),
    "data set does not match its SOP class": (answers(0xA900), {}, "ObjectRefused"),
}


@pytest.mark.parametrize(("script", "options", "reason"), PERMANENT.values(), ids=PERMANENT.keys())
async def test_a_permanent_refusal_stops_early_with_its_reason(server: OrthancServer, script: Script, options: dict[str, object], reason: str) -> None:
    with scripted_scp(script, **options) as scp:
        end = await delivered(server, a_result(server, reason), to(scp, server))
    assert (end.state, end.reason, end.attempts) == ("Failed", reason, 2)
    assert (end.message or "").endswith("; twice the same, it is not tried again")


PASSING: dict[str, tuple[Script, dict[str, object], str]] = {
    "disk full": (answers(0xA700), {}, "OutOfResources"),
    "cannot understand, which many say of any trouble": (answers(0xC000), {}, "StoreFailed"),
    "processing failure": (answers(0x0110), {}, "StoreFailed"),
    "association aborted in the midst of an object": (aborts, {}, "Aborted"),
}


@pytest.mark.parametrize(("script", "options", "reason"), PASSING.values(), ids=PASSING.keys())
async def test_trouble_that_passes_is_waited_for(server: OrthancServer, script: Script, options: dict[str, object], reason: str) -> None:
    seen: set[str | None] = set()
    with scripted_scp(script, **options) as scp:

        def mend(delivery: DeliveryStatus) -> None:
            if delivery.state == "Pending":
                seen.add(delivery.reason)
            if delivery.attempts == 3:
                scp.script = stores

        result = a_result(server, f"passing {reason} {script}")
        end = await delivered(server, result, to(scp, server), between=mend)
        assert (end.state, end.reason, end.message) == ("Sent", None, None)
        assert scp.stored == [result.sop_instance_uid]
    assert seen == {reason}


async def test_a_wrong_ae_title_cannot_be_told_from_a_pacs_that_is_busy_so_it_is_tried_until_the_deadline(server: OrthancServer) -> None:
    with scripted_scp(stores, called=True, aet="RIGHT") as scp:
        scp.aet = "WRONG"
        end = await delivered(server, a_result(server, "wrong aet"), to(scp, server), limit=2)
    assert (end.state, end.reason) == ("Failed", "AssociationRejected")


async def test_a_wrong_host_is_told(server: OrthancServer) -> None:
    server.rest("PUT", "/modalities/nohost", json={"AET": "X", "Host": "no.such.host.invalid", "Port": 104})
    end = await delivered(server, a_result(server, "no host"), Target(ToModality("nohost", None)), limit=1)
    assert (end.state, end.reason) == ("Failed", "UnknownHost")
    assert "no.such.host.invalid" in (end.message or "")


@pytest.mark.parametrize("mode", ["--refuse", "--abort-after", "--abort-during"])
async def test_storescp_in_a_failing_mode_gets_it_when_it_works_again(server: OrthancServer, tmp_path: Path, mode: str) -> None:
    with dicom_receiver(tmp_path / "received") as receiver:
        receiver.start(mode)
        reasons: set[str | None] = set()

        def mend(delivery: DeliveryStatus) -> None:
            if delivery.state == "Pending" and delivery.attempts:
                reasons.add(delivery.reason)
            if delivery.attempts == 2 and delivery.state == "Pending":
                receiver.stop()
                receiver.start()

        name = f"gantry_radiology_main_{receiver.port}"
        result = a_result(server, f"storescp {mode}")
        end = await delivered(server, result, Target(ToModality(name, node_at(receiver))), between=mend)
        assert (end.state, end.attempts) == ("Sent", 3)
        assert {one.SOPInstanceUID for one in receiver.received()} == {result.sop_instance_uid}
        assert reasons == {"AssociationRejected" if mode == "--refuse" else "Aborted"}


async def test_a_partial_success_is_no_success_and_the_whole_is_sent_again(server: OrthancServer) -> None:
    results = [a_result(server, f"partial {number}") for number in range(3)]
    with scripted_scp(full_after(1)) as scp:
        seen: list[DeliveryStatus] = []

        def mend(delivery: DeliveryStatus) -> None:
            seen.append(delivery)
            if delivery.attempts == 2 and delivery.state == "Pending":
                scp.script = stores

        end = await delivered(server, results, to(scp, server), between=mend)
        assert (end.state, end.attempts) == ("Sent", 3)
        assert set(scp.stored) == {one.sop_instance_uid for one in results}
    assert {one.reason for one in seen if one.state == "Pending"} == {"OutOfResources"}


async def test_a_pacs_that_answers_success_and_stores_nothing_is_caught_by_a_query(server: OrthancServer) -> None:
    result = a_result(server, "forgetful")
    with scripted_scp(forgets) as scp:
        messages: set[str | None] = set()

        def mend(delivery: DeliveryStatus) -> None:
            messages.add(delivery.message)
            if delivery.attempts == 2:
                scp.script = stores

        end = await delivered(server, result, to(scp, server, verify=True), between=mend)
        assert end.state == "Committed"
        assert end.attempts == 2
        assert scp.stored == [result.sop_instance_uid]
    assert "it answered success and does not list 1 of 1 results" in messages
    with scripted_scp(forgets) as scp:
        unnoticed = await delivered(server, result, to(scp, server))
    assert unnoticed.state == "Sent", "without a query nobody notices: that is why Sent is not Committed"


async def test_a_slow_pacs_is_waited_for(server: OrthancServer) -> None:
    with scripted_scp(slowly(2)) as scp:
        end = await delivered(server, a_result(server, "slow"), to(scp, server))
    assert (end.state, end.attempts) == ("Sent", 1)


async def test_a_pacs_commits_to_the_results(server: OrthancServer, pacs: OrthancServer) -> None:
    """It must know Orthanc's AE title, host and port: it opens an association of its own to answer."""
    pacs.rest("PUT", "/modalities/sender", json={"AET": server.aet, "Host": "127.0.0.1", "Port": server.dicom_port})
    results = [a_result(server, f"committed {number}") for number in range(3)]
    target = Target(ToModality("gantry_radiology_main_committing", node_of(pacs)))
    end = await delivered(server, results, target, commitment="Required")
    assert (end.state, end.attempts, end.message) == ("Committed", 1, None)


async def test_a_result_the_pacs_lost_is_not_committed_and_sent_again(server: OrthancServer, pacs: OrthancServer) -> None:
    pacs.rest("PUT", "/modalities/sender", json={"AET": server.aet, "Host": "127.0.0.1", "Port": server.dicom_port})
    result = a_result(server, "lost")
    messages: set[str | None] = set()

    def lose(delivery: DeliveryStatus) -> None:
        messages.add(delivery.message)
        if delivery.state == "Sent" and delivery.attempts == 1 and delivery.transaction_uid is None:
            pacs.rest("DELETE", f"/instances/{result.orthanc_id}")

    target = Target(ToModality("gantry_radiology_main_losing", node_of(pacs)))
    end = await delivered(server, result, target, commitment="Required", between=lose)
    assert (end.state, end.attempts) == ("Committed", 2)
    assert "it answered success and does not commit to 1 of 1 results" in messages


async def test_a_receiver_without_storage_commitment_is_only_sent_to_when_that_is_enough(server: OrthancServer) -> None:
    with scripted_scp(stores) as scp:
        wanted = await delivered(server, a_result(server, "when offered"), to(scp, server), commitment="WhenOffered")
        required = await delivered(server, a_result(server, "required"), to(scp, server), commitment="Required")
    assert (wanted.state, wanted.message) == ("Sent", "sent; it does not offer storage commitment")
    assert (required.state, required.reason) == ("Failed", "CommitmentNotOffered")


async def test_a_dicomweb_server_confirms_by_qido(server: OrthancServer, pacs: OrthancServer) -> None:
    place = ToServer("gantry_radiology_main_qido", DicomWebServer(f"{pacs.url}/dicom-web/", pacs.username, pacs.password))
    result = a_result(server, "qido")
    lost: list[int] = []

    def lose(delivery: DeliveryStatus) -> None:
        if delivery.state == "Sent" and not lost:
            lost.append(1)
            pacs.rest("DELETE", f"/instances/{result.orthanc_id}")

    end = await delivered(server, result, Target(place, verify=True), between=lose)
    assert (end.state, end.attempts) == ("Committed", 3), "the first found that Orthanc did not know the server, the second was lost"


async def test_reports_go_after_the_objects_they_name(server: OrthancServer) -> None:
    results = [a_result(server, f"order {kind}").model_copy(update={"kind": kind}) for kind in ("SR", "SEG", "PDF")]
    with scripted_scp(stores) as scp:
        assert (await delivered(server, results, to(scp, server))).state == "Sent"
        assert scp.stored == [results[1].sop_instance_uid, results[2].sop_instance_uid, results[0].sop_instance_uid]


async def test_a_destination_that_is_away_gets_nothing_and_another_gets_its_own_at_once(server: OrthancServer) -> None:
    """The away one has its lane; a neighbour's send takes as long as ever."""
    away = Target(ToModality("gantry_radiology_main_dead", Modality("DEAD", "127.0.0.1", free_port())))
    with scripted_scp(stores) as scp:
        failed = await delivered(server, a_result(server, "dead"), away, limit=1)
        begun = time.monotonic()
        end = await delivered(server, a_result(server, "alive"), to(scp, server))
        assert time.monotonic() - begun < 2
    assert (failed.state, failed.reason, end.state) == ("Failed", "Unreachable", "Sent")
