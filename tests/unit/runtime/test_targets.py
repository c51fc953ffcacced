"""The destinations of a bridge as the courier takes them."""

from typing import Any

import pytest
from tests.builders import BRIDGE, changed

from gantry.api.bridge import BridgeSpec
from gantry.delivery import Target, ToModality, ToPeer, ToServer, Unusable
from gantry.orthanc import Credentials, DicomWebServer, Modality
from gantry.runs import BridgeView
from gantry.runtime.records import Key
from gantry.runtime.targets import targets_of

KEY = Key("bridge", "radiology", "main")
SENDERS = [{"aet": "CT_ER", "host": "10.0.0.7", "port": 104}]


def spec(*destinations: dict[str, Any], senders: list[dict[str, Any]] | None = None) -> BridgeSpec:
    raw = changed(changed(BRIDGE, "spec.destinations", list(destinations)), "spec.senders", senders or [])
    return BridgeSpec.model_validate(raw["spec"])


def view(of: BridgeSpec) -> BridgeView:
    return BridgeView("uid", 1, of)


def test_each_kind_has_its_way() -> None:
    bridge = spec(
        {"name": "pacs", "dicom": {"aet": "PACS", "host": "pacs", "port": 104, "tls": True}, "verify": "Query", "maxActive": 2, "accept": ["SR"]},
        {"name": "vna", "dicomWeb": {"url": "https://vna/dicom-web", "credentialsSecretRef": {"name": "vna"}}},
        {"name": "second", "orthancPeer": "peer"},
        {"name": "old", "orthancModality": "OLDPACS"},
    )
    found = targets_of(KEY, view(bridge), {"vna": Credentials("user", "secret")}, None)
    assert found["pacs"] == Target(ToModality("gantry_radiology_main_pacs", Modality("PACS", "pacs", 104, tls=True)), ["SR"], True, 2)
    assert isinstance(found["vna"], Target)
    assert found["vna"].place == ToServer("gantry_radiology_main_vna", DicomWebServer("https://vna/dicom-web/", "user", "secret"))
    assert isinstance(found["second"], Target)
    assert found["second"].place == ToPeer("peer")
    assert isinstance(found["old"], Target)
    assert found["old"].place == ToModality("OLDPACS", None)


def test_a_missing_secret_is_said() -> None:
    bridge = spec({"name": "vna", "dicomWeb": {"url": "https://vna/dicom-web", "credentialsSecretRef": {"name": "vna"}}})
    assert targets_of(KEY, view(bridge), {"vna": "secret vna does not exist"}, None)["vna"] == Unusable("secret vna does not exist")
    assert targets_of(KEY, view(bridge), {}, None)["vna"] == Unusable("secret vna was not read yet")


BACK: dict[str, tuple[list[dict[str, Any]], str | None, Target | Unusable]] = {
    "to whom stored the images": (SENDERS, "CT_ER", Target(ToModality("gantry_radiology_main_from_CT_ER-", Modality("CT_ER", "10.0.0.7", 104)))),
    "not to whom the bridge does not list": (
        SENDERS, "CT_9", Unusable("the images came from CT_9, which the bridge's spec.senders does not list; add it with host and port"),
    ),
    "not when nobody knows who it was": (
        SENDERS, None,
        Unusable("the application entity that stored the images is not known (they did not come by C-STORE), so nothing can go back to it", "SenderUnknown"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("senders", "sender", "want"), BACK.values(), ids=BACK.keys())
def test_the_way_back(senders: list[dict[str, Any]], sender: str | None, want: Target | Unusable) -> None:
    found = targets_of(KEY, view(spec(senders=senders)), {}, sender)["sender"]
    if isinstance(want, Target):
        assert isinstance(found, Target)
        assert isinstance(found.place, ToModality)
        assert found.place.node == Modality("CT_ER", "10.0.0.7", 104)
        assert found.place.name.startswith("gantry_radiology_main_from_")
    else:
        assert found == want
