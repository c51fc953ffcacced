"""`gantry explain`: what the pipelines decide about a stored study, or about those that came last, and why.

The decision itself is the bridge's own code (`gantry.bridge.inquire` with `gantry.routing.compile_rules`); nothing here judges a study.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gantry.api import labels
from gantry.bridge import inquire
from gantry.kube import RUNS, Kube
from gantry.orthanc import Orthanc, OrthancError, SeriesResource, StudyResource
from gantry.routing import Decision, Refusal

from .cluster import asked
from .explain_sources import Asked, Source, Wanted, sources
from .explain_studies import AT_ONCE, each, find_study, latest_studies
from .failure import Failure

Object = dict[str, Any]
IDENTIFYING = ("PatientName", "PatientID", "PatientBirth", "PatientAddress", "PatientTelephone", "PatientMother", "OtherPatient", "IssuerOfPatient")
"""Beginnings of keywords of the patient module (PS3.3 C.7.1.1) that say who someone is; sex, age and size do not."""
PLAIN_NUMBERS = ("0010,0040", "0010,1010", "0010,1020", "0010,1030")
HIDDEN = "(hidden; --patient shows it)"


@dataclass(frozen=True, slots=True)
class Answer:
    """One pipeline's decision."""

    asked: Asked
    decision: Decision


@dataclass(frozen=True, slots=True)
class Explained:
    """One study and what each pipeline decides about it."""

    study: StudyResource
    answers: tuple[Answer, ...]
    series: tuple[SeriesResource, ...] = ()
    """For people: what the series are called."""
    runs: tuple[Object, ...] = ()
    """For people: Runs the study has already."""
    doubt: str = ""
    """For people: why `runs` is not known."""
    now: datetime | None = None
    """For people: Orthanc's clock."""

    @property
    def matched(self) -> bool:
        """Whether any pipeline takes it."""
        return any(one.decision.matched for one in self.answers)


def explained(wanted: Wanted, study: str | None, recent: int, *, for_people: bool) -> tuple[Explained, ...]:
    """The named study, or as many as came last, the newest first. `for_people` also asks for what is only shown to people."""
    places = sources(wanted)
    if study is None:
        return asyncio.run(_recent_of_all(places, recent))
    found = asyncio.run(_one_of_all(places, study, for_people=for_people))
    namespaces = sorted({one.asked.namespace for one in found.answers if one.asked.namespace})
    if not (for_people and namespaces):
        return (found,)
    try:
        return (replace(found, runs=asked(lambda kube: _runs(kube, namespaces, found.study.id))),)
    except Failure as failure:  # the decisions are there; Runs are only told beside them
        return (replace(found, doubt=str(failure)),)


def as_json(found: Sequence[Explained], *, single: bool, patient: bool) -> str:
    """One object for a named study, a list of the same objects for recent ones; docs/routing.md tells what they hold."""
    answers = [{"study": one.study.id, "decisions": [_decision(answer.decision, patient=patient) for answer in one.answers]} for one in found]
    return json.dumps(answers[0] if single else answers, indent=2, ensure_ascii=False)


def _decision(decision: Decision, *, patient: bool) -> Object:
    series = tuple(replace(one, refusal=shown(one.refusal, patient=patient)) for one in decision.series)
    return replace(decision, refusal=shown(decision.refusal, patient=patient), series=series).as_dict()


def shown(refusal: Refusal | None, *, patient: bool) -> Refusal | None:
    """Without the values of elements that say who the patient is, unless they are asked for."""
    if refusal is None or patient or not _identifies(refusal.check):
        return refusal
    return Refusal(refusal.check, refusal.wanted, HIDDEN if refusal.actual != "missing" else refusal.actual)


def _identifies(check: str) -> bool:
    return check.startswith(IDENTIFYING) or (check.startswith("0010,") and not check.startswith(PLAIN_NUMBERS))


