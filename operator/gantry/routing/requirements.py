"""One requirement on one element: compiled once a pipeline generation, asked for every study.

Pure. A check answers with None (holds) or with wanted against actual, so that a decision can be explained. Patterns are RE2: they end in
linear time whatever the pattern or the text (https://github.com/google/re2/wiki/WhyRE2).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import re2

from gantry.api import TagRequirement

from .dictionary import UNREADABLE
from .errors import InvalidRequirement
from .tags import Tag, Tags, UnknownTag, number_of, tag_of, values_of

LARGEST_PATTERNS = 2000
"""Instructions of RE2 in one requirement. Its slowest way looks at each of them for each letter (13 ns): 27 ms for the 1,024 letters of an element
that rules look at. `(?i)thorax|chest` has 17, a class of all Unicode letters 1,201."""
Test = Callable[[tuple[str, ...] | None], bool]
_NUMBER_TESTS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "Lt": ("<", lambda actual, bound: actual < bound),
    "Lte": ("<=", lambda actual, bound: actual <= bound),
    "Gt": (">", lambda actual, bound: actual > bound),
    "Gte": (">=", lambda actual, bound: actual >= bound),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a requirement does not hold."""

    check: str
    """The element and operator (`Modality In`), or `senders`, `expression`, `origin`, `instances`, `pick`, `series chosen`. Never a value."""
    wanted: str
    actual: str

    def __str__(self) -> str:
        return f"{self.check}: wanted {self.wanted}, is {self.actual}"


@dataclass(frozen=True, slots=True, eq=False)
class Requirement:
    """A compiled requirement. Pipelines that ask the same share the object: by its identity one study asks it once for all of them."""

    tag: str
    """The element under the name that `Rules.needs` has."""
    check: str
    wanted: str
    holds: Callable[[tuple[str, ...] | None], bool]

    def refusal(self, tags: Tags) -> Refusal | None:
        """None when the element satisfies the requirement."""
        return self.answer(values_of(tags, self.tag))

    def answer(self, actual: tuple[str, ...] | None) -> Refusal | None:
        """The same for values that were read already."""
        if self.holds(actual):
            return None
        return Refusal(self.check, self.wanted, "missing" if actual is None else "\\".join(actual))


def compile_requirements(field: str, requirements: Sequence[TagRequirement]) -> tuple[Requirement, ...]:
    """Raises InvalidRequirement naming the field of the pipeline, the element and what to write."""
    compiled = []
    for number, requirement in enumerate(requirements):
        try:
            compiled.append(_compile(requirement.tag, requirement.operator, tuple(requirement.values or ())))
        except (InvalidRequirement, UnknownTag) as error:
            raise InvalidRequirement(f"{field}[{number}]: {error}") from error
    return tuple(compiled)


@lru_cache(maxsize=4096)  # 200 pipelines with 20 requirements each; beyond it only the sharing is lost
def _compile(written: str, operator: str, values: tuple[str, ...]) -> Requirement:
    tag = tag_of(written)
    values = tuple(value.strip() for value in values)
    if tag.element and tag.element.vr in UNREADABLE:
        kind = "a sequence" if tag.element.vr == "SQ" else "binary"
        raise InvalidRequirement(f"{tag.written} is {kind} (VR {tag.element.vr}): rules compare elements that hold text or numbers")
    wanted, holds = _test(tag, operator, values)
    return Requirement(tag.name, f"{tag.written} {operator}", wanted, holds)


def _test(tag: Tag, operator: str, values: tuple[str, ...]) -> tuple[str, Test]:
    listed = " or ".join(values)
    chosen = frozenset(values)
    match operator:
        case "In":
            return listed, lambda actual: actual is not None and not chosen.isdisjoint(actual)
        case "NotIn":
            return f"none of {listed}", lambda actual: actual is None or chosen.isdisjoint(actual)
        case "Exists":
            return "any value", lambda actual: actual is not None
        case "DoesNotExist":
            return "no value", lambda actual: actual is None
        case "Matches":
            return listed, _pattern(tag, values)
        case _:
            return f"{_NUMBER_TESTS[operator][0]} {values[0] if values else ''}", _comparison(tag, operator, values)


def _pattern(tag: Tag, values: tuple[str, ...]) -> Test:
    options = re2.Options()
    options.log_errors = False
    compiled = []
    for pattern in values:
        try:
            compiled.append(re2.compile(pattern, options=options))
        except re2.error as error:
            advice = "patterns are RE2 (no lookaround, no backreference)"
            raise InvalidRequirement(f"{tag.written} Matches {pattern!r}: {_words(error)}; {advice}") from error
    size = sum(one.programsize for one in compiled)
    if size > LARGEST_PATTERNS:
        told = f"{tag.written} Matches: the patterns are too large together, {size} of at most {LARGEST_PATTERNS} instructions"
        raise InvalidRequirement(f"{told}; repeat less ({{1,50}} within {{1,15}} is 750 times), or give fewer patterns")
    return lambda actual: actual is not None and any(pattern.search(value) for pattern in compiled for value in actual)


def _words(error: Exception) -> str:
    """re2 raises bytes."""
    (said,) = error.args or ("not a pattern",)
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def _comparison(tag: Tag, operator: str, values: tuple[str, ...]) -> Test:
    _, test = _NUMBER_TESTS[operator]
    if tag.element and not tag.element.numeric:
        raise InvalidRequirement(
            f"{tag.written} {operator}: {tag.element.keyword} holds no number (VR {tag.element.vr}); compare it with In, NotIn or Matches"
        )
    bound = number_of(values[0]) if len(values) == 1 else None
    if bound is None:
        raise InvalidRequirement(f"{tag.written} {operator} {', '.join(values)}: give exactly one number in quotes, for example [\"2.5\"]")

    def holds(actual: tuple[str, ...] | None) -> bool:
        numbers = [number_of(value) for value in actual or ()]
        return any(number is not None and test(number, bound) for number in numbers)

    return holds
