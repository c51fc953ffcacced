"""publish and what an application leaves that is wrong: a reason of its own for each, and nothing in the archive; faults that are mended are told."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from tests.builders_findings import a_document, a_finding
from tests.builders_slices import a_ct, encoded, uid
from tests.component.orthanc_server import OrthancServer
from tests.component.publish.outputs import FINDINGS, a_capture, fetched, leave, stored
from tests.component.worker_pod import Pod


def link(pod: Pod) -> None:
    leave(pod)
    (pod.output("detect") / "result.dcm").symlink_to(pod.input / "1" / "0001.dcm")


def link_as_findings(pod: Pod) -> None:
    (pod.output("detect") / "findings.json").symlink_to("/etc/passwd")


def linked_folder(pod: Pod) -> None:
    leave(pod)
    (pod.output("detect") / "more").symlink_to("/etc")


def pipe(pod: Pod) -> None:
    leave(pod)
    os.mkfifo(pod.output("detect") / "findings.fifo")


def huge_findings(pod: Pod) -> None:
    with (pod.output("detect") / "findings.json").open("wb") as file:
        file.truncate(2 << 30)


def huge_object(pod: Pod) -> None:
    leave(pod, big__dcm=a_capture())
    with (pod.output("detect") / "big.dcm").open("r+b") as file:
        file.truncate(2 << 30)


def many_objects(pod: Pod) -> None:
    leave(pod, **{f"{number}__dcm": a_capture(str(number)) for number in range(9)})


def deep(pod: Pod) -> None:
    leave(pod)
    (pod.output("detect") / "/".join("abcdefghi")).mkdir(parents=True)


def files(**content: bytes) -> Callable[[Pod], None]:
    return lambda pod: leave(pod, **content)


BAD: dict[str, tuple[Callable[[Pod], None], str, str]] = {
    "a link to another file": (link, "UnacceptedObject", "output of step detect: result.dcm is a symbolic link; only regular files are taken"),
    "findings.json as a link": (link_as_findings, "UnacceptedObject", "findings.json is a symbolic link"),
    "a link to a folder": (linked_folder, "UnacceptedObject", "more is a symbolic link"),
    "a pipe": (pipe, "UnacceptedObject", "findings.fifo is a pipe"),
    "a findings.json of 2 GiB": (huge_findings, "InvalidFindings", "findings.json has 2147483648 bytes; at most 8388608 are taken"),
    "an object of 2 GiB": (huge_object, "UnacceptedObject", "the DICOM files have more than 256 MiB together"),
    "more objects than a receipt can name": (many_objects, "UnacceptedObject", "more than 7 DICOM files"),
    "folders without end": (deep, "UnacceptedObject", "folders lie more than 8 deep"),
    "no JSON": (files(findings__json=b"{]"), "InvalidFindings", ""),
    "NaN": (files(findings__json=json.dumps(FINDINGS | {"findings": [float("nan")]}).encode()), "InvalidFindings", ""),
    "a file that is not DICOM": (files(result__dcm=b"<html>"), "UnacceptedObject", "result.dcm is not DICOM"),
    "DICOM that breaks off in its pixels": (files(result__dcm=a_capture()[:-20]), "UnacceptedObject", "result.dcm is not readable as DICOM (EOFError)"),
    "DICOM that breaks off before it names the study": (files(result__dcm=a_capture()[:500]), "WrongPatient", "result.dcm: StudyInstanceUID is not that of the input"),
    "nothing but a DICOM prefix": (files(result__dcm=bytes(128) + b"DICM"), "UnacceptedObject", "result.dcm is not readable as DICOM"),
    "a kind nobody asked for": (files(copy__dcm=a_ct(number=99)), "UnacceptedObject", "copy.dcm: SOPClassUID: is none of"),
    "another patient": (files(a__dcm=a_capture("a"), b__dcm=a_capture("b", PatientID="OTHER")), "WrongPatient", "b.dcm: PatientID is not that of the input"),
    "another study of the patient": (files(a__dcm=a_capture("a", StudyInstanceUID=uid("other"))), "WrongPatient", "a.dcm: StudyInstanceUID is not that of the input"),
    "the UID of an input image": (files(a__dcm=a_capture(SOPInstanceUID=uid("study", "series", 1))), "UnacceptedObject", "a.dcm has the SOP Instance UID of an input image"),
    "one UID twice": (files(a__dcm=a_capture(), b__dcm=a_capture()), "UnacceptedObject", "b.dcm has the SOP Instance UID of another output file"),
    "findings that say nothing": (files(findings__json=json.dumps(FINDINGS | {"evaluatedFor": []}).encode()), "InvalidFindings", "findings is empty and nothing was evaluated for"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_a_bad_output_has_a_reason_and_stores_nothing(case: tuple[Callable[[Pod], None], str, str], pod: Pod, server: OrthancServer) -> None:
    make, reason, words = case
    make(pod)
    assert pod.step("detect") == 0
    code, receipt = pod.publish()
    assert receipt.failure is not None
    assert (receipt.failure.reason, receipt.failure.step) == (reason, "detect"), receipt.failure
    assert words in receipt.failure.message
    assert code == 65
    assert stored(server) == []
    assert [end.code for end in receipt.steps] == [0]


@pytest.mark.parametrize(("name", "reason"), [("../../input/1/0001.dcm", "InvalidFindings"), ("/etc/passwd", "InvalidFindings"), ("0001.dcm", "InvalidReport")])
def test_no_name_in_a_document_is_ever_opened(name: str, reason: str, pod: Pod, server: OrthancServer) -> None:
    """A name in findings.json is looked for among the files that were collected, and nowhere else."""
    finding = a_finding(region={"kind": "segment", "file": name, "segmentNumber": 1})
    leave(pod, findings__json=json.dumps(a_document(finding)).encode())
    pod.step("detect")
    code, receipt = pod.publish()
    assert code == 65
    assert receipt.failure is not None
    assert receipt.failure.reason == reason
    assert "findings[0]" in receipt.failure.message
    assert stored(server) == []


def as_an_sdk_writes(pod: Pod) -> bytes:
    """A Basic Text SR of the input's study without Completion Flag and the sequences of Type 2 (MONAI Deploy App SDK 3.5.0)."""
    image = pydicom.dcmread(pod.input / "1" / "0001.dcm", stop_before_pixels=True)
    report = pydicom.Dataset()
    for keyword in ("SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        report[keyword] = image[keyword]
    report.SOPClassUID, report.SOPInstanceUID, report.SeriesInstanceUID = "1.2.840.10008.5.1.4.1.1.88.11", uid("text"), uid("texts")
    report.Modality, report.SeriesNumber, report.InstanceNumber, report.Manufacturer = "SR", 7, 1, "SDK"
    report.ContentDate, report.ContentTime, report.VerificationFlag = "20260101", "120000", "UNVERIFIED"
    title, item = pydicom.Dataset(), pydicom.Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = "18748-4", "LN", "Diagnostic Imaging Report"
    report.ValueType, report.ContinuityOfContent, report.ConceptNameCodeSequence = "CONTAINER", "SEPARATE", [title]
    item.RelationshipType, item.ValueType, item.TextValue, item.ConceptNameCodeSequence = "CONTAINS", "TEXT", "Nodule.", [title]
    report.ContentSequence = [item]
    return encoded(report)


def test_what_an_sdk_writes_wrong_is_mended_told_and_credited(pod: Pod, server: OrthancServer) -> None:
    leave(pod, report__dcm=as_an_sdk_writes(pod))
    pod.step("detect")
    code, receipt = pod.publish()
    assert code == 0, pod.log
    assert receipt.warnings == (
        "report.dcm: CompletionFlag: is missing; Gantry wrote COMPLETE",
        "report.dcm: ReferencedPerformedProcedureStepSequence: is missing; Gantry wrote it empty",
        "report.dcm: PerformedProcedureCodeSequence: is missing; Gantry wrote it empty",
    )
    assert pod.log.count("fault against the standard") == 3
    (report,) = [one for one in stored(server) if one.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.11"]
    assert report.CompletionFlag == "COMPLETE"
    assert [item.Manufacturer for item in report.ContributingEquipmentSequence][-1] == "Gantry"


def test_strict_conformance_refuses_it(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    pod = fetched(server, tmp_path / "pod", program, template__report={"conformance": "Strict"})
    leave(pod, report__dcm=as_an_sdk_writes(pod))
    pod.step("detect")
    code, receipt = pod.publish()
    assert receipt.failure is not None
    words = "report.dcm: CompletionFlag: is missing (and 2 more); report.conformance of the pipeline is Strict"
    assert (code, receipt.failure.reason, receipt.failure.message) == (65, "UnacceptedObject", words)
    assert stored(server) == []


def test_nothing_that_identifies_the_patient_is_in_log_or_receipt(pod: Pod) -> None:
    leave(pod, patient1_Name__dcm=b"x", **{"ACC-study__dcm": b"y"})
    pod.step("detect")
    code, receipt = pod.publish()
    assert code == 65
    told = pod.log + receipt.encode()
    for value in ("patient1", "PATIENT1", "ACC-study", uid("study"), "secret"):
        assert value not in told
    assert receipt.failure is not None
    assert "(identifier)" in receipt.failure.message
