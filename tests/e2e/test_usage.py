"""What a Run says it used, beside the kubelet's own times of its containers, and what `gantry usage` makes of it at the chart's prices."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from examples.demo.hospital import Hospital, wait_for
from tests.e2e.conftest import BESIDE_OTHERS
from tests.e2e.pipelines import apply, pipeline, python

SLEEPS = 5
PRICE = 36
"""An hour; a hundredth of it a second."""
SLACK = 1.5
"""Seconds. The kubelet's times are cut to whole seconds, at each end; and a container begins a little before its application."""


def test_a_known_workload_is_counted_as_the_kubelet_saw_it(hospital: Hospital, study: list[Path]) -> None:
    """Two GPUs, a step that sleeps for five seconds."""
    hospital.install_gantry(*BESIDE_OTHERS, rf"prices.perGpuHour.nvidia\.com/gpu={PRICE}", "prices.currency=CHF")
    resources = {"requests": {"cpu": "50m"}, "limits": {"memory": "512Mi", "nvidia.com/gpu": 2}}
    apply(hospital, pipeline("sleeps", python(f"import time; time.sleep({SLEEPS}); negative()"), step={"resources": resources}))
    hospital.orthanc.send(study)
    (done,) = hospital.wait_for_finished_runs(1)
    assert done["status"]["state"] == "Succeeded", done["status"]
    usage = done["status"]["usage"]
    (pod,) = hospital.get("pods", "-l", f"gantry.health/run={done['metadata']['name']}")["items"]
    ended = {one["name"]: one["state"]["terminated"] for one in pod["status"]["containerStatuses"]}
    detect = (at(ended["detect"]["finishedAt"]) - at(ended["detect"]["startedAt"])).total_seconds()
    held = held_by(pod)

    assert usage["gpuResource"] == "nvidia.com/gpu"
    assert usage["gpuSeconds"] / 2 >= SLEEPS
    assert usage["gpuSeconds"] / 2 == pytest.approx(detect, abs=SLACK)
    assert usage["reservedGpuSeconds"] == pytest.approx(2 * held, abs=0.01), "both are from the same whole seconds"
    assert usage["reservedGpuSeconds"] >= usage["gpuSeconds"]

    program = Path(sys.executable).parent / "gantry"
    command = [program, "usage", "-n", hospital.namespace, "--by", "resource", "-o", "json"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
    told: dict[str, Any] = json.loads(answer.stdout)
    assert told["currency"] == "CHF"
    (row,) = told["rows"]
    assert (row["name"], row["runs"], row["reserved"], row["used"]) == ("nvidia.com/gpu", 1, usage["reservedGpuSeconds"], usage["gpuSeconds"])
    assert row["cost"] == pytest.approx(usage["reservedGpuSeconds"] / 3600 * PRICE)


def test_a_pod_that_is_deleted_by_hand_is_counted_with_the_one_that_takes_its_place(hospital: Hospital, study: list[Path]) -> None:
    """The first one's Job, containers and times are gone when the Run ends; the second succeeds."""
    resources = {"requests": {"cpu": "50m"}, "limits": {"memory": "512Mi", "nvidia.com/gpu": 1}}
    apply(hospital, pipeline("again", python(f"import time; time.sleep({SLEEPS}); negative()"), step={"resources": resources}, retries=1))
    hospital.orthanc.send(study)

    def at_work() -> dict[str, Any] | None:
        pods = hospital.get("pods", "-l", "gantry.health/run")["items"]
        return next((pod for pod in pods if any("running" in one["state"] for one in pod["status"].get("containerStatuses", []))), None)

    first = wait_for("the first pod to work", at_work, seconds=120, explain=lambda: json.dumps(hospital.runs()))
    hospital.kubectl("delete", "pod", first["metadata"]["name"])
    (done,) = hospital.wait_for_finished_runs(1, seconds=180)
    assert done["status"]["state"] == "Succeeded", done["status"]
    (second,) = hospital.get("pods", "-l", "gantry.health/run")["items"]
    assert second["metadata"]["name"] != first["metadata"]["name"]
    usage = done["status"]["usage"]
    of_the_first = usage["reservedGpuSeconds"] - held_by(second)
    until_next = (at(second["metadata"]["creationTimestamp"]) - bound_at(first)).total_seconds()
    assert 0 < of_the_first <= until_next, "from its node to its end; the Job makes the next one when that has come"
    assert "pods" not in done["status"], "their sum is in usage"


def held_by(pod: dict[str, Any]) -> float:
    ends = [at(one["state"]["terminated"]["finishedAt"]) for one in pod["status"]["containerStatuses"]]
    return (max(ends) - bound_at(pod)).total_seconds()


def bound_at(pod: dict[str, Any]) -> datetime:
    (bound,) = [at(one["lastTransitionTime"]) for one in pod["status"]["conditions"] if one["type"] == "PodScheduled"]
    return bound


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)
