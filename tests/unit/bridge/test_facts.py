"""What is asked of Orthanc about one study: as little as the rules allow, and never so little that the decision is another."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders_bridge import a_candidate, requirement
from tests.fake_orthanc import FakeOrthanc, identifier, study_uid

from gantry.bridge import Candidate
from gantry.bridge.facts import inquire
from gantry.orthanc import SERIES_LEVEL
from gantry.routing import Decision, SeriesFacts, StudyFacts, decide

CT, US = requirement("Modality", "In", "CT"), requirement("Modality", "In", "US")
THIN = requirement("SliceThickness", "Lte", "2")
KERNEL = requirement("ConvolutionKernel", "DoesNotExist")


async def decisions(fake: FakeOrthanc, *candidates: Candidate) -> tuple[Decision, ...]:
    async with fake.client() as orthanc:
        await orthanc.system()
        fake.calls.clear()
        study = await orthanc.study(identifier("a"))
        return (await inquire(orthanc, study, [one.rules for one in candidates])).decisions


def kinds(fake: FakeOrthanc) -> list[str]:
    """What each request asks for."""
    names = {"bulk-content": "series", "tags": "instance", "series": "elements of all series", "find": "elements of all series"}
    return [names.get(call.rpartition("/")[2], "study") for call in fake.calls if "/plugins" not in call]


COST: dict[str, tuple[list[Candidate], list[str]]] = {
    "no pipeline: only the study": ([], ["study"]),
    "refused by the study's own elements: one request": ([a_candidate(study=[requirement("StudyDescription", "Matches", "Knee")])], ["study"]),
    "refused by the modalities in the study: two": ([a_candidate(study=[requirement("ModalitiesInStudy", "In", "US")])], ["study", "series"]),
    "refused by every series' modality: two": ([a_candidate(series=[US, THIN])], ["study", "series"]),
    "too few series whatever else they are: two": ([a_candidate(series=[CT, THIN], min=2)], ["study", "series"]),
    "matched by what Orthanc keeps: two": ([a_candidate(series=[CT])], ["study", "series"]),
    "matched by an element it does not keep: three": ([a_candidate(series=[CT, THIN])], ["study", "series", "elements of all series"]),
    "an element of all series: three": ([a_candidate(series=[THIN])], ["study", "series", "elements of all series"]),
    "a study element it does not keep: three": ([a_candidate(study=[requirement("PatientAge", "Exists")])], ["study", "series", "elements of all series"]),
    "an element no request gives of all series: one instance of each in question": (
        [a_candidate(series=[requirement("DiffusionBValue", "DoesNotExist")])], ["study", "series", "instance", "instance"],
    ),
    "several pipelines share what is read": (
        [a_candidate("one", series=[CT, THIN]), a_candidate("two", series=[KERNEL]), a_candidate("three", series=[US])],
        ["study", "series", "elements of all series"],
    ),
}  # fmt: skip
SERVERS = {"1.10 with DICOMweb": FakeOrthanc, "1.13": lambda: FakeOrthanc(extended=True, plugins=())}


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS.keys())
@pytest.mark.parametrize(("candidates", "want"), COST.values(), ids=COST.keys())
async def test_the_requests_for_a_study_of_a_ct_an_mr_and_a_report(
    candidates: list[Candidate], want: list[str], server: Callable[[], FakeOrthanc]
) -> None:
    fake = server()
    fake.images("a", "ct", modality="CT", elements={"SliceThickness": "1", "PatientAge": "060Y"})
    fake.images("a", "mr", modality="MR", elements={"SliceThickness": "1", "PatientAge": "060Y"})
    fake.images("a", "sr", modality="SR")
    await decisions(fake, *candidates)
    assert kinds(fake) == want


async def test_a_server_that_gives_no_elements_of_all_series_is_asked_about_one_instance_of_each_in_question() -> None:
    """1.10 without DICOMweb: the one case in which the number of requests grows with the number of series."""
    fake = FakeOrthanc(plugins=())
    for number in range(5):
        fake.images("a", f"ct{number}", elements={"SliceThickness": "1"})
        fake.images("a", f"mr{number}", modality="MR", elements={"SliceThickness": "1"})
    (decision,) = await decisions(fake, a_candidate(series=[CT, THIN]))
    assert len(decision.selected) == 5
    assert kinds(fake) == ["study", "series", *["instance"] * 5]


async def test_dicomweb_is_asked_where_the_plugin_says_it_is() -> None:
    fake = FakeOrthanc()
    fake.dicom_web = "/wado"
    fake.images("a", "ct", elements={"SliceThickness": "1"})
    (decision,) = await decisions(fake, a_candidate(series=[THIN]))
    assert decision.matched
    assert "GET /wado/series" in fake.calls


async def test_where_dicomweb_is_switched_off_instances_are_read() -> None:
    fake = FakeOrthanc()
    fake.fails("/dicom-web", 404)
    fake.images("a", "ct", elements={"SliceThickness": "1"})
    (decision,) = await decisions(fake, a_candidate(series=[THIN]))
    assert decision.matched
    assert kinds(fake)[-1] == "instance"


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS.keys())
async def test_two_hundred_pipelines_and_two_thousand_images_cost_three_requests(server: Callable[[], FakeOrthanc]) -> None:
    fake = server()
    for number in range(10):
        fake.images("a", str(number), count=200, elements={"SliceThickness": str(number), "ConvolutionKernel": f"B{number}f"})
    pipelines = [a_candidate(f"p{n}", series=[CT, THIN] if n % 2 else [requirement("ConvolutionKernel", "Matches", f"^B{n % 12}")]) for n in range(200)]
    found = await decisions(fake, *pipelines)
    assert len(kinds(fake)) == 3
    assert [len(one.selected) for one in found[:4]] == [1, 3, 1, 3]


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS.keys())
async def test_the_transfer_syntax_is_asked_of_all_series_at_once(server: Callable[[], FakeOrthanc]) -> None:
    fake = server()
    fake.images("a", "plain", elements={"SliceThickness": "1"})
    fake.images("a", "packed", elements={"SliceThickness": "1"})
    fake.series[identifier("a", "packed")].syntax = "1.2.840.10008.1.2.4.90"
    plain = {"template.input.series.expression": "series.transferSyntax == '1.2.840.10008.1.2.1'"}
    (decision,) = await decisions(fake, a_candidate(series=[THIN], spec=plain))
    assert decision.selected == (identifier("a", "plain"),)
    assert kinds(fake) == ["study", "series", "elements of all series", "series"]


async def test_an_expression_over_all_series_has_every_series_read() -> None:
    fake = FakeOrthanc()
    fake.images("a", "ct", elements={"SliceThickness": "1"})
    fake.images("a", "mr", modality="MR", elements={"SliceThickness": "7"})
    every = {"match.expression": "study.series.exists(s, s.tags.SliceThickness == 7.0)"}
    (decision,) = await decisions(fake, a_candidate(series=[CT], spec=every))
    assert decision.selected == (identifier("a", "ct"),)
    assert kinds(fake) == ["study", "series", "elements of all series"]


NUMBERS = {"1.25": "1.25", "1.250": "1.25", "5.000": "5", "+5": "5", "1.25E0": "1.25", "n/a": "n/a", "0.7\\0.70": "0.7\\0.7", "1_0": "1_0", "inf": "inf"}


@pytest.mark.parametrize(("written", "read"), NUMBERS.items(), ids=NUMBERS.keys())
@pytest.mark.parametrize("server", [*SERVERS.values(), lambda: FakeOrthanc(plugins=())], ids=[*SERVERS.keys(), "1.10 alone"])
async def test_a_number_is_the_same_text_whichever_way_it_was_asked_for(written: str, read: str, server: Callable[[], FakeOrthanc]) -> None:
    fake = server()
    fake.images("a", "ct", elements={"SliceThickness": written, "PixelSpacing": written})
    (decision,) = await decisions(fake, a_candidate(series=[requirement("0018,0050", "In", "none")]))
    (series,) = decision.series
    assert series.refusal is not None
    assert series.refusal.actual == read


async def test_our_own_results_are_told_by_their_uid_whoever_stored_them() -> None:
    """A secondary capture has the modality of an image; a PACS that sends it back is its sender."""
    fake = FakeOrthanc()
    fake.images("a", "ct", sender="SCANNER")
    fake.images("a", "sc", own=True, sender="PACS")
    (decision,) = await decisions(fake, a_candidate(series=[CT]))
    assert decision.selected == (identifier("a", "ct"),)
    refused = next(one for one in decision.series if not one.selected)
    assert refused.refusal is not None
    assert (refused.orthanc_id, refused.refusal.check) == (identifier("a", "sc"), "origin")


async def test_a_study_of_nothing_but_our_own_results_does_not_match() -> None:
    fake = FakeOrthanc()
    fake.images("a", "sc", own=True)
    (decision,) = await decisions(fake, a_candidate(series=[CT, THIN]))
    assert not decision.matched
    assert kinds(fake) == ["study", "series"]


async def test_a_series_alone_is_decided_in_the_light_of_its_study() -> None:
    fake = FakeOrthanc()
    fake.images("a", "ct")
    fake.images("a", "mr", modality="MR")
    rules = [a_candidate(study=[requirement("ModalitiesInStudy", "In", "MR")], series=[CT]).rules]
    async with fake.client() as orthanc:
        study = await orthanc.study(identifier("a"))
        (ct,) = (await inquire(orthanc, study, rules, only=identifier("a", "ct"))).decisions
        (mr,) = (await inquire(orthanc, study, rules, only=identifier("a", "mr"))).decisions
    assert ct.selected == (identifier("a", "ct"),)
    assert not mr.matched


async def test_the_sender_of_a_run_is_who_stored_its_first_series() -> None:
    fake = FakeOrthanc()
    fake.images("a", "1", sender="SCANNER")
    fake.images("a", "2", sender="\\no AE title")
    async with fake.client() as orthanc:
        inquiry = await inquire(orthanc, await orthanc.study(identifier("a")), [a_candidate().rules])
    assert inquiry.sender_of([identifier("a", "1")]) == "SCANNER"
    assert inquiry.sender_of([identifier("a", "2")]) is None
    assert inquiry.sender_of([identifier("a", "2"), identifier("a", "1")]) == "SCANNER"


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
        fake.images("a", str(number), modality=modality, tags=tags, elements=elements, own=own)
    candidates = [a_candidate(f"p{n}", study=study, series=one, max=most) for n, (study, one, most) in enumerate(pipelines)]
    modalities = "\\".join(sorted({one[0] for one in series}))
    study = {"StudyDescription": "CT Thorax", "PatientID": "SECRET-ID", "StudyInstanceUID": study_uid("a"), "ModalitiesInStudy": modalities}
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
