"""The nodule detector on phantoms: what it finds is what was planted, and it is said in the words of the contract.

More seeds and geometries, through files and as a process: tests/component/test_nodules.py.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples.algorithms.nodules.nodules.document import contour, findings_document
from examples.algorithms.nodules.nodules.lungs import Lungs, find_lungs
from examples.algorithms.nodules.nodules.settings import Settings, WrongSettings
from examples.algorithms.nodules.nodules.spheres import Sphere, find_spheres
from examples.algorithms.nodules.nodules.volume import Unusable, Volume
from examples.phantom import anatomy
from examples.phantom.make_ct import Options, draw, make_series

from gantry.report import parse_findings

ROOT = Path(__file__).parents[3]
Planted = tuple[anatomy.Sphere, ...]


def look(options: Options) -> tuple[Volume, Lungs, tuple[Sphere, ...], Planted]:
    """The phantom, its lungs, what is found in it and what was planted (in patient coordinates)."""
    hu, grid, planted = draw(options)
    volume = Volume(hu, grid.spacing, grid.axes, grid.origin, tuple(f"1.2.{k}" for k in range(len(hu))))
    lungs = find_lungs(volume)
    return volume, lungs, find_spheres(volume, lungs, Settings()), planted


def phantom(*exact: anatomy.Sphere, slices: int = 32, **more: Any) -> Options:
    return Options(**{"slices": slices, "exact": exact, "vessels": 0, **more})


def ball(diameter: float, x: float, y: float = 0, z: float = 0) -> anatomy.Sphere:
    return anatomy.Sphere((x, y, z), diameter)


CASES = {
    "one alone": (ball(9, 70),),
    "one in each lung": (ball(9, 80), ball(14, -80, 20, 6)),
    "two that touch": (ball(12, 65), ball(12, 77)),
    "a small one on a large one": (ball(16, 70), ball(8, 78.5, 8.5)),
    "one above another": (ball(12, 70), ball(10, 70, 0, 11)),
    "three in a row": (ball(12, 58), ball(12, 70), ball(12, 82)),
    "one at the wall": (ball(12, 78, -80.5),),
    "a large one": (ball(34, 78),),
    "none": (),
}


@pytest.mark.parametrize("planted", CASES.values(), ids=CASES.keys())
def test_finds_and_measures(planted: Planted) -> None:
    volume, _, found, truth = look(phantom(*planted))
    assert len(found) == len(truth)
    for sphere in truth:
        nearest = min(found, key=lambda one: float(np.linalg.norm(volume.place(one.center) - sphere.center)))
        assert np.linalg.norm(volume.place(nearest.center) - sphere.center) < 1.4  # a pixel
        assert nearest.diameter == pytest.approx(sphere.diameter, rel=0.04)


def test_the_document_follows_the_contract_and_says_where_and_how_large() -> None:
    volume, lungs, found, truth = look(phantom(ball(14, -80, 20, 6), ball(9, 80)))
    text = json.dumps(findings_document(volume, lungs, found, Settings())).encode()
    document = parse_findings(text)
    first, second = document.findings
    assert [code.value for code in document.evaluated_for] == ["427359005"]
    assert (first.type.value, first.presence, first.sites[0].laterality) == ("427359005", "present", "right")
    assert second.sites[0].laterality == "left"
    assert {m.name.value: (m.value, m.unit) for m in first.measurements} == {
        "81827009": (pytest.approx(14, rel=0.02), "mm"),
        "118565006": (pytest.approx(4 / 3 * np.pi * 7**3, rel=0.05), "mm3"),
    }
    assert first.confidence is not None
    assert first.confidence.value > 0.9
    x, y, z = (float(word) for word in str(first.comment).removeprefix("centre (").removesuffix(") mm").split(", "))
    assert (x, y, z) == pytest.approx(truth[0].center, abs=0.5)
    assert document.summary is not None
    assert document.summary.impression == f"2 solid nodules, the largest of {found[0].diameter:.1f} mm in the right lung."


def test_nothing_found_is_said_with_what_was_looked_for() -> None:
    volume, lungs, found, _ = look(phantom())
    document = parse_findings(json.dumps(findings_document(volume, lungs, found, Settings())).encode())
    assert document.findings == ()
    assert [code.value for code in document.evaluated_for] == ["427359005"]
    assert document.summary is not None
    assert document.summary.impression == "No solid nodule of 4.4 mm or more found."


def test_the_contour_is_in_pixels_whose_corner_is_zero() -> None:
    """DICOM's 2D coordinates (PS3.3 C.18.6.1.1) begin at the top left corner of the top left pixel: index i has its centre at i + 0.5."""
    volume, _, (sphere,), _ = look(phantom(ball(20, 78), noise=0))
    key = round(float(sphere.center[0]))
    points = np.array(contour(volume, sphere, key))
    row, column = sphere.center[1:]
    assert points.mean(axis=0) == pytest.approx([column + 0.5, row + 0.5], abs=0.02)
    radii = np.linalg.norm((points - points.mean(axis=0)) * volume.spacing[1:], axis=1)
    assert radii == pytest.approx(np.full(len(points), 10), abs=0.5)


