"""What a bridge says of itself."""

from datetime import timedelta

import pytest
from tests.fake_orthanc import START

from gantry.api import BridgeReason
from gantry.api.bridge import BridgeStatus
from gantry.bridge.destinations import Kept
from gantry.bridge.status import Knowledge, compose, conditions_differ, held_status
from gantry.orthanc import OrthancError, Refused, ServerFault, SystemInfo, TooSlow, Unauthorized, Unreachable, Untrusted

SYSTEM = SystemInfo("1.12.9", "MAIN", "abc", frozenset({"ExtendedFind", "DicomWeb"}))
FINE = {"Reachable": "True/Reachable", "Authenticated": "True/Authenticated", "CaughtUp": "True/CaughtUp", "Ready": "True/Ready"}


def knowledge(**more: object) -> Knowledge:
    return Knowledge(**{"generation": 3, "credentials": True, "system": SYSTEM, "cursor": 7, **more})  # type: ignore[arg-type]


def said(status: BridgeStatus) -> dict[str, str]:
    return {one.type: f"{one.status}/{one.reason}" for one in status.conditions or ()}


def away(reason: str) -> dict[str, str]:
    return {"Reachable": f"False/{reason}", "Authenticated": f"Unknown/{reason}", "CaughtUp": f"Unknown/{reason}", "Ready": f"False/{reason}"}


CASES: dict[str, tuple[Knowledge, dict[str, str]]] = {
    "before the first contact nothing is said": (knowledge(system=None), {}),
    "all is well": (knowledge(), FINE),
    "without credentials it works, with a warning": (knowledge(credentials=False), {**FINE, "Authenticated": "False/NoCredentials"}),
    "nobody there": (knowledge(fault=Unreachable("x")), away("Unreachable")),
    "a certificate that is not trusted": (knowledge(fault=Untrusted("x")), away("CertificateUntrusted")),
    "no answer": (knowledge(fault=TooSlow("x")), away("Unreachable")),
    "an answer of its own trouble": (knowledge(fault=ServerFault("x")), away("ServerFault")),
    "an answer that is not Orthanc's": (knowledge(fault=Refused("x")), away("ServerFault")),
    "wrong credentials": (
        knowledge(fault=Unauthorized("x")),
        {"Reachable": "True/Reachable", "Authenticated": "False/Unauthorized", "CaughtUp": "Unknown/Unauthorized", "Ready": "False/Unauthorized"},
    ),
    "credentials are asked for and none are given": (
        knowledge(fault=Unauthorized("x"), credentials=False),
        {"Reachable": "True/Reachable", "Authenticated": "False/NoCredentials", "CaughtUp": "Unknown/Unauthorized", "Ready": "False/Unauthorized"},
    ),
    "rows are left": (knowledge(lag=10), {**FINE, "CaughtUp": "False/Behind"}),
    "a study is tried again": (knowledge(waiting=1), {**FINE, "CaughtUp": "False/Behind"}),
    "another database": (knowledge(database_changed=True), {**FINE, "CaughtUp": "False/DatabaseChanged"}),
    "a destination names what Orthanc does not have": (knowledge(kept=Kept(missing=("destination a: Orthanc has no peer b",))), {**FINE, "Ready": "False/DestinationMissing"}),
    "a destination is refused": (knowledge(kept=Kept(refused=("destination a: bad port",))), {**FINE, "Ready": "False/DestinationRefused"}),
}


@pytest.mark.parametrize(("seen", "want"), CASES.values(), ids=CASES.keys())
def test_the_conditions(seen: Knowledge, want: dict[str, str]) -> None:
    assert said(compose(None, seen, START)) == want


def messages(status: BridgeStatus) -> dict[str, str]:
    return {one.type: one.message for one in status.conditions or ()}


def test_a_message_says_what_to_do() -> None:
    fault = Unauthorized("/system: HTTP 401; check username and password in the bridge's secret")
    assert "check username and password" in messages(compose(None, knowledge(fault=fault), START))["Ready"]
    assert "set spec.credentialsSecretRef" in messages(compose(None, knowledge(credentials=False), START))["Authenticated"]
    assert messages(compose(None, knowledge(kept=Kept(refused=("destination a: bad port",))), START))["Ready"] == "destination a: bad port"


def test_the_status_holds_what_is_known_of_the_server() -> None:
    status = compose(None, knowledge(lag=2, first_contact=START, kept=Kept(managed=("gantry_a",))), START)
    assert status.orthanc is not None
    assert (status.orthanc.version, status.orthanc.features) == ("1.12.9", ["DicomWeb", "ExtendedFind"])
    assert (status.cursor, status.lag, status.observed_generation) == (7, 2, 3)
    assert (status.first_contact_time, status.managed_modalities) == ("2026-03-01T12:00:00Z", ["gantry_a"])


def test_a_server_that_is_away_is_still_described() -> None:
    before = compose(None, knowledge(), START)
    after = compose(before, knowledge(system=None, fault=Unreachable("x")), START)
    assert after.orthanc == before.orthanc


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    before = compose(None, knowledge(), START)
    later = START + timedelta(minutes=1)
    behind = {one.type: one.last_transition_time for one in compose(before, knowledge(lag=1), later).conditions or ()}
    assert behind["Ready"] == "2026-03-01T12:00:00Z"
    assert behind["CaughtUp"] == "2026-03-01T12:01:00Z"


DIFFERENT: dict[str, tuple[Knowledge, bool]] = {
    "nothing": (knowledge(), False),
    "a number": (knowledge(cursor=8), False),
    "a condition": (knowledge(lag=1), True),
    "a reason": (knowledge(fault=Unreachable("x")), True),
    "the generation": (knowledge(generation=4), True),
}


@pytest.mark.parametrize(("seen", "want"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_what_has_to_be_written_at_once(seen: Knowledge, want: bool) -> None:
    before = compose(None, knowledge(), START)
    assert conditions_differ(before, compose(before, seen, START)) is want


def test_a_held_bridge_keeps_what_it_learnt_and_is_not_ready() -> None:
    before = compose(None, knowledge(kept=Kept(managed=("gantry_a",))), START)
    held = held_status(before, generation=4, reason=BridgeReason.SUSPENDED, message="m", now=START)
    assert said(held) == {**FINE, "Ready": "False/Suspended"}
    assert (held.cursor, held.managed_modalities, held.observed_generation) == (7, ["gantry_a"], 4)


def test_a_bridge_without_its_secret_says_so_even_when_it_is_new() -> None:
    held = held_status(None, generation=1, reason=BridgeReason.SECRET_MISSING, message="m", now=START)
    assert said(held) == {"Authenticated": "False/SecretMissing", "Ready": "False/SecretMissing"}
    held = held_status(None, generation=1, reason=BridgeReason.TLS_SECRET_MISSING, message="m", now=START)
    assert said(held) == {"Reachable": "False/TlsSecretMissing", "Ready": "False/TlsSecretMissing"}


@pytest.mark.parametrize("fault", [Unreachable("x" * 5000), ServerFault("x" * 5000)])
def test_messages_fit_the_crd(fault: OrthancError) -> None:
    assert all(len(one.message) <= 1024 for one in compose(None, knowledge(fault=fault), START).conditions or ())
