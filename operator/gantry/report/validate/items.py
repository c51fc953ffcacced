"""The content tree as a list of items that know their place. Reads only, and never raises for what a dataset lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from pydicom import Dataset

from ..verbatim import items as sequence
from ..verbatim import text

PUBLIC = frozenset(("DCM", "SCT", "SRT", "UMLS", "UCUM", "LN", "RADLEX"))
"""Schemes whose code values may be quoted; a private code may be anything."""


def code_value(code: Dataset) -> str:
    """Code value, wherever it stands (PS3.3 8.8)."""
    return text(code, "CodeValue") or text(code, "LongCodeValue") or text(code, "URNCodeValue")


def first_code(dataset: Dataset, keyword: str) -> tuple[str, str]:
    """Value and scheme of the first code of a sequence; empty when there is none."""
    for code in sequence(dataset, keyword)[:1]:
        return code_value(code), text(code, "CodingSchemeDesignator")
    return "", ""


@dataclass(frozen=True, eq=False)
class Item:
    """One content item."""

    dataset: Dataset
    path: str
    """`1.9.2`: the second child of the ninth child of the root."""
    parent: Item | None
    children: list[Item] = field(default_factory=list)

    @cached_property
    def kind(self) -> str:
        """Value type."""
        return text(self.dataset, "ValueType")

    @cached_property
    def name(self) -> str:
        """Code value of the concept name."""
        return first_code(self.dataset, "ConceptNameCodeSequence")[0]

    @cached_property
    def answer(self) -> str:
        """Code value of a CODE item."""
        return first_code(self.dataset, "ConceptCodeSequence")[0]

    @cached_property
    def relationship(self) -> str:
        """To its parent."""
        return text(self.dataset, "RelationshipType")

    @cached_property
    def place(self) -> str:
        """For a message: position, value type, and the concept where it is no private one."""
        name, scheme = first_code(self.dataset, "ConceptNameCodeSequence")
        return " ".join(part for part in (self.path, self.kind, name if scheme in PUBLIC else "") if part)

    def named(self, *names: str) -> list[Item]:
        """Children of these concept names."""
        return [child for child in self.children if child.name in names]

    def walk(self) -> Iterator[Item]:
        """This item and everything below it, in order."""
        pending = [self]
        while pending:
            item = pending.pop()
            yield item
            pending.extend(reversed(item.children))


def tree(report: Dataset) -> Item:
    """The root with everything below it. Not recursive: a hostile file nests without end."""
    root = Item(report, "1", None)
    pending = [root]
    while pending:
        item = pending.pop()
        for number, child in enumerate(sequence(item.dataset, "ContentSequence"), 1):
            item.children.append(Item(child, f"{item.path}.{number}", item))
        pending.extend(item.children)
    return root


def reference(item: Item) -> Dataset | None:
    """The object an IMAGE or COMPOSITE item refers to."""
    return next(iter(sequence(item.dataset, "ReferencedSOPSequence")), None)
