"""Which findings of two reports are the same one, and what of them is said differently."""

from dataclasses import replace

import pytest

from gantry.report.compare import Numbers, Place, Words, compare, match, merged
from gantry.report.reader import Coded, Evaluation, Finding, Measurement, Patient, Region, Report, Site

NODULE, MASS = Coded("SCT", "427359005", "Solitary nodule of lung"), Coded("SCT", "309529002", "Lung mass")
ABSENT, PRESENT = Coded("SCT", "2667000", "Absent"), Coded("SCT", "52101004", "Present")
DIAMETER = Coded("SCT", "81827009", "Diameter")
LOBE, LUNG = Coded("SCT", "45653009", "Upper lobe of lung"), Coded("SCT", "39607008", "Lung")


def a_finding(name: str = "n1", *, at: tuple[float, ...] | None = (0, 0, 0), mm: float | None = 10, **fields: object) -> Finding:
    regions = () if at is None else (Region("point" if len(at) == 2 else "point in space", (at,), "1.2" if len(at) == 2 else None, space="1.9" if len(at) == 3 else None),)
    numbers = () if mm is None else (Measurement(DIAMETER, mm, "mm"),)
    values: dict[str, object] = {
        "id": name, "tracking_uid": None, "type": NODULE, "presence": PRESENT, "certainty": None, "sites": (Site(LOBE, "Right", None),),
        "measurements": numbers, "evaluations": (), "regions": regions, "comment": None,
    }  # fmt: skip
    return Finding(**(values | fields))  # type: ignore[arg-type]


def a_report(*findings: Finding, **fields: object) -> Report:
    values: dict[str, object] = {
        "title": "", "procedures": (), "study_description": "", "language": None, "date": "", "time": "", "status": (), "product": "",
        "algorithms": (), "findings": tuple(one for one in findings if not one.is_absence), "absences": tuple(one for one in findings if one.is_absence),
        "absent": (), "evaluations": (), "impression": None, "patient": Patient("", "", "", "", ""),
    }  # fmt: skip
    return Report(**(values | fields))  # type: ignore[arg-type]


A, B = "before", "after"
MATCHES: dict[str, tuple[list[Finding], list[Finding], list[tuple[str, str, str]]]] = {
    "the tracking UID counts more than type, site and place": (
        [a_finding("a", tracking_uid="1"), a_finding("b", tracking_uid="2")],
        [a_finding("x", tracking_uid="2"), a_finding("y", tracking_uid="1", type=MASS, at=(500, 0, 0))],
        [("a", "y", "tracking UID"), ("b", "x", "tracking UID")],
    ),
    "without it the nearest of the same type and site": (
        [a_finding("a"), a_finding("b", at=(10, 0, 0))],
        [a_finding("x", at=(9, 0, 0)), a_finding("y", at=(1, 0, 0))],
        [("a", "y", "type, site and distance"), ("b", "x", "type, site and distance")],
    ),
    "other tracking UIDs are no reason against it: an algorithm makes new ones": (
        [a_finding("a", tracking_uid="1")], [a_finding("x", tracking_uid="7")], [("a", "x", "type, site and distance")],
    ),
    "too far away is another finding": ([a_finding("a")], [a_finding("x", at=(16, 0, 0))], []),
    "as near as 15 mm is the same": ([a_finding("a")], [a_finding("x", at=(15, 0, 0))], [("a", "x", "type, site and distance")]),
    "on one image distance counts in pixels": ([a_finding("a", at=(5, 5))], [a_finding("x", at=(25.5, 5)), a_finding("y", at=(20, 5))], [("a", "y", "type, site and distance")]),
    "another type is another finding": ([a_finding("a")], [a_finding("x", type=MASS)], []),
    "another site is another finding": ([a_finding("a")], [a_finding("x", sites=(Site(LUNG, None, None),))], []),
    "another side is another finding": ([a_finding("a")], [a_finding("x", sites=(Site(LOBE, "Left", None),))], []),
    "without place the most alike in its numbers": (
        [a_finding("a", at=None, mm=10), a_finding("b", at=None, mm=20)],
        [a_finding("x", at=None, mm=21), a_finding("y", at=None, mm=11)],
        [("a", "y", "type and site"), ("b", "x", "type and site")],
    ),
    "on different images the distance is not known": ([a_finding("a", at=(5, 5))], [a_finding("x", regions=(Region("point", ((90, 90),), "1.3"),))], [("a", "x", "type and site")]),
    "a known distance counts more than an unknown one": (
        [a_finding("a"), a_finding("b", at=None)], [a_finding("x", at=None), a_finding("y")], [("a", "y", "type, site and distance"), ("b", "x", "type and site")],
    ),
    "nothing beside nothing": ([], [], []),
    "a tracking UID that stands twice pairs once": ([a_finding("a", tracking_uid="1"), a_finding("b", tracking_uid="1", at=(99, 0, 0))], [a_finding("x", tracking_uid="1")], [("a", "x", "tracking UID")]),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "pairs"), MATCHES.values(), ids=MATCHES.keys())
def test_matching(before: list[Finding], after: list[Finding], pairs: list[tuple[str, str, str]]) -> None:
    found = match(before, after)
    assert [(pair.before.id, pair.after.id, pair.matched_by) for pair in found.pairs] == pairs
    assert [one.id for one in found.disappeared] == [one.id for one in before if one.id not in {a for a, _, _ in pairs}]
    assert [one.id for one in found.appeared] == [one.id for one in after if one.id not in {b for _, b, _ in pairs}]


