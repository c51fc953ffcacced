"""What an expression over `study` and `series` means: which facts it needs, and the mistakes CEL's own checker cannot see.

Pure. Names of fields, keywords, literals of the wrong type, patterns and functions are judged here, with line and column, once a generation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import re2

from .dictionary import UNREADABLE, closest
from .facts import Needs
from .kinds import BOOL, DOUBLE, DYN, INT, NOTHING, SERIES, STRING, STUDY, Kind, element_kind, field_kind, joined
from .syntax import Call, Collection, Comprehension, Const, Ident, Node, Select, Syntax
from .tags import UnknownTag, canonical, tag_of
from .variables import ELEMENTS_OF, ORIENTATIONS, SERIES_FIELDS, STUDY_FIELDS

COMPARISONS = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})
_GIVES_BOOL = COMPARISONS | {
    "_&&_", "_||_", "!_", "@in", "@not_strictly_false", "contains", "startsWith", "endsWith", "matches", "hasValue", "bool",
}  # fmt: skip
_GIVES_INT = frozenset({"size", "indexOf", "lastIndexOf", "int", "uint"})
_GIVES_STRING = frozenset({"lowerAscii", "upperAscii", "trim", "substring", "charAt", "string", "join"})
_ARITHMETIC = frozenset({"_+_", "_-_", "_*_", "_/_", "_%_", "-_"})
_OPTIONAL = frozenset({"_?._", "_[?_]", "optional.of", "optional.none", "optional.ofNonZeroValue", "value", "orValue", "or"})
FUNCTIONS = _GIVES_BOOL | _GIVES_INT | _GIVES_STRING | _ARITHMETIC | _OPTIONAL | {"_?_:_", "_[_]", "split", "double", "dyn", "type"}
"""All that may be called; each has its price in cost.py. `format`, `replace` and others that make text longer than its parts are left out."""


class Mistake(ValueError):
    """Something in the expression can never be right."""

    def __init__(self, node: Node, text: str) -> None:
        super().__init__(text)
        self.node = node


@dataclass(slots=True)
class Meaning:
    """Filled while the tree is walked."""

    study: set[str] = field(default_factory=set)
    series: set[str] = field(default_factory=set)
    senders: bool = False
    instance: bool = False
    every: bool = False

    @property
    def needs(self) -> Needs:
        return Needs(frozenset(self.study), frozenset(self.series), senders=self.senders, instance=self.instance, every=self.every)


VARIABLES: Mapping[str, Kind] = {"study": STUDY, "series": SERIES}


def meaning_of(syntax: Syntax, variables: Mapping[str, Kind]) -> tuple[Kind, Needs]:
    """The kind of the result and what has to be known. Raises Mistake."""
    walk = _Walk(Meaning())
    kind = walk.value(syntax.root, dict(variables))
    return kind, walk.meaning.needs


@dataclass(slots=True)
class _Walk:
    meaning: Meaning

    def value(self, node: Node, scope: dict[str, Kind]) -> Kind:
        """A part whose value is used as it is."""
        kind = self.part(node, scope)
        self.all_of(kind)
        return kind

    def all_of(self, kind: Kind) -> None:
        """Whoever holds a whole thing may look at anything in it."""
        if not kind.whole:
            return
        self.meaning.instance = True
        if not kind.name.endswith("tags"):
            self.meaning.senders = True
            self.meaning.every |= kind.name != "series"

    def part(self, node: Node, scope: dict[str, Kind]) -> Kind:
        """A part of which only something is used: `series` in `series.tags`."""
        match node:
            case Const():
                return {bool: BOOL, int: INT, float: DOUBLE, str: STRING}.get(type(node.value), DYN)
            case Ident():
                return scope.get(node.name, DYN)
            case Select():
                kind = self.selected(node, self.part(node.operand, scope), node.name)
                return BOOL if node.has else kind
            case Collection():
                if not node.is_map:
                    return Kind("list", item=_all([self.part(one, scope) for one in node.items]))
                if any(self.part(one, scope).whole for one in node.items):
                    raise Mistake(node, "a map of whole studies or series is not offered to rules; put something of them into it")
                return DYN
            case Comprehension():
                return self.comprehension(node, scope)
            case Call():
                return self.call(node, scope)

    def selected(self, node: Node, owner: Kind, name: str) -> Kind:
        """`owner.name`."""
        if owner.name in ("study.tags", "series.tags"):
            return self.element(node, owner, name)
        if owner.name not in ("study", "series"):
            return DYN
        kind = field_kind(owner, name)
        if kind is None:
            fields = STUDY_FIELDS if owner.name == "study" else SERIES_FIELDS
            near = closest(name, fields)
            advice = f"did you mean {near}?" if near else f"it has {', '.join(fields)}"
            raise Mistake(node, f"{owner.name} has no {name}; {advice}")
        if name in ("sender", "senders"):
            self.meaning.senders = True
        if owner.name == "study" and name in ("series", "modalities", "sender", "senders"):
            self.meaning.every = True
        if name in ELEMENTS_OF:
            self.meaning.series.add(ELEMENTS_OF[name])
        return kind

    def element(self, node: Node, owner: Kind, name: str) -> Kind:
        """`tags.Keyword` or `tags['gggg,eeee']`."""
        try:
            tag = tag_of(name)
        except UnknownTag as error:
            raise Mistake(node, str(error)) from error
        if canonical(name) != name:
            raise Mistake(node, f"write {canonical(name)!r} in lower case: keys of tags are texts")
        if tag.element is not None and tag.element.vr in UNREADABLE:
            raise Mistake(node, f"{name} is a sequence or binary (VR {tag.element.vr}): rules compare elements that hold text or numbers")
        (self.meaning.study if owner.name == "study.tags" else self.meaning.series).add(tag.name)
        return element_kind(tag.element, f"{owner.name}.{name}")

    def comprehension(self, node: Comprehension, scope: dict[str, Kind]) -> Kind:
        over = self.part(node.range, scope)
        if over.name in ("study.tags", "series.tags"):
            self.all_of(over)
        start = self.part(node.initial, scope)
        item = STRING if over.name.endswith("tags") else over.item or DYN
        inner = {**scope, node.variable: item, node.accumulator: start}
        self.part(node.condition, inner)
        step = self.part(node.step, inner)
        loops = not (isinstance(node.range, Collection) and not node.range.items)
        return self.part(node.result, {**inner, node.accumulator: joined(start, step) if loops else start})

    def call(self, node: Call, scope: dict[str, Kind]) -> Kind:
        name, arguments = node.function, node.arguments
        if name not in FUNCTIONS:
            raise Mistake(node, f"{name}() is not offered to rules; they have {', '.join(sorted(one for one in FUNCTIONS if one.isalpha()))}")
        if name in ("_[_]", "_[?_]", "_?._"):
            return self.indexed(node, scope)
        if name == "matches":
            _check_pattern(node, arguments[-1])
        passes = name in ("size", "_+_", "_?_:_", "orValue", "or", "value", "hasValue", "optional.of", "dyn", "@not_strictly_false")
        kinds = [self.part(one, scope) if passes else self.value(one, scope) for one in arguments]
        if name in COMPARISONS:
            _check_comparison(node, kinds)
        if name == "@in":
            _check_member(node, kinds)
        return _result(name, kinds)

    def indexed(self, node: Call, scope: dict[str, Kind]) -> Kind:
        """`list[0]`, `tags['0008,0060']`, `tags[?'x']`, `series.?thickness`."""
        owner, key = self.part(node.arguments[0], scope), node.arguments[1]
        if isinstance(key, Const) and isinstance(key.value, str):
            return self.selected(node, owner, key.value)
        self.value(key, scope)
        if owner.name != "list":
            self.all_of(owner)
        return owner.item or DYN


def _all(kinds: list[Kind]) -> Kind | None:
    result = kinds[0] if kinds else None
    for one in kinds[1:]:
        result = joined(result or DYN, one)
    return result


def _result(name: str, kinds: list[Kind]) -> Kind:
    if name in _GIVES_BOOL:
        return BOOL
    if name in _GIVES_INT:
        return INT
    if name in _GIVES_STRING:
        return STRING
    match name:
        case "_?_:_":
            return joined(kinds[1], kinds[2])
        case "orValue" | "or":
            return joined(Kind(kinds[0].name, kinds[0].item), Kind(kinds[1].name, kinds[1].item))
        case "_+_" if kinds[0].whole or kinds[1].whole or kinds[0].name == kinds[1].name == "list":
            return joined(kinds[0], kinds[1])
        case "optional.none":
            return NOTHING
        case "value" | "dyn" | "optional.of" | "optional.ofNonZeroValue":
            return kinds[0]
        case "split":
            return Kind("list", item=STRING)
        case "double":
            return DOUBLE
        case _:
            return DYN


def _check_pattern(node: Call, pattern: Node) -> None:
    if not (isinstance(pattern, Const) and isinstance(pattern.value, str)):
        raise Mistake(node, "the pattern of matches() must be written out as a text: one made of other values could cost any time")
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern.value, options=options)
    except re2.error as error:
        said = error.args[0] if error.args else b""
        words = said.decode(errors="replace") if isinstance(said, bytes) else said
        raise Mistake(pattern, f"{words}; patterns are RE2 (no lookaround, no backreference)") from error


def _check_comparison(node: Call, kinds: list[Kind]) -> None:
    """A field or element against a literal of a type it never has: CEL would answer false, or fail on every study."""
    if any(one.whole for one in kinds):
        raise Mistake(node, "compare something of a study or series, for example tags.SeriesInstanceUID, not all of it")
    (first, second), (before, after) = kinds, node.arguments
    for left, right, literal in ((first, second, after), (second, first, before)):
        if not left.label or not isinstance(literal, Const) or right is DYN:
            continue
        if left.name == "list":
            raise Mistake(node, f"{left.label} is a list, it may have several values: write {_written(literal)} in {left.label}")
        if left.number and not right.number:
            raise Mistake(node, f"{left.label} is {left.described}: compare it with a number, without quotes")
        if left.name in ("string", "bool") and right.name != left.name:
            raise Mistake(node, f"{left.label} is {left.described}: {_written(literal)} is none")
        if left.label == "series.orientation" and literal.value not in ORIENTATIONS:
            raise Mistake(node, f"series.orientation is one of {', '.join(map(repr, ORIENTATIONS))}")


def _check_member(node: Call, kinds: list[Kind]) -> None:
    item, container = kinds
    if item.whole:
        raise Mistake(node, "look for something of a study or series, not for all of it")
    if container.label and container.name in ("string", "int", "double", "bool"):
        raise Mistake(node, f"{container.label} has one value: compare it with ==, or look into its text with contains()")
    member = container.item
    if container.label and member and isinstance(node.arguments[0], Const) and member.number != item.number:
        raise Mistake(node, f"{container.label} is a list, each of it {member.described}: {_written(node.arguments[0])} is none")


def _written(node: Node) -> str:
    value = node.value if isinstance(node, Const) else ""
    return str(value).lower() if isinstance(value, bool) else repr(value)
