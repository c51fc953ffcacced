"""The bridge's destinations in Orthanc's modalities."""

from typing import Any

import httpx
import pytest
from tests.fake_orthanc import FakeOrthanc

from gantry.api.bridge import Destination
from gantry.bridge.destinations import Changes, Keeper, Kept, Wanted, plan, wanted
from gantry.orthanc import Credentials, DicomWebServer, Modality, Orthanc, ServerFault

A, B, OTHER = Modality("A", "a", 104), Modality("B", "b", 104), Modality("X", "x", 104)

PLANS: dict[str, tuple[dict[str, Modality], tuple[str, ...], dict[str, Modality], Changes]] = {
    "nothing wanted, nothing there": ({}, (), {}, Changes({}, ())),
    "everything as wanted": ({"a": A}, ("a",), {"a": A}, Changes({}, ())),
    "missing": ({"a": A}, (), {}, Changes({"a": A}, ())),
    "forgotten by a restart": ({"a": A}, ("a",), {}, Changes({"a": A}, ())),
    "changed in the spec": ({"a": B}, ("a",), {"a": A}, Changes({"a": B}, ())),
    "no longer in the spec": ({}, ("a",), {"a": A}, Changes({}, ("a",))),
    "no longer in the spec and gone already": ({}, ("a",), {}, Changes({}, ())),
    "somebody else's entries are left alone": ({"a": A}, ("a",), {"a": A, "OLDPACS": OTHER}, Changes({}, ())),
}


@pytest.mark.parametrize(("want", "managed", "present", "changes"), PLANS.values(), ids=PLANS.keys())
def test_what_has_to_be_done(want: dict[str, Modality], managed: tuple[str, ...], present: dict[str, Modality], changes: Changes) -> None:
    assert plan(want, managed, present) == changes


def destination(name: str, **kind: Any) -> Destination:
    return Destination.model_validate({"name": name, **kind})


def web(name: str, url: str = "https://vna/dicom-web", secret: str | None = None) -> Destination:
    reference = {"credentialsSecretRef": {"name": secret}} if secret else {}
    return destination(name, dicomWeb={"url": url, **reference})


PASSWORD = Credentials("user", "first")


def test_names_are_gantrys_own() -> None:
    listed = [
        destination("pacs", dicom={"aet": "PACS", "host": "pacs", "port": 11112}),
        destination("tls", dicom={"aet": "PACS", "host": "pacs", "port": 2762, "tls": True}),
        web("archive", secret="vna"),
        destination("old", orthancModality="OLDPACS"),
        destination("peer", orthancPeer="second"),
    ]
    want = wanted("radiology", "main", listed, logins={"archive": PASSWORD})
    assert want.modalities == {
        "gantry_radiology_main_pacs": Modality("PACS", "pacs", 11112),
        "gantry_radiology_main_tls": Modality("PACS", "pacs", 2762, tls=True),
    }
    assert want.servers == {"gantry_radiology_main_archive": DicomWebServer("https://vna/dicom-web/", "user", "first")}
    assert (want.known, want.peers, want.lacking) == ({"old": "OLDPACS"}, {"peer": "second"}, ())


async def keep(orthanc: Orthanc, want: dict[str, Modality], managed: tuple[str, ...]) -> Kept:
    return await Keeper(orthanc).keep(Wanted(want), managed)


async def test_entries_are_put_and_removed() -> None:
    fake = FakeOrthanc()
    fake.modalities = {"old": {"AET": "A", "Host": "a", "Port": 104}, "OLDPACS": {"AET": "X", "Host": "x", "Port": 104}}
    async with fake.client() as orthanc:
        kept = await keep(orthanc, {"new": B}, ("old",))
    assert (kept.managed, kept.refused) == (("new",), ())
    assert set(fake.modalities) == {"new", "OLDPACS"}


async def test_nothing_is_asked_when_there_is_nothing_to_keep() -> None:
    fake = FakeOrthanc()
    async with fake.client() as orthanc:
        await keep(orthanc, {}, ())
    assert fake.calls == []


async def test_one_refused_destination_does_not_stop_the_others_and_says_why() -> None:
    fake = FakeOrthanc()
    fake.fails("PUT /modalities/bad", 400, {"Message": "Parameter out of range", "Details": "A TCP port number must be in range"})
    async with fake.client() as orthanc:
        kept = await keep(orthanc, {"bad": A, "good": B}, ())
    assert kept.managed == ("good",)
    assert len(kept.refused) == 1
    assert "modality bad" in kept.refused[0]
    assert "A TCP port number must be in range" in kept.refused[0]


async def test_an_entry_that_vanished_meanwhile_counts_as_removed() -> None:
    fake = FakeOrthanc()
    fake.modalities = {"old": {"AET": "A", "Host": "a", "Port": 104}}
    fake.faults["DELETE /modalities/old"] = lambda request: httpx.Response(404)
    async with fake.client() as orthanc:
        assert (await keep(orthanc, {}, ("old",))).managed == ()


