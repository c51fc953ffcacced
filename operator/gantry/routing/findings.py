"""The condition `after.when`: CEL over the findings document of another pipeline's Run.

Pure. Variables: `findings` (the document's list of findings) and `document` (all of it, keys as in findings.json).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .cel import DoesNotCompile, DoesNotEvaluate, Program
from .errors import InvalidExpression

FIELD = "spec.after.when"


class ConditionFailed(Exception):
    """The condition cannot be answered for this document, for example because a finding has no such key. The text names keys, never a value."""


@dataclass(frozen=True, slots=True)
class FindingsCondition:
    """A compiled condition."""

    text: str
    program: Program

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Raises ConditionFailed."""
        try:
            return self.program.ask({"document": dict(document), "findings": document.get("findings") or []}) is True
        except DoesNotEvaluate as error:
            raise ConditionFailed(str(error)) from error


def compile_findings_condition(text: str) -> FindingsCondition:
    """Raises InvalidExpression with line and column."""
    try:
        program = Program(text, ("document", "findings"))
    except DoesNotCompile as error:
        raise InvalidExpression(f"{FIELD}, line {error.line}, column {error.column}: {error}") from error
    if program.type not in ("bool", "BOOL"):
        raise InvalidExpression(f"{FIELD}: it gives {program.type.lower()}, not true or false; compare it with something")
    return FindingsCondition(text, program)
