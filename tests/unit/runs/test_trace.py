"""A finished Run as a trace: what its spans are called, when they were, whose child each is, and what they never say."""

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.builders_runs import a_run, at, sent

from gantry.api import timestamp
from gantry.runs import Span, plan, spans_of, trace_id, traceparent
from gantry.runs.trace import WHOLE, span_id

STAGES = [
    {"name": "stable", "startTime": "2026-03-01T11:59:58Z", "seconds": 1.2},
    {"name": "seen", "startTime": "2026-03-01T11:59:59.200Z", "seconds": 0.05},
    {"name": "created", "startTime": "2026-03-01T12:00:00Z", "seconds": 1},
    {"name": "started", "startTime": "2026-03-01T12:00:01Z", "seconds": 2},
    {"name": "fetch", "startTime": "2026-03-01T12:00:03Z", "seconds": 1.5},
    {"name": "step/detect", "startTime": "2026-03-01T12:00:05Z", "seconds": 6.5},
    {"name": "publish", "startTime": "2026-03-01T12:00:11.500Z", "seconds": 2},
    {"name": "deliver", "startTime": "2026-03-01T12:00:14Z", "seconds": 3},
]


def a_finished(**status: Any) -> dict[str, Any]:
    deliveries = [{"destination": "pacs", "state": "Sent", "attempts": 2, "time": "2026-03-01T12:00:16Z"}]
    made = {"state": "Succeeded", "completionTime": "2026-03-01T12:00:17Z", "stages": STAGES, "deliveries": deliveries, "attempts": 1, **status}
    return {**a_run().run, "status": made}


def by_name(spans: tuple[Span, ...]) -> dict[str, Span]:
    found = {one.name: one for one in spans}
    assert len(found) == len(spans)
    return found


def test_each_stage_is_a_child_of_the_whole_and_each_destination_one_of_the_delivery() -> None:
    run = a_finished()
    spans = by_name(spans_of(run))
    assert list(spans) == [WHOLE, "stable", "seen", "created", "started", "fetch", "step/detect", "publish", "deliver", "deliver/pacs"]
    root = spans[WHOLE]
    assert root.parent is None
    assert {one.parent for name, one in spans.items() if name not in (WHOLE, "deliver/pacs")} == {root.id}
    assert spans["deliver/pacs"].parent == spans["deliver"].id
    assert {one.trace for one in spans.values()} == {trace_id(run["metadata"]["uid"])}
    assert len({one.id for one in spans.values()}) == len(spans)


def test_the_whole_begins_with_the_stable_event_and_ends_with_the_run() -> None:
    spans = by_name(spans_of(a_finished()))
    assert timestamp(spans[WHOLE].start) == "2026-03-01T11:59:58Z"
    assert timestamp(spans[WHOLE].end) == "2026-03-01T12:00:17Z"
    assert (spans["step/detect"].end - spans["step/detect"].start).total_seconds() == 6.5
    assert (spans["deliver/pacs"].end - spans["deliver/pacs"].start).total_seconds() == 2


def test_telling_it_twice_tells_the_same() -> None:
    assert spans_of(a_finished()) == spans_of(json.loads(json.dumps(a_finished())))


def test_another_run_on_the_same_images_is_another_trace() -> None:
    other = a_finished()
    other["metadata"] = {**other["metadata"], "uid": "another"}
    ours, theirs = spans_of(a_finished()), spans_of(other)
    assert not {one.trace for one in ours} & {one.trace for one in theirs}
    assert not {one.id for one in ours} & {one.id for one in theirs}


def test_a_run_that_has_not_finished_is_no_trace_yet() -> None:
    run = a_finished()
    del run["status"]["completionTime"]
    assert spans_of(run) == ()
    assert spans_of(a_run().run) == ()


def test_a_failure_stands_at_the_whole_and_at_its_step() -> None:
    spans = by_name(spans_of(a_finished(state="Failed", failure={"reason": "StepFailed", "step": "detect", "exitCode": 7, "message": "of Mr. Doe"})))
    assert {name for name, one in spans.items() if one.failure} == {WHOLE, "step/detect"}
    assert spans[WHOLE].attributes["gantry.reason"] == "StepFailed"
    assert "Doe" not in str(spans)


def test_a_stage_that_never_ended_ended_with_the_run() -> None:
    open_ = [{"name": "deliver", "startTime": "2026-03-01T12:00:14Z"}]
    spans = by_name(spans_of(a_finished(stages=open_)))
    assert timestamp(spans["deliver"].end) == "2026-03-01T12:00:17Z"


def test_no_attribute_holds_an_id_of_orthancs_or_a_uid() -> None:
    run = a_finished()
    told = str(spans_of(run))
    study = run["spec"]["study"]
    for secret in (study["orthancID"], *study["seriesIDs"], study["fingerprint"]):
        assert secret not in told
    assert by_name(spans_of(run))[WHOLE].attributes["gantry.instances"] == study["instances"]


def test_what_the_plan_writes_can_be_told() -> None:
    done = plan(a_run().with_gpu(2).published().delivered(sent()).observed()).status
    assert done is not None
    spans = by_name(spans_of({**a_run().run, "status": done.model_dump(mode="json", by_alias=True, exclude_none=True)}))
    assert {WHOLE, "created", "started", "fetch", "step/detect", "publish", "deliver", "deliver/pacs"} <= set(spans)
    assert all(at(0) - timedelta(hours=1) < one.start <= one.end for one in spans.values())


@pytest.mark.parametrize("stage", ["fetch", "step/detect", "publish"])
def test_a_container_is_told_the_span_of_its_stage(stage: str) -> None:
    """https://www.w3.org/TR/trace-context/#traceparent-header"""
    version, trace, parent, flags = traceparent("uid", stage).split("-")
    assert (version, flags) == ("00", "01")
    assert (int(trace, 16), int(parent, 16)) == (trace_id("uid"), span_id("uid", stage))
    assert (len(trace), len(parent)) == (32, 16)
