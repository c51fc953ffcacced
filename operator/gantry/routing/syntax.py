"""The tree of a compiled expression, read from the bytes the library gives: cel.expr.CheckedExpr (cel/expr/checked.proto, syntax.proto).

Pure. Only what judging an expression needs is read, by the wire format itself (https://protobuf.dev/programming-guides/encoding/): forty lines
instead of the protobuf library in the operator.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

Scalar = None | bool | int | float | str | bytes


@dataclass(frozen=True, slots=True)
class Const:
    """A literal."""

    id: int
    value: Scalar


@dataclass(frozen=True, slots=True)
class Ident:
    """A variable."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.name`, or `has(operand.name)`."""

    id: int
    operand: "Node"
    name: str
    has: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator; a method's target is its first argument."""

    id: int
    function: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """A list `[a, b]`, or the keys and values of a map `{k: v}` one after another."""

    id: int
    items: tuple["Node", ...]
    is_map: bool


@dataclass(frozen=True, slots=True)
class Comprehension:
    """What the macros all, exists, exists_one, map, filter and optMap become."""

    id: int
    variable: str
    range: "Node"
    accumulator: str
    initial: "Node"
    condition: "Node"
    step: "Node"
    result: "Node"


Node = Const | Ident | Select | Call | Collection | Comprehension


@dataclass(frozen=True, slots=True)
class Syntax:
    """The tree and where each node stands in the text."""

    root: Node
    text: str
    positions: dict[int, int] = field(default_factory=dict)

    def place(self, node: Node) -> tuple[int, int]:
        """Line and column, from 1."""
        before = self.text[: self.positions.get(node.id, 0)]
        return before.count("\n") + 1, len(before) - before.rfind("\n")


def parse(serialized: bytes, text: str) -> Syntax:
    """Of google.protobuf.Any around a CheckedExpr."""
    checked = dict(_fields(_bytes(dict(_fields(serialized))[2])))
    source = list(_fields(_bytes(checked[5])))
    entries = [dict(_fields(_bytes(value))) for number, value in source if number == 4]
    return Syntax(_node(_bytes(checked[4])), text, {_integer(one[1]): _integer(one.get(2, 0)) for one in entries})


def _node(data: bytes) -> Node:
    fields = dict(_fields(data))
    number = _integer(fields.pop(2, 0))
    ((kind, content),) = fields.items()
    inner = list(_fields(_bytes(content)))
    one = dict(inner)
    match kind:
        case 3:
            return Const(number, _scalar(*inner[0]) if inner else None)
        case 4:
            return Ident(number, _text(one[1]))
        case 5:
            return Select(number, _node(_bytes(one[1])), _text(one[2]), has=bool(one.get(3, 0)))
        case 6:
            target = [_node(_bytes(one[1]))] if 1 in one else []
            return Call(number, _text(one[2]), (*target, *(_node(_bytes(value)) for key, value in inner if key == 3)))
        case 7:
            return Collection(number, tuple(_node(_bytes(value)) for key, value in inner if key == 1), is_map=False)
        case 8:
            entries = [dict(_fields(_bytes(value))) for key, value in inner if key == 2]
            return Collection(number, tuple(_node(_bytes(entry[key])) for entry in entries for key in (3, 4) if key in entry), is_map=True)
        case _:
            parts = [_node(_bytes(one[key])) for key in (2, 4, 5, 6, 7)]
            return Comprehension(number, _text(one.get(1, b"")), parts[0], _text(one.get(3, b"")), *parts[1:])


def _scalar(kind: int, value: int | bytes) -> Scalar:
    match kind, value:
        case 2, int():
            return bool(value)
        case 3, int():
            return value - 2**64 if value >= 2**63 else value
        case 4, int():
            return value
        case 5, bytes():
            return float(struct.unpack("<d", value)[0])
        case 6, bytes():
            return value.decode()
        case 7, bytes():
            return value
        case _:
            return None


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("not a CheckedExpr: a number where a message belongs")
    return value


def _integer(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise TypeError("not a CheckedExpr: a message where a number belongs")
    return value


def _text(value: int | bytes) -> str:
    return _bytes(value).decode()


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and contents of a message: varints as they are, everything else as bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        length, at = (8, at) if wire == 1 else (4, at) if wire == 5 else _varint(data, at)
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
