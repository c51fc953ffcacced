"""Two reports side by side: which findings are the same, and what is said differently.

Pure. Made for a new version of an algorithm beside the old one and for a follow-up beside the study before. It must not judge which is right,
nor read files. Who made a report, and when, is no difference.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from .reader import Coded, Evaluation, Finding, Measurement, Region, Report

NEAR = {"mm": 15.0, "px": 20.0}
"""How far apart two findings of one kind at one site may lie to be the same."""
SAME_PLACE = 0.01
"""mm or pixels: coordinates closer than that are equal (SCOORD holds single precision)."""


@dataclass(frozen=True)
class Place:
    """Where a finding lies; two can be compared within one space."""

    space: str
    point: tuple[float, ...]
    unit: str = "mm"


Locate = Callable[[Finding], Place | None]


@dataclass(frozen=True)
class Pair:
    """A finding of both reports."""

    before: Finding
    after: Finding
    matched_by: str
    """`tracking UID`, `type, site and distance`, or `type and site`."""
    distance: float | None
    """Between the middles of both, where that is known."""
    unit: str | None


@dataclass(frozen=True)
class Matching:
    """All findings of two reports: each stands in exactly one of the three."""

    pairs: tuple[Pair, ...]
    disappeared: tuple[Finding, ...]
    appeared: tuple[Finding, ...]


@dataclass(frozen=True)
class Numbers:
    """One measurement of both; None where one report does not have it."""

    name: Coded
    unit: str
    before: float | None
    after: float | None

    @property
    def difference(self) -> float | None:
        """After minus before."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True)
