"""Results on their way: whatever happens, they arrive or the delivery says why not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.builders import pending
from tests.fake_orthanc import START, Clock, FakeOrthanc, identifier

from gantry.api.run import DeliveryStatus, Result
from gantry.delivery import Cargo, Courier, Errand, Progress, Target, Terms, ToModality, ToPeer, ToServer, Unusable
from gantry.delivery.places import ALL
from gantry.orthanc import DicomWebServer, Modality

DEADLINE = START + timedelta(hours=1)
PACS = Modality("PACS", "pacs", 104)
RESULT = Result.model_validate(
    {
        "kind": "SR", "sopClassUID": "1.2.840.10008.5.1.4.1.1.88.34", "sopInstanceUID": "2.25.1", "seriesInstanceUID": "2.25.2",
        "orthancID": identifier("sr"), "md5": "0" * 32, "bytes": 1,
    }
)  # fmt: skip


class Delivery:
    """A courier on a fake Orthanc, and what it said last."""

    def __init__(self, *destinations: str, targets: dict[str, Target | Unusable] | None = None, commitment: Any = "Never") -> None:
        self.fake = FakeOrthanc(Clock())
        study = self.fake.images("of the result", count=1)
        self.result = RESULT.model_copy(update={"orthanc_id": self.fake.series[self.fake.studies[study].series[0]].instances[0]})
        self.fake.modalities["gantry_pacs"] = {"AET": "PACS", "Host": "pacs", "Port": 104}
        self.targets = {"pacs": Target(ToModality("gantry_pacs", PACS))} if targets is None else targets
        self.woken: list[float] = []
        self.courier = Courier(clock=self.fake.clock, jitter=lambda: 1.0, wake=lambda who, seconds: self.woken.append(seconds))
        self.errand = Errand("run", (2, START), "bridge", Cargo([self.result]), Terms(DEADLINE, commitment))
        self.last = Progress(pending(*(destinations or ("pacs",))), 0.0)

    async def step(self) -> DeliveryStatus:
        self.woken.clear()
        async with self.fake.client() as orthanc:
            self.last = await self.courier.advance(orthanc, self.errand, targets=self.targets, deliveries=self.last.deliveries)
        return self.last.deliveries[0]

    async def to_the_end(self, *, each: Callable[[], Any] = lambda: None, limit: int = 500) -> DeliveryStatus:
        for _ in range(limit):
            delivery = await self.step()
            if self.last.again_after is None:
                return delivery
            self.fake.clock.pass_by(min([self.last.again_after, *self.woken]))
            each()
        raise AssertionError("it never ended")

    def calls(self, start: str) -> int:
        return sum(call.startswith(start) for call in self.fake.calls)


async def test_a_result_is_sent_in_two_requests() -> None:
    delivery = Delivery()
    first = await delivery.step()
    assert (first.state, first.job_id, first.attempts) == ("Sending", "job-1", 1)
    assert delivery.last.again_after == 0.1
    delivery.fake.clock.pass_by(0.1)
    last = await delivery.step()
    assert (last.state, last.message) == ("Sent", None)
    assert delivery.last.again_after is None
    assert delivery.fake.sent == [("gantry_pacs", [delivery.result.orthanc_id])]
    assert len(delivery.fake.calls) == 2


async def test_a_step_on_what_is_final_asks_nothing() -> None:
    delivery = Delivery()
    await delivery.to_the_end()
    delivery.fake.calls.clear()
    await delivery.step()
    assert delivery.fake.calls == []


async def test_a_modality_orthanc_forgot_is_put_again() -> None:
    delivery = Delivery()
    delivery.fake.modalities.clear()
    assert (await delivery.to_the_end()).state == "Sent"
    assert delivery.fake.modalities["gantry_pacs"] == {"AET": "PACS", "Host": "pacs", "Port": 104}
    assert len(delivery.fake.calls) == 4


@pytest.mark.parametrize("status", [404, 500], ids=["Orthanc 1.10", "Orthanc 1.13"])
async def test_results_that_are_gone_are_said_to_be(status: int) -> None:
    delivery = Delivery()
    delivery.fake.delete(identifier("of the result"))
    delivery.fake.fails("POST /modalities", status)
    assert (await delivery.step()).message == "Orthanc does not have the results any more"


async def test_an_orthanc_in_trouble_is_not_taken_for_one_without_results() -> None:
    delivery = Delivery()
    delivery.fake.fails("POST /modalities", 500, {"Message": "Database error"})
    assert "Database error" in ((await delivery.step()).message or "")


async def test_a_job_nobody_knows_is_sent_again_at_once() -> None:
    """Finished jobs vanish from Orthanc's history; sending the same objects again is harmless."""
    delivery = Delivery()
    await delivery.step()
    delivery.fake.jobs.clear()
    again = await delivery.step()
    assert (again.state, again.job_id, again.attempts) == ("Sending", "job-2", 2)
    assert (await delivery.to_the_end()).state == "Sent"


