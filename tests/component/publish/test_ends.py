"""publish and how things end: steps, in every way a container can, the pod itself, and an Orthanc that is away."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tests.component.flaky_proxy import flaky_proxy
from tests.component.orthanc_server import OrthancServer
from tests.component.publish.outputs import fetched, leave, stored
from tests.component.worker_pod import Pod

ENDS: dict[str, tuple[str, str, str, int]] = {
    "an exit code": ("exit 7", "StepFailed", "step detect ended with exit code 7", 1),
    "an input that is not usable": ("exit 65", "StepRejectedInput", "step detect says by exit code 65 that this input is not usable", 65),
    "a signal": ("kill -11 $$", "StepFailed", "step detect was killed by signal 11", 1),
    "SIGKILL, as for memory": ("kill -9 $$", "StepFailed", "step detect was killed by signal 9; at its memory limit the kernel does that too", 1),
    "a command that is not there": ("exec no-such-program", "StepFailed", "step detect ended with exit code 127", 1),
    "no findings": ("true", "NoOutput", "step detect ended with 0 but left no findings.json in GANTRY_OUTPUT", 65),
}


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS)
def test_the_end_of_a_step_becomes_a_reason(case: tuple[str, str, str, int], pod: Pod, server: OrthancServer) -> None:
    script, reason, words, want = case
    pod.step("detect", script)
    code, receipt = pod.publish()
    assert receipt.failure is not None
    assert (receipt.failure.reason, receipt.failure.step, receipt.failure.message) == (reason, "detect", words)
    assert code == want
    assert [end.name for end in receipt.steps] == ["detect"]
    assert stored(server) == []


def test_a_container_killed_as_a_whole_is_a_failure_of_the_step(pod: Pod, server: OrthancServer) -> None:
    leave(pod)
    pod.killed_step("detect")
    code, receipt = pod.publish()
    assert receipt.failure is not None
    words = "step detect was killed as a whole; it left no exit code"
    assert (code, receipt.failure.reason, receipt.failure.message) == (1, "StepFailed", words)
    assert stored(server) == []


def test_a_step_that_takes_longer_than_its_timeout_is_ended(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    detect = {"name": "detect", "image": "localhost/a:1", "command": ["a"], "timeout": "1s"}
    pod = fetched(server, tmp_path / "pod", program, template__steps=[detect])
    pod.step("detect", "sleep 60", timeout="1s")
    code, receipt = pod.publish()
    assert receipt.failure is not None
    words = "step detect took longer than its timeout of 1s and was ended"
    assert (code, receipt.failure.reason, receipt.failure.message) == (1, "StepTimedOut", words)


def test_after_a_failed_step_the_next_ones_are_not_waited_for(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    detect = {"name": "detect", "image": "localhost/a:1", "command": ["a"]}
    pod = fetched(server, tmp_path / "pod", program, template__steps=[detect, {**detect, "name": "describe"}])
    pod.step("detect", "exit 3")
    code, receipt = pod.publish()
    assert code == 1
    assert receipt.failure is not None
    assert (receipt.failure.step, receipt.failure.exit_code) == ("detect", 3)


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


@pytest.mark.parametrize("make", ["rm -f lock", "rm -f lock; mkfifo lock", "rm -f lock; ln -s /etc/passwd lock", "rm -f started lock"])
def test_a_step_that_takes_its_barrier_apart_fails(make: str, pod: Pod) -> None:
    leave(pod)
    running = pod.start("publish")
    pod.killed_step("detect", f"cd {pod.barrier('detect')}; sleep 0.3; {make}; sleep 0.3")
    code = pod.finish(running) if "started" not in make else running.poll() or 0
    if "started" in make:  # publish may have seen it or not, on a busy machine may not even have begun; it must not report success
        running.send_signal(signal.SIGTERM)
        code = pod.finish(running)
        if not (pod.root / "publish.receipt").exists():
            assert code != 0
            return
    assert code == 1
    assert pod.publish_receipt().results == ()


def test_a_forged_record_is_a_failure_of_the_step(pod: Pod) -> None:
    leave(pod)
    forged = pod.barrier("detect") / "exit.json"
    pod.killed_step("detect", f"mkdir {forged}")
    code, receipt = pod.publish()
    assert code == 1
    assert receipt.failure is not None
    assert receipt.failure.message == "step detect wrote over the launcher's record of its end"


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
