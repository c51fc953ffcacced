"""Does a study match a pipeline, and which of its series: the answer, with its reasons, is a value.

Pure. Gantry's own results are never inputs, whatever the rules say, and documents only when a rule names their modality, so two pipelines that
match everything do not feed each other. The order of checks, each one the reason when it is the first that does not hold: requirements on the
study, the study's expression, then for each series what is never an input, its requirements, its expression, then `pick`, how many are left, senders.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gantry.api.matching import Priority

from .facts import Needs, StudyFacts
from .picking import passed_over
from .requirements import Refusal
from .rules import Rules
from .view import SeriesDecision, SeriesView, StudyView


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a pipeline takes a study. `refusal` says by which check it does not."""

    pipeline: str
    matched: bool
    refusal: Refusal | None
    series: tuple[SeriesDecision, ...]
    """In the order of their ids. Empty when the study was refused before its series were looked at."""
    priority: Priority = "Routine"

    @property
    def selected(self) -> tuple[str, ...]:
        """Orthanc ids of the chosen series, sorted; empty when the study does not match."""
        return tuple(sorted(s.orthanc_id for s in self.series if s.selected)) if self.matched else ()

    def as_dict(self) -> dict[str, Any]:
        """The form of `gantry explain -o json`."""
        refusal = self.refusal
        return {
            "pipeline": self.pipeline,
            "matched": self.matched,
            "check": refusal.check if refusal else None,
            "wanted": refusal.wanted if refusal else None,
            "actual": refusal.actual if refusal else None,
            "priority": self.priority if self.matched else None,
            "series": [
                {"id": one.orthanc_id, "selected": one.selected, "reason": str(one.refusal) if one.refusal else None} for one in self.series
            ],
        }


def decide(rules: Rules, study: StudyFacts) -> Decision:
    """One pipeline's decision on a study."""
    return _decide(rules, StudyView(study, rules.expressed or Needs()))


def decide_all(rules: Sequence[Rules], study: StudyFacts) -> tuple[Decision, ...]:
    """The same for many pipelines, in their order: what they ask in common is answered once."""
    view = StudyView(study, Needs.of(one.expressed for one in rules if one.expressed is not None))
    return tuple([_decide(one, view) for one in rules])


def _decide(rules: Rules, view: StudyView) -> Decision:
    refusal = view.asked.refusal(rules.study)
    if refusal is None and rules.expression is not None:
        refusal = rules.expression.refusal(study=view)
    if refusal is not None:
        return Decision(rules.pipeline, matched=False, refusal=refusal, series=())
    refusals = [_series_refusal(rules, one, view) for one in view.series]
    fit = [one for one, refusal in zip(view.series, refusals, strict=True) if refusal is None]
    if rules.pick != "All" and len(fit) > 1:
        others = passed_over(rules.pick, fit)
        refusals = [refusal or others.get(one.orthanc_id) for one, refusal in zip(view.series, refusals, strict=True)]
        fit = [one for one in fit if one.orthanc_id not in others]
    refusal = _counted(rules, len(fit)) or _sent(rules, fit)
    series = tuple([one.decision(reason) for one, reason in zip(view.series, refusals, strict=True)])
    if refusal is not None:
        return Decision(rules.pipeline, matched=False, refusal=refusal, series=series)
    return Decision(rules.pipeline, matched=True, refusal=None, series=series, priority=_priority(rules, view, fit) if rules.urgency else "Routine")


def _series_refusal(rules: Rules, series: SeriesView, study: StudyView) -> Refusal | None:
    if series.unfit is not None and not (series.modality in rules.documents and series.unfit.check == "Modality"):
        return series.unfit
    refusal = series.asked.refusal(rules.series)
    if refusal is None and rules.series_expression is not None:
        refusal = rules.series_expression.refusal(study=study, series=series)
    return refusal


def _counted(rules: Rules, chosen: int) -> Refusal | None:
    if chosen < rules.min_series:
        return Refusal("series chosen", f"at least {rules.min_series}", str(chosen))
    if chosen > rules.max_series:
        return Refusal("series chosen", f"at most {rules.max_series}", str(chosen))
    return None


def _sent(rules: Rules, chosen: list[SeriesView]) -> Refusal | None:
    if not rules.senders:
        return None
    senders = _senders(chosen)
    if not senders.isdisjoint(rules.senders):
        return None
    return Refusal("senders", " or ".join(sorted(rules.senders)), ", ".join(sorted(senders)) or "unknown")


def _senders(chosen: list[SeriesView]) -> set[str]:
    return {one.facts.sender for one in chosen if one.facts.sender}


def _priority(rules: Rules, view: StudyView, chosen: list[SeriesView]) -> Priority:
    """Of the first rule that holds."""
    senders = _senders(chosen)
    for rule in rules.urgency:
        if view.asked.refusal(rule.study) is None and (not rule.senders or not senders.isdisjoint(rule.senders)):
            return rule.priority
    return "Routine"
