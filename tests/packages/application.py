"""What the packages of this folder run: an application that works, or goes wrong in the way that MODE says. pydicom and nothing of Gantry."""

import json
import os
import pathlib
import shutil
import socket
import sys
import time

import pydicom
from pydicom.uid import BasicTextSRStorage, generate_uid


def place(*names: str) -> pathlib.Path:
    return pathlib.Path(next(os.environ[name] for name in names if name in os.environ))


IN = place("MERCURE_IN_DIR", "HOLOSCAN_INPUT_PATH", "MONAI_INPUTPATH", "GANTRY_INPUT")
OUT = place("MERCURE_OUT_DIR", "HOLOSCAN_OUTPUT_PATH", "MONAI_OUTPUTPATH", "GANTRY_OUTPUT")
MODE = os.environ.get("MODE", "works")


def report(path: pathlib.Path) -> None:
    """A Basic Text SR as the App SDK's writer makes it: with the faults that it has, which dciodvfy tells."""
    image = next(pydicom.dcmread(one, stop_before_pixels=True) for one in sorted(IN.rglob("*.dcm")))
    made = pydicom.Dataset()
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName"):
        if keyword in image:
            made[keyword] = image[keyword]
    made.SOPClassUID, made.SOPInstanceUID, made.SeriesInstanceUID = BasicTextSRStorage, generate_uid(), generate_uid()
    made.Modality, made.SeriesNumber, made.InstanceNumber, made.Manufacturer = "SR", "7", "1", "Vendor"
    made.ContentDate, made.ContentTime, made.ValueType, made.ContinuityOfContent = "20260105", "101500", "CONTAINER", "SEPARATE"
    made.VerificationFlag = "UNVERIFIED"
    title, item, finding = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = "18748-4", "LN", "Diagnostic Imaging Report"
    finding.CodeValue, finding.CodingSchemeDesignator, finding.CodeMeaning = "121071", "DCM", "Finding"
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence, item.TextValue = "CONTAINS", "TEXT", [finding], "Volume of the nodule: 7 ml"
    made.ConceptNameCodeSequence, made.ContentSequence = [title], [item]
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.save_as(path, enforce_file_format=True)


def forks() -> None:
    """Children that ignore SIGTERM, in sessions of their own; a few dozen, for this machine is others' too."""
    import signal

    for _ in range(40):
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
    time.sleep(600)


match MODE:
    case "works":
        report(OUT / "result.dcm")
    case "no-op":  # what any contract's report.mapping can make a report of
        (OUT / "result.json").write_text(json.dumps({"images": 0}))
    case "exits-7":
        sys.exit(7)
    case "writes-nothing":
        pass
    case "needs-network":
        socket.create_connection(("10.0.0.1", 443), timeout=1)
    case "forks-for-ever":
        forks()
    case "writes-as-root":  # readable by nobody else
        report(OUT / "result.dcm")
        (OUT / "result.dcm").chmod(0o600)
    case "passes-on":  # as the module of mercure's own tests
        for one in IN.iterdir():
            shutil.copyfile(one, OUT / one.name)
    case "module":
        task = json.loads((IN / "task.json").read_text())
        images = list(IN.glob("*#*.dcm"))
        assert len(images) == len(list(IN.glob("*#*.tags"))) > 0, "images and tags"
        report(OUT / "1.2#3.dcm")
        said = {"images": len(images), "threshold": task["process"]["settings"].get("threshold"), "__mercure_notification": {"text": "nothing special"}}
        (OUT / "result.json").write_text(json.dumps(said))
