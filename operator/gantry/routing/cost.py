"""What an expression can cost at most on a study of a given size, computed before it is asked.

Pure. The library ends an evaluation after 10,000 rounds of its loops, but a round may copy a long list or search a long text, and an evaluation
cannot be stopped from outside nor does it let other threads run (measured: 28 s for one pattern of 30 characters in a loop over 2,000 texts).
So the price is bounded from the tree: by an upper limit for the length of every value, as Kubernetes does for CEL in its schemas.
"""

from dataclasses import dataclass

import re2

from .syntax import Call, Collection, Comprehension, Const, Ident, Node, Select

UNIT = 20e-9
"""Seconds a unit stands for: `a >= 0` in a loop is 4 units and took 80 ns (2026-11-24, cel-expr-python 0.1.3, one core of the bench machine)."""
LIMIT = 5_000_000
"""Units: 100 ms, the longest that other work of the operator may have to wait."""
ROUNDS = 10_000
"""The library's own bound on rounds of all loops together."""
_NODE, _READ, _COPY, _LETTER, _ROUND = 1.0, 15.0, 4.0, 0.1, 10.0
"""Units of any node; of reading a field of a study; of copying one member of a list; of looking at one letter; of one round of a loop."""
_SIMPLE = frozenset(
    {"_&&_", "_||_", "!_", "@not_strictly_false", "hasValue", "bool", "int", "uint", "double", "-_", "_-_", "_*_", "_/_", "_%_"}
)
"""They look at one truth value or number, however it is written."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of what an expression is asked about."""

    series: int
    """Members of the longest list."""
    elements: int
    """Keys of the longest map."""
    text: int
    """Letters of the longest text, values of the longest element."""
    total: int = 0
    """Values in all, for what may compare whole trees; 0 where `meaning.py` refuses that."""

    @property
    def rounded(self) -> "Size":
        """Up to powers of two: few sizes are ever computed."""
        return Size(*(1 << max(one - 1, 0).bit_length() for one in (self.series, self.elements, self.text, self.total)))


@dataclass(frozen=True, slots=True)
class _Extent:
    """Upper limits for one value: its own length, and that of anything in it."""

    length: float
    deepest: float
    cost: float = 0.0

    @property
    def inner(self) -> float:
        return max(self.length, self.deepest)


def bound(root: Node, size: Size) -> float:
    """Units; above LIMIT the expression is not asked."""
    widest = max(size.series, size.elements, size.text)
    return _Price(size).of(root, {"study": _Extent(8, widest), "series": _Extent(16, max(size.elements, size.text))}).cost