async def test_a_pacs_that_is_away_gets_it_when_it_is_back() -> None:
    delivery = Delivery()
    delivery.fake.job_end, delivery.fake.job_details = "Failure", "TCP Initialization Error: Connection refused"
    seen: list[tuple[str, str | None]] = []

    def later() -> None:
        seen.append((delivery.last.deliveries[0].state, delivery.last.deliveries[0].message))
        if delivery.fake.clock.now > START + timedelta(minutes=10):
            delivery.fake.job_end = "Success"

    end = await delivery.to_the_end(each=later)
    assert (end.state, end.message) == ("Sent", None)
    assert 5 <= end.attempts <= 10, "pauses grow"
    assert ("Pending", "Error in the network protocol: TCP Initialization Error: Connection refused") in seen


async def test_behind_the_deadline_it_has_failed_and_says_why() -> None:
    delivery = Delivery()
    delivery.fake.job_end, delivery.fake.job_details = "Failure", "Connection refused"
    end = await delivery.to_the_end()
    assert end.state == "Failed"
    assert end.message is not None
    assert "Connection refused" in end.message
    assert delivery.fake.clock.now - DEADLINE < timedelta(seconds=1), "it is not late with saying so"


async def test_a_job_that_ends_well_at_the_deadline_counts() -> None:
    delivery = Delivery()
    await delivery.step()
    delivery.fake.clock.now = DEADLINE
    assert (await delivery.step()).state == "Sent"


async def test_while_orthanc_is_away_a_send_under_way_stays_under_way() -> None:
    delivery = Delivery()
    await delivery.step()
    delivery.fake.down()
    assert (await delivery.step()).state == "Sending"
    delivery.fake.up()
    assert (await delivery.to_the_end()).state == "Sent"
    assert len(delivery.fake.sent) == 1


async def test_while_orthanc_is_away_nothing_is_lost_and_pauses_grow() -> None:
    delivery = Delivery()
    delivery.fake.down()
    pauses = []
    for _ in range(3):
        await delivery.step()
        assert delivery.last.again_after is not None
        pauses.append(min(delivery.woken))
        delivery.fake.clock.pass_by(min(delivery.woken))
    assert pauses == [5, 10, 20]
    assert "Orthanc did not start the send" in (delivery.last.deliveries[0].message or "")
    delivery.fake.up()
    assert (await delivery.to_the_end()).state == "Sent"


async def test_a_clock_that_is_put_back_keeps_nobody_from_a_destination_that_is_back() -> None:
    """The next probe's time would lie two hours away."""
    delivery = Delivery()
    delivery.fake.down()
    await delivery.step()
    assert delivery.courier.away()
    delivery.fake.clock.pass_by(-7200)
    delivery.fake.up()
    began = delivery.fake.clock.now
    assert (await delivery.to_the_end()).state == "Sent"
    assert delivery.fake.clock.now - began < timedelta(minutes=6)


async def test_a_destination_the_bridge_does_not_have_is_waited_for() -> None:
    delivery = Delivery(targets={})
    first = await delivery.step()
    assert (first.state, first.attempts) == ("Pending", 0)
    assert "add it to the bridge's spec.destinations" in (first.message or "")
    assert delivery.last.again_after == 30
    delivery.targets = {"pacs": Target(ToModality("gantry_pacs", PACS))}
    assert (await delivery.to_the_end()).state == "Sent"


async def test_one_destination_that_is_away_does_not_hold_another() -> None:
    delivery = Delivery("away", "pacs", targets={"away": Target(ToModality("gantry_away", PACS)), "pacs": Target(ToModality("gantry_pacs", PACS))})
    delivery.fake.fails("POST /modalities/gantry_away", 500)
    await delivery.step()
    delivery.fake.clock.pass_by(0.1)
    await delivery.step()
    assert [one.state for one in delivery.last.deliveries] == ["Pending", "Sent"]


async def test_a_run_without_results_has_nothing_to_send() -> None:
    delivery = Delivery()
    async with delivery.fake.client() as orthanc:
        nothing = replace(delivery.errand, cargo=Cargo([]))
        progress = await delivery.courier.advance(orthanc, nothing, targets=delivery.targets, deliveries=pending("pacs"))
    assert (progress.deliveries[0].state, progress.again_after) == ("Sent", None)
    assert delivery.fake.calls == []


async def test_an_operator_that_dies_between_send_and_status_sends_twice_and_no_more() -> None:
    delivery = Delivery()
    before = delivery.last
    await delivery.step()
    delivery.last = before
    assert (await delivery.to_the_end()).state == "Sent"
    assert len(delivery.fake.sent) == 2


async def test_a_long_send_is_not_asked_about_every_second() -> None:
    delivery = Delivery()
    delivery.fake.job_end = "Running"

    def later() -> None:
        if delivery.fake.clock.now > START + timedelta(minutes=10):
            for job in delivery.fake.jobs.values():
                job["State"] = "Success"

    assert (await delivery.to_the_end(each=later)).state == "Sent"
    assert delivery.calls("GET /jobs") <= 35
    assert len(delivery.fake.sent) == 1


