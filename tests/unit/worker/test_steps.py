"""What the launcher's record means, and that no record is believed that the launcher would not write."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gantry.api.step import Step
from gantry.worker.outcome import exit_code
from gantry.worker.steps import Forged, Record, judge, read_record, step_end

NOW = datetime(2026, 11, 24, 12, 0, 10, tzinfo=UTC)
GOOD: dict[str, Any] = {"code": 0, "signal": 0, "timedOut": False, "startTime": "2026-11-24T12:00:00.123Z", "seconds": 1.5, "maxRSSBytes": 4096, "launcher": ""}


STEP = Step(name="detect", image="localhost/detect:1", command=["/app/detect", "--secret"], timeout="10m")


@dataclass(frozen=True)
class Case:
    """`record`: differences from a good one; None: there is none."""

    record: dict[str, Any] | None
    reason: str
    message: str
    exit: int


CASES = {
    "exit code 1 may be tried again": Case({"code": 1}, "StepFailed", "step detect ended with exit code 1", 1),
    "63 is not yet of sysexits": Case({"code": 63}, "StepFailed", "step detect ended with exit code 63", 1),
    "64 is not tried again": Case({"code": 64}, "StepRejectedInput", "step detect says by exit code 64 that this input is not usable", 65),
    "78 is not tried again": Case({"code": 78}, "StepRejectedInput", "step detect says by exit code 78 that this input is not usable", 65),
    "79 is no more of sysexits": Case({"code": 79}, "StepFailed", "step detect ended with exit code 79", 1),
    "a timeout": Case({"code": 124, "signal": 9, "timedOut": True, "seconds": 600.2, "launcher": "the application took longer than 10m0s"}, "StepTimedOut", "step detect took longer than its timeout of 10m and was ended", 1),
    "the timeout of a MAP's manifest": Case({"code": 124, "timedOut": True, "seconds": 35.2, "limitSeconds": 30}, "StepTimedOut", "step detect took longer than its timeout of 30s, which its manifest gives, and was ended", 1),
    "a manifest's timeout below a second": Case({"code": 124, "timedOut": True, "seconds": 0.2, "limitSeconds": 0.2}, "StepTimedOut", "step detect took longer than its timeout of 0.2s, which its manifest gives, and was ended", 1),
    "a timeout of which nobody says how long it was": Case({"code": 124, "timedOut": True, "seconds": 0.2}, "StepTimedOut", "step detect took longer than its timeout of 10m and was ended", 1),
    "what was before cannot be handed on": Case({"code": 121, "launcher": "a link"}, "StepFailed", "step detect was not run: what the step before it left cannot be handed on; see the container's log", 1),
    "an image without manifest": Case({"code": 122, "launcher": "the image has no manifest"}, "StepFailed", "step detect was not run: its image has no usable manifest (app.json) and so is no MAP; see the container's log, or choose contract Native", 1),
    "122 of the application's own": Case({"code": 122}, "StepFailed", "step detect ended with exit code 122", 1),
    "124 of the application's own is no timeout": Case({"code": 124}, "StepFailed", "step detect ended with exit code 124", 1),
    "signal 9 may be memory": Case({"code": 137, "signal": 9}, "StepFailed", "step detect was killed by signal 9; at its memory limit the kernel does that too", 1),
    "137 without a signal is an exit code": Case({"code": 137}, "StepFailed", "step detect ended with exit code 137", 1),
    "a segfault": Case({"code": 139, "signal": 11}, "StepFailed", "step detect was killed by signal 11", 1),
    "an earlier step failed": Case({"code": 123, "launcher": "the earlier step ended with code 7"}, "StepFailed", "step detect was not run because an earlier step did not end with 0", 1),
    "the launcher could not set up": Case({"code": 125, "launcher": "x"}, "StepFailed", "step detect was not run: the launcher could not set up; see the container's log", 1),
    "not executable": Case({"code": 126, "launcher": "/secret cannot be executed"}, "StepFailed", "step detect was not started: /app/detect cannot be executed (its mode, or built for another processor); steps[].command of the template names it", 1),
    "not found": Case({"code": 127, "launcher": "/secret is not in the image"}, "StepFailed", "step detect was not started: /app/detect, or the interpreter of it, is not in the image; steps[].command of the template names it", 1),
    "no record": Case(None, "StepFailed", "step detect was killed as a whole; it left no exit code", 1),
}


def write(barrier: Path, record: dict[str, Any]) -> None:
    (barrier / "exit.json").write_text(json.dumps(record))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_record_becomes_a_reason(case: Case, tmp_path: Path) -> None:
    if case.record is not None:
        write(tmp_path, GOOD | case.record)
    stop = judge(STEP, read_record(tmp_path))
    assert stop is not None
    assert (stop.failure.reason, stop.failure.message, stop.failure.step) == (case.reason, case.message, "detect")
    assert stop.failure.exit_code == (case.record or {}).get("code")
    assert exit_code(stop.failure) == case.exit


def test_a_command_that_is_not_found_is_named_with_whose_it_is(tmp_path: Path) -> None:
    """The launcher's words may quote the whole line; these name the program alone, and of a manifest nothing that the vendor wrote."""
    write(tmp_path, GOOD | {"code": 127, "launcher": "/secret is not in the image"})
    of_image, of_manifest = judge(STEP, read_record(tmp_path), of_image=True), judge(STEP.model_copy(update={"command": None}), read_record(tmp_path))
    assert of_image is not None
    assert of_manifest is not None
    assert of_image.failure.message == (
        "step detect was not started: /app/detect, or the interpreter of it, is not in the image; "
        "it is the image's own (entrypoint), for the pipeline gives no command: build the image anew, or write steps[].command"
    )
    assert of_manifest.failure.message == (
        "step detect was not started: the command of its manifest (app.json), or the interpreter of it, is not in the image; see the container's log"
    )