def together(decisions: Sequence[Decision]) -> Decision:
    """One pipeline's decisions on the series of a study, each taken by itself (watch.level Series), as one: each match is a Run of its own."""
    matches = [one for one in decisions if one.matched]
    series = tuple(
        replace(of, selected=of.selected and one.matched, refusal=of.refusal if one.matched else of.refusal or one.refusal)
        for one in decisions
        for of in one.series
    )
    return replace((matches or list(decisions))[0], series=series)


# -- asking ------------------------------------------------------------------------------------------------------------


async def _one_of_all(places: Sequence[Source], named: str, *, for_people: bool) -> Explained:
    """The study's id is the same in every Orthanc, so that what several bridges decide is one answer."""
    found = [one for place in places if (one := await _in_one(place, named, for_people=for_people))]
    if not found:
        where = " or ".join(sorted({place.url for place in places}))
        raise Failure(f"no study with this Orthanc id, StudyInstanceUID or accession number in {where}; was it sent there, or deleted?")
    return replace(found[0], answers=tuple(answer for one in found for answer in one.answers))


async def _in_one(place: Source, named: str, *, for_people: bool) -> Explained | None:
    try:
        async with _connect(place) as orthanc:
            study = await find_study(orthanc, named)
            if study is None:
                return None
            await orthanc.system()  # its features say how elements are read
            answers = await _decide(orthanc, place, study)
            if not for_people:
                return Explained(study, answers)
            return Explained(study, answers, await orthanc.series_of_study(study.id), now=await orthanc.now())
    except OrthancError as error:
        raise place.failure(error) from error


async def _recent_of_all(places: Sequence[Source], count: int) -> tuple[Explained, ...]:
    merged: dict[str, Explained] = {}
    for place in places:
        for one in await _recent_in_one(place, count):
            before = merged.get(one.study.id)
            merged[one.study.id] = Explained(one.study, (*before.answers, *one.answers)) if before else one
    return tuple(sorted(merged.values(), key=lambda one: str(one.study.last_update), reverse=True)[:count])


async def _recent_in_one(place: Source, count: int) -> list[Explained]:
    async def explained(study: StudyResource) -> Explained:
        return Explained(study, await _decide(orthanc, place, study))

    try:
        async with _connect(place) as orthanc:
            features = (await orthanc.system()).features
            return await each(explained, await latest_studies(orthanc, count, features))
    except OrthancError as error:
        raise place.failure(error) from error


async def _decide(orthanc: Orthanc, place: Source, study: StudyResource) -> tuple[Answer, ...]:
    """As the bridge does it; a pipeline whose rules cannot be compiled is told as the one check that fails."""
    rules = [one.rules for one in place.pipelines if one.rules]
    if place.bridge and place.bridge.spec.watch.level == "Series":
        series = await orthanc.series_of_study(study.id)
        singly = [(await inquire(orthanc, study, rules, only=one.id, series=series)).decisions for one in series]
        made = [together(of_one) for of_one in zip(*singly, strict=True)]
    else:
        made = list((await inquire(orthanc, study, rules)).decisions)
    decided = {one.pipeline: one for one in made}
    unusable = {
        one.name: Decision(one.name, matched=False, refusal=Refusal("Ready", "rules that can be compiled", one.problem), series=())
        for one in place.pipelines
        if one.rules is None
    }
    return tuple(Answer(one, (decided | unusable)[one.name]) for one in place.pipelines)


async def _runs(kube: Kube, namespaces: Sequence[str], study: str) -> tuple[Object, ...]:
    selector = f"{labels.STUDY}={study[:8]}"
    found = [run for one in namespaces async for page in kube.pages(RUNS, one, selector=selector) for run in page]
    return tuple(run for run in found if run["spec"]["study"].get("orthancID") == study)


def _connect(place: Source) -> Orthanc:
    return Orthanc(place.url, credentials=place.credentials, trust=place.trust, connections=AT_ONCE)