class Words:
    """Something else that is said of both; None where one report does not say it."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class FindingComparison:
    """One pair, with all its measurements and what else differs."""

    pair: Pair
    measurements: tuple[Numbers, ...]
    changes: tuple[Words, ...]

    @property
    def differs(self) -> bool:
        """Whether anything is said differently."""
        return bool(self.changes) or any(one.before != one.after for one in self.measurements)


@dataclass(frozen=True)
class Comparison:
    """What two reports say, side by side."""

    findings: tuple[FindingComparison, ...]
    disappeared: tuple[Finding, ...]
    appeared: tuple[Finding, ...]
    statements: tuple[Words, ...]
    """What is said differently of the whole study: absent conditions, answers, impression."""

    @property
    def equal(self) -> bool:
        """Whether both reports say the same."""
        return not (self.disappeared or self.appeared or self.statements or any(one.differs for one in self.findings))


def middle(finding: Finding) -> Place | None:
    """The middle of its first region, in the patient or on its image; None of a segment, or without region."""
    for region in finding.regions:
        if region.points:
            low, high = (tuple(pick(axis) for axis in zip(*_bounds(region), strict=True)) for pick in (min, max))
            point = tuple((a + b) / 2 for a, b in zip(low, high, strict=True))
            if region.space:
                return Place(region.space, point)
            return Place(f"{region.image}:{region.frames[:1]}", point, "px") if region.image else None
    return None


def _bounds(region: Region) -> tuple[tuple[float, ...], ...]:
    """A circle is its centre and a point on it; all else lies between its points."""
    return region.points[:1] if region.kind == "circle" else region.points


def match(before: Sequence[Finding], after: Sequence[Finding], *, locate: Locate = middle) -> Matching:
    """Pairs by tracking UID; else of the same type and site, the nearest first, and those whose distance nobody knows by their order."""
    pairs = _by_tracking(before, after)
    taken = {id(one) for pair in pairs for one in (pair.before, pair.after)}
    pairs += _by_likeness([one for one in before if id(one) not in taken], [one for one in after if id(one) not in taken], locate)
    taken = {id(one) for pair in pairs for one in (pair.before, pair.after)}
    order = {id(one): place for place, one in enumerate(before)}
    return Matching(
        tuple(sorted((_located(pair, locate) for pair in pairs), key=lambda pair: order[id(pair.before)])),
        tuple(one for one in before if id(one) not in taken),
        tuple(one for one in after if id(one) not in taken),
    )


def _by_tracking(before: Sequence[Finding], after: Sequence[Finding]) -> list[Pair]:
    known = {one.tracking_uid: one for one in reversed(after) if one.tracking_uid}
    pairs = []
    for one in before:
        other = known.pop(one.tracking_uid, None) if one.tracking_uid else None
        if other is not None:
            pairs.append(Pair(one, other, "tracking UID", None, None))
    return pairs


def _by_likeness(before: Sequence[Finding], after: Sequence[Finding], locate: Locate) -> list[Pair]:
    candidates: dict[object, list[tuple[int, Finding]]] = defaultdict(list)
    for place, other in enumerate(after):
        candidates[_kind(other)].append((place, other))
    ranked = []
    for number, one in enumerate(before):
        for place, other in candidates[_kind(one)]:
            distance, unit = _distance(locate(one), locate(other))
            if distance is None:
                ranked.append(((1, _unlikeness(one, other), number, place), one, other))
            elif distance <= NEAR[unit or "mm"]:
                ranked.append(((0, distance, number, place), one, other))
    pairs, taken = [], set[int]()
    for rank, one, other in sorted(ranked, key=lambda each: each[0]):
        if not taken & {id(one), id(other)}:
            taken |= {id(one), id(other)}
            pairs.append(Pair(one, other, "type and site" if rank[0] else "type, site and distance", None, None))
    return pairs


def _located(pair: Pair, locate: Locate) -> Pair:
    distance, unit = _distance(locate(pair.before), locate(pair.after))
    return replace(pair, distance=distance, unit=unit)


def _kind(finding: Finding) -> tuple[object, ...]:
    """Type and sites: findings that differ in one are two findings."""
    sites = frozenset((_key(site.location), site.laterality) for site in finding.sites)
    return (_key(finding.type) if finding.type else None, sites)


def _distance(one: Place | None, other: Place | None) -> tuple[float | None, str | None]:
    if one is None or other is None or one.space != other.space or len(one.point) != len(other.point):
        return None, None
    return math.dist(one.point, other.point), one.unit


def _unlikeness(one: Finding, other: Finding) -> float:
    """Largest relative difference of their common measurements; 0 without any."""
    numbers = [(each.before, each.after) for each in _measurements(one, other)]
    known = [(a, b) for a, b in numbers if a is not None and b is not None]
    return max((abs(b - a) / max(abs(a), abs(b), 1e-9) for a, b in known), default=0.0)


def compare(before: Report, after: Report, *, locate: Locate = middle) -> Comparison:
    """What both say. A finding that one of them says to be absent is compared with the other's by its tracking UID."""
    matching = match((*before.findings, *before.absences), (*after.findings, *after.absences), locate=locate)
    pairs = [pair for pair in matching.pairs if not (pair.before.is_absence and pair.after.is_absence)]
    return Comparison(
        tuple(FindingComparison(pair, _measurements(pair.before, pair.after), _changes(pair)) for pair in pairs),
        tuple(one for one in matching.disappeared if not one.is_absence),
        tuple(one for one in matching.appeared if not one.is_absence),
        tuple(_statements(before, after)),
    )


def merged(reports: Sequence[Report]) -> Report:
    """All SRs of one Run as one report: findings are spread over up to four, the summary stands in the first. At least one is needed."""
    first = reports[0]
    return replace(
        first,
        findings=_joined([one for report in reports for one in report.findings]),
        absences=tuple(one for report in reports for one in report.absences),
        absent=_once(one for report in reports for one in report.absent),
        evaluations=tuple(one for report in reports for one in report.evaluations),
        impression=next((report.impression for report in reports if report.impression), None),
    )


