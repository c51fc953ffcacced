"""The receipt that publish keeps with the report at a real Orthanc, and how an operator that finds no pod any more finds it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.builders_findings import a_document, a_finding
from tests.builders_runs import a_run
from tests.builders_slices import a_ct
from tests.component.flaky_proxy import flaky_proxy
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.worker_pod import Pod, a_task

from gantry.orthanc import Credentials, Orthanc
from gantry.runs import RECEIPT_ATTACHMENT, Kept, PublishReceipt, RunView
from gantry.runtime.receipts import find_receipt

OURS = Credentials("gantry", "secret")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path / "orthanc") as started:
        started.upload(a_ct(number=1))
        yield started


def publishes(server: OrthancServer, root: Path, program: Path, *, url: str = "", size: float = 4.0) -> tuple[Pod, PublishReceipt]:
    root.mkdir()
    pod = Pod(root, a_task(server, url=url), program)
    assert pod.fetch()[0] == 0, pod.log
    (pod.output("detect") / "findings.json").write_text(json.dumps(a_document(a_finding(comment=f"{size} mm"))))
    assert pod.step("detect") == 0
    code, receipt = pod.publish()
    assert code == 0, pod.log
    return pod, receipt


async def looked_for(url: str, pod: Pod, *, credentials: Credentials = OURS, installation: str = "test", run: str = "run-uid") -> Kept:
    view: RunView = replace(a_run().named(pod.task.run).view(), uid=run)
    async with Orthanc(url, credentials=credentials) as orthanc:
        return await find_receipt(orthanc, view, installation=installation)


async def test_it_is_found_by_the_runs_name_and_uid(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    pod, receipt = publishes(server, tmp_path / "pod", program)
    found = await looked_for(server.url, pod)
    assert isinstance(found, PublishReceipt)
    assert (found.results, found.findings, found.steps) == (receipt.results, receipt.findings, receipt.steps)
    assert await looked_for(server.url, pod, run="of-another-run-of-the-name") == "Nothing"
    assert await looked_for(server.url, pod, installation="another") == "Nothing"


async def test_of_a_second_attempt_it_tells_what_is_there_now(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    publishes(server, tmp_path / "first", program)
    pod, receipt = publishes(server, tmp_path / "second", program, size=5.0)
    found = await looked_for(server.url, pod)
    assert isinstance(found, PublishReceipt)
    assert found.results == receipt.results


async def test_one_that_names_other_bytes_than_there_are_counts_for_nothing(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    """An attempt after it stored its report, and died before it kept a receipt."""
    pod, receipt = publishes(server, tmp_path / "first", program)
    (report,) = receipt.results
    place = f"/instances/{report.orthanc_id}/attachments/{RECEIPT_ATTACHMENT}"
    before = server.rest("GET", f"{place}/data")
    assert isinstance(before, bytes)
    server.rest("DELETE", place)
    server.rest("PUT", place, content=before.replace(report.md5.encode(), b"0" * 32))
    assert await looked_for(server.url, pod) == "Nothing"


async def test_a_report_that_was_deleted_takes_it_along(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    pod, receipt = publishes(server, tmp_path / "first", program)
    server.rest("DELETE", f"/instances/{receipt.results[0].orthanc_id}")
    assert await looked_for(server.url, pod) == "Nothing"


async def test_without_an_answer_nothing_is_known(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    pod, _ = publishes(server, tmp_path / "first", program)
    with flaky_proxy(server.url, lambda path, _: "503" if "/tools/lookup" in path else None) as proxy:
        assert await looked_for(proxy.url, pod) == "NotKnown"
    assert await looked_for(server.url, pod, credentials=Credentials("gantry", "wrong")) == "NotKnown"
    assert await find_receipt(None, a_run().view(), installation="test") == "NotKnown"


def test_one_that_cannot_be_kept_fails_nothing(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    with flaky_proxy(server.url, lambda path, _: "401" if f"/attachments/{RECEIPT_ATTACHMENT}" in path else None) as proxy:
        pod, receipt = publishes(server, tmp_path / "first", program, url=proxy.url)
    assert [one.kind for one in receipt.results] == ["SR"]
    assert "the receipt is not kept in Orthanc" in pod.log
