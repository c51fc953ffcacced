"""Sent is not Committed: what a destination is asked afterwards, and what follows from its answer."""

import httpx
import pytest
from tests.fake_orthanc import START
from tests.unit.delivery.test_courier import DEADLINE, PACS, WEB, Delivery

from gantry.delivery import Target, ToModality, ToPeer, ToServer

PLACE = ToModality("gantry_pacs", PACS)
UID = "2.25.1"
NOT_OFFERED = httpx.Response(
    500, json={"Message": "DicomUserConnection: No acceptable presentation context for modality", "Details": "Unable to negotiate a presentation context"}
)
UNREAD = httpx.Response(500, json={"Message": "Error in the network protocol", "Details": "Storage commitment - Unable to read N-ACTION response from AET: PACS"})


def querying(commitment: str = "Never") -> Delivery:
    delivery = Delivery(targets={"pacs": Target(PLACE, verify=True)}, commitment=commitment)
    delivery.fake.counts["PACS"] = None
    return delivery


async def test_a_pacs_that_commits_is_committed_in_four_requests() -> None:
    delivery = Delivery(commitment="Required")
    states: list[tuple[str, str | None]] = []
    end = await delivery.to_the_end(each=lambda: states.append((delivery.last.deliveries[0].state, delivery.last.deliveries[0].awaits)))
    assert (end.state, end.awaits, end.message, end.transaction_uid) == ("Committed", None, None, "2.25.1")
    assert states == [("Sending", None), ("Sent", "StorageCommitment"), ("Sent", "StorageCommitment")]
    assert delivery.fake.calls == [
        "POST /modalities/gantry_pacs/store", "GET /jobs/job-1",
        "POST /modalities/gantry_pacs/storage-commitment", "GET /storage-commitment/2.25.1",
    ]  # fmt: skip


async def test_a_pacs_that_lists_the_results_is_committed_in_six_requests() -> None:
    delivery = querying()
    delivery.fake.listed.add(UID)
    assert (await delivery.to_the_end()).state == "Committed"
    assert len(delivery.fake.calls) == 6


async def test_a_pacs_that_answers_success_and_stores_nothing_is_caught() -> None:
    delivery = querying()
    seen: set[tuple[str, str | None, str | None]] = set()

    def note() -> None:
        now = delivery.last.deliveries[0]
        seen.add((now.state, now.reason, now.message))
        if now.attempts == 3:
            delivery.fake.listed.add(UID)

    end = await delivery.to_the_end(each=note)
    assert (end.state, end.attempts) == ("Committed", 3)
    assert ("Sent", None, "it does not list 1 of 1 results yet") in seen
    assert ("Pending", "NotStored", "it answered success and does not list 1 of 1 results") in seen


async def test_a_pacs_that_never_stores_fails_the_delivery_at_the_deadline() -> None:
    end = await querying().to_the_end()
    assert (end.state, end.reason) in (("Failed", "NotStored"), ("Failed", "NotConfirmed"))
    assert "1 of 1 results" in (end.message or "")


async def test_a_refused_commitment_sends_again() -> None:
    delivery = Delivery(commitment="Required")
    answers = [{"Status": "Failure", "Success": [], "Failures": [{"SOPInstanceUID": UID, "FailureReason": 274}]}, {"Status": "Success", "Success": [UID], "Failures": []}]
    delivery.fake.commits = lambda uids: answers.pop(0)
    messages: list[str | None] = []
    end = await delivery.to_the_end(each=lambda: messages.append(delivery.last.deliveries[0].message))
    assert (end.state, end.attempts) == ("Committed", 2)
    assert "it answered success and does not commit to 1 of 1 results" in messages


