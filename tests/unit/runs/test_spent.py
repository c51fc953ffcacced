"""What is counted of pods that are gone before their Run ends, and of devices by resource claim."""

from typing import Any

import pytest
from tests.builders_runs import NAME, RunBuilder, a_run, at

from gantry.api.run import ClaimedDevices, GpuUse, RunStatus, Usage
from gantry.runs import FindClaims, asked_for, given, job_name, plan

POD = f"{job_name(NAME)}-pod1"
CLAIMS = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "two"}]}
TWO = ClaimedDevices(claim="gpu", request="gpu", resource="gpu.example.com", count=2)
"""What the class is called that the claim's request names."""


def by_claim(**of_step: Any) -> RunBuilder:
    claims = of_step.get("claims", [{"name": "gpu"}])
    return a_run().delivering_to().with_template(scheduling=CLAIMS).with_step(resources={"claims": claims} if claims else {})


def status_of(run: RunBuilder) -> RunStatus:
    status = plan(run.observed()).status
    assert status is not None
    return status


def usage_of(run: RunBuilder) -> Usage:
    usage = status_of(run).usage
    assert usage is not None
    return usage


# ---- devices by claim ----


def test_claims_are_read_when_the_pod_has_begun_and_written_with_that_it_runs() -> None:
    running = by_claim().running()
    assert plan(running.observed()).actions == (FindClaims((POD,)),)
    status = status_of(running.with_claimed(TWO))
    assert status.state == "Running"
    (pod,) = status.pods or ()
    assert (pod.name, pod.claimed, pod.gpus) == (POD, [TWO], None)


def test_they_are_read_once_a_pod() -> None:
    written = status_of(by_claim().running().with_claimed(TWO))
    assert plan(by_claim().with_status(written).running().observed()).actions == ()


def test_that_there_are_none_is_written_too_so_that_nobody_asks_again() -> None:
    written = status_of(by_claim().running().with_claimed())
    assert [pod.claimed for pod in written.pods or ()] == [[]]
    assert plan(by_claim().with_status(written).running().observed()).actions == ()


def test_a_run_without_claims_asks_nobody() -> None:
    assert plan(a_run().with_gpu().running().observed()).actions == ()


def test_what_was_written_while_the_pod_ran_counts_when_its_claim_is_gone() -> None:
    """Two devices, held for 6 s, the application ran for 2.5 s of them."""
    written = status_of(by_claim().running().with_claimed(TWO))
    usage = usage_of(by_claim().with_status(written).published())
    assert (usage.gpu_resource, usage.gpu_seconds, usage.reserved_gpu_seconds) == ("gpu.example.com", 5.0, 12.0)


def test_a_pod_that_ended_while_nobody_looked_is_asked_about_before_it_is_judged() -> None:
    assert plan(by_claim().published().observed()).actions == (FindClaims((POD,)),)
    assert usage_of(by_claim().published().with_claimed(TWO)).reserved_gpu_seconds == 12.0


def test_devices_that_no_step_gets_are_held_and_not_used() -> None:
    usage = usage_of(by_claim(claims=[]).published().with_claimed(TWO))
    assert (usage.gpu_seconds, usage.reserved_gpu_seconds) == (0.0, 12.0)


def test_a_step_that_gets_one_request_of_a_claim_uses_no_more() -> None:
    other = TWO.model_copy(update={"request": "slice", "resource": "mig.example.com", "count": 1})
    usage = usage_of(by_claim(claims=[{"name": "gpu", "request": "slice"}]).published().with_claimed(TWO, other))
    assert usage.by_resource == (
        GpuUse(resource="gpu.example.com", gpu_seconds=0, reserved_gpu_seconds=12.0),
        GpuUse(resource="mig.example.com", gpu_seconds=2.5, reserved_gpu_seconds=6.0),
    )


def request(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "exactly": {"deviceClassName": kind, **more}}


def device(of: str, *, driver: str = "gpu.nvidia.com", **more: Any) -> dict[str, Any]:
    return {"request": of, "driver": driver, "pool": "node-1", "device": "any", **more}


def claim(requests: list[dict[str, Any]], *devices: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"devices": {"requests": requests}}, "status": {"allocation": {"devices": {"results": list(devices)}}}}


EITHER = {"name": "gpu", "firstAvailable": [{"name": "big", "deviceClassName": "h100"}, {"name": "small", "deviceClassName": "a10", "count": 2}]}
GIVEN: dict[str, tuple[dict[str, Any], list[tuple[str, str, int]]]] = {
    "by the name of its class, not of the driver": (claim([request("gpu", "h100")], device("gpu")), [("gpu", "h100", 1)]),
    "as many as were allocated, whatever was asked for": (claim([request("gpu", "h100", allocationMode="All")], *[device("gpu")] * 4), [("gpu", "h100", 4)]),
    "the alternative that was chosen": (claim([EITHER], *[device("gpu/small")] * 2), [("gpu", "a10", 2)]),
    "each request by itself": (
        claim([request("whole", "h100"), request("slice", "mig")], device("whole"), device("slice"), device("slice")),
        [("whole", "h100", 1), ("slice", "mig", 2)],
    ),
    "a network card is no GPU": (claim([request("gpu", "h100"), request("nic", "rdma")], device("gpu"), device("nic", driver="dra.net")), [("gpu", "h100", 1)]),
    "admin access takes it from nobody": (claim([request("gpu", "h100", adminAccess=True)], device("gpu", adminAccess=True)), []),
    "not allocated": ({"spec": {"devices": {"requests": [request("gpu", "h100")]}}}, []),
}


