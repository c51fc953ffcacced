"""What a mercure module finds and says, where no Orthanc is needed."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.builders import RUN, changed
from tests.builders_dicom import as_file, ct_series

from gantry.api.run import RunSpec
from gantry.orthanc import InstanceResource, SeriesResource, StudyResource
from gantry.runs import Task
from gantry.worker.layout import Layout, lay_out
from gantry.worker.mercure import hand_to_modules, task_json
from gantry.worker.module_results import Forwarded, warnings_of
from gantry.worker.workspace import Workspace

MODULE = {"name": "nodule", "image": "localhost/nodule:1", "contract": "Mercure", "command": ["./run"]}


def a_task(*steps: dict[str, Any]) -> Task:
    spec = RunSpec.model_validate(changed(RUN["spec"], "template.steps", list(steps)))
    return Task(installation="test", namespace="radiology", run="r", uid="run-uid", created=datetime(2026, 11, 24, 12, tzinfo=UTC), orthanc_url="http://orthanc", connections=1, spec=spec)


def a_layout(uid: str) -> Layout:
    study = StudyResource(id="s", tags={"StudyInstanceUID": "1.2"}, series=(), last_update=None, is_stable=True)
    series = SeriesResource(id="x", study="s", tags={"SeriesInstanceUID": "1.2.3"}, instances=(), last_update=None, is_stable=True)
    return lay_out(study, [(series, [InstanceResource(id="i", sop_instance_uid=uid, size=1, number=1)])])


def handed(root: Path, uid: str, content: bytes) -> list[str]:
    workspace = Workspace(root)
    (workspace.input / "1").mkdir(parents=True)
    (workspace.input / "1" / "0001.dcm").write_bytes(content)
    hand_to_modules(a_task(MODULE), a_layout(uid), workspace)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize(("uid", "name"), [("1.2.4", "1.2.4"), ("../../1.2", ".._.._1.2"), ("", "_"), ("1.2\x00", "1.2_")])
def test_a_name_stays_in_its_folder_whatever_somebody_wrote_into_the_uid(tmp_path: Path, uid: str, name: str) -> None:
    files = handed(tmp_path, uid, as_file(ct_series(1, pixels=True)[0]))
    assert files == [f"data/1.2.3#{name}.dcm", f"data/1.2.3#{name}.tags", "data/task.json", "input/1/0001.dcm"]


def test_a_file_without_preamble_or_with_a_number_that_is_none_is_handed_over(tmp_path: Path) -> None:
    """Orthanc keeps such files."""
    image = as_file(ct_series(1, pixels=True)[0])
    assert handed(tmp_path / "one", "1.2.4", image[132:])
    assert handed(tmp_path / "two", "1.2.4", b"\x20\x00\x13\x00IS\x02\x00xy" + b"\x20\x00\x11\x00IS\x02\x007 ")
    assert handed(tmp_path / "three", "1.2.4", b"\x08\x00\x05\x00SQ\x00\x00\xff\xff\xff\xffnothing of it is DICOM")
    tags = json.loads((tmp_path / "two" / "data" / "1.2.3#1.2.4.tags").read_text())
    assert (tags["InstanceNumber"], tags["SeriesNumber"]) == ("xy", "7")


def test_only_a_first_module_gets_the_images_and_every_module_its_task(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    native = {"name": "prepare", "image": "localhost/p:1", "command": ["x"]}
    hand_to_modules(a_task(native, MODULE), a_layout("1.2.4"), workspace)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["nodule.json"]
    assert not workspace.data.exists()


def test_a_task_is_the_same_each_time() -> None:
    task = a_task(MODULE)
    (step,) = task.spec.template.steps
    assert task_json(task, step, a_layout("1")) == task_json(task, step, a_layout("1"))


SAID = {
    "no object": (b"[1]", ()),
    "nothing of it": (b'{"volume": 3}', ()),
    "a text": (b'{"__mercure_notification": {"text": " two\\n nodules\\u0007 "}}', ("the module says: two nodules",)),
    "a text that is none": (b'{"__mercure_notification": {"text": 5}}', ()),
    "a notification that is none": (b'{"__mercure_notification": "x"}', ()),
    "a novel": (json.dumps({"__mercure_notification": {"text": "x" * 4000}}).encode(), (f"the module says: {'x' * 149}…",)),
    "another way": (b'{"__mercure_routing": {"discard": true}}', ("result.json asks for another way of its results (__mercure_routing): not followed; delivery of the pipeline decides",)),
    "no JSON": (b"\xff", ("result.json is not JSON: nothing of it was looked at",)),
    "depth": (b"[" * 100_000, ("result.json is not JSON: nothing of it was looked at",)),
}


@pytest.mark.parametrize(("content", "lines"), SAID.values(), ids=SAID)
def test_what_a_module_says(content: bytes, lines: tuple[str, ...]) -> None:
    assert warnings_of([content]) == lines


def test_a_file_is_known_by_its_content_alone(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "0001.dcm").write_bytes(b"image")
    forwarded = Forwarded(tmp_path)
    assert [forwarded.holds(io.BytesIO(one), len(one)) for one in (b"image", b"imagf", b"imag")] == [True, False, False]
