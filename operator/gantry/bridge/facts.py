"""What a study is, asked of Orthanc in as few requests as the rules allow.

Each step decides with what is known so far and asks further only about what is still open:
  1. the study's own elements;
  2. its series, with who sent them (`/tools/bulk-content`);
  3. elements Orthanc does not keep in its database, of one instance of each series still in question: one request for all of them where the
     server can (ExtendedFind, or else DICOMweb) and the element is one of `orthanc.READABLE`, otherwise one request a series.
A study that no pipeline wants mostly costs one or two requests; /studies/{id}/shared-tags (63 to 930 ms) is never used.
It decides nothing itself: every step is `routing.decide` with the part of the rules that can be asked already.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from gantry.orthanc import (
    COMPUTED_LEVEL,
    SERIES_LEVEL,
    STUDY_LEVEL,
    Orthanc,
    Permanent,
    SeriesResource,
    StudyResource,
    Unauthorized,
    keyword_of,
    with_numbers,
)
from gantry.routing import Decision, Known, Needs, Rules, SeriesDecision, SeriesFacts, StudyFacts, decide, decide_all
from gantry.runs import is_result_uid

log = structlog.get_logger(__name__)

T = TypeVar("T")
AE_TITLE = re.compile(r"[^\\\x00-\x1f ]([^\\\x00-\x1f]{0,14}[^\\\x00-\x1f ])?")
"""What the API takes as one (PS3.5 6.2, VR AE)."""
TRANSFER_SYNTAX = "TransferSyntaxUID"
"""In the rules an element; in Orthanc metadata of an instance, because the tags of a file's data set do not hold it."""
UNLISTED = Known(STUDY_LEVEL, None)
"""What the study's own resource tells."""
LISTED = Known(STUDY_LEVEL | COMPUTED_LEVEL, SERIES_LEVEL | COMPUTED_LEVEL, senders=True)
"""What the list of its series tells further."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What was decided of a study, and what had to be asked for it."""

    decisions: tuple[Decision, ...]
    """One for each of the rules, in their order."""
    series: tuple[SeriesResource, ...] = ()
    """All of the study; empty when its own elements decided everything."""

    @property
    def images(self) -> tuple[SeriesResource, ...]:
        """Without Gantry's own results."""
        return tuple(one for one in self.series if not is_own(one))

    def sender_of(self, chosen: Sequence[str]) -> str | None:
        """Who stored the first of the chosen series by C-STORE."""
        senders = {one.id: one.sender for one in self.series}
        return next((aet for one in chosen if (aet := senders.get(one)) and AE_TITLE.fullmatch(aet)), None)


@dataclass(frozen=True, slots=True)
class _Open:
    """A pipeline's rules and the decision so far, matched as far as it is known."""

    rules: Rules
    so_far: Decision
    needs: Needs
    """What it still has to know."""


def is_own(series: SeriesResource) -> bool:
    """Whether Gantry made it: its UID says so, through whichever PACS it came back and whoever stored it."""
    return is_result_uid(series.tags.get("SeriesInstanceUID", ""))


def asks_series_one_by_one(rules: Rules) -> bool:
    """Whether a study costs these rules a request for each series in question, unless the server has ExtendedFind or DICOMweb."""
    needs = rules.needs.beyond(LISTED)
    series = needs.series - {TRANSFER_SYNTAX}
    return bool(series) and not needs.instance and all(keyword_of(tag) for tag in series | needs.study)


async def inquire(
    orthanc: Orthanc,
    study: StudyResource,
    rules: Sequence[Rules],
    *,
    only: str | None = None,
    series: Sequence[SeriesResource] | None = None,
) -> Inquiry:
    """Decides for each of `rules`. `only`: a series that is decided by itself, in the light of its whole study. `series`: when they are known."""
    if (early := _refused_early(study, rules)) is not None:
        return Inquiry(early)
    series = tuple(series) if series is not None else await orthanc.series_of_study(study.id)
    facts = _with_series(study, series, only)
    settled = [one for one in rules if one.needs.beyond(LISTED).settled]
    decided = {one.pipeline: one for one in decide_all(settled, facts)}
    asking = [one for one in rules if one.pipeline not in decided]
    left: list[_Open] = []
    for one, so_far in zip(asking, decide_all([one.within(LISTED) for one in asking], facts), strict=True):
        if so_far.matched:
            left.append(_Open(one, so_far, one.needs.beyond(LISTED)))
        else:
            decided[one.pipeline] = so_far
    if left:
        resources = {one.id: one for one in series}
        wanted = {one: resources[one] for item in left for one in _unread(item, facts)}
        facts = await _with_elements(orthanc, facts, wanted, Needs.of(item.needs for item in left))
        for item, full in zip(left, decide_all([item.rules for item in left], facts), strict=True):
            decided[item.rules.pipeline] = _explained(item.so_far, full)
    return Inquiry(tuple(decided[one.pipeline] for one in rules), series)


def _refused_early(study: StudyResource, rules: Sequence[Rules]) -> tuple[Decision, ...] | None:
    """When the study's own elements refuse it for all of them."""
    facts = StudyFacts(study.id, study.tags, (), study.last_update)
    decisions: list[Decision] = []
    for one in rules:
        decision = decide(one.within(UNLISTED), facts)
        if decision.matched:
            return None
        decisions.append(decision)
    return tuple(decisions)