@pytest.mark.parametrize("name", GIVEN)
def test_what_a_claim_gives(name: str) -> None:
    body, want = GIVEN[name]
    assert [(one.request, one.resource, one.count) for one in given("mine", body)] == want


ASKED: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str, int]]]] = {
    "one, unless it says how many": ([request("gpu", "gpu.nvidia.com")], [("gpu", "gpu.nvidia.com", 1)]),
    "a number": ([request("gpu", "gpu.nvidia.com", count=4)], [("gpu", "gpu.nvidia.com", 4)]),
    "all of a node: not known how many": ([request("gpu", "gpu.nvidia.com", allocationMode="All")], []),
    "alternatives: not known which": ([{**EITHER, "firstAvailable": [{"name": "a", "deviceClassName": "gpu.nvidia.com"}]}], []),
    "a class that is not named after a GPU": ([request("nic", "rdma")], []),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_a_template_asks_for(name: str) -> None:
    requests, want = ASKED[name]
    template = {"spec": {"spec": {"devices": {"requests": requests}}}}
    assert [(one.request, one.resource, one.count) for one in asked_for("mine", template)] == want


# ---- pods that are gone ----


def test_a_pod_that_was_deleted_counts_as_its_last_view_told() -> None:
    """It was seen to end after 4 s in its step, bound for 5; the second attempt held the GPU for 6 s and used it for 2.5."""
    first = a_run().with_gpu().delivering_to().with_status(status_of(a_run().with_gpu().running())).failed(1, publish=137)
    gone = first.newest_pod_gone(seen_ending=True).looked_up()
    status = status_of(gone)
    assert [(pod.name, pod.gpus) for pod in status.pods or ()] == [
        (POD, [GpuUse(resource="nvidia.com/gpu", gpu_seconds=4.0, reserved_gpu_seconds=6.0)])
    ]
    usage = usage_of(second_pod(gone.with_status(status)))
    assert (usage.gpu_seconds, usage.reserved_gpu_seconds, usage.pod_seconds) == (6.5, 12.0, 12.0)


def test_a_pod_whose_end_nobody_saw_held_its_gpu_until_the_next_one_was_made() -> None:
    """Bound in second 2, the next is made in second 9 though the operator looks in second 60; how long its application ran is not known."""
    status = status_of(a_run().with_gpu().running())
    later = second_pod(a_run().with_gpu().with_job().delivering_to().with_status(status), made=9)
    usage = usage_of(later.at(60))
    assert (usage.gpu_seconds, usage.reserved_gpu_seconds) == (2.5, 7.0 + 6.0)


def test_without_a_next_pod_it_is_counted_until_it_is_missed() -> None:
    status = status_of(a_run().with_gpu().running())
    missed = status_of(a_run().with_gpu().with_job().with_status(status).looked_up().at(12))
    assert [(pod.gpus, pod.pod_seconds) for pod in missed.pods or ()] == [
        ([GpuUse(resource="nvidia.com/gpu", gpu_seconds=0, reserved_gpu_seconds=10.0)], 10.0)
    ]
    later = renamed(a_run().with_gpu().with_job().with_status(missed).with_pod().at(50), "second")
    assert plan(later.observed()).status is None, "what was counted once does not grow"


def test_a_run_that_is_put_out_all_night_adds_up() -> None:
    """Twenty pods, each bound for 10 s of two GPUs."""
    run, status = a_run().with_gpu(2).with_job(), None
    for _ in range(20):
        one = run.with_status(status) if status else run
        begun = status_of(renamed(one.running(), f"pod-{_}"))
        status = status_of(run.with_status(begun).looked_up().at(12))
    assert status is not None
    assert len(status.pods or ()) <= 8
    usage = usage_of(run.delivering_to().with_status(status).published())
    assert usage.reserved_gpu_seconds == 20 * 2 * 10.0 + 2 * 6.0


def test_the_runs_end_takes_them_out_of_the_status() -> None:
    written = status_of(a_run().with_gpu().running())
    assert written.pods is not None
    assert status_of(a_run().with_gpu().delivering_to().with_status(written).published()).pods is None


def second_pod(run: RunBuilder, *, made: float = 2) -> RunBuilder:
    """Another one that succeeds."""
    published = renamed(run.published(), "second")
    published.pods[-1]["metadata"]["creationTimestamp"] = at(made).isoformat()
    return published


def renamed(run: RunBuilder, name: str) -> RunBuilder:
    run.pods[-1]["metadata"].update(name=f"{job_name(NAME)}-{name}", uid=name)
    return run
