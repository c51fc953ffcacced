"""The examples authors copy are read and built."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from tests.builders_dicom import a_segmentation, an_image, changed, ct_series, read_back
from tests.builders_findings import a_context, parsed
from tests.builders_masks import nifti, placed
from tests.sr_structure import faults

from gantry.findings import parse_findings
from gantry.report import build_masks, build_report, count_findings, require_valid

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "findings.md").read_text("utf-8")
EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
WANTED = {"a finding with a region": (1, 1, 1), "a negative result": (1, 0, 1), "segments, 3D and no region": (4, 3, 0), "masks": (2, 1, 0)}


@pytest.mark.parametrize(("example", "wanted"), list(zip(EXAMPLES, WANTED.values(), strict=True)), ids=WANTED)
def test_an_example_becomes_a_report(example: dict[str, Any], wanted: tuple[int, int, int]) -> None:
    source = ct_series(20, pixels=True)
    changed(source[10], SOPInstanceUID="2.25.10")
    findings, drawn = build_masks(parsed(example), source, a_context(), {"liver.nii.gz": LIVER})
    built = build_report(findings, source, a_context(), {"nodules.dcm": a_segmentation(source), **drawn})
    counts = count_findings(parsed(example), a_context())
    assert (len(built), counts.present, counts.absent) == wanted
    assert [faults(read_back(sr.dicom)) for sr in built] == [[]] * len(built)


def test_the_coordinate_conventions_stand_in_bold() -> None:
    assert "**2D: column, row in pixels of the named image. The top-left corner of the top-left pixel is 0,0.**" in PAGE
    assert "**3D: x, y, z in mm of the patient: towards Left, Posterior, head (LPS).**" in PAGE


def images(kind: str, *numbers: int) -> list[Dataset]:
    return [an_image(kind, SOPInstanceUID=f"2.25.{number}", SeriesInstanceUID="2.25.1", InstanceNumber=number) for number in numbers]


def slices(**uids: str) -> list[Dataset]:
    """A CT series in which some slices, by number, have the UIDs of an example."""
    series = ct_series(20)
    for number, uid in uids.items():
        changed(series[int(number[1:])], SOPInstanceUID=uid)
    return series


def liver() -> bytes:
    """The organ with a lesion in it."""
    labels = np.zeros((20, 128, 128), np.uint8)
    labels[5:15, 30:90, 20:80], labels[8:11, 50:60, 40:50] = 1, 2
    return nifti(labels, placed(ct_series(20)))


LIVER = liver()
SOURCES: dict[str, list[Dataset]] = {
    "chest-nodule": slices(_10="2.25.1010"),
    "stroke-triage": slices(_4="2.25.2004", _5="2.25.2005"),
    "bone-age": images("DX", 3001),
    "mammography": images("MG", 4001, 4002),
    "fracture": images("DX", 5001),
    "dose": [an_image("CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67", SOPInstanceUID="2.25.6001", Modality="SR", Rows=None, Columns=None)],
    "quality-control": images("DX", 7001),
    "negative": ct_series(3),
    "not-evaluable": slices(_7="2.25.9001"),
    "liver-masks": ct_series(20),
    "follow-up": slices(_10="2.25.1010"),
}
WHOLE: dict[str, tuple[int, int, int]] = {
    "chest-nodule": (1, 2, 1),
    "stroke-triage": (1, 1, 2),
    "bone-age": (1, 1, 0),
    "mammography": (1, 1, 1),
    "fracture": (1, 2, 1),
    "dose": (1, 1, 1),
    "quality-control": (1, 0, 2),
    "negative": (1, 0, 3),
    "not-evaluable": (1, 0, 1),
    "liver-masks": (2, 1, 0),
    "follow-up": (2, 1, 1),
}
"""Reports, present, absent."""


def test_every_example_is_commented_and_tested() -> None:
    files = {path.stem for path in (ROOT / "examples" / "findings").glob("*.json")}
    commented = set(re.findall(r"\]\(\.\./examples/findings/(.*?)\.json\)", PAGE))
    assert files == commented == set(WHOLE) == set(SOURCES)


@pytest.mark.parametrize(("name", "wanted"), WHOLE.items(), ids=WHOLE)
def test_a_whole_example_becomes_a_report(name: str, wanted: tuple[int, int, int]) -> None:
    findings = parse_findings((ROOT / "examples" / "findings" / f"{name}.json").read_bytes())
    findings, drawn = build_masks(findings, SOURCES[name], a_context(), {"liver.nii.gz": LIVER})
    built = build_report(findings, SOURCES[name], a_context(), drawn)
    require_valid(built, SOURCES[name], drawn.values())
    counts = count_findings(findings, a_context())
    assert (len(built), counts.present, counts.absent) == wanted
    assert [faults(read_back(sr.dicom)) for sr in built] == [[]] * len(built)


def test_the_3d_outline_of_an_example_is_drawn_on_its_slice() -> None:
    findings = parse_findings((ROOT / "examples" / "findings" / "chest-nodule.json").read_bytes())
    (report,) = build_report(findings, SOURCES["chest-nodule"], a_context())
    assert "SCOORD3D" not in str(read_back(report.dicom))


def test_the_example_in_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_OUTPUT", str(tmp_path))
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/findings.md", "exec"), {})
    assert parse_findings((tmp_path / "findings.json").read_bytes()).findings[0].id == "nodule-1"


def test_the_message_the_page_shows_is_the_real_one() -> None:
    document = json.loads((ROOT / "examples" / "findings" / "chest-nodule.json").read_text("utf-8"))
    document["findings"][0]["measurements"][0]["unit"] = "millimetres"
    with pytest.raises(ValueError, match="millimetres") as caught:
        parse_findings(json.dumps(document).encode())
    assert f"`{caught.value}`" in PAGE