def test_images_without_lungs_are_refused_and_not_called_healthy() -> None:
    water = Volume(np.zeros((20, 64, 64), np.int16), np.array([3.0, 3.0, 3.0]), np.eye(3), np.zeros(3), ("1.2",) * 20)
    with pytest.raises(Unusable, match="no lung in the images"):
        find_lungs(water)


def test_slices_too_thick_for_what_is_looked_for_are_refused() -> None:
    hu, grid, _ = draw(phantom(slices=12, slice_spacing=10.0))
    volume = Volume(hu, grid.spacing, grid.axes, grid.origin, ("1.2",) * 12)
    with pytest.raises(Unusable, match=r"slices of 10\.0 mm are too thick"):
        find_spheres(volume, find_lungs(volume), Settings(maxDiameter=20))


WRONG_SETTINGS = {
    "not JSON": ("{", "is not JSON"),
    "a list": ("[]", "settings may hold"),
    "an unknown name": ('{"sensitivity": 1}', "settings may hold maxDiameter, minConfidence, minDiameter, threshold"),
    "a word for a number": ('{"threshold": "low"}', "threshold must be a number; given: 'low'"),
    "true for a number": ('{"threshold": true}', "threshold must be a number"),
    "limits the wrong way round": ('{"minDiameter": 9, "maxDiameter": 3}', "minDiameter < maxDiameter"),
    "a confidence of 90": ('{"minConfidence": 90}', "minConfidence is 0 to 1"),
}


@pytest.mark.parametrize(("text", "message"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS.keys())
def test_wrong_settings_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(WrongSettings, match=message):
        Settings.read(tmp_path / "settings.json")


@pytest.mark.parametrize("text", [None, "{}", '{"minDiameter": 4}'], ids=["no file", "an empty object", "a whole number"])
def test_settings_may_be_left_out(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "settings.json").write_text(text)
    assert Settings.read(tmp_path / "settings.json") == Settings()


def detect(folder: Path, *, settings: str = "{}") -> subprocess.CompletedProcess[str]:
    """The application as Gantry starts it."""
    (folder / "output").mkdir(exist_ok=True)
    (folder / "settings.json").write_text(settings)
    environment = {"GANTRY_INPUT": folder / "input", "GANTRY_OUTPUT": folder / "output", "GANTRY_SETTINGS": folder / "settings.json"}
    program = ROOT / "examples" / "algorithms" / "nodules" / "detect.py"
    return subprocess.run([sys.executable, program], env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_input_that_cannot_be_used_ends_with_a_code_that_is_not_retried(tmp_path: Path) -> None:
    make_series(tmp_path / "input" / "1", Options(slices=5, matrix=24, spheres=0, vessels=0))
    (tmp_path / "input" / "1" / "ct0003.dcm").unlink()
    done = detect(tmp_path)
    assert done.returncode == 65
    assert done.stderr.startswith("nodules: series 1: the slices are not evenly spaced")
    assert not list((tmp_path / "output").iterdir())


def test_no_input_and_wrong_settings_have_codes_of_their_own(tmp_path: Path) -> None:
    assert detect(tmp_path).returncode == 66
    done = detect(tmp_path, settings='{"a": 1}')
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
