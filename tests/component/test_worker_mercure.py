"""A mercure module in a Run's pod: it finds what mercure would give it, under the real launcher, and what it leaves is checked and stored.

Modules are lines of sh that do what modules do; the shortest one in mercure's own tests copies its whole input.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from tests.builders_dicom import a_segmentation, as_file, ct_series
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.worker_pod import Pod, a_task

SLICES = ct_series(pixels=True)
ALGORITHM = {"name": "Nodule", "version": "1.0", "manufacturer": "Test"}
NODULE = {"scheme": "SCT", "value": "427359005", "meaning": "Solitary nodule of lung"}


def a_module(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": f"localhost/{name}:1", "contract": "Mercure", "command": ["./docker-entrypoint.sh"], **fields}


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


def fetched(server: OrthancServer, root: Path, program: Path, *steps: dict[str, Any], **report: Any) -> Pod:
    task = a_task(server, template__steps=list(steps), template__report={"algorithm": ALGORITHM, **report}, sender="CT_1")
    made = Pod(root / "pod", task, program)
    made.root.mkdir()
    assert made.fetch()[0] == 0, made.log
    return made


@pytest.fixture
def pod(server: OrthancServer, tmp_path: Path, program: Path) -> Pod:
    return fetched(server, tmp_path, program, a_module("nodule", settings={"threshold": 0.5}))


def refused(pod: Pod) -> tuple[int, str, str]:
    code, receipt = pod.publish()
    assert receipt.failure is not None
    assert receipt.results == ()
    return code, receipt.failure.reason, receipt.failure.message


def test_the_input_is_mercures(pod: Pod) -> None:
    data = pod.root / "data"
    names = {f"{one.SeriesInstanceUID}#{one.SOPInstanceUID}" for one in SLICES}
    assert {path.name for path in data.iterdir()} == {f"{name}{end}" for name in names for end in (".dcm", ".tags")} | {"task.json"}
    assert {path.stat().st_mode & 0o777 for path in data.iterdir()} == {0o666}
    one = SLICES[3]
    stem = data / f"{one.SeriesInstanceUID}#{one.SOPInstanceUID}"
    assert dcmread(f"{stem}.dcm").PixelData == one.PixelData
    tags = json.loads(Path(f"{stem}.tags").read_text())
    assert all(isinstance(value, str) for value in tags.values())
    assert (tags["Modality"], tags["PatientID"], tags["SOPInstanceUID"], tags["SenderAET"]) == ("CT", one.PatientID, one.SOPInstanceUID, "CT_1")
    assert tags["ImageType"] == "\\".join(one.ImageType) if "ImageType" in one else "ImageType" not in tags


def test_task_json_is_mercures(pod: Pod) -> None:
    task = json.loads((pod.root / "data" / "task.json").read_text())
    assert set(task) == {"id", "info", "process", "dispatch", "study", "nomad_info"}  # its schema forbids others
    assert task["process"]["settings"] == {"threshold": 0.5}
    assert (task["process"]["module_name"], task["process"]["module_config"]["docker_tag"]) == ("nodule", "localhost/nodule:1")
    info = task["info"]
    assert (info["uid"], info["uid_type"], info["applied_rule"]) == (SLICES[0].StudyInstanceUID, "study", "chest-ct-nodules")
    assert (info["patient_name"], info["mrn"], info["acc"]) == (str(SLICES[0].PatientName), SLICES[0].PatientID, SLICES[0].AccessionNumber)
    assert task["study"]["received_series_uid"] == [SLICES[0].SeriesInstanceUID]


def test_the_other_containers_input_cannot_be_changed_by_a_module(pod: Pod) -> None:
    """Its copy is its own: publish checks against what fetch laid out."""
    assert pod.module("nodule", 'for one in "$MERCURE_IN_DIR"/*.dcm; do echo broken >"$one"; done; echo {} >"$MERCURE_OUT_DIR/result.json"') == 0
    assert dcmread(next(pod.input.glob("1/*.dcm"))).PatientID == SLICES[0].PatientID


def test_what_a_module_passes_on_is_no_result(server: OrthancServer, pod: Pod) -> None:
    (pod.root / "seg.dcm").write_bytes(as_file(a_segmentation(SLICES)))
    note = json.dumps({"foo": "bar", "__mercure_notification": {"text": f"2 nodules\nin {SLICES[0].PatientName}", "requested": True}})
    assert pod.module("nodule", f'cp -r "$MERCURE_IN_DIR"/. "$MERCURE_OUT_DIR" && cp {pod.root}/seg.dcm "$MERCURE_OUT_DIR/1.2#3.dcm" && printf %s \'{note}\' >"$MERCURE_OUT_DIR/result.json"') == 0
    code, receipt = pod.publish()
    assert code == 0, pod.log
    assert [one.kind for one in receipt.results] == ["SEG"]
    assert receipt.warnings[0] == "the module says: 2 nodules in (identifier)"
    assert "2 nodules" not in pod.log
    assert len(server.rest("GET", f"/studies/{server.studies()[0]}/instances")) == len(SLICES) + 1


def test_a_changed_image_under_its_old_name_is_refused(pod: Pod) -> None:
    image = dcmread(next(pod.input.glob("1/*.dcm")))
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    image.Modality = "OT"
    image.save_as(pod.root / "changed.dcm")
    assert pod.module("nodule", f'cp {pod.root}/changed.dcm "$MERCURE_OUT_DIR"') == 0
    code, reason, message = refused(pod)
    assert (code, reason) == (65, "UnacceptedObject")
    assert "has the SOP Instance UID of an input image" in message


def test_values_of_result_json_become_a_report(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    rule = {"file": "result.json", "type": NODULE, "presence": {"path": "/nodules", "atLeast": 1}}
    pod = fetched(server, tmp_path, program, a_module("nodule"), mapping=[rule])
    asks = json.dumps({"nodules": 2, "__mercure_routing": {"target": "elsewhere", "discard": True}})
    assert pod.module("nodule", f'echo \'{asks}\' >"$MERCURE_OUT_DIR/result.json"') == 0
    code, receipt = pod.publish()
    assert code == 0, pod.log
    assert receipt.findings is not None
    assert ([one.kind for one in receipt.results], receipt.findings.present) == (["SR"], 1)
    assert receipt.warnings == ("result.json asks for another way of its results (__mercure_routing): not followed; delivery of the pipeline decides",)


IDLE = {
    "nothing at all": "true",
    "its input alone": 'cp -r "$MERCURE_IN_DIR"/. "$MERCURE_OUT_DIR"',
    "a result that no mapping reads": 'echo {} >"$MERCURE_OUT_DIR/result.json"',
}


@pytest.mark.parametrize("script", IDLE.values(), ids=IDLE)
def test_a_module_that_leaves_nothing_of_its_own_has_failed(pod: Pod, script: str) -> None:
    assert pod.module("nodule", script) == 0
    words = (
        "step nodule ended with 0 but left neither DICOM objects nor findings.json in its output folder"
        " (images of the input do not count; report.mapping makes findings of result.json)"
    )
    assert refused(pod) == (65, "NoOutput", words)


def test_a_result_that_is_no_json_is_told(server: OrthancServer, pod: Pod) -> None:
    (pod.root / "seg.dcm").write_bytes(as_file(a_segmentation(SLICES)))
    assert pod.module("nodule", f'cp {pod.root}/seg.dcm "$MERCURE_OUT_DIR" && echo "{{" >"$MERCURE_OUT_DIR/result.json"') == 0
    code, receipt = pod.publish()
    assert (code, receipt.warnings[0]) == (0, "result.json is not JSON: nothing of it was looked at")


def test_the_exit_code_of_a_module_is_its_own(pod: Pod) -> None:
    assert pod.module("nodule", "exit 7") == 7
    assert refused(pod) == (1, "StepFailed", "step nodule ended with exit code 7")


def test_a_module_behind_another_gets_its_output_and_a_task_of_its_own(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    steps = a_module("prepare", settings={"a": 1}), a_module("nodule", settings={"b": 2})
    pod = fetched(server, tmp_path, program, *steps)
    (pod.root / "seg.dcm").write_bytes(as_file(a_segmentation(SLICES)))
    assert pod.module("prepare", f'cp {pod.root}/seg.dcm "$MERCURE_OUT_DIR/9#9.dcm"; cp "$MERCURE_IN_DIR/task.json" "$MERCURE_OUT_DIR"') == 0
    second = pod.root / "data-nodule"
    assert pod.module("nodule", 'cp "$MERCURE_IN_DIR"/* "$MERCURE_OUT_DIR" && rm "$MERCURE_IN_DIR/9#9.dcm"', before="prepare", data=second) == 0
    task = json.loads((second / "task.json").read_text())
    assert (task["process"]["module_name"], task["process"]["settings"]) == ("nodule", {"b": 2})
    assert (pod.output("prepare") / "9#9.dcm").exists()
    code, receipt = pod.publish()
    assert (code, [one.kind for one in receipt.results]) == (0, ["SEG"]), pod.log


def test_what_a_chain_cannot_hand_on_is_said(server: OrthancServer, tmp_path: Path, program: Path) -> None:
    pod = fetched(server, tmp_path, program, a_module("prepare"), a_module("nodule"))
    assert pod.module("prepare", 'ln -s /etc/passwd "$MERCURE_OUT_DIR/x"') == 0
    assert pod.module("nodule", "echo ran", before="prepare", data=pod.root / "data-nodule") == 121
    words = "step nodule was not run: what the step before it left cannot be handed on; see the container's log"
    assert refused(pod) == (1, "StepFailed", words)
