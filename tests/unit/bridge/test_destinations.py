"""The bridge's destinations in Orthanc's modalities."""

import httpx
import pytest
from tests.fake_orthanc import FakeOrthanc

from gantry.api.bridge import Destination
from gantry.bridge.destinations import Changes, keep, plan, wanted
from gantry.orthanc import Modality, ServerFault

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


def test_names_are_gantrys_own() -> None:
    destination = Destination.model_validate({"name": "pacs", "dicom": {"aet": "PACS", "host": "pacs", "port": 11112}})
    assert wanted("radiology", "main", [destination]) == {"gantry_radiology_main_pacs": Modality("PACS", "pacs", 11112)}


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