WEB = DicomWebServer("https://vna/dicom-web/", "user", "secret")


async def test_a_result_goes_to_a_peer() -> None:
    delivery = Delivery(targets={"pacs": Target(ToPeer("second"))})
    delivery.fake.peers.add("second")
    assert (await delivery.to_the_end()).state == "Sent"
    assert delivery.fake.calls == ["POST /peers/second/store", "GET /jobs/job-1"]


async def test_a_result_goes_to_a_dicomweb_server() -> None:
    delivery = Delivery(targets={"pacs": Target(ToServer("gantry_vna", WEB))})
    delivery.fake.servers["gantry_vna"] = {}
    assert (await delivery.to_the_end()).state == "Sent"
    assert delivery.fake.calls == ["GET /plugins/dicom-web", "POST /dicom-web/servers/gantry_vna/stow", "GET /jobs/job-1"]


async def test_a_dicomweb_server_orthanc_forgot_is_put_again_with_its_password() -> None:
    delivery = Delivery(targets={"pacs": Target(ToServer("gantry_vna", WEB))})
    assert (await delivery.to_the_end()).state == "Sent"
    assert delivery.fake.servers["gantry_vna"] == {"Url": "https://vna/dicom-web/", "Username": "user", "Password": "secret"}


ABSENT: dict[str, tuple[Target, str]] = {
    "a modality": (Target(ToModality("OLDPACS", None)), "Orthanc has no modality OLDPACS; add it to its DicomModalities"),
    "a peer": (Target(ToPeer("second")), "Orthanc has no peer second; add it to its OrthancPeers"),
    "the DICOMweb plugin": (Target(ToServer("gantry_vna", WEB)), "Orthanc has no DICOMweb plugin; install it or use another kind of destination"),
}


@pytest.mark.parametrize(("target", "words"), ABSENT.values(), ids=ABSENT.keys())
async def test_what_orthanc_does_not_have_is_waited_for_and_told(target: Target, words: str) -> None:
    delivery = Delivery(targets={"pacs": target})
    delivery.fake.plugins = ()
    first = await delivery.step()
    assert (first.state, first.message, first.attempts) == ("Pending", words, 1)
    assert not any(call.startswith("PUT") for call in delivery.fake.calls)
    delivery.fake.plugins = ("dicom-web",)
    delivery.fake.peers.add("second")
    delivery.fake.modalities["OLDPACS"] = {"AET": "X", "Host": "x", "Port": 104}
    assert (await delivery.to_the_end()).state == "Sent"


async def test_a_destination_that_cannot_be_used_for_now_is_waited_for_and_says_why() -> None:
    delivery = Delivery(targets={"pacs": Unusable("secret vna does not exist in namespace radiology; create it")})
    assert (await delivery.step()).message == "secret vna does not exist in namespace radiology; create it"
    assert delivery.fake.calls == []
    delivery.targets = {"pacs": Target(ToModality("gantry_pacs", PACS))}
    assert (await delivery.to_the_end()).state == "Sent"


async def test_a_destination_that_never_can_be_used_ends_at_once() -> None:
    delivery = Delivery(targets={"pacs": Unusable("nobody knows who sent the images", final="SenderUnknown")})
    end = await delivery.step()
    assert (end.state, end.reason, end.message, delivery.last.again_after) == ("Failed", "SenderUnknown", "nobody knows who sent the images", None)


def a_kind(kind: str) -> Result:
    return RESULT.model_copy(update={"kind": kind, "orthanc_id": identifier(kind)})


CHOICES: dict[str, tuple[tuple[str, ...], list[str], list[str]]] = {
    "a report goes after what it names, a selection last": (ALL, ["KO", "SR", "SEG", "SR", "SC", "PDF"], ["SEG", "SC", "PDF", "SR", "SR", "KO"]),
    "only what the destination takes": (("SR",), ["SEG", "SR", "PDF"], ["SR"]),
    "nothing": (("KO",), ["SEG", "SR"], []),
}


@pytest.mark.parametrize(("accept", "kinds", "sent"), CHOICES.values(), ids=CHOICES.keys())
def test_what_a_destination_gets_and_in_which_order(accept: tuple[str, ...], kinds: list[str], sent: list[str]) -> None:
    assert [one.kind for one in Target(ToPeer("p"), accept).chosen([a_kind(kind) for kind in kinds])] == sent


async def test_a_destination_that_takes_none_of_the_kinds_has_nothing_to_wait_for() -> None:
    delivery = Delivery(targets={"pacs": Target(ToModality("gantry_pacs", PACS), ("SEG",))})
    end = await delivery.to_the_end()
    assert (end.state, end.message) == ("Sent", "the destination takes none of these kinds; see its accept")
    assert delivery.fake.sent == []
