"""What a step leaves behind, and what has reached the archive."""

import io
import json
from pathlib import Path
from typing import Any

import pydicom
from tests.builders_slices import a_ct, encoded, uid
from tests.component.orthanc_server import OrthancServer
from tests.component.worker_pod import Pod, a_task

FINDINGS: dict[str, Any] = {
    "schemaVersion": "v1alpha1",
    "algorithms": [{"id": "a", "name": "Nodules", "version": "1.0", "manufacturer": "Test"}],
    "evaluatedFor": [{"scheme": "SCT", "value": "427359005", "meaning": "Solitary nodule of lung"}],
    "findings": [],
}


ORIGINALS = 3


def fetched(server: OrthancServer, root: Path, program: Path, **changes: Any) -> Pod:
    root.mkdir(exist_ok=True)
    pod = Pod(root, a_task(server, **changes), program)
    assert pod.fetch()[0] == 0, pod.log
    return pod


def leave(pod: Pod, step: str = "detect", **files: bytes) -> None:
    """Output files by name, with __ for dots; findings.json too unless it is given as empty."""
    content = {"findings__json": json.dumps(FINDINGS).encode(), **files}
    for name, data in content.items():
        path = pod.output(step) / name.replace("__", ".")
        path.write_bytes(data)


def a_capture(name: str = "capture", **elements: Any) -> bytes:
    """A Secondary Capture of the fixture's patient and study."""
    ds = pydicom.dcmread(io.BytesIO(a_ct(SOPClassUID="1.2.840.10008.5.1.4.1.1.7", Modality="OT", **elements)))
    ds.SOPInstanceUID, ds.SeriesInstanceUID = elements.get("SOPInstanceUID", uid(name)), elements.get("SeriesInstanceUID", uid(name, "series"))
    return encoded(ds)


def stored(server: OrthancServer) -> list[pydicom.Dataset]:
    """What is in Orthanc beside the fixture's slices, in the order it came."""
    return [pydicom.dcmread(io.BytesIO(server.rest("GET", f"/instances/{one}/file"))) for one in stored_ids(server)]


def stored_ids(server: OrthancServer) -> list[str]:
    """Orthanc's ids of those."""
    ids = [row["ID"] for row in server.rest("GET", "/changes?limit=1000")["Changes"] if row["ChangeType"] == "NewInstance"]
    return ids[ORIGINALS:]