async def test_a_transaction_orthanc_forgot_is_asked_anew() -> None:
    delivery = Delivery(commitment="Required")
    forgotten: list[str] = []

    def forget() -> None:
        if delivery.fake.transactions and not forgotten:
            forgotten.extend(delivery.fake.transactions)
            delivery.fake.transactions = {f"gone {one}": {} for one in forgotten}

    assert (await delivery.to_the_end(each=forget)).state == "Committed"
    assert delivery.calls("POST /modalities/gantry_pacs/storage-commitment") == 2
    assert len(delivery.fake.sent) == 1


NOT_COMMITTED: dict[str, tuple[str, httpx.Response, str, str | None, str]] = {
    "wanted when offered, and not offered": ("WhenOffered", NOT_OFFERED, "Sent", None, "sent; it does not offer storage commitment"),
    "required and not offered": (
        "Required", NOT_OFFERED, "Failed", "CommitmentNotOffered", "sent, but it does not offer storage commitment, which delivery.storageCommitment requires",
    ),
    "wanted when offered, and the PACS does not know who asks": ("WhenOffered", UNREAD, "Sent", None, "sent; it could not be asked for storage commitment: "),
    "required, and the PACS does not know who asks": ("Required", UNREAD, "Failed", "NotConfirmed", "sent; it cannot be asked for its receipt: "),
}  # fmt: skip


@pytest.mark.parametrize(("commitment", "answer", "state", "reason", "message"), NOT_COMMITTED.values(), ids=NOT_COMMITTED.keys())
async def test_without_a_commitment(commitment: str, answer: httpx.Response, state: str, reason: str | None, message: str) -> None:
    delivery = Delivery(commitment=commitment)
    delivery.fake.commits = lambda uids: answer
    end = await delivery.to_the_end()
    assert (end.state, end.reason, end.attempts) == (state, reason, 1)
    assert (end.message or "").startswith(message)
    if reason == "NotConfirmed":
        assert delivery.fake.clock.now >= DEADLINE
    else:
        assert (delivery.fake.clock.now - START).total_seconds() < 120


async def test_a_pacs_without_commitment_is_queried_where_that_is_asked_for() -> None:
    delivery = querying("Required")
    delivery.fake.commits = lambda uids: NOT_OFFERED
    delivery.fake.listed.add(UID)
    assert (await delivery.to_the_end()).state == "Committed"


async def test_a_pacs_that_never_answers_leaves_a_wanted_commitment_at_sent() -> None:
    delivery = Delivery(commitment="WhenOffered")
    delivery.fake.commits = lambda uids: {"Status": "Pending", "Success": [], "Failures": []}
    end = await delivery.to_the_end()
    assert (end.state, end.message) == ("Sent", "sent; it did not answer the request for storage commitment")
    assert (delivery.fake.clock.now - START).total_seconds() < 700
    assert len(delivery.fake.calls) < 60


async def test_a_dicomweb_server_is_queried() -> None:
    delivery = Delivery(targets={"pacs": Target(ToServer("gantry_vna", WEB), verify=True)}, commitment="Required")
    delivery.fake.servers["gantry_vna"] = {}
    delivery.fake.listed.add(UID)
    assert (await delivery.to_the_end()).state == "Committed"


async def test_a_peer_can_give_no_receipt() -> None:
    delivery = Delivery(targets={"pacs": Target(ToPeer("second"))}, commitment="Required")
    delivery.fake.peers.add("second")
    end = await delivery.to_the_end()
    assert (end.state, end.reason) == ("Failed", "CommitmentNotOffered")
    wanted = Delivery(targets={"pacs": Target(ToPeer("second"))}, commitment="WhenOffered")
    wanted.fake.peers.add("second")
    assert (await wanted.to_the_end()).state == "Sent"


async def test_while_orthanc_is_away_what_was_sent_stays_sent() -> None:
    delivery = querying()
    await delivery.step()
    await delivery.step()
    delivery.fake.down()
    assert (await delivery.step()).state == "Sent"
    delivery.fake.up()
    delivery.fake.listed.add(UID)
    assert (await delivery.to_the_end()).state == "Committed"
    assert len(delivery.fake.sent) == 1
