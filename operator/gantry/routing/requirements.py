"""One requirement on one element: compiled once a pipeline generation, asked for every study.

Pure. A check answers with None (holds) or with wanted against actual, so that a decision can be explained. Patterns are RE2: they end in
linear time whatever the pattern or the text (https://github.com/google/re2/wiki/WhyRE2).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import re2

from gantry.api import TagRequirement

from .tags import Tags, values_of

_NUMBER_TESTS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "Lt": ("<", lambda actual, bound: actual < bound),
    "Lte": ("<=", lambda actual, bound: actual <= bound),
    "Gt": (">", lambda actual, bound: actual > bound),
    "Gte": (">=", lambda actual, bound: actual >= bound),
}


class InvalidRequirement(ValueError):
    """A requirement that can never be asked: a pattern RE2 refuses or a bound that is no number."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a requirement does not hold."""

    check: str
    """The element and operator, for example `Modality In`."""
    wanted: str
    actual: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """A compiled requirement."""

    tag: str
    operator: str
    wanted: str
    holds: Callable[[tuple[str, ...] | None], bool]

    def refusal(self, tags: Tags) -> Refusal | None:
        """None when the element satisfies the requirement."""
        actual = values_of(tags, self.tag)
        if self.holds(actual):
            return None
        return Refusal(f"{self.tag} {self.operator}", self.wanted, "missing" if actual is None else "\\".join(actual))


def compile_requirements(requirements: Sequence[TagRequirement]) -> tuple[Requirement, ...]:
    """Raises InvalidRequirement naming the element and what to write."""
    return tuple(_compile(requirement) for requirement in requirements)


def _compile(requirement: TagRequirement) -> Requirement:
    values = tuple(value.strip() for value in requirement.values or ())
    wanted = " or ".join(values)
    match requirement.operator:
        case "In":
            chosen = frozenset(values)
            return Requirement(requirement.tag, "In", wanted, lambda actual: actual is not None and not chosen.isdisjoint(actual))
        case "NotIn":
            refused = frozenset(values)
            return Requirement(requirement.tag, "NotIn", f"none of {wanted}", lambda actual: actual is None or refused.isdisjoint(actual))
        case "Exists":
            return Requirement(requirement.tag, "Exists", "any value", lambda actual: actual is not None)
        case "DoesNotExist":
            return Requirement(requirement.tag, "DoesNotExist", "no value", lambda actual: actual is None)
        case "Matches":
            return _pattern(requirement.tag, values)
        case _:
            return _comparison(requirement.tag, requirement.operator, values)


def _pattern(tag: str, values: tuple[str, ...]) -> Requirement:
    options = re2.Options()
    options.log_errors = False
    compiled = []
    for pattern in values:
        try:
            compiled.append(re2.compile(pattern, options=options))
        except re2.error as error:
            raise InvalidRequirement(f"{tag} Matches {pattern!r}: {error}; patterns are RE2 (no lookaround, no backreference)") from error

    def holds(actual: tuple[str, ...] | None) -> bool:
        return actual is not None and any(pattern.search(value) for pattern in compiled for value in actual)

    return Requirement(tag, "Matches", " or ".join(values), holds)


def _comparison(tag: str, operator: str, values: tuple[str, ...]) -> Requirement:
    sign, test = _NUMBER_TESTS[operator]
    bound = _number(values[0]) if len(values) == 1 else None
    if bound is None:
        raise InvalidRequirement(f"{tag} {operator} {', '.join(values)}: give exactly one number in quotes, for example [\"2.5\"]")

    def holds(actual: tuple[str, ...] | None) -> bool:
        numbers = [_number(value) for value in actual or ()]
        return any(number is not None and test(number, bound) for number in numbers)

    return Requirement(tag, operator, f"{sign} {values[0]}", holds)


def _number(text: str) -> float | None:
    """DS and IS values; a text that is no finite number satisfies no comparison."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number - number == 0 else None
