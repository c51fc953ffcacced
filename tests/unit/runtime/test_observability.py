"""Logs that do not repeat themselves, metrics without identifiers, and health by the watches."""

import logging

import pytest
import structlog
from tests.builders import BACKFILL, PIPELINE, changed
from tests.builders_runs import NAME, a_run, at, sent, told

from gantry.api.run import DeliveryStatus, RunStatus, Stage, Usage
from gantry.kube import Freshness
from gantry.runs import plan, trace_id
from gantry.runtime import measures
from gantry.runtime.backfills import runs_of, studies_of
from gantry.runtime.health import Health
from gantry.runtime.logs import Repeats, whose
from gantry.runtime.metrics import Metrics
from gantry.runtime.pipelines import relaxations
from gantry.runtime.records import Key
from gantry.runtime.settings import Prices
from gantry.runtime.store import Store


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def a_record(message: str, *, level: int = logging.ERROR, name: str = "kopf.watching") -> logging.LogRecord:
    return logging.LogRecord(name, level, "file", 1, message, None, None)


def test_the_same_trouble_of_five_watches_is_told_once_a_minute(clock: Clock) -> None:
    """kopf tells it at each attempt, with the whole URL."""
    repeats = Repeats(clock)
    lines = [f"Request attempt #{n}/69 failed; will retry: GET https://10.0.0.1/{what}?x={n} -> ClientConnectorError()" for n, what in enumerate("abcde")]
    assert [repeats.filter(a_record(line)) for line in lines] == [True, False, False, False, False]
    clock.now += 61
    assert repeats.filter(a_record(lines[0]))


def test_information_is_never_dropped(clock: Clock) -> None:
    repeats = Repeats(clock)
    assert all(repeats.filter(a_record("listening", level=logging.INFO)) for _ in range(3))


def test_a_dropped_line_of_our_own_is_counted(clock: Clock) -> None:
    repeats = Repeats(clock)
    event = {"event": "a pass failed", "level": "warning", "logger": "x", "key": "run/a"}
    assert "repeated" not in repeats.process(None, "warning", dict(event))
    for _ in range(2):
        with pytest.raises(structlog.DropEvent):
            repeats.process(None, "warning", dict(event))
    assert "repeated" not in repeats.process(None, "warning", {**event, "key": "run/b"}), "another Run's trouble is not the same"
    clock.now += 61
    assert repeats.process(None, "warning", dict(event))["repeated"] == 2


def test_the_filter_never_raises_what_logging_lets_through(clock: Clock) -> None:
    """DropEvent is a BaseException: raised within a handler's formatter it went through `logging` into kopf's watch and ended the operator."""
    repeats = Repeats(clock)
    assert [repeats.filter(a_record("again")) for _ in range(2)] == [True, False]


def test_a_finished_run_is_measured_by_pipeline_stage_and_reason() -> None:
    metrics = Metrics(version="1")
    done = plan(a_run().with_gpu(2).published().delivered(sent()).observed()).status
    failed = plan(a_run().with_template(retries=0).failed(1, publish=137).observed()).status
    assert done is not None
    assert failed is not None
    metrics.run_finished("chest-ct-nodules", done)
    metrics.run_finished("chest-ct-nodules", failed)
    text = metrics.text().decode()
    for line in (
        'gantry_runs_finished_total{pipeline="chest-ct-nodules",reason="",state="Succeeded"} 1.0',
        'gantry_runs_finished_total{pipeline="chest-ct-nodules",reason="StepFailed",state="Failed"} 1.0',
        'gantry_stage_seconds_sum{pipeline="chest-ct-nodules",stage="step/detect"} 6.5',
        'gantry_gpu_seconds_total{pipeline="chest-ct-nodules",resource="nvidia.com/gpu"} 5.0',
        'gantry_deliveries_total{destination="pacs",state="Sent"} 1.0',
        'gantry_build_info{version="1"} 1.0',
    ):
        assert line in text
    assert "11111111-22222222" not in text


def ended_on(department: str, resource: str = "nvidia.com/gpu") -> RunStatus:
    usage = Usage(gpu_resource=resource, gpu_seconds=1800, reserved_gpu_seconds=3600, vendor="ACME", department=department)
    return RunStatus(state="Succeeded", usage=usage)


