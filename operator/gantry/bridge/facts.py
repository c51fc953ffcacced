"""What a study is, asked of Orthanc in as few requests as the rules allow.

Each step decides with what is known so far and asks further only about what is still open:
  1. the study's own elements;  2. the list of its series;  3. who stored the series that are left;
  4. all elements of one instance of each series that is left, only when a rule names an element Orthanc does not keep in its database.
A study that no pipeline wants mostly costs one or two requests; /studies/{id}/shared-tags (63 to 930 ms) is never used.
It decides nothing itself: every step is `routing.decide` with the requirements that can be answered already.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from gantry.orthanc import COMPUTED_LEVEL, SERIES_LEVEL, STUDY_LEVEL, Orthanc, SeriesResource, StudyResource, with_numbers
from gantry.routing import Decision, Rules, SeriesDecision, SeriesFacts, StudyFacts, decide

T = TypeVar("T")
NO_LIMIT = 1_000_000
OWNER = "HttpUsername"
"""Metadata of an instance: the account that uploaded it. The bridge's account is Gantry's alone, so it marks Gantry's own results."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A pipeline's rules and the decision so far, matched as far as it is known."""

    rules: Rules
    so_far: Decision


async def decide_study(orthanc: Orthanc, study: StudyResource, rules: Sequence[Rules], *, username: str | None) -> tuple[Decision, ...]:
    """One decision for each of `rules`, in their order."""
    decided: dict[str, Decision] = {}
    facts = StudyFacts(study.id, study.tags, ())
    left = _sift([_Open(one, _nothing(one)) for one in rules], facts, decided, study_known=STUDY_LEVEL, series_known=None)
    if left:
        series = await orthanc.series_of_study(study.id)
        facts = _with_series(study, series)
        study_known, series_known = STUDY_LEVEL | COMPUTED_LEVEL, SERIES_LEVEL | COMPUTED_LEVEL
        left = _sift(left, facts, decided, study_known=study_known, series_known=series_known)
        first = {one.id: one.instances[0] for one in series if one.instances}
        if left and username:
            own = await _each(orthanc.instance_metadata, {one: first[one] for one in _chosen(left)})
            facts = _with_owners(facts, {one for one, metadata in own.items() if metadata.get(OWNER) == username})
            left = _sift(left, facts, decided, study_known=study_known, series_known=series_known)
        wanted = {one for item in left for one in _unread(item, study_known, series_known)}
        if wanted:
            facts = _with_elements(facts, await _each(orthanc.instance_tags, {one: first[one] for one in sorted(wanted)}))
        for item in left:
            decided[item.rules.pipeline] = _explained(item.so_far, decide(item.rules, facts))
    return tuple(decided[one.pipeline] for one in rules)


def _nothing(rules: Rules) -> Decision:
    return Decision(rules.pipeline, matched=True, refusal=None, series=())


def _sift(
    items: Sequence[_Open],
    facts: StudyFacts,
    decided: dict[str, Decision],
    *,
    study_known: frozenset[str],
    series_known: frozenset[str] | None,
) -> list[_Open]:
    """Moves what is refused for sure into `decided`; returns the rest with the series still in question."""
    left = []
    for item in items:
        rules = replace(
            item.rules,
            study=tuple(one for one in item.rules.study if _known(one.tag, study_known)),
            series=tuple(one for one in item.rules.series if series_known is not None and _known(one.tag, series_known)),
            # Further requirements can only take series away: too few now is too few, too many now may not be.
            min_series=item.rules.min_series if series_known is not None else 0,
            max_series=NO_LIMIT,
        )
        decision = decide(rules, facts)
        if decision.matched:
            left.append(_Open(item.rules, decision))
        else:
            decided[item.rules.pipeline] = decision
    return left


def _known(tag: str, known: frozenset[str]) -> bool:
    return tag in known or tag.lower() in known


def _chosen(items: Sequence[_Open]) -> list[str]:
    return sorted({one for item in items for one in item.so_far.selected})


def _unread(item: _Open, study_known: frozenset[str], series_known: frozenset[str]) -> tuple[str, ...]:
    """Series of which an instance has to be read: all in question for a series element, one of them for a study element."""
    chosen = item.so_far.selected
    if any(not _known(one.tag, series_known) for one in item.rules.series):
        return chosen
    if any(not _known(one.tag, study_known) for one in item.rules.study):
        return chosen[:1]
    return ()


def _with_series(study: StudyResource, series: Sequence[SeriesResource]) -> StudyFacts:
    modalities = sorted({one.tags["Modality"].strip() for one in series if one.tags.get("Modality", "").strip()})
    computed = {
        "ModalitiesInStudy": "\\".join(modalities),
        "NumberOfStudyRelatedSeries": str(len(series)),
        "NumberOfStudyRelatedInstances": str(sum(len(one.instances) for one in series)),
    }
    tags = {**study.tags, **with_numbers(computed)}
    return StudyFacts(
        study.id, tags, tuple(SeriesFacts(one.id, {**tags, **one.tags}, instances=len(one.instances)) for one in series)
    )


def _with_owners(facts: StudyFacts, own: set[str]) -> StudyFacts:
    return replace(facts, series=tuple(replace(one, own=one.orthanc_id in own) for one in facts.series))


def _with_elements(facts: StudyFacts, read: Mapping[str, Mapping[str, str]]) -> StudyFacts:
    """What Orthanc keeps stays as it is: a decision must not depend on whether another pipeline caused an instance to be read."""
    series = tuple(replace(one, tags={**read.get(one.orthanc_id, {}), **one.tags}) for one in facts.series)
    study = read[min(read)]
    return replace(facts, tags={**study, **facts.tags}, series=series)


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
