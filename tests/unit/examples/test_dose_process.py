"""The dose application as Gantry starts it: settings, input that cannot be used, and the codes it ends with."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
from examples.algorithms.dose.dose.settings import Settings, WrongSettings
from examples.phantom.make_ct import Options, make_series
from examples.phantom.make_rdsr import PLANTED, add_dose
from tests.builders_dose import LEVELS, as_json, impression, measured

from gantry.findings import parse_findings
from gantry.worker.dicom_json import encoded

ROOT = Path(__file__).parents[3]
WRONG_SETTINGS = {
    "not JSON": ("{", "is not JSON"),
    "an unknown name": ('{"levels": {}}', "settings may hold referenceLevels, tolerance"),
    "an unknown region": ('{"referenceLevels": {"thorax": {"DLP": 1}}}', "referenceLevels names regions out of abdomen, abdomenPelvis, chest"),
    "an unknown quantity": ('{"referenceLevels": {"chest": {"SSDE": 1}}}', r"referenceLevels\.chest holds CTDIvol \(mGy\) and DLP"),
    "no quantity": ('{"referenceLevels": {"chest": {}}}', r"referenceLevels\.chest holds"),
    "a word for a number": ('{"referenceLevels": {"chest": {"DLP": "high"}}}', r"referenceLevels\.chest\.DLP must be a number above 0; given: 'high'"),
    "a level of nothing": ('{"referenceLevels": {"chest": {"DLP": 0}}}', r"must be a number above 0; given: 0"),
    "a tolerance of ten": ('{"tolerance": 10}', "tolerance is a share from 0 to 1"),
}


@pytest.mark.parametrize(("text", "message"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS.keys())
def test_wrong_settings_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(WrongSettings, match=message):
        Settings.read(tmp_path / "settings.json")


def an_input(folder: Path, files: dict[str, tuple[str, bytes]]) -> Path:
    """A folder as fetch lays it out: path -> modality, content."""
    (folder / "output").mkdir(parents=True)
    series: dict[str, dict[str, Any]] = {}
    for path, (modality, content) in files.items():
        place = folder / "input" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        one = series.setdefault(path.partition("/")[0], {"modality": modality, "instances": []})
        one["instances"].append({"path": path})
    (folder / "input").mkdir(exist_ok=True)
    (folder / "input" / "study.json").write_text(json.dumps({"series": list(series.values())}))
    return folder


def read_dose(folder: Path, settings: str = "{}") -> subprocess.CompletedProcess[str]:
    """The application as Gantry starts it."""
    (folder / "settings.json").write_text(settings)
    environment = {"GANTRY_INPUT": folder / "input", "GANTRY_OUTPUT": folder / "output", "GANTRY_SETTINGS": folder / "settings.json"}
    program = ROOT / "examples" / "algorithms" / "dose" / "read_dose.py"
    return subprocess.run([sys.executable, program], env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_as_a_process_on_the_phantoms_own_headers(tmp_path: Path) -> None:
    make_series(tmp_path / "ct", Options(slices=4, matrix=32, spheres=0, vessels=0))
    add_dose(tmp_path / "ct")
    planted = json.loads((tmp_path / "ct" / "dose.json").read_text())
    assert [dataclasses.asdict(one)["dlp"] for one in PLANTED] == [one["dlp"] for one in planted]
    files = {f"1/{place:04d}.json": ("CT", encoded(as_json(pydicom.dcmread(path)))) for place, path in enumerate(sorted((tmp_path / "ct").glob("ct*.dcm")), 1)}
    files["2/0001.json"] = ("SR", encoded(as_json(pydicom.dcmread(tmp_path / "ct" / "rdsr.dcm"))))
    done = read_dose(an_input(tmp_path / "run", files), json.dumps({"referenceLevels": LEVELS}))
    assert (done.returncode, done.stdout) == (0, "2 irradiation events in 4 images and 1 reports\n"), done.stderr
    found = parse_findings((tmp_path / "run" / "output" / "findings.json").read_bytes())
    assert {value[0] for one in found.findings for value in measured(one).values()} >= {one[key] for one in planted for key in ("ctdi", "dlp")}
    assert "Note" not in impression(found)


REFUSED = {
    "no input": ({}, 66, "dose: the study has no instances\n"),
    "images with pixels": ({"1/0001.dcm": ("CT", b"x")}, 65, "dose: the input are images; set input.content: Metadata in the pipeline\n"),
    "a file that is no JSON": ({"1/0001.json": ("CT", b"\xff{")}, 65, "dose: 1/0001.json cannot be read: UnicodeDecodeError\n"),
    "a file that is no dataset": ({"1/0001.json": ("CT", b"[1]")}, 65, "dose: 1/0001.json is no DICOM JSON\n"),
    "elements of the wrong shape": ({"1/0001.json": ("SR", b'{"0040A043": {"vr": "SQ", "Value": "x"}, "0040A730": 7}')}, 65, "dose: neither images nor reports tell CTDIvol or DLP\n"),
    "a bomb": ({"1/0001.json": ("SR", b"[" * 100_000)}, 65, "dose: 1/0001.json cannot be read: RecursionError\n"),
}


@pytest.mark.parametrize(("files", "code", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_input_that_cannot_be_used_ends_with_a_code_that_is_not_retried(files: dict[str, tuple[str, bytes]], code: int, words: str, tmp_path: Path) -> None:
    done = read_dose(an_input(tmp_path / "run", files))
    assert (done.returncode, done.stderr) == (code, words)
    assert not list((tmp_path / "run" / "output").iterdir())


def test_wrong_settings_have_a_code_of_their_own(tmp_path: Path) -> None:
    done = read_dose(an_input(tmp_path / "run", {}), '{"a": 1}')
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