async def test_an_orthanc_in_trouble_is_not_taken_for_a_refusal() -> None:
    fake = FakeOrthanc()
    fake.fails("PUT /modalities", 500)
    async with fake.client() as orthanc:
        with pytest.raises(ServerFault):
            await keep(orthanc, {"a": A}, ())


async def test_a_node_with_tls_is_not_the_node_without() -> None:
    fake = FakeOrthanc()
    secure = Modality("A", "a", 104, tls=True)
    async with fake.client() as orthanc:
        await keep(orthanc, {"a": A}, ())
        await keep(orthanc, {"a": secure}, ("a",))
        assert fake.modalities["a"]["UseDicomTls"] is True
        fake.calls.clear()
        await keep(orthanc, {"a": secure}, ("a",))
    assert fake.calls == ["GET /modalities"]


async def test_a_dicomweb_server_is_put_changed_and_removed_and_others_are_left_alone() -> None:
    fake = FakeOrthanc()
    fake.servers["theirs"] = {"Url": "http://other/"}
    name = "gantry_radiology_main_archive"
    async with fake.client() as orthanc:
        keeper = Keeper(orthanc)
        kept = await keeper.keep(wanted("radiology", "main", [web("archive")]), ())
        assert (kept.servers, kept.missing, set(fake.servers)) == ((name,), (), {"theirs", name})
        await keeper.keep(wanted("radiology", "main", [web("archive", "https://new/dicom-web")]), (), (name,))
        assert fake.servers[name] == {"Url": "https://new/dicom-web/"}
        kept = await keeper.keep(wanted("radiology", "main", []), (), (name,))
    assert (kept.servers, set(fake.servers)) == ((), {"theirs"})


async def test_a_rotated_password_is_put_although_orthanc_does_not_tell_the_old_one() -> None:
    fake = FakeOrthanc()
    listed, name = [web("archive", secret="vna")], "gantry_radiology_main_archive"
    async with fake.client() as orthanc:
        keeper = Keeper(orthanc)
        for password in ("first", "second"):
            await keeper.keep(wanted("radiology", "main", listed, logins={"archive": Credentials("user", password)}), (), (name,))
            assert fake.servers[name]["Password"] == password
        fake.calls.clear()
        await keeper.keep(wanted("radiology", "main", listed, logins={"archive": Credentials("user", "second")}), (), (name,))
    assert not any(call.startswith("PUT") for call in fake.calls)


async def test_a_missing_secret_is_told_and_keeps_the_entry_that_is_there() -> None:
    fake = FakeOrthanc()
    name = "gantry_radiology_main_archive"
    fake.servers[name] = {"Url": "https://vna/dicom-web/", "Username": "user", "Password": "first"}
    want = wanted("radiology", "main", [web("archive", secret="vna")], logins={"archive": "secret vna does not exist in namespace radiology; create it"})
    async with fake.client() as orthanc:
        kept = await Keeper(orthanc).keep(want, (), (name,))
    assert kept.missing == ("destination archive: secret vna does not exist in namespace radiology; create it",)
    assert (kept.servers, set(fake.servers)) == ((name,), {name})


ABSENT: dict[str, tuple[Destination, str]] = {
    "a modality": (destination("old", orthancModality="OLDPACS"), "destination old: Orthanc has no modality OLDPACS; add it to its DicomModalities"),
    "a peer": (destination("second", orthancPeer="other"), "destination second: Orthanc has no peer other; add it to its OrthancPeers"),
    "the DICOMweb plugin": (web("archive"), "destination archive: Orthanc has no DICOMweb plugin; install it or use another kind of destination"),
}


@pytest.mark.parametrize(("one", "words"), ABSENT.values(), ids=ABSENT.keys())
async def test_what_orthanc_does_not_have_is_told(one: Destination, words: str) -> None:
    fake = FakeOrthanc(plugins=())
    async with fake.client() as orthanc:
        kept = await Keeper(orthanc).keep(wanted("radiology", "main", [one]), ())
    assert (kept.missing, kept.managed, kept.servers) == ((words,), (), ())
    assert not any(call.startswith("PUT") for call in fake.calls)


async def test_what_orthanc_has_of_its_own_is_looked_at_and_never_changed() -> None:
    fake = FakeOrthanc()
    fake.modalities["OLDPACS"] = {"AET": "X", "Host": "x", "Port": 104}
    fake.peers.add("other")
    listed = [destination("old", orthancModality="OLDPACS"), destination("second", orthancPeer="other")]
    async with fake.client() as orthanc:
        assert await Keeper(orthanc).keep(wanted("radiology", "main", listed), ()) == Kept()
    assert fake.calls == ["GET /modalities", "GET /peers"]
