"""Each content item by itself: the value its type has, its codes and units, and whether it may stand where it stands.

The relationships are tables A.35.3-2 and A.35.13-2 of PS3.3; SCOORD3D is all that Comprehensive 3D SR has more.
"""

import math
import re
from collections.abc import Iterator

from pydicom import Dataset

from gantry.findings import is_ucum

from ..context import SOP_CLASS_UIDS
from ..verbatim import items as sequence
from ..verbatim import text
from .items import Item, code_value
from .problems import Problem, Rule

_SIMPLE = frozenset(("TEXT", "CODE", "NUM", "DATETIME", "DATE", "TIME", "UIDREF", "PNAME"))
_REFERENCES = frozenset(("COMPOSITE", "IMAGE", "WAVEFORM"))
_COORDINATES = frozenset(("SCOORD", "TCOORD", "SCOORD3D"))
_ALL = _SIMPLE | _REFERENCES | _COORDINATES | {"CONTAINER"}
RELATIONSHIPS: dict[str, dict[str, frozenset[str]]] = {
    "CONTAINER": {"CONTAINS": _ALL, "HAS OBS CONTEXT": _SIMPLE | {"COMPOSITE"}, "HAS ACQ CONTEXT": _SIMPLE | {"CONTAINER"}},
    "TEXT": {"HAS OBS CONTEXT": _SIMPLE | {"COMPOSITE"}, "HAS PROPERTIES": _ALL, "INFERRED FROM": _ALL},
    "CODE": {"HAS OBS CONTEXT": _SIMPLE | {"COMPOSITE"}, "HAS PROPERTIES": _ALL, "INFERRED FROM": _ALL},
    "NUM": {"HAS OBS CONTEXT": _SIMPLE | {"COMPOSITE"}, "HAS PROPERTIES": _ALL, "INFERRED FROM": _ALL, "HAS ACQ CONTEXT": _SIMPLE | {"CONTAINER"}},
    "PNAME": {"HAS PROPERTIES": _SIMPLE - {"NUM"}},
    "IMAGE": {"HAS ACQ CONTEXT": _SIMPLE | {"CONTAINER"}},
    "WAVEFORM": {"HAS ACQ CONTEXT": _SIMPLE | {"CONTAINER"}},
    "COMPOSITE": {"HAS ACQ CONTEXT": _SIMPLE | {"CONTAINER"}},
    "SCOORD": {"SELECTED FROM": frozenset(("IMAGE",))},
    "TCOORD": {"SELECTED FROM": frozenset(("SCOORD", "IMAGE", "WAVEFORM"))},
    "SCOORD3D": {},
}
"""Parent, relationship, children. Every parent may also have HAS CONCEPT MOD with TEXT or CODE."""
_MODIFIERS = frozenset(("TEXT", "CODE"))
VALUES = {
    "TEXT": "TextValue",
    "CODE": "ConceptCodeSequence",
    "NUM": "MeasuredValueSequence",
    "DATETIME": "DateTime",
    "DATE": "Date",
    "TIME": "Time",
    "UIDREF": "UID",
    "PNAME": "PersonName",
    "COMPOSITE": "ReferencedSOPSequence",
    "IMAGE": "ReferencedSOPSequence",
    "WAVEFORM": "ReferencedSOPSequence",
    "SCOORD": "GraphicData",
    "SCOORD3D": "GraphicData",
    "TCOORD": "TemporalRangeType",
    "CONTAINER": "ContinuityOfContent",
}
"""The attribute that holds the value (PS3.3 Table C.17.3-4 and C.18)."""
PLANAR = {"POINT": (2, 2), "MULTIPOINT": (2, None), "POLYLINE": (4, None), "CIRCLE": (4, 4), "ELLIPSE": (8, 8)}
SPATIAL = {"POINT": (3, 3), "MULTIPOINT": (3, None), "POLYLINE": (6, None), "POLYGON": (9, None), "ELLIPSE": (12, 12), "ELLIPSOID": (18, 18)}
"""Numbers a graphic type takes, at least and at most."""
CODES = ("ConceptNameCodeSequence", "ConceptCodeSequence")
_QUOTABLE = re.compile(r"[A-Za-z0-9%/*^.\[\]{}:'_-]{1,16}")


def check_item(item: Item, sop_class: str) -> Iterator[Problem]:
    """Everything that one item tells."""
    if item.kind not in VALUES:
        yield Problem(Rule.VALUE, item.place, "has no value type that this class knows", f"use one of {', '.join(VALUES)}")
        return
    yield from _check_value(item)
    if item.parent is not None:
        yield from _check_relationship(item, item.parent, sop_class)
    for keyword in CODES:
        for code in sequence(item.dataset, keyword):
            yield from _check_code(item, code)
    if item.kind == "NUM":
        yield from _check_number(item)
    if item.kind in ("SCOORD", "SCOORD3D"):
        yield from _check_graphic(item)


