"""What is asked of Orthanc about one study: as little as the rules allow, and never so little that the decision is another."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders_bridge import a_candidate, requirement
from tests.fake_orthanc import USERNAME, FakeOrthanc, identifier

from gantry.bridge import Candidate
from gantry.bridge.facts import decide_study
from gantry.orthanc import SERIES_LEVEL
from gantry.routing import Decision, SeriesFacts, StudyFacts, decide

CT, US = requirement("Modality", "In", "CT"), requirement("Modality", "In", "US")
THIN = requirement("SliceThickness", "Lte", "2")


async def decisions(fake: FakeOrthanc, *candidates: Candidate, username: str | None = USERNAME) -> tuple[Decision, ...]:
    async with fake.client() as orthanc:
        study = await orthanc.study(identifier("a"))
        return await decide_study(orthanc, study, [one.rules for one in candidates], username=username)


def asked(fake: FakeOrthanc) -> list[str]:
    """Kinds of requests, in order."""
    return [call.split("/")[1] + "/" + (call.split("/")[-1] if call.count("/") > 2 else "") for call in fake.calls]


COST: dict[str, tuple[list[Candidate], list[str]]] = {
    "no pipeline: only the study": ([], ["studies/"]),
    "refused by the study's own elements: one request": ([a_candidate(study=[requirement("StudyDescription", "Matches", "Knee")])], ["studies/"]),
    "refused by the modalities in the study: two": ([a_candidate(study=[requirement("ModalitiesInStudy", "In", "US")])], ["studies/", "studies/series"]),
    "refused by every series' modality: two": ([a_candidate(series=[US, THIN])], ["studies/", "studies/series"]),
    "too few series whatever else they are: two": ([a_candidate(series=[CT, THIN], min=2)], ["studies/", "studies/series"]),
    "matched by what Orthanc keeps: who stored the one series in question": ([a_candidate(series=[CT])], ["studies/", "studies/series", "instances/metadata"]),
    "matched by an element it does not keep: one instance of the series in question": (
        [a_candidate(series=[CT, THIN])], ["studies/", "studies/series", "instances/metadata", "instances/tags"],
    ),
    "a study element it does not keep: one instance in all": (
        [a_candidate(study=[requirement("PatientAge", "Exists")])],
        ["studies/", "studies/series", "instances/metadata", "instances/metadata", "instances/tags"],
    ),
    "several pipelines share what is read": (
        [a_candidate("one", series=[CT, THIN]), a_candidate("two", series=[CT, THIN]), a_candidate("three", series=[US])],
        ["studies/", "studies/series", "instances/metadata", "instances/tags"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("candidates", "want"), COST.values(), ids=COST.keys())
async def test_the_requests_for_a_study_of_a_ct_an_mr_and_a_report(candidates: list[Candidate], want: list[str]) -> None:
    fake = FakeOrthanc()
    fake.images("a", "ct", modality="CT", elements={"SliceThickness": "1", "PatientAge": "060Y"})
    fake.images("a", "mr", modality="MR", elements={"SliceThickness": "1", "PatientAge": "060Y"})
    fake.images("a", "sr", modality="SR")
    await decisions(fake, *candidates)
    assert asked(fake) == want


async def test_our_own_results_are_told_by_who_stored_them() -> None:
    """A secondary capture has the modality of an image."""
    fake = FakeOrthanc()
    fake.images("a", "ct")
    fake.images("a", "sc", username=USERNAME)
    (decision,) = await decisions(fake, a_candidate(series=[CT]))
    assert decision.selected == (identifier("a", "ct"),)
    refused = next(one for one in decision.series if not one.selected)
    assert refused.refusal is not None
    assert (refused.orthanc_id, refused.refusal.check) == (identifier("a", "sc"), "origin")


async def test_a_study_of_nothing_but_our_own_results_does_not_match() -> None:
    fake = FakeOrthanc()
    fake.images("a", "sc", username=USERNAME)
    (decision,) = await decisions(fake, a_candidate(series=[CT, THIN]))
    assert not decision.matched
    assert asked(fake) == ["studies/", "studies/series", "instances/metadata"]


async def test_without_an_account_nobody_is_asked_who_stored() -> None:
    fake = FakeOrthanc()
    fake.images("a", "ct")
    (decision,) = await decisions(fake, a_candidate(series=[CT]), username=None)
    assert decision.matched
    assert asked(fake) == ["studies/", "studies/series"]


async def test_a_series_says_the_check_that_refused_it_and_not_one_that_was_never_looked_at() -> None:
    fake = FakeOrthanc()
    fake.images("a", "ct", elements={"SliceThickness": "5"})
    fake.images("a", "mr", modality="MR")
    (decision,) = await decisions(fake, a_candidate(series=[THIN, CT]))
    checks = {one.orthanc_id: one.refusal.check if one.refusal else None for one in decision.series}
    assert checks == {identifier("a", "ct"): "SliceThickness Lte", identifier("a", "mr"): "Modality In"}


async def test_more_series_than_max_may_become_fewer_when_more_is_known() -> None:
    """Refusing by max before all elements are read would refuse too much."""
    fake = FakeOrthanc()
    fake.images("a", "thin", elements={"SliceThickness": "1"})
    fake.images("a", "thick", elements={"SliceThickness": "5"})
    (decision,) = await decisions(fake, a_candidate(series=[THIN], max=1))
    assert decision.selected == (identifier("a", "thin"),)


TAGS = st.sampled_from(["Modality", "SeriesDescription", "SliceThickness", "ImageType", "StudyDescription", "ModalitiesInStudy", "PatientAge"])
VALUES = st.sampled_from(["CT", "MR", "1", "5", "x"])
REQUIREMENT = st.one_of(
    st.builds(lambda tag, operator, value: requirement(tag, operator, value), TAGS, st.sampled_from(["In", "NotIn", "Matches"]), VALUES),
    st.builds(lambda tag, operator: requirement(tag, operator), TAGS, st.sampled_from(["Exists", "DoesNotExist"])),
)
ELEMENTS = st.fixed_dictionaries({"PatientAge": st.just("060Y")}, optional={"SliceThickness": VALUES, "ImageType": VALUES})
SERIES = st.tuples(st.sampled_from(["CT", "MR", "SR"]), st.dictionaries(st.just("SeriesDescription"), VALUES), ELEMENTS, st.booleans())


@given(
    st.lists(SERIES, min_size=1, max_size=3),
    st.lists(st.tuples(st.lists(REQUIREMENT, max_size=2), st.lists(REQUIREMENT, max_size=2), st.integers(1, 2)), min_size=1, max_size=2),
)
async def test_asking_little_decides_as_knowing_everything(series: list[Any], pipelines: list[Any]) -> None:
    fake = FakeOrthanc()
    for number, (modality, tags, elements, own) in enumerate(series):
        fake.images("a", str(number), modality=modality, tags=tags, elements=elements, username=USERNAME if own else "pacs")
    candidates = [a_candidate(f"p{n}", study=study, series=one, max=most) for n, (study, one, most) in enumerate(pipelines)]
    modalities = "\\".join(sorted({one[0] for one in series}))
    study = {"StudyDescription": "CT Thorax", "PatientID": "SECRET-ID", "ModalitiesInStudy": modalities}
    everything = StudyFacts(
        identifier("a"),
        study,
        tuple(
            SeriesFacts(identifier("a", str(n)), {**study, "Modality": modality, **tags, **elements}, 2, own=own)
            for n, (modality, tags, elements, own) in enumerate(series)
        ),
    )
    images = [n for n, one in enumerate(series) if one[0] != "SR" and not one[3]]
    if images:  # a study element Orthanc does not keep is read from an image; a study without one matches nothing anyway
        everything = StudyFacts(everything.orthanc_id, {**study, "PatientAge": "060Y"}, everything.series)
    series_elements_in_study = any(one["tag"] in ("SliceThickness", "ImageType", "Modality", "SeriesDescription") for p in pipelines for one in p[0])
    if series_elements_in_study:  # which series would say it is not defined
        return
    for ours, candidate in zip(await decisions(fake, *candidates), candidates, strict=True):
        whole = decide(candidate.rules, everything)
        assert (ours.matched, ours.selected) == (whole.matched, whole.selected)


def test_elements_are_only_called_kept_when_every_orthanc_keeps_them() -> None:
    assert "Modality" in SERIES_LEVEL
    assert "SliceThickness" not in SERIES_LEVEL
