"""What expressions know of a study and a series, by name: the helper variables.

Pure, and never raises: archives hold wrong value representations, padding, odd character sets and garbage. What cannot be read is absent
(`thickness`, elements) or an empty text (`orientation`, `kernel`, `sender`, `transferSyntax`).
"""

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from .dictionary import Element, by_keyword, by_number
from .facts import SeriesFacts, StudyFacts
from .tags import Tags, canonical, number_of, readable, text_of, values_of

OBLIQUE_FROM = math.cos(math.radians(20))
"""A plane is AXIAL, CORONAL or SAGITTAL when its normal is within 20 degrees of that axis: a gantry tilt of a head CT (up to 20) and the tilt of
spine and cardiac-free knee stacks stay what radiologists call them; at 45 the name would be a coin toss."""
_PLANES = ("SAGITTAL", "CORONAL", "AXIAL")
"""By the axis of the normal: x to the left, y to the back, z to the head (PS3.3 C.7.6.2.1.1)."""
MOST_ELEMENTS = 1024
"""Of one instance that an expression sees when it does not name them."""
ORIENTATIONS = ("AXIAL", "CORONAL", "SAGITTAL", "OBLIQUE", "")
"""All values of `series.orientation`; empty when the images do not tell."""
_NO_CONTRAST = frozenset({"", "NO", "NONE", "N", "0", "NATIVE", "WITHOUT", "NO CONTRAST"})
"""What technicians write into ContrastBolusAgent when none was given."""

STUDY_FIELDS: Mapping[str, str] = MappingProxyType(
    {"tags": "map", "instances": "int", "series": "list", "modalities": "list", "sender": "string", "senders": "list"}
)
SERIES_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "tags": "map",
        "instances": "int",
        "modality": "string",
        "orientation": "string",
        "thickness": "double",
        "contrast": "bool",
        "kernel": "string",
        "transferSyntax": "string",
        "sender": "string",
    }
)
"""Field -> its type."""
ELEMENTS_OF: Mapping[str, str] = MappingProxyType(
    {
        "modality": "Modality",
        "modalities": "Modality",
        "orientation": "ImageOrientationPatient",
        "thickness": "SliceThickness",
        "contrast": "ContrastBolusAgent",
        "kernel": "ConvolutionKernel",
        "transferSyntax": "TransferSyntaxUID",
    }
)
"""Field of a series (`modalities`: of the study) -> the element it is made of."""


def study_variables(study: StudyFacts, series: Sequence[Mapping[str, Any]], wanted: Collection[str] | None = None) -> dict[str, Any]:
    """The variable `study`. `wanted`: see `elements`."""
    senders = [readable(one) for one in study.senders]
    return {
        "tags": elements(study.tags, wanted),
        "instances": study.instances,
        "series": list(series),
        "modalities": sorted({one["modality"] for one in series if one.get("modality")}),
        "sender": senders[0] if senders else "",
        "senders": senders,
    }


def series_variables(series: SeriesFacts, wanted: Collection[str] | None = None) -> dict[str, Any]:
    """The variable `series`. `wanted`: see `elements`; helpers that are made of other elements are left out with them."""
    tags = series.tags
    made = {"tags": elements(tags, wanted), "instances": series.instances, "sender": readable(series.sender or "")}
    for name, value in _HELPERS.items():
        if wanted is None or ELEMENTS_OF[name] in wanted:
            made[name] = value(tags)
    if made.get("thickness", 0) is None:
        del made["thickness"]
    return made


def kernel(tags: Tags) -> str:
    """ConvolutionKernel as it is written, several values with the backslash between them."""
    return "\\".join(values_of(tags, "ConvolutionKernel") or ())


def first(tags: Tags, tag: str) -> str:
    """The first value, or an empty text."""
    return (values_of(tags, tag) or ("",))[0]


def thickness(tags: Tags) -> float | None:
    """SliceThickness in mm; None when absent, no number or not above 0."""
    number = number_of(first(tags, "SliceThickness"))
    return number if number is not None and number > 0 else None


def contrast(tags: Tags) -> bool:
    """ContrastBolusAgent names something."""
    return first(tags, "ContrastBolusAgent").upper() not in _NO_CONTRAST


def orientation(tags: Tags) -> str:
    """AXIAL, CORONAL, SAGITTAL or OBLIQUE; empty when ImageOrientationPatient is not two perpendicular directions."""
    return _plane(values_of(tags, "ImageOrientationPatient") or ())


@lru_cache(maxsize=1024)  # the series of a study mostly share a few planes
def _plane(values: tuple[str, ...]) -> str:
    numbers = [number_of(value) for value in values]
    cosines = [one for one in numbers if one is not None and abs(one) <= 2]
    if len(numbers) != 6 or len(cosines) != 6:
        return ""
    (a, b, c), (d, e, f) = cosines[:3], cosines[3:]
    lengths = math.hypot(a, b, c), math.hypot(d, e, f)
    if any(abs(one - 1) > 0.1 for one in lengths) or abs(a * d + b * e + c * f) > 0.1:
        return ""
    normal = (abs(b * f - c * e), abs(c * d - a * f), abs(a * e - b * d))
    largest = max(normal)
    if largest < OBLIQUE_FROM * math.hypot(*normal):
        return "OBLIQUE"
    return _PLANES[normal.index(largest)]


_HELPERS: Mapping[str, Callable[[Tags], Any]] = MappingProxyType(
    {
        "modality": lambda tags: first(tags, "Modality"),
        "orientation": orientation,
        "thickness": thickness,
        "contrast": contrast,
        "kernel": kernel,
        "transferSyntax": lambda tags: first(tags, "TransferSyntaxUID"),
    }
)


def elements(tags: Tags, wanted: Collection[str] | None) -> dict[str, Any]:
    """The elements by keyword and by number: a value where the standard allows one (VM 1), else a list; a number where the VR is numeric.

    Only those named in `wanted` as `Needs` has them; None: all, the first MOST_ELEMENTS of them.
    """
    made: dict[str, Any] = {}
    for name in itertools.islice(tags, MOST_ELEMENTS) if wanted is None else wanted:
        text = text_of(tags, name)
        if text is None or not text.strip(" \0\\"):
            continue
        element = by_keyword().get(name) if "," not in name else by_number().get(canonical(name))
        value = _value(text, element)
        if element is None:
            made[readable(canonical(name))] = value
        else:
            made[element.keyword] = made[element.number] = value
    return made


def _value(text: str, element: Element | None) -> Any:
    parts = [part.strip(" \0") for part in text.split("\\")]
    if element is None:
        return parts[0] if len(parts) == 1 else parts
    values = [_number(part) for part in parts] if element.numeric else parts
    if element.several:
        return values
    return values[0] if len(values) == 1 else text.strip(" \0")


def _number(text: str) -> int | float | str:
    number = number_of(text)
    if number is None:
        return text
    return int(number) if number.is_integer() and abs(number) < 2**53 and "." not in text else number
