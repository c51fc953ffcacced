"""The examples authors copy are read and built."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.builders_dicom import a_segmentation, changed, ct_series, read_back
from tests.builders_findings import a_context, parsed
from tests.sr_structure import faults

from gantry.report import build_report, count_findings

PAGE = (Path(__file__).parents[3] / "docs" / "findings.md").read_text("utf-8")
EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
WANTED = {"a finding with a region": (1, 1, 1), "a negative result": (1, 0, 1), "segments, 3D and no region": (3, 3, 0)}


@pytest.mark.parametrize(("example", "wanted"), list(zip(EXAMPLES, WANTED.values(), strict=True)), ids=WANTED)
def test_an_example_becomes_a_report(example: dict[str, Any], wanted: tuple[int, int, int]) -> None:
    source = ct_series(20, pixels=True)
    changed(source[10], SOPInstanceUID="2.25.10")
    built = build_report(parsed(example), source, a_context(), {"nodules.dcm": a_segmentation(source)})
    counts = count_findings(parsed(example), a_context())
    assert (len(built), counts.present, counts.absent) == wanted
    assert [faults(read_back(sr.dicom)) for sr in built] == [[]] * len(built)


def test_the_coordinate_conventions_stand_in_bold() -> None:
    assert "**2D: column, row in pixels of the named image. The top-left corner of the top-left pixel is 0,0.**" in PAGE
    assert "**3D: x, y, z in mm of the patient: towards Left, Posterior, head (LPS).**" in PAGE
