"""What an ended Run tells its receivers, and who can know that it is true."""

import json

import pytest
from tests.builders_runs import RESULT

from gantry.api.run import DeliveryStatus, Failure, FindingCounts, RunStatus
from gantry.notify import Told, events_of, headers, verify

KEY = b"a key of enough bytes"


def ended(state: str = "Succeeded", *, present: int | None = None, reason: str | None = None) -> Told:
    status = RunStatus(
        state=state,  # type: ignore[arg-type]
        completion_time="2026-03-01T12:00:10Z",
        findings=None if present is None else FindingCounts(present=present, absent=1),
        results=[RESULT] if present is not None else None,
        deliveries=[DeliveryStatus(destination="pacs", state="Failed", message="somebody's words")] if reason == "DeliveryFailed" else None,
        failure=Failure(reason=reason, message="somebody's words") if reason else None,
    )
    return Told("here", "radiology", "chest-1", "u-1", "chest", "Stat", status)


CASES = {
    "a finding that is present goes first": (ended(present=2), ["FindingPresent", "Finished"]),
    "nothing was found": (ended(present=0), ["Finished"]),
    "it failed": (ended("Failed", reason="OutOfMemory"), ["Finished"]),
    "a PACS did not take what was found": (ended("Failed", present=1, reason="DeliveryFailed"), ["FindingPresent", "DeliveryFailed", "Finished"]),
}


@pytest.mark.parametrize(("run", "want"), CASES.values(), ids=CASES)
def test_what_happened_is_told_as_events(run: Told, want: list[str]) -> None:
    assert [one.kind for one in events_of(run)] == want


def test_an_event_is_a_cloud_event_with_names_states_and_counts_alone() -> None:
    event = events_of(ended("Failed", present=1, reason="DeliveryFailed"))[1]
    assert json.loads(event.body) == {
        "specversion": "1.0",
        "id": "u-1-delivery-failed",
        "source": "/gantry/here/namespaces/radiology/pipelines/chest",
        "type": "health.gantry.run.delivery-failed",
        "subject": "chest-1",
        "time": "2026-03-01T12:00:10Z",
        "datacontenttype": "application/json",
        "data": {
            "namespace": "radiology", "run": "chest-1", "pipeline": "chest", "priority": "Stat", "state": "Failed", "reason": "DeliveryFailed",
            "findings": {"present": 1, "absent": 1, "notEvaluable": 0}, "results": {"SR": 1}, "deliveries": [{"destination": "pacs", "state": "Failed"}],
        },
    }  # fmt: skip
    for identifier in (RESULT.sop_instance_uid, RESULT.orthanc_id, "somebody's words"):
        assert identifier.encode() not in event.body


def test_the_same_run_tells_the_same_under_the_same_id() -> None:
    assert events_of(ended(present=2)) == events_of(ended(present=2))


GIVEN = headers(KEY, "u-1-finished", 1000, b"{}")
FORGED = {
    "another body": (KEY, GIVEN, b"{ }", 1000),
    "another key": (b"another key of enough bytes", GIVEN, b"{}", 1000),
    "another id": (KEY, GIVEN | {"webhook-id": "u-2-finished"}, b"{}", 1000),
    "a time that was not signed": (KEY, GIVEN | {"webhook-timestamp": "2000"}, b"{}", 2000),
    "played back later": (KEY, GIVEN, b"{}", 1301),
    "no signature": (KEY, {name: value for name, value in GIVEN.items() if name != "webhook-signature"}, b"{}", 1000),
}


@pytest.mark.parametrize(("key", "given", "body", "now"), FORGED.values(), ids=FORGED)
def test_a_receiver_refuses_what_was_not_sent_so_and_now(key: bytes, given: dict[str, str], body: bytes, now: int) -> None:
    assert verify(KEY, GIVEN, b"{}", now=1299)
    assert not verify(key, given, body, now=now)


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """Its specification's own example, whose key is base64 behind `whsec_`."""
    import base64

    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
