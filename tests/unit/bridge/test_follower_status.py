"""What the loop keeps in Orthanc and in the bridge's status."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.bridge_turns import PACS, Bridge
from tests.builders_bridge import FakeHost, a_candidate, requirement
from tests.fake_orthanc import FakeOrthanc

from gantry.bridge.host import Faulted


async def test_destinations_are_put_at_the_start_and_again_when_orthanc_forgot_them() -> None:
    bridge = Bridge(watch__reconcileInterval="60s")
    await bridge.run(2)
    assert bridge.fake.modalities == {PACS: {"AET": "PACS", "Host": "pacs", "Port": 4242}}
    assert bridge.host.statuses[-1].managed_modalities == [PACS]
    await bridge.run(1, bridge.fake.restarted, 130)
    assert PACS in bridge.fake.modalities


async def test_a_destination_that_is_no_longer_listed_is_removed_and_nothing_else() -> None:
    bridge = Bridge()
    bridge.fake.modalities["OLDPACS"] = {"AET": "X", "Host": "x", "Port": 104}
    await bridge.run(2)
    bridge.spec = {"destinations": []}
    await bridge.run(2)
    assert set(bridge.fake.modalities) == {"OLDPACS"}
    assert bridge.host.statuses[-1].managed_modalities == []


async def test_a_refused_destination_makes_the_bridge_not_ready_and_studies_go_on() -> None:
    bridge = Bridge()
    bridge.fake.fails(f"PUT /modalities/{PACS}", 400)
    await bridge.run(lambda: bridge.fake.arrived("a"), 2)
    assert bridge.host.condition("Ready") == ("False", "DestinationRefused")
    assert len(bridge.runs) == 1


async def test_numbers_alone_are_written_every_five_seconds_at_most() -> None:
    bridge = Bridge(host=FakeHost(a_candidate(series=[requirement("Modality", "In", "MR")])))
    await bridge.run(2)
    before = len(bridge.host.statuses)
    arrivals: list[Callable[[], Any]] = [lambda n=n: bridge.fake.arrived(f"s{n}") for n in range(20)]  # type: ignore[misc]
    await bridge.run(*arrivals, 5)
    assert len(bridge.host.statuses) - before <= 7


async def test_whoever_ends_writes_how_far_it_has_come() -> None:
    """Numbers alone would have waited; the next leader need not read these rows again."""
    bridge = Bridge(host=FakeHost(a_candidate(series=[requirement("Modality", "In", "MR")])))
    await bridge.run(2)
    await bridge.run(1, lambda: bridge.fake.arrived("a"))
    assert bridge.host.statuses[-1].cursor != bridge.fake.last
    await bridge.last.flush()
    assert bridge.host.statuses[-1].cursor == bridge.fake.last
    number = len(bridge.host.statuses)
    await bridge.last.flush()
    assert len(bridge.host.statuses) == number, "once"


async def test_a_suspended_bridge_has_nothing_to_write_at_the_end() -> None:
    bridge = Bridge()
    await bridge.run(lambda: bridge.fake.arrived("a"), 2)
    bridge.spec = {"suspend": True}
    await bridge.run(2)
    number = len(bridge.host.statuses)
    await bridge.last.flush()
    assert len(bridge.host.statuses) == number


async def test_a_new_run_is_written_at_once() -> None:
    bridge = Bridge()
    written: list[Any] = []
    await bridge.run(1, lambda: bridge.fake.arrived("a"), lambda: written.append((len(bridge.runs), bridge.host.statuses[-1].cursor)))
    assert written == [(1, bridge.fake.last)]


async def test_a_suspended_bridge_asks_nothing_and_keeps_its_cursor() -> None:
    bridge = Bridge()
    await bridge.run(lambda: bridge.fake.arrived("a"), 2)
    cursor = bridge.host.statuses[-1].cursor
    bridge.spec = {"suspend": True}
    bridge.fake.calls.clear()
    await bridge.run(10)
    assert bridge.fake.calls == []
    assert bridge.host.condition("Ready") == ("False", "Suspended")
    assert bridge.host.statuses[-1].cursor == cursor


async def test_a_status_that_cannot_be_written_is_written_later() -> None:
    bridge = Bridge()
    bridge.host.fault = ConnectionError("away")

    def back() -> None:
        bridge.host.fault = None

    await bridge.run(3, back, 6)
    assert bridge.host.condition("Ready") == ("True", "Ready")
    assert [one.kind for one in bridge.host.seen(Faulted)][:1] == ["ConnectionError"]


async def test_without_credentials_it_works_and_warns() -> None:
    bridge = Bridge()
    bridge.credentials = False
    await bridge.run(lambda: bridge.fake.arrived("a"), 2)
    assert bridge.host.condition("Authenticated") == ("False", "NoCredentials")
    assert bridge.host.condition("Ready") == ("True", "Ready")
    assert len(bridge.runs) == 1


@pytest.mark.parametrize("hours", [-7, 7])
async def test_a_wrong_clock_of_orthanc_does_not_hide_studies_from_the_scan(hours: int) -> None:
    fake = FakeOrthanc()
    fake.clock_ahead = hours * 3600
    bridge = Bridge(fake, watch__reconcileInterval="60s")

    def cleared() -> None:
        fake.arrived("a")
        fake.rows.clear()

    await bridge.run(1, cleared, 130)
    assert len(bridge.runs) == 1


async def test_nothing_that_identifies_a_patient_leaves_orthanc() -> None:
    bridge = Bridge(host=FakeHost(a_candidate(study=[requirement("PatientID", "In", "SECRET-ID")]), a_candidate("other", study=[requirement("PatientID", "In", "x")])))
    with capture_logs() as logs:
        await bridge.run(lambda: bridge.fake.arrived("a"), 2)
    told = repr(bridge.host.observed) + repr(logs) + "".join(one.model_dump_json() for one in bridge.host.statuses)
    body = [{**run, "spec": {**run["spec"], "template": None}} for run in bridge.runs]
    assert bridge.outcomes() == ["Created", "NotMatched"]
    assert "SECRET-ID" not in told + json.dumps(body)
    assert [(one["pipeline"], one["outcome"], one["check"]) for one in logs if one["event"] == "decision"] == [
        ("nodules", "Created", None),
        ("other", "NotMatched", "PatientID In"),
    ]