def _joined(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Outlines go to the volumes they are of; one without its volume stays."""
    outlines = {one.tracking_uid: one for one in findings if one.is_outline}
    whole = {one.tracking_uid for one in findings if not one.is_outline}
    return tuple(
        replace(one, outline=outlines[one.tracking_uid].regions) if not one.is_outline and one.tracking_uid in outlines else one
        for one in findings
        if not one.is_outline or one.tracking_uid not in whole
    )


def _once(concepts: Iterable[Coded]) -> tuple[Coded, ...]:
    return tuple({_key(one): one for one in concepts}.values())


def _key(concept: Coded) -> tuple[str, str]:
    """Meanings differ with the language and the version; codes do not."""
    return concept.scheme, concept.value


def _measurements(one: Finding, other: Finding) -> tuple[Numbers, ...]:
    """By name and unit; of several equal ones the first belongs to the first."""
    rows: dict[tuple[object, ...], Numbers] = {}
    for key, each in _keyed(one.measurements + _certainty(one)):
        rows[key] = Numbers(each.name, each.unit, each.value, None)
    for key, each in _keyed(other.measurements + _certainty(other)):
        rows[key] = replace(rows[key], after=each.value) if key in rows else Numbers(each.name, each.unit, None, each.value)
    return tuple(rows.values())


def _certainty(finding: Finding) -> tuple[Measurement, ...]:
    return (finding.certainty,) if finding.certainty else ()


def _keyed(measurements: Sequence[Measurement]) -> list[tuple[tuple[object, ...], Measurement]]:
    seen: dict[tuple[object, ...], int] = defaultdict(int)
    result: list[tuple[tuple[object, ...], Measurement]] = []
    for each in measurements:
        key = (_key(each.name), each.unit)
        result.append(((*key, seen[key]), each))
        seen[key] += 1
    return result


def _changes(pair: Pair) -> tuple[Words, ...]:
    one, other = pair.before, pair.after
    rows = [
        _words("Finding", one.type.meaning if one.type else None, other.type.meaning if other.type else None)
        if (one.type and _key(one.type)) != (other.type and _key(other.type))
        else None,
        _words("Presence", _meaning(one.presence), _meaning(other.presence)),
        _words("Site", _sites(one), _sites(other)),
        *_answers(one.evaluations, other.evaluations),
        _words("Comment", one.comment, other.comment),
        _outline(pair),
    ]
    return tuple(row for row in rows if row is not None)


def _words(name: str, before: str | None, after: str | None) -> Words | None:
    return None if before == after else Words(name, before, after)


def _meaning(concept: Coded | None) -> str | None:
    return concept.meaning if concept else None


def _sites(finding: Finding) -> str | None:
    sites = (", ".join(filter(None, (site.location.meaning, site.laterality, site.modifier))) for site in finding.sites)
    return "; ".join(sites) or None


def _answers(before: Sequence[Evaluation], after: Sequence[Evaluation]) -> list[Words | None]:
    """By question; several answers to one are told together."""
    names: dict[tuple[str, str], str] = {}
    answers: tuple[dict[tuple[str, str], list[str]], dict[tuple[str, str], list[str]]] = ({}, {})
    for side, evaluations in zip(answers, (before, after), strict=True):
        for each in evaluations:
            names.setdefault(_key(each.name), each.name.meaning)
            side.setdefault(_key(each.name), []).append(each.answer)
    one, other = answers
    return [_words(name, "; ".join(one.get(key, [])) or None, "; ".join(other.get(key, [])) or None) for key, name in names.items()]


def _outline(pair: Pair) -> Words | None:
    one, other = pair.before.regions, pair.after.regions
    if len(one) == len(other) and all(_is_same(a, b) for a, b in zip(one, other, strict=True)):
        return None
    moved = f", {pair.distance:.1f} {pair.unit} away" if pair.distance else ""
    return Words("Region", _shapes(one), (_shapes(other) or "none") + moved)


def _shapes(regions: Sequence[Region]) -> str | None:
    return "; ".join(f"{region.kind}, {len(region.points)} points" if region.points else region.kind for region in regions) or None


def _is_same(one: Region, other: Region) -> bool:
    if (one.kind, one.image, one.frames, one.segment, one.space, len(one.points)) != (
        other.kind, other.image, other.frames, other.segment, other.space, len(other.points),
    ):  # fmt: skip
        return False
    return all(math.dist(a, b) <= SAME_PLACE for a, b in zip(one.points, other.points, strict=True))


def _statements(before: Report, after: Report) -> list[Words]:
    absent = [{_key(one): one.meaning for one in report.absent} for report in (before, after)]
    rows: list[Words | None] = [
        Words(meaning, "Absent" if key in absent[0] else None, "Absent" if key in absent[1] else None)
        for key, meaning in (absent[1] | absent[0]).items()
        if (key in absent[0]) != (key in absent[1])
    ]
    rows += _answers(before.evaluations, after.evaluations)
    rows.append(_words("Impression", before.impression, after.impression))
    return [row for row in rows if row is not None]
