"""publish against a real Orthanc and the real launcher: how steps end, what they leave, and what reaches the archive."""

import hashlib
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from tests.builders_dicom import a_segmentation, as_file, ct_series
from tests.builders_findings import a_document, a_finding
from tests.builders_slices import a_ct, encoded, uid
from tests.component.flaky_proxy import flaky_proxy
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.worker_pod import ROOT, Pod, a_task, launcher

from gantry.runs import PublishReceipt

FINDINGS: dict[str, Any] = {
    "schemaVersion": "v1alpha1",
    "algorithms": [{"id": "a", "name": "Nodules", "version": "1.0", "manufacturer": "Test"}],
    "evaluatedFor": [{"scheme": "SCT", "value": "427359005", "meaning": "Solitary nodule of lung"}],
    "findings": [],
}
ORIGINALS = 3


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return launcher(tmp_path_factory.mktemp("launcher"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def server(shared: OrthancServer) -> OrthancServer:
    """Holds one CT study of three slices and nothing else."""
    for study in shared.studies():
        shared.rest("DELETE", f"/studies/{study}")
    shared.upload(*(a_ct(number=number) for number in range(1, ORIGINALS + 1)))
    return shared


@pytest.fixture
def pod(server: OrthancServer, tmp_path: Path, program: Path) -> Pod:
    """A pod whose fetch has ended."""
    return fetched(server, tmp_path, program)


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


def test_alternatives_are_stored_beside_the_reports_when_a_destination_may_refuse_those(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    pod = Pod(tmp_path, a_task(server).model_copy(update={"alternatives": True}), program)
    assert pod.fetch()[0] == 0, pod.log
    leave(pod)
    assert pod.step("detect") == 0
    code, receipt = pod.publish()
    assert (code, receipt.failure) == (0, None), pod.log
    (result,), (other,) = receipt.results, receipt.alternatives
    assert (result.sop_class_uid, other.sop_class_uid) == ("1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.88.33")
    assert [one.SOPInstanceUID for one in stored(server)] == [result.sop_instance_uid, other.sop_instance_uid]
    assert other.md5 == hashlib.md5(server.rest("GET", f"/instances/{other.orthanc_id}/file")).hexdigest()
    assert pod.publish()[1].alternatives == receipt.alternatives, "a second attempt makes the same bytes"


def test_a_report_is_built_stored_and_read_back(pod: Pod, server: OrthancServer) -> None:
    leave(pod)
    assert pod.step("detect") == 0
    code, receipt = pod.publish()
    assert (code, receipt.failure) == (0, None), pod.log
    (report,) = stored(server)
    (result,) = receipt.results
    assert (report.Modality, report.PatientID, report.StudyInstanceUID) == ("SR", "PATIENT1", uid("study"))
    assert (result.kind, result.sop_instance_uid, result.series_instance_uid) == ("SR", report.SOPInstanceUID, report.SeriesInstanceUID)
    content = server.rest("GET", f"/instances/{result.orthanc_id}/file")
    assert (result.md5, result.bytes) == (hashlib.md5(content).hexdigest(), len(content))
    assert receipt.findings is not None
    assert (receipt.findings.present, receipt.findings.absent) == (0, 1)
    (end,) = receipt.steps
    assert (end.name, end.code) == ("detect", 0)
    assert end.max_rss_bytes > 0


def test_objects_go_before_the_report_under_uids_of_the_run(pod: Pod, server: OrthancServer) -> None:
    leave(pod, b__dcm=a_capture("b"), a__dcm=a_capture("a"), notes__txt=b"beside the results")
    pod.step("detect")
    code, receipt = pod.publish()
    assert code == 0, pod.log
    assert [one.kind for one in receipt.results] == ["SC", "SC", "SR"]
    assert [one.Modality for one in stored(server)] == ["OT", "OT", "SR"]
    made = [uid("a"), uid("b"), uid("a", "series"), uid("b", "series")]
    assert all(one.sop_instance_uid not in made and one.series_instance_uid not in made for one in receipt.results)
    assert len({one.series_instance_uid for one in receipt.results}) == 3


def test_publish_waits_for_the_steps_in_order_and_takes_the_last_ones_output(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    detect = {"name": "detect", "image": "localhost/a:1", "command": ["a"]}
    pod = fetched(server, tmp_path / "pod", program, template__steps=[detect, {**detect, "name": "describe"}])
    publish = pod.start("publish")
    leave(pod, "describe")
    last = pod.begin_step("describe", "sleep 0.2", before="detect")
    assert pod.step("detect", "sleep 0.3") == 0
    assert last.wait(30) == 0
    assert pod.finish(publish) == 0, pod.log
    receipt = pod.publish_receipt()
    assert [end.name for end in receipt.steps] == ["detect", "describe"]
    assert receipt.steps[0].seconds >= 0.3


def test_a_second_attempt_gives_the_same_bytes(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    receipts = []
    task = a_task(server)
    for attempt in ("first", "second"):
        (tmp_path / attempt).mkdir()
        pod = Pod(tmp_path / attempt, task, program)
        assert pod.fetch()[1].instances == ORIGINALS  # what the first attempt stored is no input of the second
        leave(pod, capture__dcm=a_capture())
        pod.step("detect")
        code, receipt = pod.publish()
        assert code == 0, pod.log
        receipts.append(receipt)
    assert receipts[0].results == receipts[1].results
    assert "AlreadyStored" in pod.log
    assert len(stored(server)) == 2


def attempts_with_other_content(server: OrthancServer, tmp_path: Path, program: Path) -> Iterator[tuple[Pod, int, PublishReceipt]]:
    """Two attempts of one Run whose application never writes the same bytes."""
    task = a_task(server)
    for attempt in ("first", "second"):
        (tmp_path / attempt).mkdir()
        pod = Pod(tmp_path / attempt, task, program)
        pod.fetch()
        leave(pod, capture__dcm=a_capture(ImageComments=attempt))
        pod.step("detect")
        yield pod, *pod.publish()


def test_a_later_attempt_replaces_what_an_earlier_one_left(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    """The first was killed after its upload and before its receipt was read: without replacing, no attempt could ever succeed."""
    (_, first, _), (pod, second, receipt) = attempts_with_other_content(server, tmp_path, program)
    assert (first, second) == (0, 0), pod.log
    assert len(stored(server)) == 2, "the report and the capture, once each"
    for result in receipt.results:
        data = server.rest("GET", f"/instances/{result.orthanc_id}/file")
        assert hashlib.md5(data).hexdigest() == result.md5
    assert "replacing what an earlier attempt left" in pod.log


def test_other_content_of_somebody_else_is_told_and_not_taken_for_the_result(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    attempts = attempts_with_other_content(server, tmp_path, program)
    next(attempts)
    for instance in stored_ids(server):
        data = server.rest("GET", f"/instances/{instance}/file")
        server.rest("DELETE", f"/instances/{instance}")
        server.upload(data, user="other")
    _, code, receipt = next(attempts)
    assert code == 1
    assert receipt.failure is not None
    assert receipt.failure.reason == "UploadFailed"
    assert receipt.failure.message.startswith("Orthanc holds other bytes than this Run's SC under its UID (instance ")
    assert "AlreadyStored): somebody else stored it" in receipt.failure.message


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


ENDS: dict[str, tuple[str, str, str, str, int]] = {
    "an exit code": ("exit 7", "StepFailed", "step detect ended with exit code 7", "600s", 1),
    "an input that is not usable": ("exit 65", "StepRejectedInput", "step detect says by exit code 65 that this input is not usable", "600s", 65),
    "a signal": ("kill -11 $$", "StepFailed", "step detect was killed by signal 11", "600s", 1),
    "SIGKILL, as for memory": ("kill -9 $$", "StepFailed", "step detect was killed by signal 9; at its memory limit the kernel does that too", "600s", 1),
    "the whole container killed": ("kill -9 $PPID; sleep 5", "StepFailed", "step detect was killed as a whole; it left no exit code", "600s", 1),
    "its timeout": ("sleep 60", "StepTimedOut", "step detect took longer than its timeout of 10m and was ended", "200ms", 1),
    "a command that is not there": ("exec no-such-program", "StepFailed", "step detect ended with exit code 127", "600s", 1),
    "no findings": ("true", "NoOutput", "step detect ended with 0 but left no findings.json in GANTRY_OUTPUT", "600s", 65),
}


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS)
def test_the_end_of_a_step_becomes_a_reason(case: tuple[str, str, str, str, int], pod: Pod, server: OrthancServer) -> None:
    script, reason, words, timeout, want = case
    pod.step("detect", script, timeout=timeout)
    code, receipt = pod.publish()
    assert receipt.failure is not None
    assert (receipt.failure.reason, receipt.failure.step, receipt.failure.message) == (reason, "detect", words)
    assert code == want
    assert [end.name for end in receipt.steps] == ["detect"]
    assert stored(server) == []


def test_after_a_failed_step_the_next_ones_are_not_waited_for(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    detect = {"name": "detect", "image": "localhost/a:1", "command": ["a"]}
    pod = fetched(server, tmp_path / "pod", program, template__steps=[detect, {**detect, "name": "describe"}])
    pod.step("detect", "exit 3")
    code, receipt = pod.publish()
    assert code == 1
    assert receipt.failure is not None
    assert (receipt.failure.step, receipt.failure.exit_code) == ("detect", 3)


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
    "more objects than a receipt can name": (many_objects, "UnacceptedObject", "more than 8 DICOM files"),
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


def test_a_report_refers_to_the_segmentation_under_its_new_uid(shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    for study in shared.studies():
        shared.rest("DELETE", f"/studies/{study}")
    slices = ct_series(pixels=True)
    shared.upload(*(as_file(one) for one in slices))
    pod = fetched(shared, tmp_path / "pod", program)
    finding = a_finding(region={"kind": "segment", "file": "mask.dcm", "segmentNumber": 1})
    leave(pod, findings__json=json.dumps(a_document(finding)).encode(), mask__dcm=as_file(a_segmentation(slices)))
    pod.step("detect")
    code, receipt = pod.publish()
    assert code == 0, pod.log
    segmentation, report = receipt.results
    assert (segmentation.kind, report.kind) == ("SEG", "SR")
    content = pydicom.dcmread(io.BytesIO(shared.rest("GET", f"/instances/{report.orthanc_id}/file")))
    referred = {str(element.value) for element in content.iterall() if element.keyword == "ReferencedSOPInstanceUID"}
    assert segmentation.sop_instance_uid in referred
    mask = pydicom.dcmread(io.BytesIO(shared.rest("GET", f"/instances/{segmentation.orthanc_id}/file")))
    assert mask.SOPInstanceUID == mask.file_meta.MediaStorageSOPInstanceUID == segmentation.sop_instance_uid
    sources = {str(item.ReferencedSOPInstanceUID) for item in mask.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert sources <= {str(one.SOPInstanceUID) for one in slices}
    assert receipt.findings is not None
    assert receipt.findings.present == 1


@pytest.mark.parametrize("make", ["rm -f lock", "rm -f lock; mkfifo lock", "rm -f lock; ln -s /etc/passwd lock", "rm -f started lock"])
def test_a_step_that_takes_its_barrier_apart_fails(make: str, pod: Pod) -> None:
    leave(pod)
    running = pod.start("publish")
    step = pod.begin_step("detect", f"cd {pod.barrier('detect')}; sleep 0.3; {make}; sleep 0.3; kill -9 $PPID; sleep 5")
    step.wait(30)
    code = pod.finish(running) if "started" not in make else running.poll() or 0
    if "started" in make:  # publish may have seen it or not, on a busy machine may not even have begun; it must not report success
        running.send_signal(signal.SIGTERM)
        code = pod.finish(running)
        if code == -signal.SIGTERM:
            assert not (pod.root / "publish.receipt").exists()
            return
    assert code == 1
    assert pod.publish_receipt().results == ()


def test_a_forged_record_is_a_failure_of_the_step(pod: Pod) -> None:
    leave(pod)
    forged = pod.barrier("detect") / "exit.json"
    pod.step("detect", f"mkdir {forged}; kill -9 $PPID; sleep 5")
    code, receipt = pod.publish()
    assert code == 1
    assert receipt.failure is not None
    assert receipt.failure.message == "step detect wrote over the launcher's record of its end"


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


def test_a_short_fault_of_orthanc_is_waited_for(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    with flaky_proxy(server.url, lambda path, count: "503" if path == "/instances" and count <= 4 else None) as proxy:
        pod = fetched(server, tmp_path / "pod", program, url=proxy.url)
        leave(pod)
        pod.step("detect")
        code, receipt = pod.publish()
    assert (code, len(receipt.results)) == (0, 1), pod.log


def test_an_orthanc_that_refuses_the_report_is_told(pod: Pod) -> None:
    leave(pod)
    pod.step("detect")
    pod.environment["ORTHANC_PASSWORD"] = "rotated"
    code, receipt = pod.publish()
    assert code == 1
    assert receipt.failure is not None
    assert receipt.failure.reason == "UploadFailed"
    assert "check username and password" in receipt.failure.message
    assert receipt.steps[0].code == 0


def test_an_ended_pod_ends_at_once(pod: Pod) -> None:
    step = pod.begin_step("detect", "sleep 60")
    running = pod.start("publish")
    deadline = time.monotonic() + 20
    while "prepared" not in (seen := _line(running)):
        assert time.monotonic() < deadline, seen
    begin = time.monotonic()
    running.send_signal(signal.SIGTERM)
    assert pod.finish(running) == 1
    assert time.monotonic() - begin < 3
    step.terminate()
    step.wait(10)
    failure = pod.publish_receipt().failure
    assert failure is not None
    assert failure.reason == "PublishFailed"


def _line(process: Any) -> str:
    line: str = process.stderr.readline()
    return line


def test_the_smallest_application_of_the_manual_works(pod: Pod, server: OrthancServer) -> None:
    manual = (ROOT / "docs" / "containers.md").read_text()
    program = manual.split("```python\n")[1].split("```")[0]
    (pod.root / "application.py").write_text(program)
    assert pod.step("detect", f"{sys.executable} {pod.root}/application.py") == 0
    code, receipt = pod.publish()
    assert (code, [one.kind for one in receipt.results]) == (0, ["SR"]), pod.log


def test_results_of_a_shadow_run_are_marked_in_themselves_and_in_orthanc(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    """This Orthanc (1.10) has no labels, so the mark is metadata; a second attempt finds it there."""
    pod = fetched(server, tmp_path / "pod", program, mode="Shadow")
    leave(pod, a__dcm=a_capture("a"))
    pod.step("detect")
    for _ in ("first attempt", "second attempt"):
        code, receipt = pod.publish()
        assert (code, receipt.failure) == (0, None), pod.log
        assert all(one.SeriesDescription.startswith("SHADOW") for one in stored(server))
        assert [server.rest("GET", f"/instances/{one.orthanc_id}/metadata/1024") for one in receipt.results] == [b"SHADOW", b"SHADOW"]
