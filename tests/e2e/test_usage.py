"""What a Run says it used, beside the kubelet's own times of its containers, and what `gantry usage` makes of it at the chart's prices."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from examples.demo.hospital import Hospital
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
    (bound,) = [at(one["lastTransitionTime"]) for one in pod["status"]["conditions"] if one["type"] == "PodScheduled"]
    held = (max(at(one["finishedAt"]) for one in ended.values()) - bound).total_seconds()

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


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)
