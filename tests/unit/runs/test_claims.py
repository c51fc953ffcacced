"""A pod whose resource claim is missing waits for ever without a word in its status; the Run asks about it after a minute."""

import pytest
from tests.builders_runs import NAME, a_run

from gantry.api import RunReason
from gantry.runs import job_name, plan

TEMPLATE = {"name": "gpu", "resourceClaimTemplateName": "one-gpu"}
CLAIM = {"name": "shared", "resourceClaimName": "the-gpu"}
POD = f"{job_name(NAME)}-pod1"
ASKS = (
    "the pod has no devices by claim yet: is ResourceClaimTemplate one-gpu, ResourceClaim the-gpu there? "
    f"`kubectl describe pod -n default {POD}` says; it goes on once it is made; waits 24h at most"
)
WAITS = a_run().with_template(scheduling={"resourceClaims": [TEMPLATE, CLAIM]}).with_pod()
LACKS = "0/1 nodes are available: 1 cannot allocate all claims."


@pytest.mark.parametrize(
    ("seconds", "reason", "message"),
    [(30, RunReason.PENDING, "the pod has not started yet"), (63, RunReason.UNSCHEDULABLE, ASKS)],
    ids=["claims take a moment", "after a minute it is said where to look"],
)
def test_a_pod_that_the_scheduler_does_not_look_at(seconds: float, reason: RunReason, message: str) -> None:
    answer = plan(WAITS.at(seconds).observed())
    assert answer.status is not None
    (executed,) = [one for one in answer.status.conditions or () if one.type == "Executed"]
    assert (executed.reason, executed.message) == (reason, message)
    assert (answer.again_after is None) == (reason == RunReason.UNSCHEDULABLE), "it looks again by itself until it has spoken"


def test_devices_that_others_hold_are_told_in_the_schedulers_words() -> None:
    waits = a_run().with_template(scheduling={"resourceClaims": [TEMPLATE, CLAIM]}).unschedulable(LACKS)
    answer = plan(waits.at(63).observed())
    assert answer.status is not None
    (executed,) = [one for one in answer.status.conditions or () if one.type == "Executed"]
    assert executed.reason == RunReason.UNSCHEDULABLE
    assert executed.message == f"the pod asks for devices by claim (gpu, shared): {LACKS.rstrip('.')}; waits 24h at most (template.scheduling.deadline)"
