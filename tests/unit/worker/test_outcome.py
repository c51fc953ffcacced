"""Exit codes, receipts at their largest, and how long an absent Orthanc is waited for."""

from datetime import UTC, datetime

import pytest
from tests.builders import RUN

from gantry.api import RunReason
from gantry.api.run import FindingCounts, Result, RunSpec
from gantry.orthanc import Unreachable
from gantry.runs import MOST_REPORTS, PublishReceipt, Task, decode_publish, failed
from gantry.runs.receipt import StepEnd, room
from gantry.runs.task import VARIABLE
from gantry.worker.container import receipt_limit
from gantry.worker.making import objects_that_fit
from gantry.worker.outcome import exit_code
from gantry.worker.patience import Patience, patience_for, persistently

PERMANENT = {
    "StudyGone", "InputMismatch", "InputUnreadable", "StepRejectedInput", "NoOutput", "InvalidFindings", "WrongPatient", "UnacceptedObject", "InvalidReport",
}  # fmt: skip
PASSING = {"FetchFailed", "UploadFailed", "StepFailed", "OutOfMemory", "StepTimedOut", "PublishFailed"}


@pytest.mark.parametrize("reason", sorted(PERMANENT | PASSING))
def test_only_what_a_further_attempt_may_mend_is_retried(reason: str) -> None:
    assert exit_code(failed(RunReason(reason), "")) == (65 if reason in PERMANENT else 1)


def test_no_failure_is_0() -> None:
    assert exit_code(None) == 0


@pytest.mark.parametrize("steps", range(1, 9))
def test_the_largest_receipt_fits(steps: int) -> None:
    result = Result(
        kind="SEG", sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34", sop_instance_uid="2.25." + "9" * 39, series_instance_uid="2.25." + "9" * 39,
        orthanc_id="11111111-22222222-33333333-44444444-55555555", md5="0" * 32, bytes=256 << 20,
    )  # fmt: skip
    end = StepEnd(name="s" * 40, start_time="2026-11-24T12:00:00.123Z", seconds=86399.999, code=255, max_rss_bytes=1 << 40)
    objects = objects_that_fit(steps)
    assert objects >= 3
    receipt = PublishReceipt(results=(result,) * (objects + MOST_REPORTS), steps=(end,) * steps, findings=FindingCounts(present=10_000, absent=64), seconds=3599.999)
    text = receipt.encode(room(steps + 2))
    assert len(text) <= 12288 / (steps + 4), "the kubelet's equal share, with two containers that others put in"
    back = decode_publish(text)
    assert back is not None
    assert back.results == receipt.results


@pytest.mark.parametrize(("role", "steps", "limit"), [("fetch", 1, 2457), ("publish", 2, 2048), ("publish", 8, 1024), ("not-performed", 8, 4096)])
def test_each_container_knows_how_much_the_kubelet_hands_on(role: str, steps: int, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    step = RUN["spec"]["template"]["steps"][0]
    template = RUN["spec"]["template"] | {"steps": [{**step, "name": f"step-{number}"} for number in range(steps)]}
    spec = RunSpec.model_validate(RUN["spec"] | {"template": template})
    task = Task(installation="here", namespace="ns", run="run-1", uid="run-uid", created=datetime(2026, 1, 1, tzinfo=UTC), orthanc_url="http://orthanc", connections=1, spec=spec)
    monkeypatch.setenv(VARIABLE, task.model_dump_json(by_alias=True, exclude_none=True))
    assert receipt_limit(role) == limit


def test_a_container_that_cannot_read_its_task_expects_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "{")
    assert receipt_limit("publish") == 1024


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_pauses_grow_to_ten_seconds() -> None:
    patience = Patience(1000, clock=Clock())
    assert [patience.pause(failures, Unreachable("gone")) for failures in range(1, 8)] == [0.5, 1, 2, 4, 8, 10, 10]


def test_patience_ends_without_any_success_and_begins_anew_with_one() -> None:
    clock = Clock()
    patience = Patience(30, clock=clock)
    clock.now = 29
    assert patience.pause(1, Unreachable("gone")) == 0.5
    with pytest.raises(Unreachable, match="gone"):
        patience.pause(3, Unreachable("gone"))
    patience.succeeded()
    assert patience.pause(3, Unreachable("gone")) == 2


def test_the_reason_is_told_before_the_jobs_deadline() -> None:
    clock = Clock()
    patience = patience_for(10, clock=clock)
    clock.now = 7.6
    with pytest.raises(Unreachable):
        patience.pause(1, Unreachable("gone"))
    assert patience_for(3600, clock=clock).pause(1, Unreachable("gone")) == 0.5


async def test_only_transient_faults_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | str] = [Unreachable("1"), Unreachable("2"), "answer"]
    pauses = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("gantry.worker.patience.asyncio.sleep", sleep)
    assert await persistently(ask, Patience(60)) == "answer"
    assert pauses == [0.5, 1]
    answers.append(ValueError("a defect"))
    with pytest.raises(ValueError, match="a defect"):
        await persistently(ask, Patience(60))
