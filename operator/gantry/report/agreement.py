"""How far two pipelines agree on the same studies: a shadow one and the active one beside it.

Pure. Counted by finding type, because that is what the decision to promote rests on; measurements of findings that both have are put side by side
as Bland and Altman do. It must not judge which of the two is right, nor read files; studies go by Orthanc's ids alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import fmean, stdev
from typing import Literal

from .compare import Comparison, compare
from .reader import Coded, Report
from .shadow import STATEMENT

Outcome = Literal["both present", "both absent", "only shadow", "only active", "not compared"]
OUTCOMES: tuple[Outcome, ...] = ("both present", "both absent", "only shadow", "only active", "not compared")
"""`not compared`: one side has no report, or its report says nothing of the type."""
LIMITS = 1.96
"""Standard deviations between which 95 % of normally distributed differences lie (Bland, Altman 1986)."""


@dataclass(frozen=True)
class Side:
    """One pipeline's Run on a study."""

    run: str
    report: Report | None
    why: str = ""
    """Without a report: what the Run says of itself."""
    images: tuple[object, ...] = ()
    """What it was about: two Runs on other images are compared, and that is said."""


@dataclass(frozen=True)
class Pair:
    """Both Runs on one study; None: there is none."""

    study: str
    """Orthanc's id."""
    shadow: Side | None
    active: Side | None


@dataclass(frozen=True)
class Row:
    """One finding type, over all studies."""

    type: Coded
    counts: dict[Outcome, int]

    @property
    def compared(self) -> int:
        """Studies of which both reports say something."""
        return sum(self.counts.values()) - self.counts["not compared"]

    @property
    def agreement(self) -> float | None:
        """The part of those in which both say the same."""
        return (self.counts["both present"] + self.counts["both absent"]) / self.compared if self.compared else None

    @property
    def kappa(self) -> float | None:
        """Cohen's: agreement beyond chance. None when one of the two always says the same, for then chance explains everything."""
        total, agreed = self.compared, self.agreement
        if agreed is None:
            return None
        shadow = (self.counts["both present"] + self.counts["only shadow"]) / total
        active = (self.counts["both present"] + self.counts["only active"]) / total
        chance = shadow * active + (1 - shadow) * (1 - active)
        return None if chance == 1 else (agreed - chance) / (1 - chance)


@dataclass(frozen=True)
class Points:
    """One measurement of one finding type, of every finding that both have."""

    type: Coded
    name: Coded
    unit: str
    points: tuple[tuple[str, float, float], ...]
    """Orthanc's id of the study, active, shadow."""

    @property
    def mean(self) -> float:
        """Shadow minus active, on average."""
        return fmean(shadow - active for _, active, shadow in self.points)

    @property
    def limits(self) -> tuple[float, float] | None:
        """Limits of agreement; None for a single point."""
        if len(self.points) < 2:
            return None
        spread = LIMITS * stdev(shadow - active for _, active, shadow in self.points)
        return self.mean - spread, self.mean + spread

    @property
    def correlation(self) -> float | None:
        """Pearson's; None where one side never changes."""
        active, shadow = [one[1] for one in self.points], [one[2] for one in self.points]
        a, s = fmean(active), fmean(shadow)
        across = sqrt(sum((one - a) ** 2 for one in active) * sum((one - s) ** 2 for one in shadow))
        return sum((x - a) * (y - s) for x, y in zip(active, shadow, strict=True)) / across if across else None


@dataclass(frozen=True)
class Difference:
    """A study on which the two do not agree, or that could not be compared."""

    study: str
    shadow: str | None
    active: str | None
    """Names of the Runs."""
    words: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """The whole comparison."""

    studies: int
    compared: int
    """Studies of which both have a report."""
    rows: tuple[Row, ...]
    measurements: tuple[Points, ...]
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        """Whether no compared study is answered differently."""
        return not any(row.counts["only shadow"] or row.counts["only active"] for row in self.rows)