def _unread(item: _Open, facts: StudyFacts) -> tuple[str, ...]:
    """Series of which an instance has to be read: all in question for a series element, one of them for a study element."""
    if item.needs.every:
        return tuple(one.orthanc_id for one in facts.series if not one.own)
    chosen = item.so_far.selected
    return chosen if item.needs.series or item.needs.instance else chosen[:1]


def _with_series(study: StudyResource, series: Sequence[SeriesResource], only: str | None) -> StudyFacts:
    modalities = sorted({one.tags["Modality"].strip() for one in series if one.tags.get("Modality", "").strip()})
    computed = {
        "ModalitiesInStudy": "\\".join(modalities),
        "NumberOfStudyRelatedSeries": str(len(series)),
        "NumberOfStudyRelatedInstances": str(sum(len(one.instances) for one in series)),
    }
    tags = {**study.tags, **with_numbers(computed)}
    facts = [
        SeriesFacts(
            one.id,
            {**tags, **one.tags},
            instances=len(one.instances),
            own=is_own(one),
            sender=one.sender,
            last_update=one.last_update,
        )
        for one in series
        if only in (None, one.id)
    ]
    return StudyFacts(study.id, tags, tuple(facts), study.last_update)


async def _with_elements(orthanc: Orthanc, facts: StudyFacts, wanted: Mapping[str, SeriesResource], needs: Needs) -> StudyFacts:
    """What Orthanc keeps stays as it is: a decision must not depend on whether another pipeline caused an instance to be read."""
    tags = (needs.study | needs.series) - {TRANSFER_SYNTAX}
    read: Mapping[str, Mapping[str, str]] = {}
    if tags or needs.instance:
        read = await _read(orthanc, facts, wanted, tags, everything=needs.instance)
    syntaxes: Mapping[str, str] = {}
    if TRANSFER_SYNTAX in needs.series or needs.instance:
        first = _first(wanted, wanted)
        metadata = await orthanc.metadata_of(list(first.values()))
        syntaxes = {one: metadata.get(instance, {}).get("TransferSyntax", "") for one, instance in first.items()}
    series = tuple(
        replace(
            one,
            tags={
                **read.get(one.orthanc_id, {}),
                **({TRANSFER_SYNTAX: syntaxes[one.orthanc_id]} if syntaxes.get(one.orthanc_id) else {}),
                **one.tags,
            },
        )
        for one in facts.series
    )
    study = read[min(read)] if read else {}
    return replace(facts, tags={**study, **facts.tags}, series=series)


async def _read(
    orthanc: Orthanc,
    facts: StudyFacts,
    series: Mapping[str, SeriesResource],
    tags: frozenset[str],
    *,
    everything: bool,
) -> dict[str, dict[str, str]]:
    """Elements of one instance of each of the series. What one request gives for all of them is never taken from another instance too."""
    keywords = sorted({keyword for tag in tags if (keyword := keyword_of(tag))})
    at_once = await _read_at_once(orthanc, facts, series, keywords) if keywords else {}
    single = everything or any(keyword_of(tag) is None for tag in tags)
    rest = series if single else [one for one in series if one not in at_once]  # LimitFindResults may have cut the answer
    read = await _each(orthanc.instance_tags, _first(series, rest))
    for one, elements in at_once.items():
        further = {tag: value for tag, value in read.get(one, {}).items() if keyword_of(tag) not in keywords}
        read[one] = {**further, **elements}
    return read


async def _read_at_once(
    orthanc: Orthanc, facts: StudyFacts, series: Mapping[str, SeriesResource], keywords: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Empty where the server cannot do that. Which way it is follows from the server alone: bridge, backfill and explain read the same instance."""
    if "ExtendedFind" in orthanc.features:
        found = await orthanc.elements_by_find(facts.orthanc_id, keywords)
        return {one: found[one] for one in series if one in found}
    if "DicomWeb" in orthanc.features and (uid := facts.tags.get("StudyInstanceUID", "")):
        try:
            by_uid = await orthanc.elements_by_qido(uid, keywords)
        except Unauthorized:
            raise
        except Permanent as error:  # switched off, or a proxy that does not let it through: instances are read instead
            log.info("DICOMweb does not answer for elements of series", error=str(error))
            return {}
        return {one.id: by_uid[name] for one in series.values() if (name := one.tags.get("SeriesInstanceUID", "").strip(" \0")) in by_uid}
    return {}


def _first(series: Mapping[str, SeriesResource], chosen: Iterable[str]) -> dict[str, str]:
    """The first instance of each."""
    return {one: series[one].instances[0] for one in sorted(chosen) if series[one].instances}


def _explained(so_far: Decision, full: Decision) -> Decision:
    """`full`, but a series that was refused early keeps that reason: its other elements were never read."""
    early = {one.orthanc_id: one for one in so_far.series if not one.selected}
    series: tuple[SeriesDecision, ...] = tuple(early.get(one.orthanc_id, one) for one in full.series)
    return replace(full, series=series)


async def _each(ask: Callable[[str], Awaitable[T]], instances: Mapping[str, str]) -> dict[str, T]:
    """Asks about each series' instance at once (the client bounds the connections); the first fault ends the others."""
    tasks = [asyncio.ensure_future(ask(instance)) for instance in instances.values()]
    try:
        answers = await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    return dict(zip(instances, answers, strict=True))
