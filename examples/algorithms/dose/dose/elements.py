"""Values of a DICOM JSON dataset (PS3.18 Annex F). Nothing here raises for what a value looks like: it is missing then."""

from __future__ import annotations

import math
import re
from typing import Any

Dataset = dict[str, Any]
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
Code = tuple[str, str, str]
"""Value, scheme, meaning."""


def _values(dataset: Dataset, tag: str) -> list[Any]:
    element = dataset.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def text(dataset: Dataset, tag: str) -> str:
    """The first value as text without control characters; "" when it is missing."""
    value = next(iter(_values(dataset, tag)), None)
    if value is None or isinstance(value, dict | list):
        return ""
    return "".join(character if character.isprintable() else " " for character in str(value)).strip()


def uid(dataset: Dataset, tag: str) -> str:
    """The value if it is a UID (PS3.5 9.1), else ""."""
    value = text(dataset, tag)
    return value if len(value) <= 64 and _UID.fullmatch(value) else ""


def texts(dataset: Dataset, tag: str) -> list[str]:
    """All values."""
    return [str(value).strip() for value in _values(dataset, tag) if value is not None]


def numbers(dataset: Dataset, tag: str) -> list[float]:
    """All values that are numbers."""
    found = []
    for value in _values(dataset, tag):
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            found.append(number)
    return found


def number(dataset: Dataset, tag: str) -> float | None:
    """The first value that is a number."""
    return next(iter(numbers(dataset, tag)), None)


def items(dataset: Dataset, tag: str) -> list[Dataset]:
    """Items of a sequence."""
    return [value for value in _values(dataset, tag) if isinstance(value, dict)]


def code(dataset: Dataset, tag: str) -> Code | None:
    """The first item of a code sequence; Long Code Value counts as value."""
    for item in items(dataset, tag):
        value = text(item, "00080100") or text(item, "00080119")
        if value:
            return value, text(item, "00080102"), text(item, "00080104")
    return None
