"""DICOM elements as the match language names and reads them.

Pure. `Tags` is a study's or series' elements by keyword or by `gggg,eeee`, values as Orthanc gives them: text, multi-valued joined by a backslash
(PS3.5 6.2). Trimming follows PS3.5: leading and trailing spaces of a value mean nothing, a padding NUL of a UID neither. Reading never raises:
what an archive holds need not follow the standard.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from .dictionary import Element, by_keyword, by_number, closest

Tags = Mapping[str, str]
LONGEST = 1024
"""Characters of one element that rules look at: LO and PN end at 64, ST at 1,024 (PS3.5 table 6.2-1). It bounds what a pattern can cost."""


class UnknownTag(ValueError):
    """A keyword the standard does not have."""


@dataclass(frozen=True, slots=True)
class Tag:
    """An element that a rule names, in one spelling: `Modality` and `0008,0060` are the same."""

    name: str
    """Keyword when the standard has one, else `gggg,eeee` or `gggg,"CREATOR",ee` in lower case: the key in `Rules.needs`."""
    written: str
    """As the rule has it."""
    element: Element | None
    """None for private and unknown numbers."""


def tag_of(written: str) -> Tag:
    """Raises UnknownTag for a keyword that is none, with the nearest that is one."""
    if "," in written:
        number = canonical(written)
        element = by_number().get(number)
        return Tag(element.keyword if element else number, written, element)
    element = by_keyword().get(written)
    if element is None:
        near = closest(written, by_keyword())
        raise UnknownTag(f"DICOM has no keyword {written}; " + (f"did you mean {near}?" if near else "write a keyword of PS3.6 or gggg,eeee"))
    return Tag(written, written, element)


def values_of(tags: Tags, tag: str) -> tuple[str, ...] | None:
    """The values of one element, trimmed; None when the element is missing or empty (PS3.5 7.4.2: an empty Type 2 says nothing)."""
    text = text_of(tags, tag)
    if text is None:
        return None
    values = tuple([part.strip(" \0") for part in text.split("\\")])
    return values if any(values) else None


def text_of(tags: Tags, tag: str) -> str | None:
    """One element as it was stored, by whichever of its names it is known."""
    text = tags.get(tag)
    if text is None:
        other = by_keyword().get(tag) if "," not in tag else by_number().get(canonical(tag))
        text = tags.get(canonical(tag) if other is None else other.number if other.keyword == tag else other.keyword)
    return readable(text[:LONGEST]) if isinstance(text, str) else None


def readable(text: str) -> str:
    """Without lone surrogates, which JSON can carry and which neither RE2 nor CEL takes: they become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@lru_cache(maxsize=4096)  # thicknesses, series numbers and bounds repeat
def number_of(text: str) -> float | None:
    """DS and IS values; None for a text that is no finite number (PS3.5 6.2; Python alone would take 1_000 and other scripts' digits)."""
    if "_" in text or not text.isascii():
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number - number == 0 else None


def canonical(tag: str) -> str:
    """Keyword as it is; `gggg,eeee` and the numbers of a private tag in lower case, so that `0008,103E` finds `0008,103e`."""
    if "," not in tag:
        return tag
    head, _, rest = tag.partition(",")
    if rest.startswith('"'):
        creator, _, element = rest.rpartition(",")
        return f"{head.lower()},{creator},{element.lower()}"
    return f"{head.lower()},{rest.lower()}"
