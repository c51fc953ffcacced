"""Receivers are told of ended Runs: the operator as a process on a real API server, and examples/webhook/receiver.py as another."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.builders import BRIDGE, PIPELINE, RUN, changed
from tests.builders_runs import a_receipt
from tests.component.certificates import certificates
from tests.component.control_plane import ROOT, ControlPlane, free_port
from tests.component.operator_process import Hospital, Operator, a_hospital, named, wait
from tests.component.tls_proxy import tls_proxy

from gantry.api import timestamp
from gantry.kube import RUNS
from gantry.runs import failed

NUMBERS = itertools.count(1)
KEY = "a key that both sides have"
RECEIVER = ROOT / "examples" / "webhook" / "receiver.py"


class Receiver:
    """The example, as a process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.port, self.out = free_port(), folder / "events"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/gantry"

    def start(self, key: str = KEY) -> None:
        environment = {**os.environ, "GANTRY_WEBHOOK_KEY": key}
        with self.out.open("ab") as out, self.out.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, RECEIVER, "--port", str(self.port)], env=environment, stdout=out, stderr=log)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()] if self.out.exists() else []

    def told(self) -> list[str]:
        return [f"{one['data']['run']} {one['type'].rpartition('.')[2]}" for one in self.events]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = Receiver(tmp_path)
    made.start()
    yield made
    made.stop()


def notifying(*urls: str, mode: str = "Active") -> dict[str, Any]:
    receivers = [{"url": url, "secretRef": {"name": "webhook"}, "events": ["Finished", "FindingPresent", "DeliveryFailed"]} for url in urls]
    made = changed(changed(PIPELINE, "spec.template.delivery", {"destinations": []}), "spec.notifications", receivers)
    return changed(made, "spec.mode", mode)


@pytest.fixture
def hospital(api_server: ControlPlane, tmp_path: Path) -> Iterator[Hospital]:
    bridge = changed(changed(BRIDGE, "spec.url", f"http://127.0.0.1:{free_port()}"), "spec.credentialsSecretRef", ...)
    made = a_hospital(api_server, tmp_path, f"notify-{next(NUMBERS)}", bridge=bridge, pipeline=None)
    made.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "webhook"}, "stringData": {"key": KEY}})
    yield made
    made.api.http.close()


def start(hospital: Hospital) -> Any:
    return hospital.operator(GANTRY_NOTIFY_HOSTS="127.0.0.1")


def ends(hospital: Hospital, name: str, *, well: bool = True, mode: str = "Active") -> None:
    """A Run without destinations ends when its pod has."""
    publishes(hospital, name, well=well, mode=mode)


def publishes(hospital: Hospital, name: str, *, well: bool = True, mode: str = "Active", destinations: Sequence[str] = ()) -> None:
    hospital.apply(changed(changed(named(RUN, name), "spec.mode", mode), "spec.template.delivery", {"destinations": list(destinations)}))
    hospital.has_job(name)
    hospital.pod(name)
    receipt = a_receipt() if well else a_receipt(failure=failed("InvalidFindings", "somebody's words"))
    hospital.publishes(f"{name}-1-pod1", receipt, code=0 if well else 64)


def message(hospital: Hospital, name: str) -> str:
    return next((str(c["message"]) for c in hospital.status(name).get("conditions") or () if c["type"] == "Notified"), "")


def is_told(hospital: Hospital, operator: Operator, name: str, words: str = "True/Notified") -> None:
    wait(lambda: hospital.condition(name, "Notified") == words, f"Notified of {name} is {words}", tell=lambda: (message(hospital, name), operator.log[-3000:]))


def test_a_receiver_hears_of_an_ended_run_once_and_it_is_said_on_the_run(hospital: Hospital, receiver: Receiver) -> None:
    hospital.apply(notifying(receiver.url))
    with start(hospital) as operator:
        ends(hospital, "good")
        ends(hospital, "bad", well=False)
        for name in ("good", "bad"):
            is_told(hospital, operator, name)
        assert message(hospital, "good") == f"told: http://127.0.0.1:{receiver.port}"
        assert sorted(receiver.told()) == ["bad finished", "good finding-present", "good finished"]
        assert "somebody's words" not in receiver.out.read_text()
        samples = operator.metrics()
        assert samples['gantry_notifications_total{event="FindingPresent",outcome="accepted",pipeline="chest-ct-nodules"}'] == 1
        operator.kill()
        operator.start()
        operator.settled()
    assert len(receiver.events) == 3


def test_killed_before_a_receiver_that_was_away_has_been_told(hospital: Hospital, receiver: Receiver) -> None:
    receiver.stop()
    hospital.apply(notifying(receiver.url))
    with start(hospital) as operator:
        ends(hospital, "good")
        wait(lambda: "Connection refused" in message(hospital, "good"), "why it was not told", tell=lambda: (hospital.status("good"), operator.log[-3000:]))
        assert hospital.condition("good", "Notified") == "False/Pending"
        assert hospital.condition("good", "Complete") == "True/Complete"
        operator.kill()
        receiver.start()
        operator.start()
        is_told(hospital, operator, "good")
    assert sorted(receiver.told()) == ["good finding-present", "good finished"]