def test_what_is_reserved_costs_by_the_price_of_its_resource() -> None:
    metrics = Metrics(version="1", prices=Prices("EUR", {"nvidia.com/gpu": 2.5}))
    metrics.run_finished("ct", ended_on("Emergency"))
    metrics.run_finished("ct", ended_on("Emergency"))
    metrics.run_finished("ct", ended_on("Emergency", "nvidia.com/mig-1g.10gb"))
    text = metrics.text().decode()
    labels = 'department="Emergency",pipeline="ct",resource="nvidia.com/gpu",vendor="ACME"'
    assert f"gantry_gpu_reserved_seconds_total{{{labels}}} 7200.0" in text
    assert f'gantry_cost_total{{currency="EUR",{labels}}} 5.0' in text
    assert text.count("\ngantry_cost_total{") == 1, "a resource without a price costs nothing that is known"


def test_each_gpu_resource_of_a_run_is_counted_and_paid() -> None:
    """GPUs by resource claim under the name of their DeviceClass."""
    prices = {"nvidia.com/gpu": 2.5, "nvidia.com/mig-1g.10gb": 0.5, "gpu.nvidia.com": 3.0}
    metrics = Metrics(version="1", prices=Prices("EUR", prices))
    gpus = [{"resource": name, "gpuSeconds": 900, "reservedGpuSeconds": 3600} for name in prices]
    first = {"gpuResource": "nvidia.com/gpu", "gpuSeconds": 900, "reservedGpuSeconds": 3600}
    metrics.run_finished("ct", RunStatus(state="Succeeded", usage=Usage.model_validate({**first, "gpus": gpus})))
    text = metrics.text().decode()
    for resource, cost in prices.items():
        labels = f'department="",pipeline="ct",resource="{resource}",vendor=""'
        assert f'gantry_gpu_seconds_total{{pipeline="ct",resource="{resource}"}} 900.0' in text
        assert f"gantry_gpu_reserved_seconds_total{{{labels}}} 3600.0" in text
        assert f'gantry_cost_total{{currency="EUR",{labels}}} {cost}' in text


def test_departments_are_free_text_and_their_labels_are_not_endless() -> None:
    metrics = Metrics(version="1")
    for number in range(200):
        metrics.run_finished("ct", ended_on(f"ward {number}"))
    text = metrics.text().decode()
    assert text.count("\ngantry_gpu_reserved_seconds_total{") == 51
    assert 'department="other"' in text


def test_a_delivery_is_measured_when_it_is_written_and_once() -> None:
    """By what changed since the status that was there: attempts begun, and the time from the results being in Orthanc to each success."""
    metrics = Metrics(version="1")
    begun = RunStatus(stages=[Stage(name="deliver", start_time="2026-03-01T12:00:00Z")])
    first = DeliveryStatus(destination="pacs", state="Sending", attempts=1, time="2026-03-01T12:00:00Z")
    steps = [
        first,
        first.model_copy(update={"attempts": 3, "time": "2026-03-01T12:00:10Z"}),
        first.model_copy(update={"attempts": 3, "state": "Sent", "awaits": "Query", "time": "2026-03-01T12:00:20Z"}),
        first.model_copy(update={"attempts": 3, "state": "Sent", "awaits": "Query", "time": "2026-03-01T12:00:20Z", "message": "waits"}),
        first.model_copy(update={"attempts": 3, "state": "Committed", "time": "2026-03-01T12:00:50Z"}),
    ]
    before = begun
    for step in steps:
        after = begun.model_copy(update={"deliveries": [step]})
        metrics.run_written(before, after)
        before = after
    text = metrics.text().decode()
    for line in (
        'gantry_delivery_attempts_total{destination="pacs"} 3.0',
        'gantry_delivery_seconds_sum{destination="pacs",state="Sent"} 20.0',
        'gantry_delivery_seconds_count{destination="pacs",state="Sent"} 1.0',
        'gantry_delivery_seconds_sum{destination="pacs",state="Committed"} 50.0',
        'gantry_delivery_seconds_count{destination="pacs",state="Committed"} 1.0',
    ):
        assert line in text


def test_a_gauge_is_read_when_it_is_scraped() -> None:
    metrics = Metrics(version="1")
    runs = {"Queued": 1.0}
    metrics.collect(measures.RUNS, lambda: runs)
    runs["Queued"] = 5.0
    assert 'gantry_runs{state="Queued"} 5.0' in metrics.text().decode()


