"""The condition `after.when`: CEL over the findings document of another pipeline's Run.

Pure. Variables: `findings` (the document's list of findings) and `document` (all of it, keys as in findings.json).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .cel import DoesNotEvaluate
from .cost import Size
from .expression import TOO_LONG, Compiled, compiled
from .kinds import DYN, Kind

FIELD = "spec.after.when"
VARIABLES: Mapping[str, Kind] = {"findings": Kind("list", item=DYN), "document": DYN}


class ConditionFailed(Exception):
    """The condition cannot be answered for this document, for example because a finding has no such key. The text names keys, never a value."""


@dataclass(frozen=True, slots=True)
class FindingsCondition:
    """A compiled condition."""

    compiled: Compiled

    @property
    def text(self) -> str:
        return self.compiled.text

    def _answer(self, data: dict[str, Any]) -> bool:
        if not self.compiled.affordable(_size(data).rounded):
            raise DoesNotEvaluate(TOO_LONG)
        return self.compiled.program.ask(self.compiled.program.values(data)) is True

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Raises ConditionFailed."""
        data = {"document": dict(document), "findings": document.get("findings") or []}
        try:
            return self._answer(data)
        except DoesNotEvaluate as error:
            raise ConditionFailed(str(error)) from error


def compile_findings_condition(text: str) -> FindingsCondition:
    """Raises InvalidExpression with line and column."""
    return FindingsCondition(compiled(FIELD, text, VARIABLES))


def _size(value: object) -> Size:
    """The longest list, map and text anywhere in it; a document is parsed JSON, at most as deep as its parser allowed."""
    lists = maps = texts = 1
    total = 0
    left = [value]
    while left:
        total += 1
        match left.pop():
            case str() as text:
                texts = max(texts, len(text))
            case dict() as one:
                maps = max(maps, len(one))
                left += one.values()
            case list() as several:
                lists = max(lists, len(several))
                left += several
    return Size(lists, maps, texts, total)
