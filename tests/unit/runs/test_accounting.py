"""Stages and cost, by the finest time there is."""

from typing import Any

import pytest
from tests.builders_runs import a_receipt, a_run, an_end, sent

from gantry.api.run import GpuUse, RunStatus
from gantry.runs import FetchReceipt, plan
from gantry.runs.spent import gpus_of


def stages(status: RunStatus | None) -> dict[str, tuple[str, float | None]]:
    return {s.name: (s.start_time, s.seconds) for s in (status.stages if status else None) or ()}


def test_every_stage_of_a_run_that_went_well() -> None:
    status = plan(a_run().seen_at("2026-03-01T11:59:59.400Z").delivering_to().published().observed()).status
    assert stages(status) == {
        "seen": ("2026-03-01T11:59:59.400Z", 0.6),
        "created": ("2026-03-01T12:00:00Z", 1.0),
        "started": ("2026-03-01T12:00:01Z", 2.0),
        "fetch": ("2026-03-01T12:00:03Z", 0.4),
        "step/detect": ("2026-03-01T12:00:04.250Z", 2.5),
        "publish": ("2026-03-01T12:00:06.750Z", 0.75),
    }


def test_the_way_to_the_decision_has_milliseconds() -> None:
    """A Run's creation has none: until the decision is noted, a Run that was made within the second it was seen in took no time."""
    run = a_run().decided_at(stable="2026-03-01T11:59:58.000Z", seen="2026-03-01T12:00:00.400Z", decided="2026-03-01T12:00:00.430Z")
    found = stages(plan(run.with_job().observed()).status)
    assert found["stable"] == ("2026-03-01T11:59:58Z", 2.4)
    assert found["seen"] == ("2026-03-01T12:00:00.400Z", 0.03)


def test_delivery_is_a_stage_from_publish_to_the_end() -> None:
    on_the_way = plan(a_run().published().at(9).observed()).status
    assert stages(on_the_way)["deliver"] == ("2026-03-01T12:00:08Z", None)
    done = plan(a_run().with_status(on_the_way).delivered(sent()).at(20).observed()).status
    assert stages(done)["deliver"] == ("2026-03-01T12:00:08Z", 12.0)


def test_stages_that_end_while_the_pod_runs_are_told_at_the_end() -> None:
    """Each would cost a write: a Run has room for four status writes."""
    assert stages(plan(a_run().running().observed()).status).keys() == {"created", "started"}


def test_a_clock_ahead_of_the_api_server_makes_no_negative_time() -> None:
    status = plan(a_run().seen_at("2026-03-01T12:00:05.000Z").with_job().observed()).status
    assert stages(status)["seen"] == ("2026-03-01T12:00:05Z", 0.0)


@pytest.mark.parametrize("text", ["yesterday", ""], ids=["no time", "empty"])
def test_an_annotation_that_is_no_time_is_left_out(text: str) -> None:
    assert "seen" not in stages(plan(a_run().seen_at(text).with_job().observed()).status)


def test_gpu_seconds_are_the_applications_own_time() -> None:
    status = plan(a_run().with_gpu(2).delivering_to().published().observed()).status
    assert status is not None
    assert status.usage is not None
    usage = status.usage
    assert (usage.gpu_seconds, usage.gpu_resource, usage.pod_seconds) == (5.0, "nvidia.com/gpu", 6.0)
    assert (usage.input_instances, usage.input_bytes) == (20, 10_000)


def test_reserved_is_from_the_schedulers_choice_to_the_last_containers_end() -> None:
    """Two GPUs: bound in second 2, publish ended in second 8; the application ran for 2.5 s of that."""
    run = a_run().with_gpu(2).delivering_to().published()
    run.pods[-1]["status"]["conditions"] = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-03-01T12:00:02Z"}]
    status = plan(run.observed()).status
    assert status is not None
    assert status.usage is not None
    assert (status.usage.reserved_gpu_seconds, status.usage.gpu_seconds) == (12.0, 5.0)


