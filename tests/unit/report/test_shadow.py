"""A shadow pipeline's results say so wherever somebody may look: in the list of series, and in the report itself."""

import pytest
from pydicom import Dataset
from tests.builders_dicom import ct_series, read_back
from tests.builders_findings import a_box, a_context, a_document, a_finding, negative, parsed
from tests.sr_structure import STATEMENTS, children, faults, named

from gantry.report import build_report, mark, validate_report
from gantry.report.shadow import STATEMENT, marked


@pytest.mark.parametrize(
    "document", [a_document(a_finding("a", region=a_box()), a_finding("b")), negative()], ids=["two reports", "a negative report"]
)
def test_every_report_of_a_shadow_run_is_marked_and_still_valid(document: dict[str, object]) -> None:
    for built in build_report(parsed(document), ct_series(), a_context(shadow=True)):
        sr = read_back(built.dicom)
        assert sr.SeriesDescription.startswith("SHADOW AI LungNoduleNet")
        comments = [item.TextValue for box in children(sr, STATEMENTS) for item in children(box) if named(item) == "121106"]
        assert comments == [STATEMENT]
        assert (faults(sr), validate_report(sr, ct_series())) == ([], ())


def test_the_reports_of_an_active_run_say_nothing_of_it() -> None:
    for built in build_report(parsed(negative()), ct_series(), a_context()):
        assert b"SHADOW" not in built.dicom


DESCRIPTIONS = {
    "a description": ("AI lung", "SHADOW AI lung"),
    "none": ("", "SHADOW"),
    "one as long as may be": ("d" * 64, "SHADOW " + "d" * 57),
    "one that has the mark": ("SHADOW AI lung", "SHADOW AI lung"),
}


@pytest.mark.parametrize(("given", "want"), DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_the_mark_comes_first_once_and_within_64_characters(given: str, want: str) -> None:
    assert marked(given) == want


def test_an_object_of_the_application_gets_the_mark_and_keeps_everything_else() -> None:
    made = Dataset()
    made.SeriesDescription, made.PatientID = "Overlay", "1"
    mark(made)
    assert (made.SeriesDescription, made.PatientID) == ("SHADOW Overlay", "1")
