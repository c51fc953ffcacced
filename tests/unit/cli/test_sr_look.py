"""`gantry sr show --html` and `--png`: a page that needs nothing else, with each finding on its key image."""

import base64
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from tests.builders_dicom import a_segmentation, as_file, ct_series, write_series
from tests.builders_findings import Json, a_context, a_document, a_finding, a_segment, an_ellipse, in_space, negative, parsed
from tests.unit.cli.conftest import Gantry

from gantry.report import build_report
from gantry.report.pictures import COLOUR


def written(folder: Path, document: Json) -> Path:
    """The SR, its images and its segmentation."""
    source = ct_series(pixels=True)
    segmentation = a_segmentation(source)
    write_series(source, folder / "images")
    (folder / "images" / "seg.dcm").write_bytes(as_file(segmentation))
    *_, built = build_report(parsed(document), source, a_context(), {"seg.dcm": segmentation})
    (folder / "sr.dcm").write_bytes(built.dicom)
    return folder / "sr.dcm"


def inline(page: str) -> list[Image.Image]:
    return [Image.open(BytesIO(base64.b64decode(data))) for data in re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)]


def is_marked(image: Image.Image) -> bool:
    return bool((np.abs(np.asarray(image.convert("RGB")).astype(int) - COLOUR).max(axis=2) < 60).sum() > 100)


REGIONS: dict[str, Json] = {
    "an ellipse on an image": an_ellipse(),
    "a point in space": in_space("point3d"),
    "an ellipsoid in space": in_space("ellipsoid3d"),
    "an outline between slices": {"kind": "polygon3d", "points": [[0, 0, -52.5], [10, 0, -52.5], [10, 8, -52.5]]},
    "a segment": a_segment(),
}


@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS.keys())
def test_a_finding_is_drawn_on_its_key_image(gantry: Gantry, tmp_path: Path, region: Json) -> None:
    path = written(tmp_path, a_document(a_finding(region=region)))
    done = gantry("sr", "show", path, "--html", tmp_path / "p.html", "--png", tmp_path / "png", "--images", tmp_path / "images")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [str(tmp_path / "png" / "01-nodule-1.png"), str(tmp_path / "p.html")]
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert all(is_marked(image) for image in inline(page))
    assert "CT, series 3, image " in page
    assert is_marked(Image.open(tmp_path / "png" / "01-nodule-1.png"))


def test_the_page_says_what_the_report_says(gantry: Gantry, tmp_path: Path) -> None:
    document = a_document(a_finding(region=an_ellipse(), comment="grown"), evaluatedFor=negative()["evaluatedFor"], summary={"impression": "One nodule."})
    assert gantry("sr", "show", written(tmp_path, document), "--html", tmp_path / "p.html").code == 0
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    for words in ("One nodule.", "Solitary nodule of lung", "Upper lobe of lung, right", "12.1 mm", "93.4 %", "grown", "Pneumothorax", "LungNoduleNet 2.1.0 (ACME AI)", "not verified by a person"):
        assert words in page, words


def test_whose_report_it_is_stands_there_only_when_asked(gantry: Gantry, tmp_path: Path) -> None:
    path = written(tmp_path, a_document(a_finding(region=an_ellipse())))
    for options, told in (((), False), (("--patient",), True)):
        assert gantry("sr", "show", path, "--html", tmp_path / "p.html", "--images", tmp_path / "images", *options).code == 0
        page = (tmp_path / "p.html").read_text(encoding="utf-8")
        assert [word in page for word in ("Müller^Jürgen", "PAT-0042", "ACC20260001", "1960-01-01")] == [told] * 4
        assert "2.25." not in page


def test_nothing_of_the_file_becomes_markup_and_nothing_is_loaded(gantry: Gantry, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
    document = a_document(a_finding(comment=evil, type={"scheme": "99X", "value": "<b>", "meaning": "<i>bad</i>"}), summary={"impression": evil})
    assert gantry("sr", "show", written(tmp_path, document), "--html", tmp_path / "p.html").code == 0
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|<i>bad|<b>|<[^>]*(src|href)=\"(?!data:)|<img src=x", page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page


def test_a_finding_without_picture_says_why(gantry: Gantry, tmp_path: Path) -> None:
    path = written(tmp_path, a_document(a_finding(region=an_ellipse(10))))
    (tmp_path / "images" / "0010.dcm").unlink()
    assert gantry("sr", "show", path, "--html", tmp_path / "p.html", "--images", tmp_path / "images").code == 0
    assert "Not drawn: its image is not in the folder." in (tmp_path / "p.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("numbers", [[0.0] * 18, [float("nan")] * 18, [1e30] * 18], ids=["no extent", "no numbers", "far away"])
def test_a_region_without_sense_is_no_reason_to_fail(gantry: Gantry, tmp_path: Path, numbers: list[float]) -> None:
    """Reports of other makers are shown, too."""
    path = written(tmp_path, a_document(a_finding(region=in_space("ellipsoid3d"))))
    dataset = dcmread(path)
    for item in dataset.iterall():
        if item.keyword == "GraphicData":
            item.value = numbers
    dataset.save_as(path)
    done = gantry("sr", "show", path, "--html", tmp_path / "p.html", "--images", tmp_path / "images")
    assert (done.code, done.err) == (0, "")
    assert "Not drawn: its region makes no sense." in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_pictures_need_images(gantry: Gantry, tmp_path: Path) -> None:
    path = written(tmp_path, a_document(a_finding()))
    (tmp_path / "empty").mkdir()
    assert gantry("sr", "show", path, "--png", tmp_path)[::2] == (2, "gantry: --png needs the images: --images DIR\n")
    done = gantry("sr", "show", path, "--png", tmp_path, "--images", tmp_path / "empty")
    assert (done.code, done.err) == (1, f"gantry: {tmp_path}/empty holds no DICOM file\n")
    done = gantry("sr", "show", path, "--html", tmp_path / "none" / "p.html")
    assert (done.code, done.out) == (1, "")
    assert "cannot be written: No such file or directory" in done.err


def test_a_name_in_the_report_is_no_path(gantry: Gantry, tmp_path: Path) -> None:
    path = written(tmp_path, a_document(a_finding(region=an_ellipse())))
    dataset = dcmread(path)
    for item in dataset.iterall():
        if item.keyword == "TextValue" and item.value == "nodule-1":
            item.value = "../../etc/x"
    dataset.save_as(path)
    assert gantry("sr", "show", path, "--png", tmp_path / "png", "--images", tmp_path / "images").code == 0
    assert [one.name for one in (tmp_path / "png").iterdir()] == ["01--etc-x.png"]