def test_every_attempt_is_reserved_and_two_steps_hold_what_both_ask_for() -> None:
    step = {"image": "localhost/x:1", "command": ["x"], "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    run = a_run().delivering_to().with_template(steps=[{"name": "detect", **step}, {"name": "grade", **step}])
    status = plan(run.failed(1, publish=137).published(steps=("detect", "grade")).observed()).status
    assert status is not None
    assert status.usage is not None
    assert status.usage.reserved_gpu_seconds == 2 * (6.0 + 6.0)


def test_several_gpu_resources_are_each_told() -> None:
    """Of whole GPUs one, held for 6 s and used by the first step; of slices three, held as long, two of them used by each step."""
    def step(name: str, **limits: str) -> dict[str, Any]:
        return {"name": name, "image": "localhost/x:1", "command": ["x"], "resources": {"limits": limits}}

    steps = [step("detect", **{"nvidia.com/gpu": "1", "nvidia.com/mig-1g.10gb": "1"}), step("grade", **{"nvidia.com/mig-1g.10gb": "2"})]
    status = plan(a_run().delivering_to().with_template(steps=steps).published(steps=("detect", "grade")).observed()).status
    assert status is not None
    assert status.usage is not None
    assert (status.usage.gpu_resource, status.usage.gpu_seconds, status.usage.reserved_gpu_seconds) == ("nvidia.com/gpu", 2.5, 6.0)
    assert status.usage.by_resource == (
        GpuUse(resource="nvidia.com/gpu", gpu_seconds=2.5, reserved_gpu_seconds=6.0),
        GpuUse(resource="nvidia.com/mig-1g.10gb", gpu_seconds=7.5, reserved_gpu_seconds=18.0),
    )


def test_vendor_and_department_are_the_templates_or_what_publish_tells() -> None:
    receipt = a_receipt().model_copy(update={"vendor": "Native Vendor", "department": "Emergency"})
    run = a_run().with_gpu().delivering_to().with_pod(phase="Succeeded", detect=an_end(0), publish=an_end(0, message=receipt.encode(), finished=8))
    status = plan(run.observed()).status
    assert status is not None
    assert status.usage is not None
    assert (status.usage.vendor, status.usage.department) == ("Native Vendor", "Emergency")
    named = {"name": "LungNoduleNet", "version": "2.1.0", "manufacturer": "ACME AI"}
    status = plan(run.with_template(report={"algorithm": named}).observed()).status
    assert status is not None
    assert status.usage is not None
    assert status.usage.vendor == "ACME AI"


def test_without_a_receipt_the_containers_times_are_what_is_known() -> None:
    status = plan(a_run().with_gpu().with_template(retries=0).failed(1, publish=137).observed()).status
    assert status is not None
    assert status.usage is not None
    assert status.usage.gpu_seconds == 4.0
    assert stages(status)["step/detect"] == ("2026-03-01T12:00:03Z", 4.0)


def test_every_attempt_costs() -> None:
    run = a_run().with_gpu()
    status = plan(run.failed(1, publish=137).delivering_to().published().observed()).status
    assert status is not None
    assert status.usage is not None
    assert (status.usage.gpu_seconds, status.usage.pod_seconds, status.attempts) == (6.5, 12.0, 2)


def test_a_run_without_gpu_has_no_gpu_seconds() -> None:
    status = plan(a_run().delivering_to().published().observed()).status
    assert status is not None
    assert status.usage is not None
    assert (status.usage.gpu_seconds, status.usage.gpu_resource) == (None, None)


@pytest.mark.parametrize(
    ("limits", "want"),
    [
        ({"nvidia.com/gpu": "1"}, {"nvidia.com/gpu": 1}),
        ({"nvidia.com/mig-1g.10gb": 2, "memory": "8Gi"}, {"nvidia.com/mig-1g.10gb": 2}),
        ({"amd.com/gpu": "4"}, {"amd.com/gpu": 4}),
        ({"nvidia.com/gpu": "1", "nvidia.com/mig-1g.10gb": "2"}, {"nvidia.com/gpu": 1, "nvidia.com/mig-1g.10gb": 2}),
        ({"cpu": "4", "hugepages-2Mi": "4Mi"}, {}),
        ({"smarter-devices/fuse": "1"}, {}),
    ],
    ids=["NVIDIA", "a slice of one", "AMD", "two kinds", "none", "another device"],
)
def test_what_counts_as_a_gpu(limits: dict[str, str | int], want: dict[str, int]) -> None:
    step = a_run().with_step(resources={"limits": limits}).view().parsed.template.steps[0]
    assert gpus_of(step) == want


def test_findings_and_results_are_what_publish_says() -> None:
    receipt = a_receipt()
    status = plan(a_run().delivering_to().published().observed()).status
    assert status is not None
    assert status.findings == receipt.findings
    assert status.results == list(receipt.results)


def test_a_failed_fetch_tells_how_much_it_got() -> None:
    receipt = FetchReceipt(instances=7, bytes=70, seconds=1.0)
    status = plan(a_run().with_template(retries=0).with_pod(phase="Failed", fetch=an_end(1, message=receipt.encode())).observed()).status
    assert status is not None
    assert status.usage is not None
    assert status.usage.input_instances == 7