def test_a_dead_receiver_costs_the_others_nothing(hospital: Hospital, receiver: Receiver) -> None:
    """Its name leads nowhere it may ask; the other one's pipeline goes on."""
    dead = f"http://localhost:{free_port()}/"
    hospital.apply(notifying(dead, receiver.url))
    with start(hospital) as operator:
        for number in range(8):
            ends(hospital, f"run-{number}")
        wait(lambda: len(receiver.events) == 16, "the living one has heard of all", tell=lambda: (receiver.told(), operator.log[-3000:]))
        assert {hospital.condition(f"run-{number}", "Notified") for number in range(8)} == {"False/Pending"}
        assert operator.metrics()['gantry_notifications_total{event="FindingPresent",outcome="failed",pipeline="chest-ct-nodules"}'] < 8
        hospital.apply(notifying(receiver.url))
        for number in range(8):
            is_told(hospital, operator, f"run-{number}")
    assert len(receiver.events) == 16


def test_findings_are_told_when_the_report_is_in_orthanc_and_not_again_at_the_end(hospital: Hospital, receiver: Receiver) -> None:
    """Its destination is away for as long as the test lasts; the end comes by hand."""
    hospital.apply(notifying(receiver.url))
    with start(hospital) as operator:
        publishes(hospital, "away", destinations=["pacs"])
        wait(lambda: receiver.told() == ["away finding-present"], "it is told", tell=lambda: (receiver.told(), operator.log[-3000:]))
        assert receiver.events[0]["data"]["state"] == "Delivering"
        wait(lambda: [one["accepted"] for one in hospital.status("away").get("notifications") or []] == [["FindingPresent"]], "it is remembered")
        operator.kill()
        operator.start()
        operator.settled()
        hospital.api.patch(RUNS, hospital.namespace, "away", {"spec": {"cancel": True}})
        is_told(hospital, operator, "away")
    assert receiver.told() == ["away finding-present", "away finished"]


def test_who_has_accepted_is_not_told_again_after_a_kill_while_another_is_away(hospital: Hospital, receiver: Receiver, tmp_path: Path) -> None:
    other = Receiver(tmp_path / "other")
    hospital.apply(notifying(receiver.url, other.url))
    with start(hospital) as operator:
        ends(hospital, "good")
        wait(lambda: len(receiver.events) == 2 and len(hospital.status("good").get("notifications") or []) == 1, "one has accepted, and it is written")
        operator.kill()
        other.start()
        operator.start()
        is_told(hospital, operator, "good")
        other.stop()
    assert sorted(receiver.told()) == sorted(other.told()) == ["good finding-present", "good finished"]


def test_a_receiver_with_an_authority_of_its_own_is_trusted_by_its_secret(hospital: Hospital, receiver: Receiver, tmp_path: Path) -> None:
    own = certificates(tmp_path / "own")
    with tls_proxy(receiver.port, own) as port, start(hospital) as operator:
        trusting = notifying(f"https://127.0.0.1:{port}/gantry")
        hospital.apply(trusting)
        ends(hospital, "good")
        wait(lambda: "its certificate is not trusted; name its authority in tls.caSecretRef" in message(hospital, "good"), "it is not trusted")
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hospital-ca"}, "stringData": {"ca.crt": own.authority.read_text()}}
        hospital.apply(secret, changed(trusting, "spec.notifications.0.tls", {"caSecretRef": {"name": "hospital-ca"}}))
        is_told(hospital, operator, "good")
    assert sorted(receiver.told()) == ["good finding-present", "good finished"]


def test_a_receiver_is_given_up_when_its_deadline_is_over(hospital: Hospital) -> None:
    """The Run ended two days ago: its completionTime is set back while no operator runs."""
    hospital.apply(notifying(f"http://127.0.0.1:{free_port()}/"))
    with start(hospital) as operator:
        ends(hospital, "good")
        wait(lambda: "Connection refused" in message(hospital, "good"), "why it was not told")
        operator.kill()
        ended = timestamp(datetime.now(UTC) - timedelta(days=2))
        hospital.api.patch(RUNS, hospital.namespace, "good", {"status": {"completionTime": ended}}, sub="status")
        operator.start()
        is_told(hospital, operator, "good", "False/NotificationFailed")
        assert message(hospital, "good").endswith("given up at its deadline")
        assert hospital.condition("good", "Complete") == "True/Complete"


def test_nobody_hears_of_runs_in_shadow_nor_of_runs_from_before(hospital: Hospital, receiver: Receiver) -> None:
    hospital.apply(changed(notifying(), "spec.notifications", []))
    with start(hospital) as operator:
        ends(hospital, "before")
        hospital.says("before", "Complete", "True/Complete")
        hospital.apply(notifying(receiver.url))
        ends(hospital, "shadow", mode="Shadow")
        ends(hospital, "after")
        is_told(hospital, operator, "after")
        operator.settled()
        assert [hospital.condition(name, "Notified") for name in ("before", "shadow")] == ["", ""]
    assert {one["data"]["run"] for one in receiver.events} == {"after"}


def test_a_receiver_with_another_key_refuses_and_a_rotated_one_is_used(hospital: Hospital, receiver: Receiver) -> None:
    receiver.stop()
    receiver.start(key="another key than the operator has")
    hospital.apply(notifying(receiver.url))
    with start(hospital) as operator:
        ends(hospital, "good")
        wait(lambda: "answers HTTP 401" in message(hospital, "good"), "it is refused", tell=lambda: operator.log[-3000:])
        receiver.stop()
        receiver.start()
        is_told(hospital, operator, "good")
    assert len(receiver.events) == 2
