"""docs/conformance/dicom.md names what the source names: SOP classes, private codes, nothing else."""

import re
from pathlib import Path

from gantry.report import absence, keyobjects, overview, segmentation, vocabulary
from gantry.report.context import SOP_CLASS_UIDS
from gantry.report.objects import KINDS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "conformance" / "dicom.md").read_text(encoding="utf-8")


def test_the_classes_of_made_objects_are_named() -> None:
    made = {*SOP_CLASS_UIDS.values(), segmentation.SOP_CLASS, keyobjects.SOP_CLASS, overview.ONE_PAGE, overview.PAGES}
    assert set(re.findall(r"\| (1\.2\.840\.10008\.5\.1\.4\.1\.1\.[0-9.]+) \|", PAGE)) == made


def test_every_kind_that_is_passed_on_has_a_row() -> None:
    section = PAGE.partition("## 3.")[2].partition("## 4.")[0]
    assert set(re.findall(r"^\| ([A-Z]+) \|", section, re.MULTILINE)) == set(KINDS.values())


def test_every_code_of_gantrys_own_is_named_with_its_meaning() -> None:
    constants = [one for one in vars(vocabulary).values() if isinstance(one, tuple) and len(one) == 3 and one[1] == vocabulary.OWN_SCHEME]
    own = {(value, meaning) for value, _, meaning in constants} | {(absence.REASON.value, absence.REASON.meaning)}
    assert set(re.findall(r"^\| ([A-Z-]+) \| ([^|]+) \|$", PAGE.partition("Coding scheme 99GANTRY")[2].partition("## 5.")[0], re.MULTILINE)) == own