def test_who_knows_the_images_says_where_findings_lie() -> None:
    places = {"a": Place("s", (0, 0, 0)), "x": Place("s", (40, 0, 0)), "y": Place("s", (3, 4, 0))}
    found = match([a_finding("a", at=(1, 1))], [a_finding("x", at=None), a_finding("y", at=None)], locate=lambda one: places.get(one.id or ""))
    assert [(pair.after.id, pair.distance, pair.unit) for pair in found.pairs] == [("y", 5.0, "mm")]


def test_a_circle_lies_where_its_centre_is() -> None:
    circles = [a_finding(regions=(Region("circle", ((10, 10), (10, end)), "1.2"),)) for end in (12, 40)]
    assert match(circles[:1], circles[1:]).pairs[0].distance == 0


def test_a_report_is_equal_to_itself_whoever_made_it_and_when() -> None:
    one = a_report(a_finding(), absent=(MASS,), impression="One nodule.")
    other = replace(one, date="20300101", product="other", language="de")
    found = compare(one, other)
    assert found.equal
    assert [each.differs for each in found.findings] == [False]


def test_measurements_stand_side_by_side_with_their_difference() -> None:
    before = a_finding(measurements=(Measurement(DIAMETER, 10, "mm"), Measurement(DIAMETER, 1, "cm")), certainty=Measurement(MASS, 90, "%"))
    after = a_finding(measurements=(Measurement(DIAMETER, 12.5, "mm"), Measurement(DIAMETER, None, "mm")))
    (found,) = compare(a_report(before), a_report(after)).findings
    assert found.measurements == (
        Numbers(DIAMETER, "mm", 10, 12.5), Numbers(DIAMETER, "cm", 1, None), Numbers(MASS, "%", 90, None), Numbers(DIAMETER, "mm", None, None),
    )  # fmt: skip
    assert [each.difference for each in found.measurements] == [2.5, None, None, None]


CHANGES: dict[str, tuple[Finding, Words]] = {
    "presence": (a_finding(tracking_uid="1", presence=ABSENT), Words("Presence", "Present", "Absent")),
    "type, of the same tracking UID": (a_finding(tracking_uid="1", type=MASS), Words("Finding", "Solitary nodule of lung", "Lung mass")),
    "site": (a_finding(tracking_uid="1", sites=(Site(LUNG, "Left", "lower"),)), Words("Site", "Upper lobe of lung, Right", "Lung, Left, lower")),
    "answer": (a_finding(tracking_uid="1", evaluations=(Evaluation(MASS, "solid"),)), Words("Lung mass", None, "solid")),
    "comment": (a_finding(tracking_uid="1", comment="grown"), Words("Comment", None, "grown")),
    "place": (a_finding(tracking_uid="1", at=(3, 4, 0)), Words("Region", "point in space, 1 points", "point in space, 1 points, 5.0 mm away")),
    "region that is gone": (a_finding(tracking_uid="1", at=None), Words("Region", "point in space, 1 points", "none")),
}


@pytest.mark.parametrize(("after", "words"), CHANGES.values(), ids=CHANGES.keys())
def test_what_is_said_differently(after: Finding, words: Words) -> None:
    found = compare(a_report(a_finding(tracking_uid="1")), a_report(after))
    assert not found.equal
    assert [one.changes for one in found.findings] == [(words,)]


def test_codes_are_compared_and_not_their_meanings() -> None:
    german = replace(NODULE, meaning="Rundherd der Lunge")
    assert compare(a_report(a_finding(), absent=(NODULE,)), a_report(a_finding(type=german), absent=(german,))).equal


def test_statements_about_the_study() -> None:
    before = a_report(absent=(MASS,), evaluations=(Evaluation(DIAMETER, "a"),), impression="One nodule.")
    after = a_report(absent=(NODULE,), evaluations=(Evaluation(DIAMETER, "b"), Evaluation(DIAMETER, "c")), impression=None)
    assert set(compare(before, after).statements) == {
        Words("Lung mass", "Absent", None),
        Words("Solitary nodule of lung", None, "Absent"),
        Words("Diameter", "a", "b; c"),
        Words("Impression", "One nodule.", None),
    }


def test_a_group_that_only_repeats_an_absence_is_no_finding() -> None:
    """A negative report has one for each condition; a report with findings says it as a statement."""
    negative = a_report(a_finding(presence=ABSENT, at=None, sites=(), type=MASS), absent=(MASS,))
    found = compare(negative, a_report(a_finding("x"), absent=(MASS,)))
    assert ([one.id for one in found.appeared], found.disappeared, found.findings, found.statements) == (["x"], (), (), ())


def test_the_reports_of_a_run_are_compared_as_one() -> None:
    first = a_report(a_finding("a"), absent=(MASS,), impression="Two.")
    second = a_report(a_finding("b", at=None), evaluations=(Evaluation(DIAMETER, "x"),))
    whole = merged([first, second])
    assert ([one.id for one in whole.findings], whole.absent, whole.impression, len(whole.evaluations)) == (["a", "b"], (MASS,), "Two.", 1)


def test_a_thousand_findings_are_each_matched_to_the_nearest() -> None:
    before = [a_finding(f"a{n}", at=(n * 20.0, 0, 0)) for n in range(1000)]
    after = [a_finding(f"b{n}", at=(n * 20.0 + 1, 0, 0)) for n in range(1000)]
    found = match(before, after)
    assert [pair.distance for pair in found.pairs] == [1.0] * 1000
