"""The phantom and the nodule detector through files and as a process: valid DICOM in, every sphere and nothing else out."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from examples.phantom.make_ct import Options, make_series

from gantry.report import parse_findings

ROOT = Path(__file__).parents[2]

GEOMETRIES: dict[str, Options] = {
    "2 mm slices of 256 x 256": Options(),
    "1 mm slices of 512 x 512": Options(slices=100, slice_spacing=1.0, matrix=512, smallest=4.5, spheres=6),
    "2.5 mm slices of 512 x 512": Options(slices=60, slice_spacing=2.5, matrix=512, smallest=6.5, spheres=6),
    "5 mm slices": Options(slices=40, slice_spacing=5.0, matrix=512, smallest=13, largest=25, spheres=3),
    "oblique slices": Options(slices=90, oblique=15.0, spheres=6),
    "loud": Options(noise=60, smallest=7),
    "no sphere": Options(spheres=0),
}


def detect(folder: Path) -> list[dict[str, Any]]:
    """Findings of the application, run as Gantry runs it on a folder with `input`."""
    (folder / "output").mkdir()
    environment = {"GANTRY_INPUT": folder / "input", "GANTRY_OUTPUT": folder / "output", "GANTRY_SETTINGS": folder / "none.json"}
    program = ROOT / "examples" / "algorithms" / "nodules" / "detect.py"
    done = subprocess.run([sys.executable, program], env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (folder / "output" / "findings.json").read_bytes()
    parse_findings(text)
    findings: list[dict[str, Any]] = json.loads(text)["findings"]
    return findings


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_every_sphere_is_found_and_nothing_else(tmp_path: Path, geometry: Options, seed: int) -> None:
    options = Options(**{**vars(geometry), "seed": seed})
    truth = make_series(tmp_path / "input" / "1", options)
    findings = detect(tmp_path)
    assert len(findings) == len(truth)
    voxel = max(options.slice_spacing, options.pixel_spacing)
    for sphere in truth:
        places = {one["id"]: tuple(map(float, re.findall(r"-?[\d.]+", one["comment"]))) for one in findings}
        nearest = min(findings, key=lambda one: math.dist(places[one["id"]], sphere.center))
        assert math.dist(places[nearest["id"]], sphere.center) <= voxel
        assert nearest["measurements"][0]["value"] == pytest.approx(sphere.diameter, abs=max(1.0, 0.1 * sphere.diameter))


@pytest.mark.parametrize("oblique", [0.0, 15.0], ids=["axial", "oblique"])
def test_the_phantoms_images_are_valid_dicom(tmp_path: Path, oblique: float) -> None:
    make_series(tmp_path, Options(slices=12, matrix=64, spheres=0, oblique=oblique))
    files = sorted(tmp_path.glob("*.dcm"))
    image = subprocess.run(["dciodvfy", files[3]], capture_output=True, text=True, check=False)
    assert (image.stdout + image.stderr).splitlines() == ["CTImage"]
    series = subprocess.run(["dcentvfy", *files], capture_output=True, text=True, check=False)
    assert series.stdout + series.stderr == ""
