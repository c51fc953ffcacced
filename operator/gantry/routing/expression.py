"""A CEL expression of a pipeline: compiled and judged once a generation, asked for every study.

Pure. An expression that fails on a study, or could take too long on one so large, does not match it; the refusal says by what it failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .cel import DoesNotCompile, DoesNotEvaluate, Program, Values
from .cost import LIMIT, Size, bound
from .errors import InvalidExpression
from .facts import Needs
from .kinds import BOOL, Kind
from .meaning import VARIABLES, Mistake, meaning_of
from .requirements import Refusal
from .syntax import Node, parse
from .view import SeriesView, Sizes, StudyView

STUDY_SCOPE = ("study",)
SERIES_SCOPE = ("series", "study")
TOO_LONG = "it could take too long on so large a study; use fewer loops within loops and simpler patterns"
SMALL = Size(series=16, elements=512, text=64)
"""A usual study. What could take too long on this one is refused when the pipeline is applied."""


@dataclass(slots=True, eq=False)
class Compiled:
    """An expression that compiles, gives true or false and ends soon."""

    text: str
    program: Program
    tree: Node
    needs: Needs
    prices: dict[Size, float] = field(default_factory=dict)
    """By size, as far as they were needed."""
    enough: int = 0
    """For so many series any study is affordable, as far as was needed: the usual case costs one comparison."""

    def ask(self, values: Values, sizes: Sizes) -> bool:
        """Raises DoesNotEvaluate."""
        if sizes.series > self.enough and not self._affords(sizes):
            raise DoesNotEvaluate(TOO_LONG)
        return self.program.ask(values) is True

    def _affords(self, sizes: Sizes) -> bool:
        if self.affordable(sizes.rough):
            self.enough = sizes.series
            return True
        return self.affordable(sizes.exact)

    def affordable(self, size: Size) -> bool:
        price = self.prices.get(size)
        if price is None:
            price = self.prices[size] = bound(self.tree, size)
        return price <= LIMIT


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression over a study, or over each series of it."""

    compiled: Compiled

    @property
    def text(self) -> str:
        return self.compiled.text

    @property
    def needs(self) -> Needs:
        return self.compiled.needs

    def refusal(self, *, study: StudyView, series: SeriesView | None = None) -> Refusal | None:
        """None when it gives true."""
        try:
            answer = self.compiled.ask(self._values(study, series), study.sizes)
        except DoesNotEvaluate as error:
            return Refusal("expression", self.text, f"error: {error}")
        return None if answer else Refusal("expression", self.text, "false")

    def _values(self, study: StudyView, series: SeriesView | None) -> Values:
        """Kept by the view: the next pipeline asks about the same study."""
        view = series or study
        if view.values is None:
            data = {"study": study.variables} if series is None else {"series": series.variables, "study": study.variables}
            view.values = self.compiled.program.values(data)
        return view.values


def compile_expression(field: str, text: str, scope: tuple[str, ...]) -> Expression:
    """Raises InvalidExpression naming the field, line and column."""
    return Expression(compiled(field, text, {name: VARIABLES[name] for name in scope}))


def compiled(field: str, text: str, variables: Mapping[str, Kind]) -> Compiled:
    """Raises InvalidExpression."""
    try:
        program = Program(text, tuple(variables))
    except DoesNotCompile as error:
        place = f", line {error.line}, column {error.column}" if error.line else ""
        raise InvalidExpression(f"{field}{place}: {error}; variables here: {', '.join(variables)}") from error
    syntax = parse(program.syntax(), text)
    try:
        kind, needs = meaning_of(syntax, variables)
    except Mistake as mistake:
        line, column = syntax.place(mistake.node)
        raise InvalidExpression(f"{field}, line {line}, column {column}: {mistake}") from mistake
    if kind.name != BOOL.name:
        raise InvalidExpression(f"{field}, line 1, column 1: it gives {kind.described}, not true or false; compare it with something")
    made = Compiled(text, program, syntax.root, needs)
    if not made.affordable(SMALL):
        raise InvalidExpression(
            f"{field}, line 1, column 1: it could take too long even on a study of {SMALL.series} series; "
            "use fewer loops within loops and simpler patterns"
        )
    return made
