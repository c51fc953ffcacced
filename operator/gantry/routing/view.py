"""One study as all pipelines look at it: what was read or asked once is kept for the next pipeline.

A ward's pipelines repeat each other's requirements (200 of them ask for the same dozen modalities), so their answers are kept by requirement.
A view is made for one study and thrown away after its decisions; it changes nothing a caller can see.
"""

from functools import cached_property
from typing import Any

from .facts import SeriesFacts, StudyFacts
from .requirements import Refusal, Requirement
from .tags import Tags, values_of
from .variables import series_variables, study_variables


class Asked:
    """Elements of a study or a series, with the answers given already."""

    __slots__ = ("_answers", "_tags", "_values")

    def __init__(self, tags: Tags) -> None:
        self._tags = tags
        self._values: dict[str, tuple[str, ...] | None] = {}
        self._answers: dict[tuple[str, ...], Refusal | None] = {}

    def values(self, tag: str) -> tuple[str, ...] | None:
        if tag not in self._values:
            self._values[tag] = values_of(self._tags, tag)
        return self._values[tag]

    def refusal(self, requirements: tuple[Requirement, ...]) -> Refusal | None:
        """Of the first requirement that does not hold."""
        for requirement in requirements:
            try:
                answer = self._answers[requirement.key]
            except KeyError:
                answer = self._answers[requirement.key] = requirement.answer(self.values(requirement.tag))
            if answer is not None:
                return answer
        return None


class SeriesView:
    """One series."""

    def __init__(self, facts: SeriesFacts) -> None:
        self.facts = facts
        self.asked = Asked(facts.tags)

    @property
    def orthanc_id(self) -> str:
        return self.facts.orthanc_id

    @cached_property
    def variables(self) -> dict[str, Any]:
        """What an expression sees as `series`."""
        return series_variables(self.facts)


class StudyView:
    """A study and its series, in the order of their ids: no decision depends on the order Orthanc lists them in."""

    def __init__(self, facts: StudyFacts) -> None:
        self.facts = facts
        self.asked = Asked(facts.tags)
        self.series = tuple(SeriesView(one) for one in sorted(facts.series, key=lambda one: one.orthanc_id))

    @cached_property
    def variables(self) -> dict[str, Any]:
        """What an expression sees as `study`."""
        return study_variables(self.facts, [one.variables for one in self.series])
