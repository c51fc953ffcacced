"""What a pipeline's rules need to know of a study, and what can be refused before all of it is known."""

from typing import Any

import pytest
from tests.unit.routing.test_cases import pipeline_of

from gantry.routing import Known, Needs, SeriesFacts, StudyFacts, compile_rules, decide

MODALITY = frozenset({"Modality"})
NEEDS: dict[str, tuple[dict[str, Any], Needs]] = {
    "no rule: only what tells documents from images": ({}, Needs(series=MODALITY)),
    "requirements": (
        {"match": {"study": [{"tag": "0008,1030", "operator": "Exists"}]}, "series": {"match": [{"tag": "KVP", "operator": "Exists"}]}},
        Needs(study=frozenset({"StudyDescription"}), series=MODALITY | {"KVP"}),
    ),
    "senders": ({"match": {"senders": ["A"]}}, Needs(series=MODALITY, senders=True)),
    "senders of a class": ({"priority": [{"senders": ["A"], "class": "Stat"}]}, Needs(series=MODALITY, senders=True)),
    "elements of a class": (
        {"priority": [{"study": [{"tag": "0040,1003", "operator": "Exists"}], "class": "Stat"}]},
        Needs(study=frozenset({"RequestedProcedurePriority"}), series=MODALITY),
    ),
    "the thinnest": ({"series": {"pick": "Thinnest"}}, Needs(series=MODALITY | {"SliceThickness", "SeriesNumber"})),
    "the latest": ({"series": {"pick": "Latest"}}, Needs(series=MODALITY | {"SeriesDate", "SeriesTime", "SeriesNumber"})),
    "expressions": (
        {"match": {"expression": "study.series.exists(s, s.thickness < 1.0)"}, "series": {"expression": "series.contrast"}},
        Needs(series=MODALITY | {"SliceThickness", "ContrastBolusAgent"}, every=True),
    ),
}


@pytest.mark.parametrize(("rule", "needs"), NEEDS.values(), ids=NEEDS.keys())
def test_rules_say_what_they_need(rule: dict[str, Any], needs: Needs) -> None:
    assert compile_rules("p", pipeline_of(rule)).needs == needs


def test_what_is_known_need_not_be_asked_for() -> None:
    needs = Needs(frozenset({"StudyDescription", "PatientAge"}), frozenset({"KVP", "Modality"}), senders=True)
    known = Known(frozenset({"StudyDescription"}), MODALITY, senders=True)
    assert needs.beyond(known) == Needs(frozenset({"PatientAge"}), frozenset({"KVP"}))
    assert not needs.beyond(known).settled
    assert needs.beyond(Known(frozenset(), frozenset(), senders=True, instances=True)).settled


STUDY = StudyFacts("study", {"StudyDescription": "CT"}, (SeriesFacts("a", {"Modality": "CT"}, 1), SeriesFacts("b", {"Modality": "MR"}, 1)))


def test_what_is_not_known_yet_refuses_nothing() -> None:
    rule = {
        "match": {"senders": ["A"], "study": [{"tag": "PatientAge", "operator": "Exists"}], "expression": "study.series.exists(s, s.tags.KVP > 1)"},
        "series": {"match": [{"tag": "SliceThickness", "operator": "Exists"}], "expression": "series.contrast", "pick": "Thinnest"},
    }
    rules = compile_rules("p", pipeline_of(rule))
    assert decide(rules.within(Known(frozenset({"StudyDescription"}), MODALITY)), STUDY).selected == ("a", "b")
    assert not decide(rules, STUDY).matched


def test_what_is_known_refuses_at_once() -> None:
    rule = {"match": {"senders": ["A"]}, "series": {"match": [{"tag": "Modality", "operator": "In", "values": ["US"]}]}}
    rules = compile_rules("p", pipeline_of(rule))
    decision = decide(rules.within(Known(frozenset(), MODALITY)), STUDY)
    assert str(decision.refusal) == "series chosen: wanted at least 1, is 0"
    assert decide(rules.within(Known(frozenset(), None)), STUDY).matched
