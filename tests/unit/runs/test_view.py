"""What is kept of a Run: little, for there are thousands."""

import json
import tracemalloc
from typing import Any

import pytest
from pydantic import ValidationError
from tests.builders_runs import a_run

from gantry.runs import RunView, plan

NUMBER = 1_000


def a_running_one() -> dict[str, Any]:
    running = a_run().running()
    run, _, _ = running.with_status(plan(running.observed()).status).objects()
    return run


def kept(text: str) -> float:
    """Bytes of each of many."""
    RunView.from_object(json.loads(text))  # what is kept once, whatever their number
    tracemalloc.start()
    try:
        views = [RunView.from_object(json.loads(text)) for _ in range(NUMBER)]
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(views) == NUMBER
    return used / NUMBER


def test_a_live_run_takes_less_than_its_text() -> None:
    """Its status as pydantic's objects would take 6 kB."""
    text = json.dumps(a_running_one())
    assert kept(text) < 1_200 + len(text)


def test_a_finished_run_takes_a_kilobyte() -> None:
    run = a_running_one()
    run["status"]["conditions"].append({"type": "Complete", "status": "True", "reason": "Complete", "message": "", "lastTransitionTime": "2026-03-01T12:00:10Z"})
    view = RunView.from_object(run)
    assert (view.spec, view.status, view.job_made, view.failing, view.delivers) == (None, None, False, False, False)
    assert kept(json.dumps(run)) < 1_200


def test_the_status_is_read_back_as_it_was_told() -> None:
    run = a_running_one()
    status = RunView.from_object(run).status
    assert status is not None
    assert status.model_dump(mode="json", by_alias=True, exclude_none=True) == run["status"]


def test_a_status_that_is_none_of_ours_is_refused_when_it_is_seen() -> None:
    """Not later, in a pass."""
    run = a_running_one()
    run["status"]["attempts"] = "many"
    with pytest.raises(ValidationError):
        RunView.from_object(run)
