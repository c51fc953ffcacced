"""The container that reports that an analysis was not performed, against a real Orthanc: what it needs, what it leaves, and that it can be repeated."""

import hashlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from tests.builders_dicom import deflated
from tests.builders_slices import a_ct, uid
from tests.component.flaky_proxy import flaky_proxy
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.sr_validators import complaints
from tests.component.worker_pod import Pod, a_task

from gantry.api import RunReason
from gantry.runs import PublishReceipt, decode_publish, result_uid

REPORT = {
    "onFailure": "NotPerformed",
    "algorithm": {"name": "LungNoduleNet", "version": "2.1.0", "manufacturer": "ACME AI"},
    "evaluatedFor": [{"scheme": "SCT", "value": "427359005", "meaning": "Solitary nodule of lung"}],
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def server(shared: OrthancServer) -> OrthancServer:
    """Holds one CT study of three slices and nothing else."""
    for study in shared.studies():
        shared.rest("DELETE", f"/studies/{study}")
    shared.upload(*(a_ct(number=number) for number in (1, 2, 3)))
    return shared


def a_pod(server: OrthancServer, root: Path, reason: RunReason | None = RunReason.STEP_FAILED, **changes: Any) -> Pod:
    """Nothing of a Run's volumes is there."""
    root.mkdir(exist_ok=True)
    task = a_task(server, template__report=REPORT, **changes)
    return Pod(root, task.model_copy(update={"not_performed": reason}), Path("/nowhere"))


def told(pod: Pod) -> tuple[int, PublishReceipt]:
    code = pod.finish(pod.start("not-performed"))
    receipt = decode_publish((pod.root / "not-performed.receipt").read_text())
    assert receipt is not None, pod.log
    return code, receipt


def reports(server: OrthancServer) -> list[str]:
    return [one for one in server.rest("GET", "/instances") if server.rest("GET", f"/instances/{one}/simplified-tags")["Modality"] == "SR"]


def test_the_report_is_stored_read_back_and_valid(server: OrthancServer, tmp_path: Path) -> None:
    pod = a_pod(server, tmp_path / "pod")
    code, receipt = told(pod)
    assert (code, receipt.failure) == (0, None), pod.log
    (result,) = receipt.results
    assert [result.orthanc_id] == reports(server)
    content = server.rest("GET", f"/instances/{result.orthanc_id}/file")
    assert (result.kind, result.md5, result.bytes) == ("SR", hashlib.md5(content).hexdigest(), len(content))
    report = pydicom.dcmread(io.BytesIO(content))
    assert (report.PatientID, report.StudyInstanceUID, report.SeriesDescription) == ("PATIENT1", uid("study"), "NOT PERFORMED: AI LungNoduleNet 2.1.0")
    path = tmp_path / "report.dcm"
    path.write_bytes(content)
    assert complaints(path) == []
    assert "PATIENT1" not in pod.log
    assert uid("study") not in pod.log


def test_done_twice_it_is_there_once(server: OrthancServer, tmp_path: Path) -> None:
    first, second = told(a_pod(server, tmp_path / "first")), told(a_pod(server, tmp_path / "second"))
    assert first[1].results == second[1].results
    assert len(reports(server)) == 1


def test_two_at_once_leave_one_report(server: OrthancServer, tmp_path: Path) -> None:
    """A Job's pod may be started twice (Kubernetes' own words on Jobs)."""
    pods = [a_pod(server, tmp_path / name) for name in ("one", "other")]
    ends: list[tuple[int, PublishReceipt]] = []
    threads = [threading.Thread(target=lambda pod=pod: ends.append(told(pod))) for pod in pods]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [code for code, _ in ends] == [0, 0]
    assert ends[0][1].results == ends[1][1].results
    assert len(reports(server)) == 1


def test_a_series_that_is_gone_does_not_matter_while_there_is_another(server: OrthancServer, tmp_path: Path) -> None:
    server.upload(a_ct(number=1, series="other"))
    pod = a_pod(server, tmp_path / "pod")
    server.rest("DELETE", f"/series/{pod.task.spec.study.series_ids[0]}")
    code, receipt = told(pod)
    assert (code, len(receipt.results)) == (0, 1), pod.log


def test_an_image_that_nobody_can_read_is_not_what_the_report_is_about(server: OrthancServer, tmp_path: Path) -> None:
    """Even when it is the smallest of its series, as half an image is; the Run may have failed for it."""
    for study in server.studies():
        server.rest("DELETE", f"/studies/{study}")
    bomb = deflated(pydicom.dcmread(io.BytesIO(a_ct(number=2))), private=(128 << 20) + 1)
    whole = a_ct(number=1, rows=512)
    assert len(bomb) < len(whole)
    stored = server.upload(whole, bomb)
    pods = [a_pod(server, tmp_path / name, RunReason.INPUT_UNREADABLE) for name in ("one", "other")]
    code, _ = told(pods[0])
    assert code == 0, pods[0].log
    (report,) = reports(server)
    made = pydicom.dcmread(io.BytesIO(server.rest("GET", f"/instances/{report}/file")))
    (image,) = made.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert image.ReferencedSOPInstanceUID == uid("study", "series", 1)
    server.rest("DELETE", f"/instances/{stored[0]['ID']}")
    code, receipt = told(pods[1])
    assert receipt.failure is not None
    assert (code, receipt.failure.reason) == (65, "InputUnreadable")


def test_a_report_that_an_attempt_left_behind_is_replaced(server: OrthancServer, tmp_path: Path) -> None:
    """publish may be ended between the upload and its receipt."""
    pod = a_pod(server, tmp_path / "pod")
    left = [result_uid("test", "default", pod.task.run, role, 1) for role in ("sr", "sr-series")]
    server.upload(a_ct(number=9, Modality="SR", SOPInstanceUID=left[0], SeriesInstanceUID=left[1]))
    code, receipt = told(pod)
    assert code == 0, pod.log
    report = pydicom.dcmread(io.BytesIO(server.rest("GET", f"/instances/{receipt.results[0].orthanc_id}/file")))
    (series,) = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert [series.SeriesInstanceUID, *(one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence)] == [left[1], left[0]]


def test_without_the_study_it_says_so_and_is_not_tried_again(server: OrthancServer, tmp_path: Path) -> None:
    pod = a_pod(server, tmp_path / "pod")
    server.rest("DELETE", f"/studies/{pod.task.spec.study.orthanc_id}")
    code, receipt = told(pod)
    assert receipt.failure is not None
    assert (code, receipt.failure.reason, receipt.failure.message) == (65, "StudyGone", "the study is no longer in Orthanc")


def test_an_orthanc_that_answers_badly_now_and_then_is_asked_again(server: OrthancServer, tmp_path: Path) -> None:
    with flaky_proxy(server.url, lambda path, count: "503" if count == 1 else "cut" if path.endswith("/file") and count == 2 else None) as proxy:
        pod = a_pod(server, tmp_path / "pod", url=proxy.url)
        code, receipt = told(pod)
    assert (code, len(receipt.results)) == (0, 1), pod.log


def test_a_task_that_does_not_say_why_is_of_another_release(server: OrthancServer, tmp_path: Path) -> None:
    code, receipt = told(a_pod(server, tmp_path / "pod", None))
    assert receipt.failure is not None
    assert (code, receipt.failure.reason) == (1, "PublishFailed")
    assert receipt.failure.message == "the task does not say why the Run failed: operator and worker image are of different releases"
