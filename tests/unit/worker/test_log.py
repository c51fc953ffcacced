"""Lines of fetch and publish say whose they are, under the same names as the operator's."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from tests.builders import RUN, changed

from gantry.api.run import RunSpec
from gantry.runs import Task, traceparent
from gantry.worker import container, log


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(log._JsonLines())
    log._LOGGER.addHandler(handler)
    level = log._LOGGER.level
    log._LOGGER.setLevel(logging.INFO)
    yield written
    log._LOGGER.removeHandler(handler)
    log._LOGGER.setLevel(level)
    log.belongs({})


def a_task(spec: object) -> Task:
    return Task(
        installation="test", namespace="radiology", run="chest-abc", uid="run-uid", created="2026-03-01T12:00:00Z",  # type: ignore[arg-type]
        orthanc_url="http://orthanc", connections=4, spec=RunSpec.model_validate(spec),
    )  # fmt: skip


def test_a_line_says_whose_it_is(lines: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", traceparent("uid", "fetch"))
    log.belongs(container._whose(a_task(RUN["spec"])))
    log.tell("fetched", {"instances": 3})
    said = json.loads(lines.getvalue())
    assert (said["run"], said["namespace"], said["bridge"], said["instances"]) == ("chest-abc", "radiology", RUN["spec"]["bridgeRef"]["name"], 3)
    assert said["pipeline"] == RUN["spec"]["pipelineRef"]["name"]
    assert said["trace_id"] == traceparent("uid", "publish").split("-")[1]


def test_without_traces_and_pipeline_it_says_the_rest(lines: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACEPARENT", raising=False)
    log.belongs(container._whose(a_task(changed(RUN, "spec.pipelineRef", ...)["spec"])))
    log.complain("fetch failed")
    assert not {"trace_id", "pipeline"} & set(json.loads(lines.getvalue()))
