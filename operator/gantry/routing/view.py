"""One study as all pipelines look at it: what was read or asked once is kept for the next pipeline.

A ward's pipelines repeat each other's requirements (200 of them ask for the same dozen modalities), so their answers are kept by requirement.
A view is made for one study and thrown away after its decisions; it changes nothing a caller can see.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .cost import Size
from .facts import Needs, SeriesFacts, StudyFacts
from .requirements import Refusal, Requirement
from .tags import LONGEST, Tags, values_of
from .variables import MOST_ELEMENTS, series_variables, study_variables

DOCUMENTS = frozenset(
    {"SR", "SEG", "KO", "PR", "DOC", "ANN", "FID", "REG", "RWV", "SMR", "PLAN", "RTSTRUCT", "RTPLAN", "RTRECORD", "M3D", "TEXTUREMAP"}
)
"""Modalities of what was derived or written about images (PS3.3 C.7.3.1.1.1): never an input unless `Modality In` names them."""


@dataclass(frozen=True, slots=True)
class SeriesDecision:
    """Whether one series goes to the application, and why not."""

    orthanc_id: str
    selected: bool
    refusal: Refusal | None = None


class Asked:
    """Elements of a study or a series, with the answers given already."""

    __slots__ = ("_answers", "_tags", "_values")

    def __init__(self, tags: Tags) -> None:
        self._tags = tags
        self._values: dict[str, tuple[str, ...] | None] = {}
        self._answers: dict[Requirement, Refusal | None] = {}

    def values(self, tag: str) -> tuple[str, ...] | None:
        if tag not in self._values:
            self._values[tag] = values_of(self._tags, tag)
        return self._values[tag]

    def refusal(self, requirements: tuple[Requirement, ...]) -> Refusal | None:
        """Of the first requirement that does not hold."""
        answers = self._answers
        for requirement in requirements:
            if requirement in answers:
                answer = answers[requirement]
            else:
                answer = answers[requirement] = requirement.answer(self.values(requirement.tag))
            if answer is not None:
                return answer
        return None


class SeriesView:
    """One series."""

    def __init__(self, facts: SeriesFacts, wanted: Collection[str] | None) -> None:
        self.facts = facts
        self.orthanc_id = facts.orthanc_id
        self.asked = Asked(facts.tags)
        self.values: Any = None
        """Set by the first expression: its variables as CEL's."""
        self.modality = (self.asked.values("Modality") or ("",))[0]
        self.unfit = _unfit(facts, self.modality)
        """Why it is never an input, whatever the rules say: but for documents, which a rule may name."""
        self._wanted = wanted
        self._decisions: dict[int, SeriesDecision] = {}

    def decision(self, refusal: Refusal | None) -> SeriesDecision:
        """Pipelines that come to the same share the value. By identity of the refusal, which the value keeps alive."""
        made = self._decisions.get(id(refusal))
        if made is None:
            made = self._decisions[id(refusal)] = SeriesDecision(self.orthanc_id, selected=refusal is None, refusal=refusal)
        return made

    @cached_property
    def variables(self) -> dict[str, Any]:
        """What an expression sees as `series`."""
        return series_variables(self.facts, self._wanted)


class StudyView:
    """A study and its series, in the order of their ids: no decision depends on the order Orthanc lists them in."""

    def __init__(self, facts: StudyFacts, needs: Needs) -> None:
        """`needs`: of all rules that will be asked; expressions see no other elements."""
        self.facts = facts
        self.asked = Asked(facts.tags)
        self.values: Any = None
        """Set by the first expression: its variables as CEL's."""
        self._wanted = None if needs.instance else needs.study
        self.series = tuple([
            SeriesView(one, None if needs.instance else needs.series) for one in sorted(facts.series, key=lambda one: one.orthanc_id)
        ])  # fmt: skip

    @cached_property
    def sizes(self) -> "Sizes":
        return Sizes(self.facts)

    @cached_property
    def variables(self) -> dict[str, Any]:
        """What an expression sees as `study`."""
        return study_variables(self.facts, [one.variables for one in self.series], self._wanted)


def _unfit(series: SeriesFacts, modality: str) -> Refusal | None:
    if series.own:
        return Refusal("origin", "not a result of Gantry", "a result of Gantry")
    if series.instances == 0:
        return Refusal("instances", "at least 1", "0")
    return Refusal("Modality", "images", modality) if modality in DOCUMENTS else None


class Sizes:
    """For the price of expressions: first what holds for any study of so many series, then, only if asked for, what holds for this one."""

    def __init__(self, facts: StudyFacts) -> None:
        self._facts = facts
        self.series = len(facts.series)

    @property
    def rough(self) -> Size:
        return Size(self.series, MOST_ELEMENTS, LONGEST).rounded

    @cached_property
    def exact(self) -> Size:
        elements = [self._facts.tags, *(one.tags for one in self._facts.series)]
        text = max((len(text) for tags in elements for text in tags.values()), default=1)
        return Size(self.series, max(map(len, elements)), min(text, LONGEST)).rounded