def agreement(pairs: Sequence[Pair]) -> Agreement:
    """Of the same studies, each once. A type counts in a study when one of its reports says something of it."""
    types: dict[tuple[str, str], Coded] = {}
    counts: defaultdict[tuple[str, str], Counter[Outcome]] = defaultdict(Counter)
    points: dict[tuple[object, ...], Points] = {}
    differences = []
    for pair in sorted(pairs, key=lambda one: one.study):
        shadow, active = (_plain(side.report) if side and side.report else None for side in (pair.shadow, pair.active))
        answers = {key: (_says(shadow, key), _says(active, key)) for key in _types(types, (shadow, active))}
        outcomes = {key: _outcome(*answer) for key, answer in answers.items()}
        for key, outcome in outcomes.items():
            counts[key][outcome] += 1
        compared = compare(active, shadow) if active and shadow else None
        if compared:
            _measure(points, pair.study, compared)
        words = [*_without(pair), *_told(outcomes, types), *(_unpaired(compared, outcomes) if compared else ())]
        if words and _other_images(pair):
            words.append("they are about other images")
        if words:
            differences.append(Difference(pair.study, _name(pair.shadow), _name(pair.active), tuple(words)))
    rows = (Row(types[key], {outcome: found[outcome] for outcome in OUTCOMES}) for key, found in counts.items())
    return Agreement(
        studies=len(pairs),
        compared=sum(bool(one.shadow and one.shadow.report and one.active and one.active.report) for one in pairs),
        rows=tuple(sorted(rows, key=lambda row: row.type.meaning)),
        measurements=tuple(sorted(points.values(), key=lambda one: (one.type.meaning, one.name.meaning, one.unit))),
        differences=tuple(differences),
    )


def _name(side: Side | None) -> str | None:
    return side.run if side else None


def _plain(report: Report) -> Report:
    """Without the words that make it a shadow report."""
    return replace(report, evaluations=tuple(one for one in report.evaluations if one.answer != STATEMENT))


def _types(known: dict[tuple[str, str], Coded], reports: Iterable[Report | None]) -> list[tuple[str, str]]:
    """What the reports of one study say something of."""
    found: dict[tuple[str, str], Coded] = {}
    for report in reports:
        if report:
            said = [*(one.type for one in report.findings if one.type), *report.absent]
            found |= {(one.scheme, one.value): one for one in said}
    for key, concept in found.items():
        known.setdefault(key, concept)
    return list(found)


def _says(report: Report | None, key: tuple[str, str]) -> bool | None:
    """Present, absent, or nothing."""
    if report is None:
        return None
    if any(one.type and (one.type.scheme, one.type.value) == key for one in report.findings):
        return True
    return False if any((one.scheme, one.value) == key for one in report.absent) else None


def _outcome(shadow: bool | None, active: bool | None) -> Outcome:
    if shadow is None or active is None:
        return "not compared"
    if shadow == active:
        return "both present" if shadow else "both absent"
    return "only shadow" if shadow else "only active"


def _measure(points: dict[tuple[object, ...], Points], study: str, compared: Comparison) -> None:
    for finding in compared.findings:
        kind = finding.pair.before.type
        for one in finding.measurements:
            if kind is not None and one.before is not None and one.after is not None:
                key = (kind.scheme, kind.value, one.name.scheme, one.name.value, one.unit)
                before = points.get(key) or Points(kind, one.name, one.unit, ())
                points[key] = replace(before, points=(*before.points, (study, one.before, one.after)))


def _without(pair: Pair) -> list[str]:
    words = []
    for name, side in (("shadow", pair.shadow), ("active", pair.active)):
        if side is None:
            words.append(f"no Run of the {name} pipeline")
        elif side.report is None:
            words.append(f"the {name} Run has no report ({side.why})")
    return words


def _told(outcomes: dict[tuple[str, str], Outcome], types: dict[tuple[str, str], Coded]) -> list[str]:
    said: tuple[Outcome, ...] = ("only shadow", "only active")
    return [f"{outcome}: {types[key].meaning}" for key, outcome in outcomes.items() if outcome in said]


def _unpaired(compared: Comparison, outcomes: dict[tuple[str, str], Outcome]) -> list[str]:
    """Findings of a type that both have, at a place where only one has it."""
    words = []
    for name, findings in (("shadow", compared.appeared), ("active", compared.disappeared)):
        kinds = Counter(
            one.type.meaning for one in findings if one.type and outcomes.get((one.type.scheme, one.type.value)) == "both present"
        )
        words += [f"{count} more in {name} alone: {kind}" for kind, count in kinds.items()]
    return words


def _other_images(pair: Pair) -> bool:
    return pair.shadow is not None and pair.active is not None and pair.shadow.images != pair.active.images