def _check_value(item: Item) -> Iterator[Problem]:
    keyword = VALUES[item.kind]
    if keyword not in item.dataset or not _filled(item.dataset, keyword):
        yield Problem(Rule.VALUE, item.place, f"has no {keyword}", "write the value, or leave the item out")
    if not sequence(item.dataset, "ConceptNameCodeSequence") and item.kind not in _REFERENCES | _COORDINATES:
        yield Problem(Rule.VALUE, item.place, "has no concept name", "name it by a code")


def _filled(dataset: Dataset, keyword: str) -> bool:
    if keyword.endswith("Sequence"):
        return bool(sequence(dataset, keyword))
    return bool(text(dataset, keyword))


def _check_relationship(item: Item, parent: Item, sop_class: str) -> Iterator[Problem]:
    allowed = {**RELATIONSHIPS.get(parent.kind, {}), "HAS CONCEPT MOD": _MODIFIERS}
    if item.kind not in allowed.get(item.relationship, frozenset()):
        what = f"{parent.kind or 'an unknown item'} {item.relationship or '(no relationship)'} {item.kind} is not allowed"
        yield Problem(Rule.RELATIONSHIP, item.place, what, "use a relationship of PS3.3 table A.35.13-2")
    if item.kind == "SCOORD3D" and sop_class != SOP_CLASS_UIDS["Comprehensive3DSR"]:
        yield Problem(Rule.RELATIONSHIP, item.place, "3D coordinates stand in a class without them", "use Comprehensive 3D SR, or 2D coordinates")


def _check_code(item: Item, code: Dataset) -> Iterator[Problem]:
    meaning, scheme = text(code, "CodeMeaning"), text(code, "CodingSchemeDesignator")
    if not code_value(code) or not scheme or not meaning:
        yield Problem(Rule.CODE, item.place, "has a code without value, scheme or meaning", "write all three")
    if len(meaning) > 64:
        yield Problem(Rule.CODE, item.place, f"has a code meaning of {len(meaning)} characters", "write at most 64")
    if len(scheme) > 16:
        yield Problem(Rule.CODE, item.place, f"has a coding scheme of {len(scheme)} characters", "write at most 16")


def _check_number(item: Item) -> Iterator[Problem]:
    for measured in sequence(item.dataset, "MeasuredValueSequence")[:1]:
        value = text(measured, "NumericValue")
        if not value or not _is_finite(value):
            yield Problem(Rule.VALUE, item.place, "has no number", "write a finite number, or leave the item out")
        units = sequence(measured, "MeasurementUnitsCodeSequence")
        if not units:
            yield Problem(Rule.UNIT, item.place, "has no unit", 'write a UCUM unit; "1" for none')
        for unit in units[:1]:
            yield from _check_code(item, unit)
            symbol = code_value(unit)
            if text(unit, "CodingSchemeDesignator") != "UCUM" or not is_ucum(symbol):
                shown = f'"{symbol}"' if _QUOTABLE.fullmatch(symbol) else "its unit"
                yield Problem(Rule.UNIT, item.place, f"{shown} is no UCUM unit", "see https://ucum.org")


def _is_finite(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _check_graphic(item: Item) -> Iterator[Problem]:
    graphic = text(item.dataset, "GraphicType")
    per_point, table = (2, PLANAR) if item.kind == "SCOORD" else (3, SPATIAL)
    if graphic not in table:
        yield Problem(Rule.GRAPHIC, item.place, "has no graphic type that its value type knows", f"use one of {', '.join(table)}")
        return
    values = coordinates(item)
    least, most = table[graphic]
    if len(values) < least or (most is not None and len(values) > most) or len(values) % per_point:
        numbers = f"{least}" if least == most else f"{least} or more, in {'pairs' if per_point == 2 else 'threes'}"
        yield Problem(Rule.GRAPHIC, item.place, f"{graphic} has {len(values)} numbers", f"write {numbers}")
    if not all(math.isfinite(value) for value in values):
        yield Problem(Rule.GRAPHIC, item.place, f"{graphic} has a coordinate that is no finite number", "write finite numbers")
    if graphic == "POLYGON" and values[:3] != values[-3:]:
        yield Problem(Rule.GRAPHIC, item.place, "the outline is open", "repeat the first point at its end")
    if item.kind == "SCOORD" and not any(child.relationship == "SELECTED FROM" for child in item.children):
        yield Problem(Rule.REFERENCE, item.place, "names no image", "add the image by SELECTED FROM")
    if item.kind == "SCOORD3D" and not text(item.dataset, "ReferencedFrameOfReferenceUID"):
        yield Problem(Rule.SPACE, item.place, "names no frame of reference", "set ReferencedFrameOfReferenceUID")


def coordinates(item: Item) -> list[float]:
    """The numbers of a graphic; none when they cannot be read."""
    try:
        value = item.dataset.get("GraphicData")
        return [float(number) for number in value] if value is not None else []
    except (TypeError, ValueError):
        return []
