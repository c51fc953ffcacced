"""A pipeline's rules, compiled once a generation, and what they need to know of a study.

Pure. What is wrong with a pipeline's rules is said here, by InvalidRules, and nowhere later: compiled rules answer every study.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gantry.api import InferencePipeline
from gantry.api.matching import Priority, PriorityRule, TagRequirement

from .expression import SERIES_SCOPE, STUDY_SCOPE, Expression, compile_expression
from .facts import Known, Needs
from .findings import FindingsCondition, compile_findings_condition
from .picking import ELEMENTS
from .requirements import Requirement, compile_requirements
from .view import DOCUMENTS

NO_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Urgency:
    """One rule of `priority`, compiled."""

    study: tuple[Requirement, ...]
    senders: frozenset[str]
    priority: Priority


@dataclass(frozen=True, slots=True)
class Rules:
    """A pipeline's rules, compiled."""

    pipeline: str
    study: tuple[Requirement, ...] = ()
    expression: Expression | None = None
    series: tuple[Requirement, ...] = ()
    series_expression: Expression | None = None
    documents: frozenset[str] = frozenset()
    """Document modalities that `Modality In` names."""
    pick: str = "All"
    min_series: int = 1
    max_series: int = NO_LIMIT
    senders: frozenset[str] = frozenset()
    """Empty: any."""
    urgency: tuple[Urgency, ...] = ()
    after: FindingsCondition | None = None
    needs: Needs = field(default_factory=Needs)
    """All that the parts above need to know."""
    expressed: Needs | None = None
    """Of it what the expressions need; None: there are none."""
    _partial: dict[Known, "Rules"] = field(default_factory=dict, compare=False, repr=False)
    """By what was known: a bridge asks in the same steps for every study."""

    def within(self, known: Known) -> "Rules":
        """Only what can be asked with what is known. Further parts only take studies and series away: what these refuse is refused for sure."""
        made = self._partial.get(known)
        if made is None:
            made = self._partial[known] = self._within(known)
        return made

    def _within(self, known: Known) -> "Rules":
        knows_series = known.series is not None
        study = tuple(one for one in self.study if one.tag in known.study)
        series = tuple(one for one in self.series if known.instances or one.tag in (known.series or ()))
        return replace(
            self,
            study=self.study if known.instances else study,
            expression=self.expression if knows_series and self.expression and self.expression.needs.beyond(known).settled else None,
            series=series if knows_series else (),
            series_expression=(
                self.series_expression
                if knows_series and self.series_expression and self.series_expression.needs.beyond(known).settled
                else None
            ),
            pick="All",
            min_series=self.min_series if knows_series else 0,
            max_series=NO_LIMIT,
            senders=self.senders if knows_series and known.senders else frozenset(),
            urgency=(),
            _partial={},
        )


def compile_rules(name: str, pipeline: InferencePipeline) -> Rules:
    """Raises InvalidRules naming the field of the pipeline, for its condition Ready."""
    spec = pipeline.spec
    match, selection = spec.match, spec.template.input.series
    study = compile_requirements("spec.match.study", match.study)
    series = compile_requirements("spec.template.input.series.match", selection.match)
    expression = _expression("spec.match.expression", match.expression, STUDY_SCOPE)
    series_expression = _expression("spec.template.input.series.expression", selection.expression, SERIES_SCOPE)
    urgency = tuple(_urgency(number, rule) for number, rule in enumerate(spec.priority.rules))
    expressions = [one.needs for one in (expression, series_expression) if one is not None]
    expressed = Needs.of(expressions) if expressions else None
    own = Needs(
        study=frozenset(one.tag for one in (*study, *(of_study for rule in urgency for of_study in rule.study))),
        series=frozenset(one.tag for one in series) | ELEMENTS[selection.pick] | {"Modality"},
        senders=bool(match.senders) or any(one.senders for one in urgency),
    )
    return Rules(
        pipeline=name,
        study=study,
        expression=expression,
        series=series,
        series_expression=series_expression,
        documents=_documents(selection.match),
        pick=selection.pick,
        min_series=selection.min,
        max_series=selection.max,
        senders=frozenset(match.senders),
        urgency=urgency,
        after=_after(pipeline),
        needs=own if expressed is None else own | expressed,
        expressed=expressed,
    )


def _expression(field: str, text: str | None, scope: tuple[str, ...]) -> Expression | None:
    return None if text is None else compile_expression(field, text, scope)


def _after(pipeline: InferencePipeline) -> FindingsCondition | None:
    after = pipeline.spec.after
    return None if after is None or after.when is None else compile_findings_condition(after.when)


def _urgency(number: int, rule: PriorityRule) -> Urgency:
    study = compile_requirements(f"spec.priority.rules[{number}].study", rule.study)
    return Urgency(study, frozenset(rule.senders), rule.priority)


def _documents(requirements: Sequence[TagRequirement]) -> frozenset[str]:
    named = {
        value.strip() for one in requirements if one.operator == "In" and one.tag in ("Modality", "0008,0060") for value in one.values or ()
    }
    return DOCUMENTS & named
