"""Packages laid out as vendors' builders do, unmodified, in pods: what works arrives, and what goes wrong says what on its own Run.

One application in three images (tests/packages); MODE chooses what it does.
"""

from pathlib import Path
from typing import Any

from examples.demo.hospital import Hospital, images, run
from pydicom import dcmread
from tests.e2e.pipelines import apply

ALGORITHM = {"name": "Vendor", "version": "1.0", "manufacturer": "Example"}
RULE = {
    "file": "result.json",
    "type": {"scheme": "SCT", "value": "427359005", "meaning": "Solitary nodule of lung"},
    "presence": {"path": "/images", "atLeast": 1},
    "evaluations": [{"name": {"scheme": "99TEST", "value": "T", "meaning": "Threshold"}, "path": "/threshold"}],
}


def step(image: str, mode: str, **fields: Any) -> dict[str, Any]:
    name = fields.pop("name", "app")
    resources = {"requests": {"cpu": "50m"}, "limits": {"memory": "256Mi"}, "sharedMemory": "64Mi"}
    return {"name": name, "image": images()[f"test/{image}"], "env": [{"name": "MODE", "value": mode}], "timeout": "2m", "resources": resources, **fields}


def map_1_0(mode: str, **fields: Any) -> dict[str, Any]:
    return step("map-1.0", mode, contract="MAP", **fields)


def map_0_x(mode: str, *, root: bool = True) -> dict[str, Any]:
    return step("map-0.x", mode, contract="MAP", **({"security": {"runAsUser": 0}} if root else {}))


def module(mode: str, **fields: Any) -> dict[str, Any]:
    return step("mercure", mode, contract="Mercure", command=["./docker-entrypoint.sh"], **fields)


def pipeline(name: str, *steps: dict[str, Any], **report: Any) -> dict[str, Any]:
    template = {"retries": 0, "timeout": "5m", "delivery": {"destinations": ["pacs"]}, "steps": list(steps), "report": {"algorithm": ALGORITHM, **report}}
    match = {"study": [{"tag": "ModalitiesInStudy", "operator": "In", "values": ["CT"]}]}
    spec = {"bridgeRef": {"name": "main"}, "match": match, "template": template}
    return {"apiVersion": "gantry.health/v1alpha1", "kind": "InferencePipeline", "metadata": {"name": name}, "spec": spec}


GOOD = {
    "map-1-0": (lambda: [map_1_0("works")], {}, ["SR"]),
    "map-0-x": (lambda: [map_0_x("works")], {}, ["SR"]),
    "module": (lambda: [module("module", settings={"threshold": 0.5})], {"mapping": [RULE]}, ["SR", "SR"]),
    "chain": (lambda: [module("passes-on", name="first"), module("module", settings={"threshold": 0.7})], {"mapping": [RULE]}, ["SR", "SR"]),
}
BAD = {
    "map-1-0-exits-7": (lambda: map_1_0("exits-7"), "StepFailed", 7),
    # The image's own entrypoint in the place of the manifest's command: 0, whatever the application did. What counts is that nothing is there.
    "map-1-0-by-its-entrypoint": (lambda: step("map-1.0", "exits-7", command=["/var/holoscan/tools"], security={"readOnlyRootFilesystem": False}), "NoOutput", None),
    "map-1-0-writes-nothing": (lambda: map_1_0("writes-nothing"), "NoOutput", None),
    "map-1-0-needs-network": (lambda: map_1_0("needs-network"), "StepFailed", 1),
    "map-1-0-forks": (lambda: map_1_0("forks-for-ever", timeout="5s"), "StepTimedOut", 124),
    "map-1-0-as-somebody-else": (lambda: map_1_0("works", security={"runAsUser": 4711}), "StepFailed", 1),
    "map-0-x-exits-7": (lambda: map_0_x("exits-7"), "StepFailed", 7),
    "map-0-x-without-root": (lambda: map_0_x("works", root=False), "StepFailed", None),
    "map-0-x-writes-as-root": (lambda: map_0_x("writes-as-root"), "UnacceptedObject", None),
    "module-exits-7": (lambda: module("exits-7"), "StepFailed", 7),
    "module-passes-its-input-on": (lambda: module("passes-on"), "NoOutput", None),
    "module-needs-network": (lambda: module("needs-network"), "StepFailed", 1),
}  # fmt: skip


def test_vendors_packages_run_as_they_are_and_their_faults_have_names(hospital: Hospital, study: list[Path]) -> None:
    # A MAP 0.x needs root: its packages lie in /root. A hospital that wants that says so.
    run("kubectl", "label", "namespace", hospital.namespace, "--overwrite", "pod-security.kubernetes.io/enforce=baseline")
    good = [pipeline(name, *make(), **report) for name, (make, report, _) in GOOD.items()]
    apply(hospital, *good, *(pipeline(name, make()) for name, (make, _, _) in BAD.items()))
    hospital.orthanc.send(study)
    found = hospital.wait_for_finished_runs(len(GOOD) + len(BAD), seconds=420)
    runs = {one["spec"]["pipelineRef"]["name"]: one["status"] for one in found}

    for name, (_, reason, code) in BAD.items():
        failure = runs[name].get("failure", {})
        assert (name, runs[name]["state"], failure.get("reason")) == (name, "Failed", reason), runs[name]
        if code is not None:
            assert failure["exitCode"] == code, failure
        assert not runs[name].get("results")
    for name, (_, _, kinds) in GOOD.items():
        assert (name, runs[name]["state"]) == (name, "Succeeded"), runs[name]
        assert [one["kind"] for one in runs[name]["results"]] == kinds
    for name in ("module", "chain"):
        assert runs[name]["findings"]["present"] == 1
        assert "the module says: nothing special" in runs[name]["warnings"]
    assert any("CompletionFlag" in line for line in runs["map-1-0"]["warnings"]), "what the SDK leaves out is mended and told"

    uid = str(dcmread(study[0], stop_before_pixels=True).StudyInstanceUID)
    assert len(hospital.pacs.instances(uid)) == sum(len(kinds) for _, _, kinds in GOOD.values()), "only the good ones may have sent anything"
