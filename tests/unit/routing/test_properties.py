"""What holds for every study: a decision does not depend on the order of series, a fingerprint changes exactly with the chosen images."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.routing.test_cases import pipeline_of
from tests.unit.routing.test_variables import ANYTHING, TAGS

from gantry.routing import Decision, Known, SeriesFacts, StudyFacts, compile_rules, decide, decide_all
from gantry.runs import fingerprint

EVERYTHING: dict[str, Any] = {
    "match": {"expression": "study.series.exists(s, s.?thickness.orValue(1.0) < 2.5) || study.tags.?StudyID.hasValue()"},
    "series": {"expression": "series.?thickness.orValue(1.0) < 3 || series.orientation == 'AXIAL'"},
    "priority": [{"senders": ["A"], "class": "Stat"}],
}
RULES = [
    compile_rules("all", pipeline_of({})),
    compile_rules("thin", pipeline_of({"series": {"match": [{"tag": "SliceThickness", "operator": "Lt", "values": ["3"]}], "pick": "Thinnest"}})),
    compile_rules("most", pipeline_of({"series": {"pick": "MostInstances"}})),
    compile_rules("latest", pipeline_of({"match": {"senders": ["A", "B"]}, "series": {"pick": "Latest"}})),
    compile_rules("pattern", pipeline_of({"series": {"match": [{"tag": "SeriesDescription", "operator": "Matches", "values": ["^[^x]*$"]}]}})),
    compile_rules("any name", pipeline_of({"series": {"expression": "!series.tags.exists(name, name == 'x' || series.tags[name] == 'x')"}})),
    compile_rules("cel", pipeline_of(EVERYTHING)),
]
USUAL = st.fixed_dictionaries(
    {},
    optional={
        "Modality": st.sampled_from(["CT", "MR", "SR", "CT "]),
        "SliceThickness": st.sampled_from(["1", "1.0", "2.5", "5", "", "thin"]),
        "SeriesDescription": ANYTHING,
        "SeriesNumber": st.sampled_from(["1", "2", "x", ""]),
        "SeriesDate": st.sampled_from(["20260301", "20260302", "2026.03.01", "", "gestern"]),
        "SeriesTime": st.sampled_from(["10", "1015", "101500.5", "10:15:00", "x"]),
        "ImageOrientationPatient": st.sampled_from([r"1\0\0\0\1\0", r"1\0\0\0\0\-1", r"1\0"]),
    },
)
SERIES = st.lists(
    st.builds(
        SeriesFacts,
        st.uuids().map(str),
        USUAL | TAGS,
        st.integers(0, 3),
        own=st.booleans(),
        sender=st.sampled_from([None, "A", "B", "C"]),
    ),
    max_size=6,
)


@given(SERIES, st.randoms(use_true_random=False))
def test_a_decision_does_not_depend_on_the_order_of_series(series: list[SeriesFacts], random: Any) -> None:
    study = StudyFacts("study", {"StudyID": "1"}, tuple(series))
    shuffled = list(series)
    random.shuffle(shuffled)
    assert decide_all(RULES, study) == decide_all(RULES, replace(study, series=tuple(shuffled)))


@given(SERIES, TAGS)
def test_deciding_never_raises_and_says_which_series_are_chosen(series: list[SeriesFacts], tags: dict[str, str]) -> None:
    for decision in decide_all(RULES, StudyFacts("study", tags, tuple(series))):
        assert decision.matched == (decision.refusal is None)
        assert len(decision.selected) <= len(series)
        assert {one.orthanc_id for one in series if one.own or not one.instances}.isdisjoint(decision.selected)
        assert all((one.refusal is None) == one.selected for one in decision.series)


@given(SERIES)
def test_what_is_refused_with_less_known_is_refused_with_all_known(series: list[SeriesFacts]) -> None:
    """The bridge asks Orthanc in steps and stops at the first refusal: that must never lose a study."""
    study = StudyFacts("study", {"StudyID": "1"}, tuple(series))
    for rules in RULES:
        full = decide(rules, study)
        for known in (
            Known(frozenset({"StudyID"}), None),
            Known(frozenset({"StudyID"}), frozenset({"Modality", "SeriesNumber"})),
            Known(frozenset({"StudyID"}), frozenset({"Modality", "SliceThickness", "ImageOrientationPatient"}), senders=True),
        ):
            so_far = decide(rules.within(known), study)
            assert so_far.matched or not full.matched
            assert set(full.selected) <= set(so_far.selected)


def identity(decision: Decision, images: dict[str, list[str]]) -> str | None:
    uids = [uid for one in decision.selected for uid in images[one]]
    return fingerprint("ns", decision.pipeline, "study", uids) if uids else None


@given(SERIES, st.data())
def test_a_fingerprint_changes_exactly_when_the_chosen_images_change(series: list[SeriesFacts], data: st.DataObject) -> None:
    """One more image in one series: another fingerprint for the pipelines that chose it, the same for all others."""
    images = {one.orthanc_id: [f"1.2.{number}.{n}" for n in range(one.instances)] for number, one in enumerate(series)}
    study = StudyFacts("study", {"StudyID": "1"}, tuple(series))
    before = decide_all(RULES, study)
    if not series:
        return
    late = data.draw(st.sampled_from(series))
    more = {**images, late.orthanc_id: [*images[late.orthanc_id], "1.2.99"]}
    for decision in before:
        same = identity(decision, images) == identity(decision, more)
        assert same == (late.orthanc_id not in decision.selected)
