"""publish against a real Orthanc and the real launcher: reports and objects that reach the archive, once and as they were made."""

import hashlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom
from tests.builders_dicom import a_segmentation, as_file, ct_series
from tests.builders_findings import a_document, a_finding
from tests.builders_slices import uid
from tests.component.orthanc_server import OrthancServer
from tests.component.publish.outputs import FINDINGS, ORIGINALS, a_capture, fetched, leave, stored, stored_ids
from tests.component.worker_pod import ROOT, Pod, a_task

from gantry.runs import PublishReceipt


def test_a_report_is_written_in_the_character_set_that_is_asked_for_where_nothing_is_lost(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    pod = fetched(server, tmp_path / "pod", program, template__report__characterSet="ISO_IR 100")
    leave(pod)
    assert pod.step("detect") == 0
    code, receipt = pod.publish()
    assert (code, receipt.failure, receipt.warnings) == (0, None, ()), pod.log
    assert [one.SpecificCharacterSet for one in stored(server)] == ["ISO_IR 100"]
    finding = {"id": "a", "type": FINDINGS["evaluatedFor"][0], "comment": "≥ 5 mm"}
    leave(pod, findings__json=json.dumps({**FINDINGS, "findings": [finding]}).encode())
    code, receipt = pod.publish()
    (warning,) = receipt.warnings
    assert warning == "SR made by Gantry: report.characterSet ISO_IR 100 does not hold all of its characters; it is written in ISO_IR 192"


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
    segmentation, outline, report = receipt.results
    assert (segmentation.kind, outline.kind, report.kind) == ("SEG", "SR", "SR")
    content = pydicom.dcmread(io.BytesIO(shared.rest("GET", f"/instances/{report.orthanc_id}/file")))
    referred = {str(element.value) for element in content.iterall() if element.keyword == "ReferencedSOPInstanceUID"}
    assert segmentation.sop_instance_uid in referred
    mask = pydicom.dcmread(io.BytesIO(shared.rest("GET", f"/instances/{segmentation.orthanc_id}/file")))
    assert mask.SOPInstanceUID == mask.file_meta.MediaStorageSOPInstanceUID == segmentation.sop_instance_uid
    sources = {str(item.ReferencedSOPInstanceUID) for item in mask.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert sources <= {str(one.SOPInstanceUID) for one in slices}
    assert receipt.findings is not None
    assert receipt.findings.present == 1


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


def test_the_smallest_application_of_the_manual_works(pod: Pod, server: OrthancServer) -> None:
    manual = (ROOT / "docs" / "containers.md").read_text()
    program = manual.split("```python\n")[1].split("```")[0]
    (pod.root / "application.py").write_text(program)
    assert pod.step("detect", f"{sys.executable} {pod.root}/application.py") == 0
    code, receipt = pod.publish()
    assert (code, [one.kind for one in receipt.results]) == (0, ["SR"]), pod.log


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
