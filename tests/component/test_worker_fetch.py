"""fetch against a real Orthanc: the layout, the checks, and every way an answer can be spoiled on its way."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.builders_slices import a_ct, uid
from tests.component.flaky_proxy import Spoil, flaky_proxy
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.worker_pod import Pod, a_task

from gantry.orthanc import Credentials
from gantry.runs import Task
from gantry.worker.fetch import Source, fetch
from gantry.worker.outcome import Stop, exit_code
from gantry.worker.patience import Patience
from gantry.worker.workspace import Workspace


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """One study of two CT series, stored in an order that is not theirs."""
    with orthanc_server(tmp_path_factory.mktemp("orthanc")) as server:
        server.upload(*(a_ct(number=number, rows=64) for number in (3, 1, 12, 2, 10)))
        server.upload(*(a_ct(series="scout", number=number, SeriesNumber=1) for number in (1, 2)))
        yield server


@pytest.fixture
def pod(shared: OrthancServer, tmp_path: Path, program: Path) -> Pod:
    return Pod(tmp_path, a_task(shared), program)


def in_process(task: Task, root: Path, program: Path, *, patience: float = 5.0, idle: float = 2.0) -> None:
    source = Source(task.orthanc_url, Credentials("gantry", "secret"), task.connections, Patience(patience), idle_limit=idle)
    fetch(task, Workspace(root), source, launcher=program)


def test_images_lie_in_the_order_of_their_numbers_and_study_json_tells_them(pod: Pod, shared: OrthancServer) -> None:
    code, receipt = pod.fetch()
    assert (code, receipt.instances, receipt.failure) == (0, 7, None), pod.log
    document = pod.study()
    assert document["schema"] == "gantry.health/study/v1"
    assert document["study"]["studyInstanceUID"] == uid("study")
    assert document["study"]["tags"]["PatientID"] == "PATIENT1"
    assert [(one["path"], one["modality"], one["seriesInstanceUID"]) for one in document["series"]] == [
        ("1", "CT", uid("study", "scout")),
        ("2", "CT", uid("study", "series")),
    ]
    told = {one["path"]: one for series in document["series"] for one in series["instances"]}
    assert [(path, one["instanceNumber"]) for path, one in told.items()] == [
        ("1/0001.dcm", 1), ("1/0002.dcm", 2),
        ("2/0001.dcm", 1), ("2/0002.dcm", 2), ("2/0003.dcm", 3), ("2/0004.dcm", 10), ("2/0005.dcm", 12),
    ]  # fmt: skip
    for path, one in told.items():
        content = (pod.input / path).read_bytes()
        assert content == shared.rest("GET", f"/instances/{one['orthancID']}/file")
        assert len(content) == one["bytes"]
    assert receipt.bytes == sum(one["bytes"] for one in told.values())


def test_launcher_and_settings_lie_where_the_steps_mount_them(shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    pod = Pod(tmp_path, a_task(shared, template__steps__0__settings={"threshold": 0.5}), program)
    assert pod.fetch()[0] == 0
    assert (tmp_path / "tools/bin/launcher").read_bytes() == program.read_bytes()
    assert (tmp_path / "tools/settings/detect.json").read_text() == '{"threshold": 0.5}'


def test_another_user_can_read_everything_whatever_the_umask(pod: Pod) -> None:
    old = os.umask(0o077)
    try:
        assert pod.fetch()[0] == 0
    finally:
        os.umask(old)
    for folder in ("input", "tools"):
        for path in (pod.root / folder).rglob("*"):
            wanted = 0o755 if path.is_dir() or path.name == "launcher" else 0o644
            assert path.stat().st_mode & 0o777 == wanted, path


def test_a_second_attempt_starts_clean(pod: Pod) -> None:
    (pod.input / "9").mkdir(parents=True)
    (pod.input / "9" / "left.dcm").write_bytes(b"half")
    (pod.input / "2").symlink_to("/etc")
    assert pod.fetch()[0] == 0
    assert sorted(path.name for path in pod.input.iterdir()) == ["1", "2", "study.json"]
    assert (pod.input / "2").is_dir()
    assert not (pod.input / "2").is_symlink()


def test_only_the_runs_series_are_fetched(shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    scout = next(one["ID"] for one in shared.rest("GET", "/series?expand") if one["MainDicomTags"]["SeriesInstanceUID"] == uid("study", "scout"))
    pod = Pod(tmp_path, a_task(shared, series=[scout]), program)
    assert pod.fetch()[1].instances == 2
    assert [one["orthancID"] for one in pod.study()["series"]] == [scout]


def test_nothing_that_identifies_the_patient_is_in_log_or_receipt(pod: Pod) -> None:
    pod.fetch()
    told = pod.log + (pod.root / "fetch.receipt").read_text()
    assert [event["event"] for event in pod.events()] == ["fetched"]
    for value in ("PATIENT1", "Name^", "ACC-study", uid("study"), "secret"):
        assert value not in told


REFUSED = {
    "one image more or fewer": ({"study__instances": 8}, "InputMismatch", "the Run is for 8 instances, Orthanc holds 7 in its series now", 65),
    "as many, but others": ({"study__fingerprint": "b" * 52}, "InputMismatch", "the Run is for 7 instances; Orthanc holds 7 in its series now, but not the same ones", 65),
    "made for another pipeline": ({"pipelineRef__name": "other"}, "InputMismatch", "not the same ones", 65),
    "the study was deleted": ({"study__orthancID": "1" * 8 + "-11111111" * 4}, "StudyGone", "deleted from Orthanc", 65),
    "a series was deleted": ({"study__seriesIDs": ["1" * 8 + "-11111111" * 4]}, "StudyGone", "1 of 1 series are no longer in Orthanc", 65),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_other_images_than_the_runs_are_refused(case: tuple[dict[str, object], str, str, int], shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    changes, reason, words, want = case
    pod = Pod(tmp_path, a_task(shared, **changes), program)
    code, receipt = pod.fetch()
    assert code == want
    assert receipt.failure is not None
    assert (receipt.failure.reason, receipt.failure.step) == (reason, "fetch")
    assert words in receipt.failure.message
    assert not (pod.input / "study.json").exists()


def test_refused_credentials_are_told_and_may_be_retried(pod: Pod) -> None:
    pod.environment["ORTHANC_PASSWORD"] = "wrong"
    code, receipt = pod.fetch()
    assert code == 1
    assert receipt.failure is not None
    assert receipt.failure.reason == "FetchFailed"
    assert "check username and password" in receipt.failure.message


def test_a_task_of_another_release_is_told(pod: Pod) -> None:
    pod.environment["GANTRY_TASK"] = '{"installation": "x"}'
    code, receipt = pod.fetch()
    assert code == 1
    assert receipt.failure is not None
    assert receipt.failure.message.startswith("GANTRY_TASK cannot be read (")


def only_files(how: str, times: int) -> Spoil:
    return lambda path, count: how if path.endswith("/file") and count <= times else None


@pytest.mark.parametrize("how", ["cut", "close", "garbage", "longer", "503", "hang"])
def test_a_spoiled_download_is_repeated_until_it_is_whole(how: str, shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    with flaky_proxy(shared.url, only_files(how, 1)) as proxy:
        task = a_task(shared, url=proxy.url)
        in_process(task, tmp_path, program, patience=20, idle=0.5)
    fetched = sorted(path.read_bytes() for path in tmp_path.glob("input/*/*.dcm"))
    assert fetched == sorted(shared.rest("GET", f"/instances/{one}/file") for one in shared.rest("GET", "/instances"))


@pytest.mark.parametrize(("how", "words"), [("cut", "broke off after"), ("garbage", "came with 18 bytes, Orthanc's database says"), ("503", "HTTP 503"), ("hang", "no answer in time")])
def test_a_download_that_stays_spoiled_fails_with_what_was_seen(how: str, words: str, shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    with flaky_proxy(shared.url, only_files(how, 10**6)) as proxy, pytest.raises(Stop) as stop:
        in_process(a_task(shared, url=proxy.url), tmp_path, program, patience=1.0, idle=0.3)
    assert stop.value.failure.reason == "FetchFailed"
    assert words in stop.value.failure.message
    assert exit_code(stop.value.failure) == 1
    assert not (tmp_path / "input/study.json").exists()


def test_an_instance_deleted_meanwhile_means_the_study_is_gone(shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    with flaky_proxy(shared.url, only_files("404", 10**6)) as proxy, pytest.raises(Stop) as stop:
        in_process(a_task(shared, url=proxy.url), tmp_path, program)
    assert stop.value.failure.reason == "StudyGone"
    assert exit_code(stop.value.failure) == 65


def test_a_restart_of_orthanc_is_waited_for(tmp_path: Path, program: Path) -> None:
    with orthanc_server(tmp_path / "orthanc") as server:
        server.upload(*(a_ct(number=number, rows=256) for number in range(1, 41)))
        pod = Pod(tmp_path / "pod", a_task(server), program)
        pod.root.mkdir()
        server.kill()
        running = pod.start("fetch")
        server.start()
        assert pod.finish(running) == 0, pod.log
        assert len(list(pod.input.glob("*/*.dcm"))) == 40


def test_an_ended_pod_ends_at_once(shared: OrthancServer, tmp_path: Path, program: Path) -> None:
    with flaky_proxy(shared.url, only_files("hang", 10**6)) as proxy:
        pod = Pod(tmp_path, a_task(shared, url=proxy.url), program)
        running = pod.start("fetch")
        limit = time.monotonic() + 20
        while not any(path.endswith("/file") for path in proxy.asked):
            assert time.monotonic() < limit
            time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        assert pod.finish(running) == 1
        assert time.monotonic() - begin < 3
    assert "ended from outside" in (pod.root / "fetch.receipt").read_text()


def test_memory_does_not_grow_with_the_study(tmp_path: Path, program: Path) -> None:
    """The goal is 100 MB for any study: twice the images here must not take more than noise, and both stay below."""
    peaks = []
    with orthanc_server(tmp_path / "orthanc") as server:
        for slices in (20, 60):
            server.upload(*(a_ct(number=number, rows=1024) for number in range(len(peaks) * 20 + 1, slices + 1)))
            pod = Pod(tmp_path / str(slices), a_task(server), program)
            pod.root.mkdir()
            code, receipt = pod.fetch()
            assert (code, receipt.instances) == (0, slices)
            peaks.append(pod.events()[-1]["peakBytes"])
    assert max(peaks) < 100e6
    assert peaks[1] - peaks[0] < 10e6
