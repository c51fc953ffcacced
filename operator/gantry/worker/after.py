"""What the Run that this one follows has left in Orthanc: its findings document and its DICOM results, beside the images.

Nothing of it is optional: an application that was started because of findings must see them. It must not look into any of it.
"""

import hashlib
from pathlib import Path
from typing import BinaryIO, cast

from gantry.api import RunReason
from gantry.orthanc import InstanceFiles, NotFound, Orthanc
from gantry.runs import FINDINGS_ATTACHMENT, Earlier

from .layout import PlannedAfter, PlannedResult
from .outcome import Stop
from .patience import Patience, downloaded, persistently
from .workspace import made, written


def fetch_results(plan: PlannedAfter, folder: Path, files: InstanceFiles, patience: Patience) -> dict[str, int]:
    """Every DICOM result on disk, its MD5 checked; the bytes of each by its path. A handful of files: one after the other."""
    return {one.path: _result(plan.run, one, made((folder / one.path).parent) / Path(one.path).name, files, patience) for one in plan.results}


async def fetch_findings(after: Earlier, path: Path, orthanc: Orthanc, patience: Patience) -> int:
    """findings.json as that Run's application wrote it; gives its bytes."""
    try:
        kept = await persistently(lambda: orthanc.attachment(after.findings, FINDINGS_ATTACHMENT), patience)
    except NotFound:
        words = f"Orthanc keeps no findings.json of Run {after.run}, which this one follows: its report was deleted or stored anew meanwhile"
        raise Stop(RunReason.STUDY_GONE, words, step="fetch") from None
    written(path, kept.content)
    return len(kept.content)


def _result(run: str, one: PlannedResult, path: Path, files: InstanceFiles, patience: Patience) -> int:
    def once() -> tuple[int, str]:
        with path.open("wb", buffering=0) as file:
            hashed = _Hashed(file)
            return files.download(one.result.orthanc_id, cast(BinaryIO, hashed)), hashed.md5

    try:
        size, md5 = downloaded(once, patience)
    except NotFound:
        words = f"the {one.result.kind} of Run {run}, which this one follows, was deleted from Orthanc"
        raise Stop(RunReason.STUDY_GONE, words, step="fetch") from None
    if md5 != one.result.md5:
        words = f"Orthanc holds other bytes now than the {one.result.kind} that Run {run}, which this one follows, left there"
        raise Stop(RunReason.INPUT_MISMATCH, words, step="fetch")
    path.chmod(0o644)
    return size


class _Hashed:
    """A file that knows the MD5 of what is written: a segmentation may be as large as the study."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._md5 = file, hashlib.md5(usedforsecurity=False)

    def write(self, piece: memoryview) -> int:
        self._md5.update(piece)
        return self._file.write(piece)

    @property
    def md5(self) -> str:
        return self._md5.hexdigest()
