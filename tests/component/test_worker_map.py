"""A MONAI application package in a Run's pod: started by its manifest under the real launcher, its results checked and stored in a real Orthanc.

The manifests are as the packagers write them; the application is a line of sh that leaves what an application of the SDK leaves.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders_dicom import a_segmentation, as_file, ct_series
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.worker_pod import Pod, a_task

SLICES = ct_series(pixels=True)
SEGMENTATION = as_file(a_segmentation(SLICES))
ALGORITHM = {"name": "Spleen", "version": "1.0", "manufacturer": "Test"}
STEP = {"name": "spleen", "image": "localhost/spleen:1", "contract": "MAP"}
NATIVE = {"name": "spleen", "image": "localhost/spleen:1", "command": ["spleen"]}


def of_1_0(script: str) -> dict[str, Any]:
    """app.json by holoscan-cli: the command is a list within a string, the paths are relative."""
    return {
        "apiVersion": "1.0.0",
        "command": json.dumps(["sh", "-c", script]),
        "environment": {"HOLOSCAN_INPUT_PATH": "input/", "HOLOSCAN_OUTPUT_PATH": "output/", "HOLOSCAN_WORKDIR": "/"},
        "input": {"path": "input/", "formats": None},
        "output": {"path": "output/", "formats": None},
        "sdk": "monai-deploy",
        "sdkVersion": "3.5.0",
        "timeout": 0,
        "version": 1.0,
        "workingDirectory": "/",
    }


def of_0_x(script: str) -> dict[str, Any]:
    """app.json by App SDK 0.5.1: the command is a line for the shell."""
    return {"api-version": "0.1.0", "command": script, "environment": {}, "working-directory": "/", "timeout": 0, "sdk-version": "0.5.1"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def server(shared: OrthancServer) -> OrthancServer:
    for study in shared.studies():
        shared.rest("DELETE", f"/studies/{study}")
    shared.upload(*(as_file(one) for one in SLICES))
    return shared


@pytest.fixture
def pod(server: OrthancServer, tmp_path: Path, program: Path) -> Pod:
    return fetched(server, tmp_path, program, [STEP])


def fetched(server: OrthancServer, root: Path, program: Path, steps: list[dict[str, Any]], **report: Any) -> Pod:
    made = Pod(root / "pod", a_task(server, template__steps=steps, template__report={"algorithm": ALGORITHM, **report}), program)
    made.root.mkdir()
    assert made.fetch()[0] == 0, made.log
    return made


def run(pod: Pod, manifest: dict[str, Any]) -> int:
    path = pod.root / "app.json"
    path.write_text(json.dumps(manifest))
    return pod.package("spleen", path)


@pytest.mark.parametrize("generation", [of_1_0, of_0_x], ids=["MAP 1.0", "MAP 0.x"])
def test_the_objects_of_a_package_reach_the_archive_credited(generation: Any, pod: Pod, server: OrthancServer) -> None:
    (pod.root / "seg.dcm").write_bytes(SEGMENTATION)
    code = run(pod, generation(f'ls "$HOLOSCAN_INPUT_PATH/1" && cp {pod.root}/seg.dcm "$HOLOSCAN_OUTPUT_PATH/1.2.3.dcm" && echo 12 > "$HOLOSCAN_OUTPUT_PATH/volume.txt"'))
    assert code == 0
    code, receipt = pod.publish()
    assert code == 0, pod.log
    (result,) = receipt.results
    assert (result.kind, receipt.findings) == ("SEG", None)  # nothing was reported, so nothing is counted
    credited = server.rest("GET", f"/instances/{result.orthanc_id}/simplified-tags")["ContributingEquipmentSequence"]
    assert "Spleen" in [item.get("ManufacturerModelName") for item in credited]


@pytest.mark.parametrize("generation", [of_1_0, of_0_x], ids=["MAP 1.0", "MAP 0.x"])
def test_the_exit_code_of_a_package_is_its_own(generation: Any, pod: Pod, server: OrthancServer) -> None:
    assert run(pod, generation("exit 7")) == 7
    code, receipt = pod.publish()
    assert receipt.failure is not None
    assert (code, receipt.failure.reason, receipt.failure.message) == (1, "StepFailed", "step spleen ended with exit code 7")
    assert receipt.results == ()


def test_a_package_that_ends_with_0_and_leaves_nothing_has_failed(pod: Pod) -> None:
    assert run(pod, of_1_0("echo {} > $HOLOSCAN_OUTPUT_PATH/other.json")) == 0
    code, receipt = pod.publish()
    assert receipt.failure is not None
    words = "step spleen ended with 0 but left neither DICOM objects nor findings.json in its output folder"
    assert (code, receipt.failure.reason, receipt.failure.message) == (65, "NoOutput", words)


def test_an_image_that_is_no_package_is_said(pod: Pod) -> None:
    assert pod.package("spleen", pod.root / "there-is-none.json") == 122
    _, receipt = pod.publish()
    assert receipt.failure is not None
    words = "step spleen was not run: its image has no usable manifest (app.json) and so is no MAP; see the container's log, or choose contract Native"
    assert (receipt.failure.reason, receipt.failure.message) == ("StepFailed", words)


def test_a_native_application_needs_findings_beside_its_objects(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    pod = fetched(server, tmp_path, program, [NATIVE])
    (pod.output("spleen") / "seg.dcm").write_bytes(SEGMENTATION)
    pod.step("spleen")
    code, receipt = pod.publish()
    assert receipt.failure is not None
    words = "step spleen ended with 0 but left no findings.json in GANTRY_OUTPUT"
    assert (code, receipt.failure.reason, receipt.failure.message) == (65, "NoOutput", words)


def test_plain_json_beside_a_segmentation_becomes_a_report(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    """A package that knows nothing of Gantry: the radiologist gets a TID 1500 report of what it measured."""
    spleen, volume = ({"scheme": "SCT", "value": value, "meaning": words} for value, words in (("78961009", "Spleen"), ("118565006", "Volume")))
    rule = {"file": "metadata.json", "type": spleen, "measurements": [{"name": volume, "path": "/volume", "unit": "ml"}]}
    pod = fetched(server, tmp_path, program, [STEP], mapping=[rule])
    (pod.root / "seg.dcm").write_bytes(SEGMENTATION)
    script = f'cp {pod.root}/seg.dcm $HOLOSCAN_OUTPUT_PATH/ && mkdir $HOLOSCAN_OUTPUT_PATH/more && echo \'{{"volume": 210.5}}\' > $HOLOSCAN_OUTPUT_PATH/more/metadata.json'
    assert run(pod, of_1_0(script)) == 0
    code, receipt = pod.publish()
    assert code == 0, pod.log
    assert [one.kind for one in receipt.results] == ["SEG", "SR"]
    assert receipt.findings is not None
    assert receipt.findings.present == 1
    content = json.dumps(server.rest("GET", f"/instances/{receipt.results[-1].orthanc_id}/simplified-tags"))
    assert "210.5" in content
    assert "Spleen" in content


def test_a_mapping_that_does_not_fit_fails_the_run_by_name(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    rule = {"file": "metadata.json", "type": {"scheme": "SCT", "value": "78961009", "meaning": "Spleen"}, "presence": {"path": "/score", "atLeast": 0.5}}
    pod = fetched(server, tmp_path, program, [STEP], mapping=[rule])
    (pod.output("spleen") / "seg.dcm").write_bytes(SEGMENTATION)
    assert run(pod, of_1_0("echo '{}' > $HOLOSCAN_OUTPUT_PATH/metadata.json")) == 0
    code, receipt = pod.publish()
    assert receipt.failure is not None
    words = "report.mapping[0].presence: metadata.json has nothing at /score"
    assert (code, receipt.failure.reason, receipt.failure.message) == (65, "InvalidFindings", words)
    assert receipt.results == ()
