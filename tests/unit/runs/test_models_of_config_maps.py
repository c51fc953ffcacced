"""A pod whose model's ConfigMap is missing waits for ever without a word in its status; the Run asks about it after a minute."""

from datetime import timedelta

import pytest
from tests.builders_runs import NAME, RunBuilder, a_run, a_state

from gantry.runs import job_name, plan

CREATING = a_state("waiting", reason="ContainerCreating")
LABELS = {"name": "labels", "mountPath": "/models/labels", "configMap": "organ-labels"}
WAITS = a_run().with_step(models=[LABELS]).with_pod(detect=CREATING)
"""Its pod has a node since second 2."""
ASKED = (
    f"ModelMissing: the pod does not start on node gpu-1: is labels (ConfigMap organ-labels) there? `kubectl describe pod -n default {job_name(NAME)}-pod1` says; "
    "waits until template.timeout"
)
NOT_YET = "Pending: the pod has not started yet"


@pytest.mark.parametrize(
    ("seen", "want", "again"),
    [
        (WAITS.at(61), NOT_YET, timedelta(seconds=1)),
        (WAITS.at(62), ASKED, None),
        (a_run().with_pod(detect=CREATING).at(62), NOT_YET, None),
    ],
    ids=["for a minute it may be slow", "then it is asked about, and not given up: a slow pull looks the same", "a pod without such a model is not"],
)
def test_a_config_map_that_may_be_missing_is_told(seen: RunBuilder, want: str, again: timedelta | None) -> None:
    made = plan(seen.observed())
    assert made.status is not None
    assert made.status.state == "Queued"
    newest = next(one for one in made.status.conditions or () if one.type == "Executed")
    assert f"{newest.reason}: {newest.message}" == want
    assert made.again_after == again
    assert made.actions == ()


def test_it_is_told_once() -> None:
    written = plan(WAITS.at(62).observed()).status
    assert written is not None
    assert plan(WAITS.with_status(written).at(90).observed()).status is None


def test_once_it_starts_the_run_runs() -> None:
    started = WAITS.with_status(plan(WAITS.at(62).observed()).status).running().at(70)
    status = plan(started.observed()).status
    assert status is not None
    assert status.state == "Running"
