"""The DICOM elements that have a keyword: number, value representation, multiplicity (PS3.6 table 6-1).

Pure: `elements.tsv` is part of the package and read once, when the first rule is compiled. The operator must not load pydicom for it (60 MB);
`make generate` writes the file from pydicom's dictionary and a test compares the two.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

NUMERIC = frozenset({"DS", "IS", "FL", "FD", "US", "SS", "UL", "SL", "UV", "SV", "US or SS"})
"""Value representations (PS3.5 table 6.2-1) whose values are numbers."""
UNREADABLE = frozenset({"SQ", "OB", "OW", "OD", "OF", "OL", "OV", "UN", "OB or OW", "US or OW", "US or SS or OW"})
"""Sequences and binary values: a rule cannot look into them."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the standard."""

    number: str
    """`gggg,eeee` in lower case."""
    keyword: str
    vr: str
    several: bool
    """The standard allows more than one value."""

    @property
    def numeric(self) -> bool:
        return self.vr in NUMERIC


@cache
def by_keyword() -> Mapping[str, Element]:
    """All elements by keyword."""
    known = {}
    for line in files(__package__).joinpath("elements.tsv").read_text(encoding="ascii").splitlines()[1:]:
        number, vr, vm, keyword = line.split("\t")
        known[keyword] = Element(number, keyword, vr, several=vm != "1")
    return known


@cache
def by_number() -> Mapping[str, Element]:
    """The same by `gggg,eeee`."""
    return {one.number: one for one in by_keyword().values()}


def closest(word: str, known: Mapping[str, object] | frozenset[str]) -> str | None:
    """The most similar known word, for "did you mean"; None when nothing is near."""
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.75)
    return folded[near[0]] if near else None
