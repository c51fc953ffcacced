"""Does a study match a pipeline, and which of its series: the answer, with its reasons, is a value.

Pure. Gantry's own results and other derived documents are never inputs, whatever the rules say: `EXCLUDED_MODALITIES` are refused first,
so two pipelines that match everything do not feed each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gantry.api import InferencePipeline, TagRequirement

from .requirements import InvalidRequirement, Refusal, Requirement, compile_requirements
from .tags import Tags, values_of

EXCLUDED_MODALITIES = frozenset({"SR", "SEG", "KO", "PR", "DOC"})
"""Reports, segmentations, key objects, presentation states and encapsulated documents (PS3.3 C.7.3.1.1.1)."""


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What is known of one series."""

    orthanc_id: str
    tags: Tags
    instances: int
    own: bool = False
    """True when Gantry itself uploaded it."""


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What is known of one study."""

    orthanc_id: str
    tags: Tags
    series: tuple[SeriesFacts, ...]


@dataclass(frozen=True, slots=True)
class SeriesDecision:
    """Whether one series goes to the application, and why not."""

    orthanc_id: str
    selected: bool
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a pipeline takes a study. `refusal` says by which check it does not."""

    pipeline: str
    matched: bool
    refusal: Refusal | None
    series: tuple[SeriesDecision, ...]

    @property
    def selected(self) -> tuple[str, ...]:
        """Orthanc ids of the chosen series, sorted; empty when the study does not match."""
        return tuple(sorted(s.orthanc_id for s in self.series if s.selected)) if self.matched else ()


@dataclass(frozen=True, slots=True)
class Rules:
    """A pipeline's rules, compiled."""

    pipeline: str
    study: tuple[Requirement, ...]
    series: tuple[Requirement, ...]
    min_series: int
    max_series: int

    @property
    def tags(self) -> frozenset[str]:
        """Elements the rules ask for: what has to be known of a study before it can be decided."""
        return frozenset(r.tag for r in (*self.study, *self.series))


def compile_rules(name: str, pipeline: InferencePipeline) -> Rules:
    """Raises InvalidRequirement naming the field of the pipeline, for its condition Ready."""
    selection = pipeline.spec.template.input.series
    return Rules(
        pipeline=name,
        study=_compiled("spec.match.study", pipeline.spec.match.study),
        series=_compiled("spec.template.input.series.match", selection.match),
        min_series=selection.min,
        max_series=selection.max,
    )


def _compiled(field: str, requirements: Sequence[TagRequirement]) -> tuple[Requirement, ...]:
    try:
        return compile_requirements(requirements)
    except InvalidRequirement as error:
        raise InvalidRequirement(f"{field}: {error}") from error


def decide(rules: Rules, study: StudyFacts) -> Decision:
    """Study requirements in order, then each series, then how many were chosen; the first that does not hold is the reason."""
    for requirement in rules.study:
        if refusal := requirement.refusal(study.tags):
            return Decision(rules.pipeline, matched=False, refusal=refusal, series=())
    series = tuple(_decide_series(rules, one) for one in study.series)
    chosen = sum(one.selected for one in series)
    refusal = None
    if chosen < rules.min_series:
        refusal = Refusal("series chosen", f"at least {rules.min_series}", str(chosen))
    elif chosen > rules.max_series:
        refusal = Refusal("series chosen", f"at most {rules.max_series}", str(chosen))
    return Decision(rules.pipeline, matched=refusal is None, refusal=refusal, series=series)


def _decide_series(rules: Rules, series: SeriesFacts) -> SeriesDecision:
    if refusal := _never_an_input(series) or next(filter(None, (r.refusal(series.tags) for r in rules.series)), None):
        return SeriesDecision(series.orthanc_id, selected=False, refusal=refusal)
    return SeriesDecision(series.orthanc_id, selected=True)


def _never_an_input(series: SeriesFacts) -> Refusal | None:
    if series.own:
        return Refusal("origin", "not a result of Gantry", "a result of Gantry")
    modality = (values_of(series.tags, "Modality") or ("",))[0]
    if modality in EXCLUDED_MODALITIES:
        return Refusal("Modality", "images", modality)
    if series.instances == 0:
        return Refusal("instances", "at least 1", "0")
    return None
