"""What can be wrong with an SR: the list of rules, and one broken rule at one place."""

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """Rules of the standard, of IHE AI Results and of Gantry. The text says whose rule it is and why it matters."""

    SOP_CLASS = "SopClass"
    """Comprehensive SR or Comprehensive 3D SR, the same in the file's meta information (PS3.3 A.35.3, A.35.13)."""
    ATTRIBUTE = "Attribute"
    """An attribute of a module is missing, empty or has a value the standard does not know."""
    STATE = "State"
    """An AI result is complete and not verified by a person (IHE AIR)."""
    STUDY = "Study"
    """A report belongs to the patient and study of its images."""
    EQUIPMENT = "Equipment"
    """Each algorithm stands in Contributing Equipment with a Device UID, and equally as observer and in the groups (IHE AIR 6.5.3.1)."""
    VALUE = "Value"
    """A content item lacks the value its type has (PS3.3 C.17.3, C.18)."""
    CODE = "Code"
    """A code needs value, scheme and meaning of bounded length (PS3.3 8.8)."""
    UNIT = "Unit"
    """Units are UCUM, case sensitive (PS3.16 TID 300). No other validator looks at them."""
    RELATIONSHIP = "Relationship"
    """Which value types may stand below which, by what relationship (PS3.3 tables A.35.3-2 and A.35.13-2)."""
    TEMPLATE = "Template"
    """A row of TID 1500, 1600, 1410, 1411 or 1501 that has to be there is missing, stands too often or is of another kind (PS3.16)."""
    TRACKING = "Tracking"
    """Each finding has a Tracking UID of its own: a follow-up finds it by that alone."""
    SEPARATION = "Separation"
    """Findings with and without coordinates stand in reports of their own: OHIF shows nothing at all of a mixed one."""
    GRAPHIC = "Graphic"
    """A graphic type takes its number of coordinates (PS3.3 C.18.6.1.2, C.18.9.1.2)."""
    OUTSIDE = "Outside"
    """Coordinates lie inside their image. No other validator looks at them."""
    FRAME = "Frame"
    """A reference to a multi-frame image names existing frames; one to a single frame names none (PS3.3 C.17.3)."""
    REFERENCE = "Reference"
    """What the content refers to is known, of the same class, and named once in the evidence (PS3.3 C.17.2.3)."""
    SPACE = "Space"
    """3D coordinates and segmentations lie in a frame of reference of the images."""


@dataclass(frozen=True)
class Problem:
    """A rule that is broken. None of the texts ever holds a UID or a value of the patient."""

    rule: Rule
    where: str
    """The content item by its position, as dsrdump prints it (`1.9.1.12`), or an attribute."""
    what: str
    """What is wrong."""
    todo: str
    """What to do."""

    def __str__(self) -> str:
        return f"{self.rule}: {self.where}: {self.what}; {self.todo}"
