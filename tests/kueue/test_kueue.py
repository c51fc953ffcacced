"""Runs in a queue of the real Kueue: one GPU's quota, one waits, and an emergency puts a night's study out. `make e2e-kueue`; needs kind.

What the stand-in of tests/component/test_operator_scheduling.py plays is here Kueue's own. Not run where Gantry is developed.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from examples.demo.hospital import Hospital, run
from examples.phantom.make_ct import Options, make_series
from tests.e2e.conftest import crds, hospital  # noqa: F401 - fixtures
from tests.e2e.pipelines import apply, pipeline, python

LIMIT = 300.0
KUEUE = "kueue.x-k8s.io/v1beta1"


def queue(hospital: Hospital) -> None:  # noqa: F811 - the fixture's value
    """A quota of one GPU, of which the more urgent takes the less urgent's."""
    resources = [{"name": "cpu", "nominalQuota": 32}, {"name": "memory", "nominalQuota": "64Gi"}, {"name": "nvidia.com/gpu", "nominalQuota": 1}]
    group = {"coveredResources": [one["name"] for one in resources], "flavors": [{"name": "any", "resources": resources}]}
    cluster = {"namespaceSelector": {}, "resourceGroups": [group], "preemption": {"withinClusterQueue": "LowerPriority"}}
    objects: list[dict[str, Any]] = [
        {"apiVersion": KUEUE, "kind": "ResourceFlavor", "metadata": {"name": "any"}},
        {"apiVersion": KUEUE, "kind": "ClusterQueue", "metadata": {"name": "gpus"}, "spec": cluster},
        {"apiVersion": KUEUE, "kind": "WorkloadPriorityClass", "metadata": {"name": "emergency"}, "value": 1000},
        {"apiVersion": KUEUE, "kind": "LocalQueue", "metadata": {"name": "radiology", "namespace": hospital.namespace}, "spec": {"clusterQueue": "gpus"}},
    ]
    run("kubectl", "apply", "--server-side", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def a_pipeline(name: str, accession: str, seconds: int, rule: str = "") -> dict[str, Any]:
    made = pipeline(name, python(f"import time; time.sleep({seconds}); negative()"), step={"resources": {"limits": {"nvidia.com/gpu": 1, "memory": "512Mi"}}})
    made["spec"]["match"]["study"].append({"tag": "AccessionNumber", "operator": "In", "values": [accession]})
    made["spec"]["template"]["scheduling"] = {"queueName": "radiology", "queueClassNames": {"Stat": "emergency"}}
    if rule:
        made["spec"]["priority"] = {"rules": [{"study": [{"tag": "AccessionNumber", "operator": "In", "values": [accession]}], "class": rule}]}
    return made


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(1)


def test_an_emergency_puts_a_nights_study_out_and_both_end_well(hospital: Hospital, tmp_path: Path) -> None:  # noqa: F811
    def runs(name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(hospital.kubectl("get", "irun", "-l", f"gantry.health/pipeline={name}", "-o", "json"))["items"]
        return found

    def says(name: str, words: str) -> bool:
        return any(words in c.get("message", "") for one in runs(name) for c in one.get("status", {}).get("conditions", ()))

    def state(name: str) -> str:
        return next((str(one.get("status", {}).get("state")) for one in runs(name)), "")

    queue(hospital)
    apply(hospital, a_pipeline("night", "NIGHT", 60), a_pipeline("stroke", "STROKE", 1, "Stat"))
    for accession in ("NIGHT", "STROKE"):
        make_series(tmp_path / accession, Options(slices=4, matrix=64, spheres=0, accession=accession))
    hospital.send(sorted((tmp_path / "NIGHT").glob("*.dcm")))
    until(lambda: state("night") == "Running", "the night's study is admitted")
    hospital.send(sorted((tmp_path / "STROKE").glob("*.dcm")))
    until(lambda: says("night", "put out by queue radiology"), "it is put out for the emergency")
    until(lambda: state("stroke") == "Succeeded", "the emergency is analysed")
    until(lambda: state("night") == "Succeeded", "the night's study runs again")