@dataclass(frozen=True, slots=True)
class _Price:
    size: Size

    def of(self, node: Node, scope: dict[str, _Extent]) -> _Extent:
        match node:
            case Const():
                return _Extent(len(node.value) if isinstance(node.value, str | bytes) else 1, 0, _NODE)
            case Ident():
                known = scope.get(node.name) or _Extent(self.size.series, max(self.size.series, self.size.elements, self.size.text))
                return _Extent(known.length, known.deepest, _NODE)
            case Select():
                return self.read(self.of(node.operand, scope), node.name)
            case Collection():
                parts = [self.of(one, scope) for one in node.items]
                cost = sum(one.cost for one in parts) + len(parts) * _COPY + _NODE
                return _Extent(len(parts), max((one.inner for one in parts), default=0), cost)
            case Comprehension():
                return self.loop(node, scope)
            case Call():
                return self.call(node, scope)

    def read(self, owner: _Extent, name: str) -> _Extent:
        """`owner.name`: the names of a study's and series' parts tell more than "something in it"."""
        cost = owner.cost + _READ
        match name:
            case "series" | "modalities" | "senders":
                return _Extent(self.size.series, max(self.size.elements, self.size.text), cost)
            case "tags":
                return _Extent(self.size.elements, self.size.text, cost)
            case "instances" | "thickness" | "contrast":
                return _Extent(1, 0, cost)
            case _:
                return _Extent(owner.deepest, owner.deepest, cost)

    def loop(self, node: Comprehension, scope: dict[str, _Extent]) -> _Extent:
        over, start = self.of(node.range, scope), self.of(node.initial, scope)
        rounds = min(over.length, ROUNDS)
        item = _Extent(over.deepest, over.deepest)
        grown = start
        if rounds:
            # all, exists: a truth value. map, filter: a list that grows by one member a round; what a member is, one round tells.
            once = self.of(node.step, {**scope, node.variable: item, node.accumulator: start})
            grown = _Extent(start.length + rounds, max(start.deepest, once.inner))
        inner = {**scope, node.variable: item, node.accumulator: grown}
        halfway = {**inner, node.accumulator: _Extent((start.length + grown.length) / 2, grown.deepest)}
        each = self.of(node.condition, halfway).cost + self.of(node.step, halfway).cost + _ROUND
        result = self.of(node.result, inner)
        return _Extent(result.length, result.deepest, over.cost + start.cost + rounds * each + result.cost)

    def call(self, node: Call, scope: dict[str, _Extent]) -> _Extent:
        parts = [self.of(one, scope) for one in node.arguments]
        cost = sum(one.cost for one in parts) + _NODE
        length = max((one.length for one in parts), default=1)
        deepest = max((one.deepest for one in parts), default=0)
        match node.function:
            case "matches":
                return _Extent(1, 0, cost + _pattern(node.arguments[-1], parts[0].length))
            case "_+_":
                total = sum(one.length for one in parts)
                # One of the two a literal text or number: no list.
                copy = _LETTER if any(isinstance(one, Const) for one in node.arguments) else _COPY
                return _Extent(total, deepest, cost + total * copy)
            case "_[_]" | "_[?_]" | "_?._":
                return self.indexed(node, parts, cost)
            case "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_":
                shorter = min(parts, key=lambda one: one.length)
                return _Extent(1, 0, cost + shorter.length * max(shorter.deepest, 1) * _LETTER + self.trees(node))
            case "@in":
                return _Extent(1, 0, cost + parts[1].length * (1 + min(parts[0].length, parts[1].deepest) * _LETTER) + self.trees(node))
            case one if one in _SIMPLE:
                return _Extent(1, 0, cost)
            case "_?_:_" | "dyn" | "value" | "orValue" | "or" | "optional.of" | "optional.none" | "optional.ofNonZeroValue":
                return _Extent(length, deepest, cost)
            case "split":
                return _Extent(parts[0].length, parts[0].length, cost + parts[0].length * _COPY)
            case "join":
                joined = parts[0].length * (parts[0].deepest + (parts[1].length if len(parts) > 1 else 0))
                return _Extent(joined, joined, cost + joined * _LETTER)
            case "contains" | "startsWith" | "endsWith" | "indexOf" | "lastIndexOf" | "size":
                return _Extent(1, 0, cost + length * _LETTER)
            case "string":  # of a number: no more than 24 letters
                return _Extent(length + 24, deepest, cost + length * _LETTER)
            case _:  # text from text: not longer than it was
                return _Extent(length, deepest, cost + length * _LETTER)

    def trees(self, node: Call) -> float:
        """Of comparing two values that may be anything, in a list of them or not."""
        return 0 if any(isinstance(one, Const) for one in node.arguments) else self.size.total * _READ

    def indexed(self, node: Call, parts: list[_Extent], cost: float) -> _Extent:
        key = node.arguments[1]
        if isinstance(key, Const) and isinstance(key.value, str):
            read = self.read(parts[0], key.value)
            return _Extent(read.length, read.deepest, cost + _READ)
        return _Extent(parts[0].deepest, parts[0].deepest, cost + _READ)


def _pattern(pattern: Node, letters: float) -> float:
    """RE2 in its slowest way looks at every instruction for every letter (13 ns); it compiles a pattern anew each time (25 units each)."""
    instructions = re2.compile(pattern.value).programsize if isinstance(pattern, Const) else 0
    return float(instructions) * (letters * 0.65 + 25) + 100
