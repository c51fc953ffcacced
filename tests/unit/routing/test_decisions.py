"""Which studies and series a pipeline takes, and by which check it does not."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import PIPELINE, changed

from gantry.api import InferencePipeline
from gantry.routing import Decision, InvalidRequirement, Refusal, SeriesFacts, StudyFacts, compile_rules, decide
from gantry.runs import fingerprint

CT = SeriesFacts("ct", {"Modality": "CT", "SliceThickness": "1.25 ", "ImageType": "ORIGINAL\\PRIMARY\\AXIAL", "0019,\"ACME\",10": "7"}, 300)
SCOUT = SeriesFacts("scout", {"Modality": "CT", "SliceThickness": "", "ImageType": "ORIGINAL\\PRIMARY\\LOCALIZER"}, 2)
STUDY = StudyFacts("study", {"ModalitiesInStudy": "CT\\SR", "StudyDescription": "CT Thorax nativ ", "0008,103e": "x", "0011,1010": "seven"}, (CT, SCOUT))


def pipeline(study: list[dict[str, Any]] | None = None, series: list[dict[str, Any]] | None = None, **selection: int) -> InferencePipeline:
    raw = changed(PIPELINE, "spec.match", {"study": study or []})
    raw = changed(raw, "spec.template.input.series", {"match": series or [], **selection})
    return InferencePipeline.model_validate({"spec": raw["spec"]})


def decision(study: list[dict[str, Any]] | None = None, series: list[dict[str, Any]] | None = None, facts: StudyFacts = STUDY, **selection: int) -> Decision:
    return decide(compile_rules("p", pipeline(study, series, **selection)), facts)


def requirement(tag: str, operator: str, *values: str) -> dict[str, Any]:
    return {"tag": tag, "operator": operator, **({"values": list(values)} if values else {})}


HOLDS = {
    "In: any value of a multi-valued element": requirement("ModalitiesInStudy", "In", "MR", "CT"),
    "In: padding does not count": requirement("StudyDescription", "In", "CT Thorax nativ"),
    "NotIn: another value": requirement("StudyDescription", "NotIn", "MR Knee"),
    "NotIn: a missing element": requirement("BodyPartExamined", "NotIn", "KNEE"),
    "Exists": requirement("StudyDescription", "Exists"),
    "DoesNotExist: a missing element": requirement("AccessionNumber", "DoesNotExist"),
    "Matches: anywhere in the value": requirement("StudyDescription", "Matches", "(?i)THORAX|chest"),
    "a tag by number, in either case": requirement("0008,103E", "Exists"),
}


@pytest.mark.parametrize("one", HOLDS.values(), ids=HOLDS.keys())
def test_a_study_requirement_holds(one: dict[str, Any]) -> None:
    assert decision(study=[one]).matched


REFUSED = {
    "In: none of the values": (requirement("ModalitiesInStudy", "In", "MR"), Refusal("ModalitiesInStudy In", "MR", "CT\\SR")),
    "In: a missing element": (requirement("BodyPartExamined", "In", "CHEST"), Refusal("BodyPartExamined In", "CHEST", "missing")),
    "NotIn: one value is enough": (requirement("ModalitiesInStudy", "NotIn", "SR"), Refusal("ModalitiesInStudy NotIn", "none of SR", "CT\\SR")),
    "Exists: a missing element": (requirement("BodyPartExamined", "Exists"), Refusal("BodyPartExamined Exists", "any value", "missing")),
    "DoesNotExist: it does": (
        requirement("StudyDescription", "DoesNotExist"), Refusal("StudyDescription DoesNotExist", "no value", "CT Thorax nativ"),
    ),
    "Matches: case counts": (requirement("StudyDescription", "Matches", "thorax"), Refusal("StudyDescription Matches", "thorax", "CT Thorax nativ")),
    "Gt: a text is no number": (requirement("0011,1010", "Gt", "1"), Refusal("0011,1010 Gt", "> 1", "seven")),
}  # fmt: skip


@pytest.mark.parametrize(("one", "refusal"), REFUSED.values(), ids=REFUSED.keys())
def test_a_study_requirement_says_what_was_wanted_and_what_was_there(one: dict[str, Any], refusal: Refusal) -> None:
    decided = decision(study=[one])
    assert not decided.matched
    assert decided.refusal == refusal
    assert decided.selected == ()


SERIES = {
    "a number is compared as one": (requirement("SliceThickness", "Lte", "2.5"), ("ct",)),
    "an empty element is missing": (requirement("SliceThickness", "DoesNotExist"), ("scout",)),
    "one of many values": (requirement("ImageType", "NotIn", "LOCALIZER"), ("ct",)),
    "a private element by creator": (requirement('0019,"ACME",10', "Gte", "7"), ("ct",)),
}


@pytest.mark.parametrize(("one", "selected"), SERIES.values(), ids=SERIES.keys())
def test_series_are_chosen_each_by_itself(one: dict[str, Any], selected: tuple[str, ...]) -> None:
    assert decision(series=[one]).selected == selected


def test_a_series_that_is_not_chosen_says_why() -> None:
    decided = decision(series=[requirement("SliceThickness", "Lte", "1")], min=1)
    assert decided.refusal == Refusal("series chosen", "at least 1", "0")
    assert decided.series[0].refusal == Refusal("SliceThickness Lte", "<= 1", "1.25")


def test_more_series_than_max_do_not_match() -> None:
    assert decision(max=1).refusal == Refusal("series chosen", "at most 1", "2")


@pytest.mark.parametrize("modality", ["SR", "SEG", "KO", "PR", "DOC"])
def test_documents_are_never_inputs_whatever_the_rules_say(modality: str) -> None:
    facts = replace(STUDY, series=(SeriesFacts("doc", {"Modality": modality}, 1),))
    decided = decision(facts=facts)
    assert not decided.matched
    assert decided.series[0].refusal == Refusal("Modality", "images", modality)


def test_our_own_results_are_never_inputs() -> None:
    """A secondary capture has an image's modality; only who stored it tells."""
    facts = replace(STUDY, series=(replace(CT, own=True),))
    assert decision(facts=facts).series[0].refusal == Refusal("origin", "not a result of Gantry", "a result of Gantry")


