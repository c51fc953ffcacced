"""Stores results in Orthanc and proves that they are there: each is read back by its MD5.

Orthanc answers AlreadyStored for a known UID and silently keeps the old content, so only the MD5 tells whether the Run's result is stored.
It must not build or change an object.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, cast

from gantry.api import RunReason
from gantry.api.run import Result
from gantry.orthanc import Orthanc, OrthancError

from .log import tell
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
    "AlreadyStored": "an earlier attempt left other content and Orthanc keeps it; delete that instance and start the Run again",
    "Success": "it changes what it stores; exempt Gantry's user from IngestTranscoding and from plugins that rewrite instances",
}


async def store(orthanc: Orthanc, objects: Iterable[Object], patience: Patience) -> tuple[Result, ...]:
    """In the given order. Raises Stop(UploadFailed)."""
    try:
        return tuple([await _store(orthanc, one, patience) for one in objects])
    except OrthancError as error:
        raise Stop(RunReason.UPLOAD_FAILED, str(error), step="publish") from error


async def _store(orthanc: Orthanc, one: Object, patience: Patience) -> Result:
    dicom = one.encode()
    stored = await persistently(lambda: orthanc.upload(dicom), patience)
    ours = hashlib.md5(dicom, usedforsecurity=False).hexdigest()
    theirs = await persistently(lambda: orthanc.md5(stored.id), patience)
    if theirs != ours:
        words = f"Orthanc holds other bytes than this Run's {one.kind} under its UID (instance {stored.id}, {stored.status}): {_WHY[stored.status]}"
        raise Stop(RunReason.UPLOAD_FAILED, words, step="publish")
    tell("stored", {"kind": one.kind, "instance": stored.id, "status": stored.status, "bytes": len(dicom)})
    return Result(
        kind=cast(Literal["SR", "SEG", "SC", "PDF"], one.kind),
        sop_class_uid=one.sop_class_uid,
        sop_instance_uid=one.sop_instance_uid,
        series_instance_uid=one.series_instance_uid,
        orthanc_id=stored.id,
        md5=ours,
        bytes=len(dicom),
    )
