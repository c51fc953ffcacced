"""The report of a Run that failed: what it says, and that nobody can take it for a negative result."""

from io import BytesIO

import pytest
from pydicom import Dataset, dcmread
from tests.builders_dicom import ct_series
from tests.builders_findings import a_context
from tests.sr_structure import faults
from tests.unit.runs.test_plan_failures import CASES as FAILURES

from gantry.api import Code, RunReason
from gantry.api.pipeline import Algorithm
from gantry.report import BuiltObject, InvalidReport, ReportContext, build_not_performed, validate_report
from gantry.report.absence import CAUSES
from gantry.runs.notice import NOTHING_TO_TELL

SOURCE = ct_series(2)
LOOKED_FOR = (
    Code(scheme="SCT", value="427359005", meaning="Solitary nodule of lung"),
    Code(scheme="SCT", value="36118008", meaning="Pneumothorax"),
)


def context(**changes: object) -> ReportContext:
    algorithm = Algorithm(name="LungNoduleNet", version="2.1.0", manufacturer="ACME AI")
    return a_context(**{"algorithm": algorithm, "evaluated_for": LOOKED_FOR, **changes})


def a_report(reason: RunReason = RunReason.STEP_FAILED) -> Dataset:
    return dcmread(BytesIO(build_not_performed(reason, SOURCE, context()).dicom))


def children(item: Dataset) -> list[Dataset]:
    return list(item.get("ContentSequence") or [])


def name(item: Dataset) -> str:
    code = item.ConceptNameCodeSequence[0]
    return str(code.get("CodeValue") or code.get("LongCodeValue"))


def value(item: Dataset) -> str:
    if "ConceptCodeSequence" not in item:
        return str(item.get("TextValue", ""))
    code = item.ConceptCodeSequence[0]
    return str(code.get("CodeValue") or code.get("LongCodeValue"))


def statements(report: Dataset) -> list[Dataset]:
    """Qualitative Evaluations of the document."""
    (container,) = [one for one in children(report) if name(one) == "C0034375"]
    return children(container)


def everything(report: Dataset) -> list[Dataset]:
    found = [report]
    for item in found:
        found.extend(children(item))
    return found


@pytest.mark.parametrize("reason", CAUSES)
def test_it_says_in_codes_what_became_of_the_analysis_and_why(reason: RunReason) -> None:
    said = [(name(one), value(one)) for one in statements(a_report(reason))]
    assert ("111065", CAUSES[reason].status.value) in said
    assert ("FAILURE-REASON", reason) in said
    assert CAUSES[reason].status.value in ("111224", "111225")


@pytest.mark.parametrize("reason", CAUSES)
def test_it_passes_gantrys_own_check(reason: RunReason) -> None:
    report = a_report(reason)
    assert (list(validate_report(report, SOURCE)), faults(report)) == ([], [])


def test_what_was_to_be_looked_for_is_not_evaluated_with_the_kind_of_failure() -> None:
    found = {name(one): one for one in statements(a_report(RunReason.STEP_TIMED_OUT))}
    for code in LOOKED_FOR:
        assert value(found[code.value]) == "373121007", "Not Evaluated"
        assert [(name(one), value(one)) for one in children(found[code.value])] == [
            ("NOT-EVALUATED-BECAUSE", "111218"),
            ("121106", "The analysis software took longer than it may and was ended."),
        ]


def test_nothing_in_it_is_absent_or_present() -> None:
    for reason in CAUSES:
        assert not {value(one) for one in everything(a_report(reason)) if one.ValueType == "CODE"} & {"2667000", "52101004", "82334004"}


def test_it_tells_people_in_the_impression_and_in_the_list_of_series() -> None:
    report = a_report()
    assert [value(one) for one in statements(report) if name(one) == "121073"] == [
        "NOT PERFORMED: there is no result of LungNoduleNet 2.1.0 for this study, neither positive nor negative. "
        "The analysis software ended with an error."
    ]
    assert report.SeriesDescription == "NOT PERFORMED: AI LungNoduleNet 2.1.0"


def test_it_names_the_algorithm_as_its_results_do() -> None:
    (equipment,) = a_report().ContributingEquipmentSequence
    assert (equipment.Manufacturer, equipment.ManufacturerModelName, equipment.SoftwareVersions) == ("ACME AI", "LungNoduleNet", "2.1.0")
    assert equipment.DeviceUID == next(str(one.UID) for one in children(a_report()) if name(one) == "121012")


def test_it_is_another_document_than_the_runs_result_and_the_same_each_time() -> None:
    first, second = (build_not_performed(RunReason.STEP_FAILED, SOURCE, context()) for _ in range(2))
    assert first == second
    assert isinstance(first, BuiltObject)
    assert first.sop_instance_uid not in (context().uid("sr"), context().uid("sr-series"))


def test_every_reason_to_fail_for_good_has_words_for_people() -> None:
    assert set(CAUSES) == {case.want_reason for case in FAILURES.values()} - NOTHING_TO_TELL


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithm": None}, "report.onFailure NotPerformed needs report.algorithm and report.evaluatedFor"),
        ({"evaluated_for": ()}, "report.onFailure NotPerformed needs report.algorithm and report.evaluatedFor"),
        (
            {"algorithm": Algorithm(name="a\\b", version="1", manufacturer="m")},
            "report.algorithm of the pipeline holds a character that DICOM does not allow (backslash or control character)",
        ),
    ],
    ids=["no algorithm", "nothing looked for", "a backslash in the name"],
)
def test_without_these_no_report_can_be_made(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidReport) as refused:
        build_not_performed(RunReason.STEP_FAILED, SOURCE, context(**changes))
    assert str(refused.value) == message
