"""Models in images of their own, mounted as image volumes: needs a runtime and a cluster that have them (`make test-containerd2`)."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from examples.demo.hospital import Hospital, condition, plain_registry, run
from tests.component.registry_server import layer, push_image
from tests.e2e.pipelines import apply, pipeline, python

NEEDED = (2, 1)
WEIGHTS = "nodules, seventh edition"
READS = f"""
weights = pathlib.Path('/models/weights.txt')
assert weights.read_text() == {WEIGHTS!r}
try:
    weights.write_text('mine')
except OSError as error:
    assert error.errno == 30, error  # EROFS
else:
    raise SystemExit('the model can be written')
negative()
"""


@pytest.fixture(autouse=True)
def image_volumes() -> None:
    """Skips where the node's runtime is too old."""
    runtime = run("kubectl", "get", "nodes", "-o", "jsonpath={.items[0].status.nodeInfo.containerRuntimeVersion}")
    found = re.fullmatch(r"containerd://v?(\d+)\.(\d+).*", runtime)
    if not found or (int(found[1]), int(found[2])) < NEEDED or not plain_registry():
        pytest.skip(f"image volumes need containerd 2.1 and the one-node cluster's registry, here is {runtime}: make test-containerd2")


def with_model(name: str, reference: str, code: str) -> dict[str, Any]:
    models = [{"name": "weights", "mountPath": "/models", "image": {"reference": reference}}]
    return pipeline(name, python(code), step={"models": models})


def test_a_step_reads_a_model_that_is_an_image_and_cannot_write_it(hospital: Hospital, study: list[Path]) -> None:
    registry = plain_registry()
    with httpx.Client(base_url=f"http://{registry}", timeout=20) as client:
        digest = push_image(client, "test/weights", hospital.namespace, layers=(layer({"weights.txt": WEIGHTS}),))
    reference = f"{registry}/test/weights:{hospital.namespace}"
    apply(hospital, with_model("reads", reference, READS))
    hospital.orthanc.send(study)
    (done,) = hospital.wait_for_finished_runs(1)
    assert done["status"]["state"] == "Succeeded", done["status"]
    (step,) = done["spec"]["template"]["steps"]
    assert step["models"][0]["image"]["reference"] == f"{reference}@{digest}", "what the tag was when the Run was made"


def test_a_model_whose_image_is_missing_is_named(hospital: Hospital, study: list[Path]) -> None:
    missing = f"{plain_registry()}/test/nowhere@sha256:{'0' * 64}"
    apply(hospital, with_model("misses", missing, READS))
    hospital.orthanc.send(study)
    (done,) = hospital.wait_for_finished_runs(1)
    failure = done["status"]["failure"]
    assert (failure["reason"], failure["step"]) == ("ModelMissing", "detect"), failure
    assert failure["message"].startswith(f"a model of step detect cannot be pulled, weights (image {missing}): "), failure
    assert condition(done, "Failed")["status"] == "True"