INVALID = {
    "a pattern with lookahead": (requirement("StudyDescription", "Matches", "a(?=b)"), r"spec\.match\.study\[0\]: StudyDescription Matches .*patterns are RE2"),
    "a pattern that would take long": (
        requirement("StudyDescription", "Matches", "^(([0-9]{1,50})x?){1,15}q$", "[a-z]{500}"),
        r"spec\.match\.study\[0\]: StudyDescription Matches: the patterns are too large together, 2\d+ of at most 2000 instructions; repeat less",
    ),
    "a keyword that is none": (requirement("StudyDesc", "Exists"), r"spec\.match\.study\[0\]: DICOM has no keyword StudyDesc; did you mean"),
    "a sequence": (requirement("ReferencedStudySequence", "Exists"), r"ReferencedStudySequence is a sequence \(VR SQ\): rules compare elements"),
    "pixel data": (requirement("PixelData", "Exists"), r"PixelData is binary \(VR OB or OW\): rules compare elements"),
    "a comparison of what holds no number": (requirement("PatientAge", "Gte", "18"), r"PatientAge holds no number \(VR AS\); compare it with In, NotIn"),
    "a bound that is no number": (requirement("SliceThickness", "Lte", "thin"), r"spec\.match\.study\[0\]: SliceThickness Lte thin: give exactly one number"),
    "a bound that is infinite": (requirement("SliceThickness", "Lte", "inf"), "give exactly one number"),
}


@pytest.mark.parametrize(("one", "message"), INVALID.values(), ids=INVALID.keys())
def test_a_requirement_that_can_never_be_asked_names_its_field(one: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequirement, match=message):
        compile_rules("p", pipeline(study=[one]))


def test_the_rules_say_which_elements_they_need() -> None:
    rules = compile_rules("p", pipeline([requirement("StudyDescription", "Exists")], [requirement("SliceThickness", "Lte", "2")]))
    assert (rules.needs.study, rules.needs.series) == ({"StudyDescription"}, {"SliceThickness", "Modality"})


@given(st.lists(st.text("0123456789.", min_size=1), min_size=1), st.randoms())
def test_the_order_and_repetition_of_instances_do_not_change_the_fingerprint(uids: list[str], random: Any) -> None:
    shuffled = uids * 2
    random.shuffle(shuffled)
    assert fingerprint("ns", "p", "study", uids) == fingerprint("ns", "p", "study", shuffled)


@pytest.mark.parametrize(
    "other",
    [("ns2", "p", "study", ["1"]), ("ns", "q", "study", ["1"]), ("ns", "p", "study2", ["1"]), ("ns", "p", "study", ["1", "2"])],
    ids=["namespace", "pipeline", "study", "one more image"],
)
def test_anything_else_changes_the_fingerprint(other: tuple[str, str, str, list[str]]) -> None:
    assert fingerprint(*other) != fingerprint("ns", "p", "study", ["1"])


def test_a_fingerprint_is_what_the_crd_takes() -> None:
    text = fingerprint("ns", "p", "study", ["1.2.3"])
    assert len(text) == 52
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz234567")
    with pytest.raises(ValueError, match="at least one instance"):
        fingerprint("ns", "p", "study", [])


def test_a_decision_is_data() -> None:
    """The form of `gantry explain -o json`."""
    assert decision(series=[requirement("SliceThickness", "Lte", "2.5")]).as_dict() == {
        "pipeline": "p",
        "matched": True,
        "check": None,
        "wanted": None,
        "actual": None,
        "priority": "Routine",
        "series": [
            {"id": "ct", "selected": True, "reason": None},
            {"id": "scout", "selected": False, "reason": "SliceThickness Lte: wanted <= 2.5, is missing"},
        ],
    }
    refused = decision(study=[requirement("ModalitiesInStudy", "In", "MR")]).as_dict()
    assert refused["priority"] is None
    assert (refused["check"], refused["wanted"], refused["actual"], refused["series"]) == ("ModalitiesInStudy In", "MR", "CT\\SR", [])
