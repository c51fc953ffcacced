"""An application of the App SDK's own operators on Holoscan in a Run's pod, under the real launcher with its filter and Landlock, on CPU."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.builders_dicom import as_file, ct_series
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.worker_pod import ROOT, Pod, a_task

SDK = ROOT / "tests" / "packages" / "sdk"
STEP = {"name": "bones", "image": "localhost/bones:1", "contract": "MAP"}
ALGORITHM = {"name": "Bones", "version": "1.0", "manufacturer": "Test"}
SLICES = ct_series(pixels=True)


@pytest.fixture(scope="module")
def sdk() -> Path:
    """The environment that has it; `cluster/prepare component` makes it."""
    if sys.version_info >= (3, 14):
        pytest.skip("Holoscan 3.11 has no wheel for Python 3.14 or newer")
    done = subprocess.run([ROOT / "cluster" / "algorithm-venv", "sdk"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip()).parents[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("orthanc")) as made:
        made.upload(*(as_file(one) for one in SLICES))
        yield made


@pytest.fixture
def pod(server: OrthancServer, tmp_path: Path, program: Path) -> Pod:
    ct = [one["ID"] for one in server.rest("GET", "/series?expand") if one["MainDicomTags"]["Modality"] == "CT"]  # results of other tests stay
    made = Pod(tmp_path / "pod", a_task(server, series=ct, template__steps=[STEP], template__report={"algorithm": ALGORITHM}), program)
    made.root.mkdir()
    assert made.fetch()[0] == 0, made.log
    return made


def run(pod: Pod, sdk: Path, *way: str) -> int:
    """By a manifest as holoscan-cli writes it, and the environment of the image."""
    (cuda,) = sdk.glob("lib/python*/site-packages/nvidia/cuda_runtime/lib")
    scratch = pod.root / "tmp"
    scratch.mkdir()
    manifest = {
        "apiVersion": "1.0.0",
        "command": json.dumps([str(sdk / "bin" / "python"), str(SDK / "application.py"), *way]),
        "environment": {
            "HOLOSCAN_INPUT_PATH": "input/",
            "HOLOSCAN_OUTPUT_PATH": "output/",
            "HOLOSCAN_WORKDIR": str(scratch),
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "LD_LIBRARY_PATH": str(cuda),
        },
        "input": {"path": "input/", "formats": None},
        "output": {"path": "output/", "formats": None},
        "sdk": "monai-deploy",
        "sdkVersion": "3.5.0",
        "timeout": 0,
        "version": 1.0,
        "workingDirectory": str(scratch),
    }
    path = pod.root / "app.json"
    path.write_text(json.dumps(manifest))
    return pod.package("bones", path, write=(pod.output("bones"), scratch, Path("/dev/shm")))


def ending(pod: Pod) -> dict[str, object]:
    """What the launcher left."""
    told: dict[str, object] = json.loads((pod.barrier("bones") / "exit.json").read_text())
    return told


def test_holoscan_works_behind_the_filter_and_its_results_reach_the_archive(pod: Pod, sdk: Path, server: OrthancServer) -> None:
    assert run(pod, sdk) == 0, ending(pod)
    code, receipt = pod.publish()
    assert code == 0, pod.log
    assert sorted(one.kind for one in receipt.results) == ["SEG", "SR"]
    tags = {one.kind: server.rest("GET", f"/instances/{one.orthanc_id}/simplified-tags") for one in receipt.results}
    for one in tags.values():
        assert (one["PatientID"], one["StudyInstanceUID"]) == (SLICES[0].PatientID, SLICES[0].StudyInstanceUID)
        assert "Bones" in [item.get("ManufacturerModelName") for item in one["ContributingEquipmentSequence"]]
    # From within the application: the kernel says EPERM to a network socket.
    assert "network: refused with errno 1" in json.dumps(tags["SR"])
    voxels = sum(int((one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) > 0).sum()) for one in SLICES)
    assert f"Voxels above 0 HU: {voxels};" in json.dumps(tags["SR"])
    # The SDK's Basic Text SR lacks what is Type 1 (PS3.3 C.17.2); it goes on its way, and that is told.
    assert any("CompletionFlag" in one for one in receipt.warnings), receipt.warnings


@pytest.mark.parametrize(("way", "code"), [("exits-7", 7), ("raises", 1)])
def test_an_operator_that_fails_fails_the_run_by_its_own_code(way: str, code: int, pod: Pod, sdk: Path) -> None:
    """The packager's entrypoint would have said 0 to both."""
    assert run(pod, sdk, way) == code
    assert ending(pod)["code"] == code
    _, receipt = pod.publish()
    assert receipt.failure is not None
    assert (receipt.failure.reason, receipt.failure.message) == ("StepFailed", f"step bones ended with exit code {code}")
    assert receipt.results == ()
