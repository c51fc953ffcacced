"""One Run after another at a real Orthanc: what publish keeps of the first, and what fetch lays out for the one that follows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders_dicom import a_segmentation, as_file, ct_series
from tests.builders_findings import a_document, a_finding
from tests.builders_slices import a_ct
from tests.component.flaky_proxy import flaky_proxy
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.worker_pod import Pod, a_task

from gantry.api.run import Result, RunStatus
from gantry.orthanc import Credentials, Orthanc
from gantry.runs import FINDINGS_ATTACHMENT, Earlier, PublishReceipt, earlier, fingerprint
from gantry.worker.patience import Patience
from gantry.worker.upload import keep_findings

FIRST = "triage-abcdefghijklm"
DOCUMENT = json.dumps(a_document(a_finding(comment="größer als 3 mm")), ensure_ascii=False).encode()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OrthancServer]:
    """Holds one CT study of three slices."""
    with orthanc_server(tmp_path / "orthanc") as started:
        started.upload(*(a_ct(number=number) for number in (1, 2, 3)))
        yield started


def first_run(server: OrthancServer, root: Path, program: Path, **files: bytes) -> tuple[Pod, PublishReceipt]:
    """The first Run, to its end."""
    root.mkdir()
    pod = Pod(root, a_task(server), program)
    assert pod.fetch()[0] == 0, pod.log
    for name, content in {"findings__json": DOCUMENT, **files}.items():
        (pod.output("detect") / name.replace("__", ".")).write_bytes(content)
    assert pod.step("detect") == 0
    code, receipt = pod.publish()
    assert code == 0, pod.log
    return pod, receipt


def of(receipt: PublishReceipt) -> Earlier:
    made = earlier(FIRST, RunStatus(results=list(receipt.results)))
    assert made is not None
    return made


def follower(server: OrthancServer, root: Path, program: Path, after: Earlier, **changes: Any) -> Pod:
    """The pod of a Run that follows, on the three slices."""
    images = next(one["ID"] for one in server.rest("GET", "/series?expand") if one["MainDicomTags"]["Modality"] == "CT")
    task = a_task(server, series=[images])
    uids = [one["MainDicomTags"]["SOPInstanceUID"] for one in server.rest("GET", f"/series/{images}/instances")]
    built_on = [one.sop_instance_uid for one in after.results]
    mark = fingerprint("default", "chest-ct-nodules", task.spec.study.orthanc_id, [*uids, *built_on])
    study = task.spec.study.model_copy(update={"fingerprint": mark, **changes})
    root.mkdir()
    return Pod(root, task.model_copy(update={"after": after, "spec": task.spec.model_copy(update={"study": study})}), program)


def kept(server: OrthancServer, instance: str) -> bytes:
    content = server.rest("GET", f"/instances/{instance}/attachments/{FINDINGS_ATTACHMENT}/data")
    assert isinstance(content, bytes)
    return content


def test_findings_json_is_kept_with_the_first_report_byte_for_byte(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    pod, receipt = first_run(server, tmp_path / "first", program)
    report = next(one for one in receipt.results if one.kind == "SR")
    assert kept(server, report.orthanc_id) == DOCUMENT
    told = next(event for event in pod.events() if event["event"] == "findings kept")
    assert (told["instance"], told["bytes"], told["written"]) == (report.orthanc_id, len(DOCUMENT), True)
    assert "größer" not in pod.log


def test_a_second_attempt_leaves_what_the_first_kept(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    pod, _ = first_run(server, tmp_path / "first", program)
    code, receipt = pod.publish()
    assert code == 0
    assert kept(server, of(receipt).findings) == DOCUMENT
    assert next(event for event in pod.events() if event["event"] == "findings kept")["written"] is False


SERVERS: dict[str, dict[str, Any]] = {
    "with accounts": {},
    "without accounts": {"AuthenticationEnabled": False, "RegisteredUsers": None},
    "that compresses what it stores": {"StorageCompression": True},
    "that replaces what is stored again": {"OverwriteInstances": True},
    "that wants to know which revision is replaced": {"CheckRevisions": True},
}


@pytest.mark.parametrize("config", SERVERS.values(), ids=SERVERS)
async def test_findings_are_kept_by_an_orthanc(config: dict[str, Any], tmp_path: Path) -> None:
    with orthanc_server(tmp_path / "orthanc", config=config) as server:
        (stored,) = server.upload(a_ct(number=1))
        result = Result(kind="SR", sop_class_uid="1.2", sop_instance_uid="1.2.3", series_instance_uid="1.2.4", orthanc_id=stored["ID"], md5="0" * 32, bytes=1)
        async with Orthanc(server.url, credentials=Credentials("gantry", "secret")) as orthanc:
            for document in (b'{"attempt": 1}', b'{"attempt": 1}', b'{"attempt": 2}'):
                await keep_findings(orthanc, [result], document, Patience(5.0))
                assert kept(server, stored["ID"]) == document


async def test_a_report_that_is_gone_is_no_reason_to_fail(server: OrthancServer) -> None:
    """Orthanc answers 200 to an attachment of an instance it does not have."""
    gone = "1" * 8 + "-11111111" * 4
    result = Result(kind="SR", sop_class_uid="1.2", sop_instance_uid="1.2.3", series_instance_uid="1.2.4", orthanc_id=gone, md5="0" * 32, bytes=1)
    async with Orthanc(server.url, credentials=Credentials("gantry", "secret")) as orthanc:
        await keep_findings(orthanc, [result], DOCUMENT, Patience(5.0))


def test_the_follower_finds_findings_and_results_beside_the_images(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    server.rest("DELETE", f"/studies/{server.studies()[0]}")
    images = ct_series(slices=3)
    server.upload(*(as_file(image) for image in images))
    first, receipt = first_run(server, tmp_path / "first", program, mask__dcm=as_file(a_segmentation(images)))
    del first
    pod = follower(server, tmp_path / "second", program, of(receipt))
    code, fetched = pod.fetch()
    assert (code, fetched.instances) == (0, 3), pod.log
    told = pod.study()["after"]
    assert (told["run"], told["findings"]) == (FIRST, {"path": "after/findings.json", "bytes": len(DOCUMENT)})
    assert [(one["path"], one["kind"], one["bytes"]) for one in told["results"]] == [
        (f"after/{place}.dcm", one.kind, one.bytes) for place, one in enumerate(receipt.results, start=1)
    ]
    assert told["results"][0]["kind"] == "SEG"
    assert (pod.input / "after/findings.json").read_bytes() == DOCUMENT
    for one in told["results"]:
        assert (pod.input / one["path"]).read_bytes() == server.rest("GET", f"/instances/{one['orthancID']}/file")
    images_bytes = sum(one["bytes"] for series in pod.study()["series"] for one in series["instances"])
    assert fetched.bytes == images_bytes + len(DOCUMENT) + sum(one.bytes for one in receipt.results)
    for path in (pod.input / "after").rglob("*"):
        assert path.stat().st_mode & 0o777 == 0o644, path
    assert (pod.input / "after").stat().st_mode & 0o777 == 0o755


REFUSED = {
    "the report it would read was deleted": ("DELETE /instances/{sr}", "StudyGone", f"the SR of Run {FIRST}, which this one follows, was deleted from Orthanc", 65),
    "the findings were deleted": (
        "DELETE /instances/{sr}/attachments/1024", "StudyGone", f"Orthanc keeps no findings.json of Run {FIRST}, which this one follows: its report was deleted or stored anew meanwhile", 65,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_nothing_of_the_first_run_is_optional(case: tuple[str, str, str, int], server: OrthancServer, tmp_path: Path, program: Path) -> None:
    request, reason, words, want = case
    _, receipt = first_run(server, tmp_path / "first", program)
    after = of(receipt)
    pod = follower(server, tmp_path / "second", program, after)
    method, _, path = request.format(sr=after.findings).partition(" ")
    server.rest(method, path)
    code, told = pod.fetch()
    assert told.failure is not None
    assert (code, told.failure.reason, told.failure.message) == (want, reason, words)
    assert not (pod.input / "study.json").exists()


def test_other_bytes_under_the_result_are_refused(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    _, receipt = first_run(server, tmp_path / "first", program)
    after = of(receipt)
    after = after.model_copy(update={"results": tuple(one.model_copy(update={"md5": "0" * 32}) for one in after.results)})
    code, told = follower(server, tmp_path / "second", program, after).fetch()
    assert told.failure is not None
    assert (code, told.failure.reason) == (65, "InputMismatch")
    assert told.failure.message == f"Orthanc holds other bytes now than the SR that Run {FIRST}, which this one follows, left there"


def test_another_first_run_is_another_piece_of_work(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    _, receipt = first_run(server, tmp_path / "first", program)
    pod = follower(server, tmp_path / "second", program, of(receipt))
    other = of(receipt).model_copy(update={"results": tuple(one.model_copy(update={"sop_instance_uid": "2.25.9"}) for one in receipt.results)})
    pod.task = pod.task.model_copy(update={"after": other})
    code, told = pod.fetch()
    assert told.failure is not None
    assert (code, told.failure.reason) == (65, "InputMismatch")


def test_a_proxy_that_lets_no_attachment_through_costs_the_cascade_and_not_the_report(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    with flaky_proxy(server.url, lambda path, _: "401" if path.endswith("/attachments/1024") else None) as proxy:
        (tmp_path / "pod").mkdir()
        pod = Pod(tmp_path / "pod", a_task(server, url=proxy.url), program)
        assert pod.fetch()[0] == 0, pod.log
        (pod.output("detect") / "findings.json").write_bytes(DOCUMENT)
        pod.step("detect")
        code, receipt = pod.publish()
    assert (code, [one.kind for one in receipt.results]) == (0, ["SR"])
    (told,) = [event for event in pod.events() if event["level"] == "error"]
    assert (told["event"], told["error"]) == ("findings.json is not kept; no pipeline can follow this Run", "Unauthorized")
