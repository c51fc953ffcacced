"""A PACS that refuses Comprehensive 3D SR at the association, as real ones do, gets the Comprehensive SR; nobody gets both."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

import pydicom
from tests.builders_slices import a_ct, encoded, uid
from tests.component.delivering import delivered
from tests.component.orthanc_server import OrthancServer
from tests.component.scripted_scp import ScriptedSCP, scripted_scp, stores

from gantry.api.run import DeliveryStatus, Result
from gantry.delivery import Cargo, Target, ToModality
from gantry.orthanc import Modality

COMPREHENSIVE_3D, COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


def an_object(server: OrthancServer, name: str, sop_class: str, kind: str = "SR") -> Result:
    ds = pydicom.dcmread(BytesIO(a_ct(name, series="result", Modality=kind)))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
    dicom = encoded(ds)
    (stored,) = server.upload(dicom)
    return Result.model_validate(
        {
            "kind": kind, "sopClassUID": sop_class, "sopInstanceUID": uid(name, "result", 1), "seriesInstanceUID": uid(name, "result"),
            "orthancID": stored["ID"], "md5": hashlib.md5(dicom).hexdigest(), "bytes": len(dicom),
        }
    )  # fmt: skip


def cargo(server: OrthancServer, name: str, *, with_segmentation: bool = True) -> Cargo:
    """A segmentation, the report that names it, and what stands for that."""
    report = an_object(server, f"{name} 3D", COMPREHENSIVE_3D)
    others = [an_object(server, f"{name} seg", SEGMENTATION, "SEG")] if with_segmentation else []
    return Cargo([*others, report], [an_object(server, f"{name} 2D", COMPREHENSIVE)], frozenset({report.sop_instance_uid}))


def to(scp: ScriptedSCP, server: OrthancServer) -> Target:
    name = f"gantry_radiology_main_{scp.port}"
    server.rest("PUT", f"/modalities/{name}", json={"AET": scp.aet, "Host": "127.0.0.1", "Port": scp.port})
    return Target(ToModality(name, Modality(scp.aet, "127.0.0.1", scp.port)), fallback=True)


def uids(results: Sequence[Result]) -> list[str]:
    return [one.sop_instance_uid for one in results]


async def test_it_is_asked_once_and_later_runs_send_the_alternative_at_once(server: OrthancServer) -> None:
    with scripted_scp(stores, without=[COMPREHENSIVE_3D]) as scp:
        target, first, second = to(scp, server), cargo(server, "asked"), cargo(server, "known")
        end = await delivered(server, first, target)
        assert (end.state, end.reports, end.attempts, end.reason) == ("Sent", "ComprehensiveSR", 3, None), "refused, asked, sent"
        end = await delivered(server, second, replace(target, takes="ComprehensiveSR"))
        assert (end.state, end.reports, end.attempts) == ("Sent", "ComprehensiveSR", 1)
    wanted = [one for each in (first, second) for one in uids([each.results[0], *each.alternatives])]
    assert list(dict.fromkeys(scp.stored)) == wanted, "segmentations first; no report of the refused class"


async def test_a_report_sent_alone_is_its_own_question(server: OrthancServer) -> None:
    with scripted_scp(stores, without=[COMPREHENSIVE_3D]) as scp:
        alone = cargo(server, "alone", with_segmentation=False)
        end = await delivered(server, alone, to(scp, server))
    assert (end.state, end.reports, end.attempts) == ("Sent", "ComprehensiveSR", 2)
    assert scp.stored == uids(alone.alternatives)


async def test_a_pacs_that_takes_everything_gets_the_report_in_one_send(server: OrthancServer) -> None:
    with scripted_scp(stores) as scp:
        whole = cargo(server, "whole")
        end = await delivered(server, whole, to(scp, server))
    assert (end.state, end.reports, end.attempts) == ("Sent", "Comprehensive3DSR", 1)
    assert scp.stored == uids(whole.results)


async def test_a_pacs_that_refuses_another_object_gets_no_second_report(server: OrthancServer) -> None:
    """It takes the report when that is asked, and nothing else of it."""
    with scripted_scp(stores, without=[SEGMENTATION]) as scp:
        refused = cargo(server, "no seg")
        seen: list[DeliveryStatus] = []
        end = await delivered(server, refused, to(scp, server), between=seen.append)
    assert (end.state, end.reason, end.reports) == ("Failed", "SOPClassRefused", "Comprehensive3DSR")
    assert scp.stored == [refused.results[1].sop_instance_uid]
    assert any(one.asks for one in seen)


async def test_without_an_alternative_the_refusal_is_told_and_final(server: OrthancServer) -> None:
    """Orthanc says it in other words when the PACS takes other classes of the same association."""
    with scripted_scp(stores, without=[COMPREHENSIVE_3D]) as scp:
        end = await delivered(server, an_object(server, "only 3D", COMPREHENSIVE_3D), to(scp, server))
    assert (end.state, end.reason, end.attempts) == ("Failed", "SOPClassRefused", 2)
    words = ("Cannot transcode from … to one of [ ]", "the destination has not accepted any TransferSyntax for this SOPClassUID")  # 1.10.1; 1.13.0
    assert any(one in (end.message or "") for one in words)


async def test_a_pacs_that_takes_only_implicit_vr_gets_everything_in_it(server: OrthancServer) -> None:
    """Orthanc transcodes what an association accepted; nothing has to be said of it in the spec."""
    with scripted_scp(stores, syntaxes=["1.2.840.10008.1.2"]) as scp:
        whole = cargo(server, "implicit")
        end = await delivered(server, whole, to(scp, server))
    assert (end.state, end.attempts) == ("Sent", 1)
    assert scp.stored == uids(whole.results)
