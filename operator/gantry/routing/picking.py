"""Which of the series that meet all requirements go to the application: `pick`.

Pure. Ties end the same way for every order of the series: by the other measures, then by SeriesNumber, then by Orthanc's id.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .requirements import Refusal
from .tags import number_of
from .variables import first, thickness
from .view import SeriesView


@dataclass(frozen=True, slots=True)
class _Pick:
    rank: Callable[[SeriesView], tuple[Any, ...]]
    """The smallest is taken."""
    wanted: str
    actual: Callable[[SeriesView], str]


def _thickness(series: SeriesView) -> float:
    """An unknown thickness is no thin one."""
    known = thickness(series.facts.tags)
    return float("inf") if known is None else known


def _moment(series: SeriesView) -> tuple[int, int]:
    """SeriesDate and SeriesTime (PS3.5 6.2: HH, HHMM, HHMMSS, with a fraction) as numbers; what is missing or no digits is the earliest."""
    whole, _, fraction = _written(series, "SeriesTime").partition(".")
    return _digits(_written(series, "SeriesDate").replace(".", ""), 8), _digits(whole.replace(":", ""), 6) * 10**6 + _digits(fraction, 6)


def _digits(text: str, length: int) -> int:
    text = text[:length].ljust(length, "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def _written(series: SeriesView, tag: str) -> str:
    return first(series.facts.tags, tag)


def _number(series: SeriesView) -> float:
    number = number_of(first(series.facts.tags, "SeriesNumber"))
    return float("inf") if number is None else number


def _latest(series: SeriesView) -> tuple[Any, ...]:
    date, time = _moment(series)
    return -date, -time


_PICKS: Mapping[str, _Pick] = {
    "MostInstances": _Pick(
        lambda one: (-one.facts.instances,), "the series with the most instances", lambda one: f"{one.facts.instances} instances"
    ),
    "Thinnest": _Pick(
        lambda one: (_thickness(one), -one.facts.instances),
        "the series with the thinnest slices",
        lambda one: "no SliceThickness" if thickness(one.facts.tags) is None else f"{_thickness(one):g} mm",
    ),
    "Latest": _Pick(
        _latest,
        "the series of the latest SeriesDate and SeriesTime",
        lambda one: " ".join((_written(one, "SeriesDate"), _written(one, "SeriesTime"))).strip() or "no date",
    ),
}
ELEMENTS: Mapping[str, frozenset[str]] = {
    "All": frozenset(),
    "MostInstances": frozenset({"SeriesNumber"}),
    "Thinnest": frozenset({"SliceThickness", "SeriesNumber"}),
    "Latest": frozenset({"SeriesDate", "SeriesTime", "SeriesNumber"}),
}
"""What each needs to know of a series."""


def passed_over(pick: str, series: Sequence[SeriesView]) -> dict[str, Refusal]:
    """Of all but the one that is taken: why."""
    if pick == "All" or len(series) < 2:
        return {}
    by = _PICKS[pick]
    taken = min(series, key=lambda one: (*by.rank(one), _number(one), one.orthanc_id))
    wanted = f"{by.wanted} ({by.actual(taken)})"
    return {one.orthanc_id: Refusal("pick", wanted, by.actual(one)) for one in series if one is not taken}
