"""What a shadow pipeline and the active one say of the same studies, counted by finding type and measured pair by pair."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from pydicom import dcmread
from tests.builders_dicom import ct_series
from tests.builders_findings import DIAMETER, EMPHYSEMA, PNEUMOTHORAX, a_box, a_context, a_document, a_finding, an_ellipse, parsed

from gantry.report import Report, build_report, read_report
from gantry.report.agreement import OUTCOMES, Agreement, Outcome, Pair, Row, Side, agreement
from gantry.report.compare import merged

STUDY = "11111111-22222222-33333333-44444444-55555555"
NODULE_MEANING = "Solitary nodule of lung"


def said(*findings: dict[str, Any], shadow: bool = False, looked_for: list[dict[str, Any]] | None = None) -> Report:
    document = a_document(*findings, evaluatedFor=looked_for if looked_for is not None else [PNEUMOTHORAX])
    built = build_report(parsed(document), ct_series(), a_context(shadow=shadow, run="shadow-1" if shadow else "active-1"))
    return merged([read_report(dcmread(BytesIO(one.dicom))) for one in built])


def sized(millimetres: float, number: int = 10) -> dict[str, Any]:
    return a_finding(region=an_ellipse(number), measurements=[{"name": DIAMETER, "value": millimetres, "unit": "mm"}])


def pair(shadow: Report | str | None, active: Report | str | None, *, study: str = STUDY) -> Pair:
    """A report, or why there is none; None: no Run."""

    def side(name: str, given: Report | str | None) -> Side | None:
        return None if given is None else Side(name, None, given) if isinstance(given, str) else Side(name, given)

    return Pair(study, side("shadow-1", shadow), side("active-1", active))


def row(found: Agreement, meaning: str) -> Row:
    return next(one for one in found.rows if one.type.meaning == meaning)


NEGATIVE, POSITIVE = said(looked_for=[PNEUMOTHORAX]), said(a_finding("p", type=PNEUMOTHORAX, region=a_box()))
SHADOWED = said(a_finding("p", type=PNEUMOTHORAX, region=a_box()), shadow=True)
SILENT = said(sized(8), looked_for=[EMPHYSEMA])
CASES: dict[str, tuple[Report | str | None, Report | str | None, Outcome, tuple[str, ...]]] = {
    "both find it": (SHADOWED, POSITIVE, "both present", ()),
    "both say that it is not there": (NEGATIVE, NEGATIVE, "both absent", ()),
    "the shadow alone finds it": (SHADOWED, NEGATIVE, "only shadow", ("only shadow: Pneumothorax",)),
    "the active alone finds it": (NEGATIVE, POSITIVE, "only active", ("only active: Pneumothorax",)),
    "the shadow failed": ("OutOfMemory", POSITIVE, "not compared", ("the shadow Run has no report (OutOfMemory)",)),
    "the active has no Run": (SHADOWED, None, "not compared", ("no Run of the active pipeline",)),
    "one does not look for it": (SILENT, NEGATIVE, "not compared", ()),
}


@pytest.mark.parametrize(("shadow", "active", "want", "words"), CASES.values(), ids=CASES)
def test_a_type_is_counted_by_what_both_say(
    shadow: Report | str | None, active: Report | str | None, want: Outcome, words: tuple[str, ...]
) -> None:
    found = agreement([pair(shadow, active)])
    assert row(found, "Pneumothorax").counts == {name: int(name == want) for name in OUTCOMES}
    assert [one.words for one in found.differences] == ([words] if words else [])
    assert found.agrees == (want in ("both present", "both absent", "not compared"))


def test_a_study_without_any_report_is_named_and_counts_nowhere() -> None:
    found = agreement([pair("Running", None)])
    assert (found.studies, found.compared, found.rows) == (1, 0, ())
    assert found.differences[0].words == ("the shadow Run has no report (Running)", "no Run of the active pipeline")


def counted(present: int, absent: int, shadow: int, active: int) -> Row:
    counts: dict[Outcome, int] = dict(zip(OUTCOMES, (present, absent, shadow, active, 3), strict=True))
    return replace(row(agreement([pair(NEGATIVE, NEGATIVE)]), "Pneumothorax"), counts=counts)


FIGURES = {
    "the textbook's example": ((20, 15, 10, 5), 0.7, 0.4),
    "in everything": ((5, 5, 0, 0), 1.0, 1.0),
    "as chance would have it": ((1, 1, 1, 1), 0.5, 0.0),
    "both always say the same: nothing beyond chance can be told": ((0, 8, 0, 0), 1.0, None),
    "nothing compared": ((0, 0, 0, 0), None, None),
}


@pytest.mark.parametrize(("counts", "want", "kappa"), FIGURES.values(), ids=FIGURES)
def test_agreement_is_given_with_what_chance_does_not_explain(counts: tuple[int, ...], want: float | None, kappa: float | None) -> None:
    found = counted(*counts)
    assert found.agreement == want
    assert found.kappa == (kappa if kappa is None else pytest.approx(kappa))


def test_measurements_of_findings_that_both_have_are_put_side_by_side() -> None:
    pairs = [
        pair(said(sized(active + more), shadow=True), said(sized(active)), study=f"{number}" * 8 + STUDY[8:])
        for number, (active, more) in enumerate([(8, 1), (10, 3), (14, 2)])
    ]
    found = agreement(pairs)
    (points,) = [one for one in found.measurements if one.name.meaning == "Diameter"]
    assert [(a, s) for _, a, s in points.points] == [(8, 9), (10, 13), (14, 16)]
    assert (points.type.meaning, points.unit, points.mean, points.limits) == (NODULE_MEANING, "mm", 2, (pytest.approx(0.04), pytest.approx(3.96)))
    assert points.correlation == pytest.approx(0.9631, abs=1e-4)
    assert found.agrees, "a size is no disagreement about what is there"


def test_a_single_pair_has_no_limits() -> None:
    (points,) = [one for one in agreement([pair(said(sized(9)), said(sized(8)))]).measurements if one.name.meaning == "Diameter"]
    assert (points.mean, points.limits, points.correlation) == (1, None, None)


def test_a_further_finding_of_a_type_that_both_have_is_listed() -> None:
    both = said(sized(8), a_finding("second", region=an_ellipse(2, center=[20, 20])), shadow=True)
    found = agreement([pair(both, said(sized(8)))])
    assert row(found, NODULE_MEANING).counts["both present"] == 1
    assert found.differences[0].words == (f"1 more in shadow alone: {NODULE_MEANING}",)


def test_runs_on_other_images_are_compared_and_that_is_said() -> None:
    one = pair(SHADOWED, NEGATIVE)
    assert one.shadow is not None
    found = agreement([replace(one, shadow=replace(one.shadow, images=(20, "series")))])
    assert found.differences[0].words[-1] == "they are about other images"
