"""Reports in the character set a PACS can read, when it holds every character of them; nothing is ever lost."""

from typing import Any

import pytest
from pydicom import Dataset
from tests.builders_dicom import ct_series, read_back
from tests.builders_findings import a_context, a_document, a_finding, parsed

from gantry.report import BuiltObject, build_report, validate_report


def built(name: str, character_set: str, **finding: Any) -> tuple[BuiltObject, Dataset]:
    source = ct_series(3, PatientName=name, SpecificCharacterSet="ISO_IR 192")
    (one,) = build_report(parsed(a_document(a_finding(**finding))), source, a_context(character_set=character_set))
    return one, read_back(one.dicom)


NAMES = {"ISO_IR 100": "Müller^Jörg", "ISO_IR 101": "Łukasz^Żak", "ISO_IR 148": "Şahin^Özgür"}


@pytest.mark.parametrize(("character_set", "name"), NAMES.items(), ids=NAMES.keys())
def test_names_are_written_in_it_and_read_back_the_same(character_set: str, name: str) -> None:
    one, report = built(name, character_set)
    assert (one.character_set, report.SpecificCharacterSet, str(report.PatientName)) == (character_set, character_set, name)
    assert name.encode("utf-8") not in one.dicom
    assert validate_report(report) == ()


LOST = {
    "a name": ("山田^太郎", {}),
    "one letter of a name": ("Wałęsa^Lech", {}),
    "a comment deep in the report": ("Müller^Jörg", {"comment": "Größe ≥ 5 mm"}),
}


@pytest.mark.parametrize(("name", "finding"), LOST.values(), ids=LOST.keys())
def test_it_stays_in_utf_8_where_a_character_would_be_lost(name: str, finding: dict[str, Any]) -> None:
    one, report = built(name, "ISO_IR 100", **finding)
    assert (one.character_set, report.SpecificCharacterSet, str(report.PatientName)) == ("ISO_IR 192", "ISO_IR 192", name)


def test_without_a_wish_it_is_utf_8() -> None:
    assert built("Müller^Jörg", "ISO_IR 192")[1].SpecificCharacterSet == "ISO_IR 192"
