"""Stores results in Orthanc and proves that they are there: each is read back by its MD5.

Orthanc answers AlreadyStored for a known UID and silently keeps the old content, so only the MD5 tells whether the Run's result is stored.
The UIDs are the Run's own, so other content under one is what an earlier attempt of this Run left before it could say so; nobody was told of it
and nothing was delivered. It is replaced, or a Run of an application that never writes the same bytes twice could not be tried again.
It must not build or change an object.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from gantry.api import RunReason
from gantry.api.run import Result
from gantry.orthanc import NotFound, Orthanc, OrthancError, Permanent, Stored, Transient, Unreachable
from gantry.runs import FINDINGS_ATTACHMENT, RECEIPT_ATTACHMENT, keeper

from .log import complain, tell
from .outcome import Stop
from .patience import Patience, persistently


@dataclass(frozen=True, slots=True)
class Object:
    """A DICOM file to store. It is encoded when its turn comes: only one is held as bytes at a time."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    encode: Callable[[], bytes]


_WHY = {
    "AlreadyStored": "somebody else stored it; delete that instance and start the Run again",
    "Success": "it changes what it stores; exempt Gantry's user from IngestTranscoding and from plugins that rewrite instances",
}


async def store(orthanc: Orthanc, objects: Iterable[Object], patience: Patience, *, username: str | None) -> tuple[Result, ...]:
    """In the given order, by the account `username`. Raises Stop(UploadFailed)."""
    try:
        return tuple([await _store(orthanc, one, patience, username) for one in objects])
    except OrthancError as error:
        raise Stop(RunReason.UPLOAD_FAILED, str(error), step="publish") from error


async def keep_findings(orthanc: Orthanc, results: Sequence[Result], findings: bytes, patience: Patience) -> None:
    """findings.json as an attachment of the first report: where `after.when` and the Run that follows read it. Raises Stop(UploadFailed).

    An Orthanc (or a proxy before it) that does not take attachments is no reason to fail a Run whose report is stored: it is told, and
    a pipeline that would follow says so.
    """
    home = keeper(results)
    if home is None:
        return
    try:
        kept = await persistently(lambda: _keep(orthanc, home.orthanc_id, FINDINGS_ATTACHMENT, findings), patience)
    except Transient as error:
        raise Stop(RunReason.UPLOAD_FAILED, str(error), step="publish") from error
    except Permanent as error:
        complain("findings.json is not kept; no pipeline can follow this Run", {"error": type(error).__name__})
    else:
        tell("findings kept", {"instance": home.orthanc_id, "bytes": len(findings), "written": kept})


async def keep_receipt(orthanc: Orthanc, results: Sequence[Result], receipt: bytes) -> None:
    """The receipt as an attachment of the first report, for an operator that finds no pod any more. It is a second copy: whoever has the first needs
    none, so it is tried once and its absence is no failure."""
    home = keeper(results)
    if home is None:
        return
    try:
        await _keep(orthanc, home.orthanc_id, RECEIPT_ATTACHMENT, receipt)
    except OrthancError as error:
        complain("the receipt is not kept in Orthanc", {"error": type(error).__name__})


async def _keep(orthanc: Orthanc, instance: str, number: int, content: bytes) -> bool:
    """Whether it had to be written. As a whole it can be repeated; what counts is what is read back, for Orthanc answers 200 whatever it did."""
    try:
        before = await orthanc.attachment(instance, number)
    except NotFound:
        before = None
    if before is not None and before.content == content:
        return False
    await orthanc.put_attachment(instance, number, content, replacing=before)
    if (await orthanc.attachment(instance, number)).content != content:
        raise Unreachable(f"instance {instance}: attachment {number} was read back with other bytes")
    return True


async def _store(orthanc: Orthanc, one: Object, patience: Patience, username: str | None) -> Result:
    dicom = one.encode()
    ours = hashlib.md5(dicom, usedforsecurity=False).hexdigest()
    stored, theirs = await _upload(orthanc, dicom, patience)
    if theirs != ours and stored.status == "AlreadyStored" and await _is_of(username, orthanc, stored.id, patience):
        tell("replacing what an earlier attempt left", {"kind": one.kind, "instance": stored.id})
        await persistently(lambda: orthanc.delete_instance(stored.id), patience)
        stored, theirs = await _upload(orthanc, dicom, patience)
    if theirs != ours:
        words = f"Orthanc holds other bytes than this Run's {one.kind} under its UID (instance {stored.id}, {stored.status}): {_WHY[stored.status]}"
        raise Stop(RunReason.UPLOAD_FAILED, words, step="publish")
    tell("stored", {"kind": one.kind, "instance": stored.id, "status": stored.status, "bytes": len(dicom)})
    return Result(
        kind=cast(Literal["SR", "SEG", "SC", "PDF", "PM", "KO"], one.kind),
        sop_class_uid=one.sop_class_uid,
        sop_instance_uid=one.sop_instance_uid,
        series_instance_uid=one.series_instance_uid,
        orthanc_id=stored.id,
        md5=ours,
        bytes=len(dicom),
    )


async def _upload(orthanc: Orthanc, dicom: bytes, patience: Patience) -> tuple[Stored, str]:
    """What Orthanc answers, and the MD5 of what it holds now."""
    stored = await persistently(lambda: orthanc.upload(dicom), patience)
    return stored, await persistently(lambda: orthanc.md5(stored.id), patience)


async def _is_of(username: str | None, orthanc: Orthanc, instance: str, patience: Patience) -> bool:
    """Whether our own account stored it. Without accounts nobody can tell, and the UID is what counts."""
    metadata = await persistently(lambda: orthanc.instance_metadata(instance), patience)
    return metadata.get("HttpUsername") == username
