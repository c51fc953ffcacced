"""A CEL expression of a pipeline: compiled and judged once a generation, asked for every study.

Pure. An expression that fails on a study does not match it; the refusal says by what it failed.
"""

from dataclasses import dataclass

from .cel import DoesNotCompile, DoesNotEvaluate, Program
from .errors import InvalidExpression
from .facts import Needs
from .requirements import Refusal
from .view import SeriesView, StudyView

STUDY_SCOPE = ("study",)
SERIES_SCOPE = ("series", "study")


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression that gives true or false."""

    text: str
    program: Program
    needs: Needs

    def refusal(self, *, study: StudyView, series: SeriesView | None = None) -> Refusal | None:
        """None when it gives true."""
        data = {"study": study.variables} if series is None else {"study": study.variables, "series": series.variables}
        try:
            answer = self.program.ask(data)
        except DoesNotEvaluate as error:
            return Refusal("expression", self.text, f"error: {error}")
        return None if answer is True else Refusal("expression", self.text, "false")


def compile_expression(field: str, text: str, scope: tuple[str, ...]) -> Expression:
    """Raises InvalidExpression naming the field, line and column."""
    try:
        program = Program(text, scope)
    except DoesNotCompile as error:
        raise InvalidExpression(f"{field}, line {error.line}, column {error.column}: {error}") from error
    if program.type not in ("bool", "BOOL"):
        raise InvalidExpression(f"{field}: it gives {program.type.lower()}, not true or false; compare it with something")
    return Expression(text, program, Needs(instance=True, senders=True, every=True))