def test_open_deliveries_are_counted_when_they_are_scraped() -> None:
    metrics = Metrics(version="1")
    metrics.collect(measures.OPEN, lambda: {("pacs", "Sent"): 2, ("vna", "Pending"): 1})
    text = metrics.text().decode()
    assert 'gantry_deliveries_open{destination="pacs",state="Sent"} 2.0' in text
    assert 'gantry_deliveries_open{destination="vna",state="Pending"} 1.0' in text


def test_pipelines_whose_steps_are_allowed_more_are_measured() -> None:
    metrics, store = Metrics(version="1"), Store(changed=lambda _: None, counted=lambda _: None, clock=lambda: at(0))
    metadata = {**PIPELINE["metadata"], "uid": "a", "generation": 1, "resourceVersion": "1", "creationTimestamp": told(0)}
    for name, security in (("old-map", {"runAsUser": 0, "allowNetwork": True}), ("strict", {})):
        body = changed(PIPELINE, "spec.template.steps.0.security", security)
        store.observe("inferencepipelines", {**body, "metadata": {**metadata, "name": name}})
    metrics.collect(measures.RELAXED, lambda: relaxations(store))
    lines = [line for line in metrics.text().decode().splitlines() if line.startswith("gantry_pipelines_relaxed{")]
    assert lines == [
        'gantry_pipelines_relaxed{allowed="root",pipeline="old-map"} 1.0',
        'gantry_pipelines_relaxed{allowed="network",pipeline="old-map"} 1.0',
    ]


def test_backfills_are_measured_by_what_their_statuses_say() -> None:
    """So nothing begins at zero when the process does, and a deleted backfill is gone from the figures."""
    store = Store(changed=lambda _: None, counted=lambda _: None, clock=lambda: at(0))
    metrics = Metrics(version="1")
    metrics.collect(measures.BACKFILL_STUDIES, lambda: studies_of(store))
    metrics.collect(measures.BACKFILL_RUNS, lambda: runs_of(store))
    counts = {"found": 100, "examined": 40, "matched": 9, "created": 7, "known": 2, "active": 3}
    for name, mode in (("a", "Run"), ("dry", "DryRun")):
        metadata = {**BACKFILL["metadata"], "name": name, "namespace": "radiology", "uid": name, "resourceVersion": "1"}
        store.observe("inferencebackfills", {**BACKFILL, "metadata": metadata, "status": {"mode": mode, "counts": counts}})
    text = metrics.text().decode()
    assert 'gantry_backfill_studies{backfill="a",state="examined"} 40.0' in text
    assert 'gantry_backfill_studies{backfill="dry",state="found"} 100.0' in text
    assert 'gantry_backfill_runs{backfill="a",state="created"} 7.0' in text
    assert 'gantry_backfill_runs{backfill="dry"' not in text, "a dry run makes none"


def test_a_watch_silent_for_150_seconds_is_a_complaint(clock: Clock) -> None:
    freshness = Freshness(clock)
    health = Health(freshness, watches=1, clock=clock)
    freshness.touch("/pods")
    clock.now += 149
    assert health.complaints() == []
    clock.now += 2
    assert health.complaints() == ["the watch of /pods is silent for 151 s"]
    freshness.touch("/pods")
    assert health.complaints() == []


def test_watches_that_never_begin_are_a_complaint(clock: Clock) -> None:
    health = Health(Freshness(clock), watches=5, clock=clock)
    clock.now += 1000
    assert health.complaints() == [], "a standby has none"
    health.begin()
    clock.now += 149
    assert health.complaints() == []
    clock.now += 2
    assert health.complaints() == ["5 of 5 watches never began"]


@pytest.mark.parametrize("traced", [False, True], ids=["without traces", "with traces"])
def test_a_line_about_a_run_says_its_pipeline_bridge_and_trace(traced: bool) -> None:
    store = Store(changed=lambda _: None, counted=lambda _: None, clock=lambda: at(0))
    run = a_run().run
    store.observe("inferenceruns", run)
    key = Key("run", "default", NAME)
    trace = {"trace_id": f"{trace_id(run['metadata']['uid']):032x}"} if traced else {}
    assert whose(key, store, traced=traced) == {"namespace": "default", "run": NAME, "pipeline": "chest-ct-nodules", "bridge": "main"} | trace
    assert whose(Key("run", "default", "gone"), store, traced=traced) == {"namespace": "default", "run": "gone"}
    assert whose(Key("bridge", "default", "main"), store, traced=traced) == {"namespace": "default", "bridge": "main"}
