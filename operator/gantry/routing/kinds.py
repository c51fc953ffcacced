"""What a part of an expression is, as far as the names in it tell: the types that CEL's own checker cannot know of DICOM.

Values only; `meaning.py` finds them.
"""

from dataclasses import dataclass
from typing import Literal

from .dictionary import Element
from .variables import SERIES_FIELDS, STUDY_FIELDS

Name = Literal["study", "series", "study.tags", "series.tags", "int", "double", "bool", "string", "list", "dyn"]


@dataclass(frozen=True, slots=True)
class Kind:
    """Of a value. `item`: of a list's members. `element`, `label`: the element or field it was read from, for messages."""

    name: Name
    item: "Kind | None" = None
    element: Element | None = None
    label: str = ""

    @property
    def number(self) -> bool:
        return self.name in ("int", "double")

    @property
    def whole(self) -> bool:
        """A study, a series or all elements of one: who holds it may look at anything in it."""
        return self.name in ("study", "series", "study.tags", "series.tags") or (self.item is not None and self.item.whole)

    @property
    def described(self) -> str:
        """For people: `a number (VR DS)`."""
        noun = {"int": "a number", "double": "a number", "bool": "true or false", "string": "a text", "list": "a list"}.get(self.name, "a value")
        return f"{noun} (VR {self.element.vr})" if self.element else noun


DYN = Kind("dyn")
NOTHING = Kind("dyn", label="optional.none")
BOOL, INT, DOUBLE, STRING = Kind("bool"), Kind("int"), Kind("double"), Kind("string")
STUDY, SERIES = Kind("study"), Kind("series")
_FIELDS = {"int": INT, "double": DOUBLE, "bool": BOOL, "string": STRING}


def field_kind(owner: Kind, name: str) -> Kind | None:
    """Of `study.name` or `series.name`; None when there is no such field."""
    types = STUDY_FIELDS if owner.name == "study" else SERIES_FIELDS
    label = f"{owner.name}.{name}"
    match types.get(name):
        case None:
            return None
        case "map":
            return Kind("study.tags" if owner.name == "study" else "series.tags")
        case "list":
            return Kind("list", item=SERIES if name == "series" else STRING, label=label)
        case simple:
            return Kind(_FIELDS[simple].name, label=label)


def element_kind(element: Element | None, label: str) -> Kind:
    """Of an element: a list where the standard allows several values, a number where the VR is one."""
    if element is None:
        return DYN
    one = Kind("double" if element.numeric else "string", element=element, label=label)
    return Kind("list", item=one, element=element, label=label) if element.several else one


def joined(first: Kind, second: Kind) -> Kind:
    """Of a value that is one or the other."""
    if second is NOTHING or first == second or (first.name == "list" and second.name == "list" and second.item in (None, DYN)):
        return first
    if first.name == "list" and second.name == "list" and first.item in (None, DYN):
        return second
    if first.whole or second.whole:
        return first if first.whole else second  # never forgotten: what may be all of a study must not pass for a simple value
    return Kind(first.name) if first.name == second.name else DYN