def test_a_good_end_is_no_failure(tmp_path: Path) -> None:
    write(tmp_path, GOOD | {"somethingNew": 1})
    assert judge(STEP, read_record(tmp_path)) is None


FORGED: dict[str, Any] = {
    "no JSON": "{",
    "no object": "[]",
    "no code": json.dumps({key: value for key, value in GOOD.items() if key != "code"}),
    "a code as text": json.dumps(GOOD | {"code": "0"}),
    "a code that cannot be": json.dumps(GOOD | {"code": 256}),
    "a negative time": json.dumps(GOOD | {"seconds": -1}),
    "no number": json.dumps(GOOD | {"seconds": float("nan")}),
    "infinite": json.dumps(GOOD | {"seconds": float("inf")}),
    "no time": json.dumps(GOOD | {"startTime": "yesterday"}),
    "too long": json.dumps(GOOD | {"launcher": "x" * 20_000}),
}


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED)
def test_what_the_launcher_would_not_write_is_not_believed(text: str, tmp_path: Path) -> None:
    (tmp_path / "exit.json").write_text(text)
    record = read_record(tmp_path)
    assert record == Forged()
    stop = judge(STEP, record)
    assert stop is not None
    assert stop.failure.message == "step detect wrote over the launcher's record of its end"


def test_a_link_as_record_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(json.dumps(GOOD))
    (tmp_path / "exit.json").symlink_to(tmp_path / "real")
    assert read_record(tmp_path) == Forged()


def test_the_receipt_has_the_applications_own_time(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    end, record = step_end("detect", tmp_path, now=NOW)
    assert isinstance(record, Record)
    assert (end.name, end.start_time, end.seconds, end.code, end.max_rss_bytes) == ("detect", "2026-11-24T12:00:00.123Z", 1.5, 0, 4096)


def test_without_a_record_the_time_runs_until_the_end_was_seen(tmp_path: Path) -> None:
    import os

    (tmp_path / "started").touch()
    os.utime(tmp_path / "started", (NOW.timestamp() - 7.25,) * 2)
    end, _ = step_end("detect", tmp_path, now=NOW)
    assert (end.start_time, end.seconds, end.code) == ("2026-11-24T12:00:02.750Z", 7.25, None)
