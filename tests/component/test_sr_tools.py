"""`gantry sr` on files as an author has them: the example's findings become reports, that are checked, compared and shown in a real browser.

The browser's tests need Debian's chromium; they run with `make test-browser`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from examples.phantom.make_ct import Options, make_series
from PIL import Image

from gantry.report.pictures import COLOUR

ROOT = Path(__file__).parents[2]
CHROMIUM = ("chromium", "--headless", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars")


def gantry(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", "from gantry.cli.main import main; main()", *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom's images, what the example says of them, and its report."""
    folder = tmp_path_factory.mktemp("work")
    make_series(folder / "input" / "1", Options(spheres=3))
    (folder / "output").mkdir()
    environment = {"GANTRY_INPUT": folder / "input", "GANTRY_OUTPUT": folder / "output", "GANTRY_SETTINGS": folder / "none.json"}
    program = ROOT / "examples" / "algorithms" / "nodules" / "detect.py"
    subprocess.run([sys.executable, program], env={**os.environ, **environment}, check=True)
    built = gantry("sr", "build", "--findings", folder / "output" / "findings.json", "--images", folder / "input", "--out", folder / "sr.dcm")
    assert (built.returncode, built.stderr) == (0, "")
    return folder


def test_what_is_built_is_valid(work: Path) -> None:
    checked = gantry("sr", "validate", work / "sr.dcm", "--images", work / "input")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, f"{work}/sr.dcm: nothing wrong\n", "")


def test_another_process_makes_the_same_bytes(work: Path) -> None:
    again = gantry("sr", "build", "--findings", work / "output" / "findings.json", "--images", work / "input", "--out", work / "again.dcm")
    assert again.returncode == 0
    assert (work / "again.dcm").read_bytes() == (work / "sr.dcm").read_bytes()


def test_a_changed_measurement_is_the_difference(work: Path) -> None:
    document = json.loads((work / "output" / "findings.json").read_text())
    document["findings"][0]["measurements"][0]["value"] += 1
    (work / "changed.json").write_text(json.dumps(document))
    assert gantry("sr", "build", "--findings", work / "changed.json", "--images", work / "input", "--out", work / "changed.dcm").returncode == 0
    told = gantry("sr", "diff", work / "sr.dcm", work / "changed.dcm", "-o", "json")
    assert told.returncode == 1
    differing = [one for one in json.loads(told.stdout)["findings"] if one["differs"]]
    assert [one["matchedBy"] for one in differing] == ["type, site and distance"]
    assert [each["difference"] for each in differing[0]["measurements"] if each["difference"]] == [pytest.approx(1)]


@pytest.mark.browser
def test_the_page_shows_every_finding_in_a_real_browser(work: Path) -> None:
    """Seen, not parsed: the outline's colour is on the screen beside every finding, at the width of a desk and of a telephone."""
    page = work / "page.html"
    assert gantry("sr", "show", work / "sr.dcm", "--html", page, "--images", work / "input").returncode == 0
    for width in (1160, 500):
        shot = work / f"shot-{width}.png"
        subprocess.run([*CHROMIUM, f"--window-size={width},3600", f"--user-data-dir={work}/browser", f"--screenshot={shot}", page.as_uri()], capture_output=True, timeout=120, check=True)
        seen = np.asarray(Image.open(shot).convert("RGB")).astype(int)
        assert seen.shape[1] == width
        dark = (seen.max(axis=2) < 70).sum()
        assert dark > 3 * 20_000, "the three slices have dark air around the body"
        yellow = np.abs(seen - COLOUR).max(axis=2) < 40
        bands = np.flatnonzero(np.diff(np.flatnonzero(yellow.any(axis=1))) > 100)
        assert len(bands) + 1 >= 3, "three findings, one below the other"


@pytest.mark.browser
def test_the_page_is_dark_where_the_screen_is(work: Path) -> None:
    """Reports are read in dark rooms: the page follows the system, and the pictures stay as they are."""
    page = work / "page.html"
    assert gantry("sr", "show", work / "sr.dcm", "--html", page, "--images", work / "input").returncode == 0
    corners = {}
    for scheme, number in (("dark", 0), ("light", 1)):
        shot = work / f"{scheme}.png"
        look = f"--blink-settings=preferredColorScheme={number}"
        subprocess.run([*CHROMIUM, look, "--window-size=1160,900", f"--user-data-dir={work}/browser", f"--screenshot={shot}", page.as_uri()], capture_output=True, timeout=120, check=True)
        corners[scheme] = max(Image.open(shot).convert("RGB").getpixel((2, 2)))
    assert corners["dark"] < 40 < 230 < corners["light"]


@pytest.mark.browser
def test_a_browser_takes_a_reports_text_as_text(work: Path) -> None:
    document = json.loads((work / "output" / "findings.json").read_text())
    document["summary"] = {"impression": "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"}
    (work / "evil.json").write_text(json.dumps(document))
    assert gantry("sr", "build", "--findings", work / "evil.json", "--images", work / "input", "--out", work / "evil.dcm").returncode == 0
    assert gantry("sr", "show", work / "evil.dcm", "--html", work / "evil.html").returncode == 0
    done = subprocess.run([*CHROMIUM, f"--user-data-dir={work}/browser", "--dump-dom", (work / "evil.html").as_uri()], capture_output=True, text=True, timeout=120, check=True)
    assert "<title>Imaging Measurement Report</title>" in done.stdout
    assert "&lt;script&gt;document.title='taken'&lt;/script&gt;" in done.stdout
    assert "<script" not in done.stdout
