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


def _time(series: SeriesView) -> str:
    """SeriesDate and SeriesTime as 14 digits and the fraction; a missing one is the earliest."""
    date, time = first(series.facts.tags, "SeriesDate"), first(series.facts.tags, "SeriesTime")
    return f"{date.replace('.', '')[:8]:0<8}{time.replace(':', ''):0<13}"


def _number(series: SeriesView) -> float:
    number = number_of(first(series.facts.tags, "SeriesNumber"))
    return float("inf") if number is None else number


class _Reversed(str):
    """Later texts first."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


def _latest(series: SeriesView) -> tuple[Any, ...]:
    return (_Reversed(_time(series)),)


_PICKS: Mapping[str, _Pick] = {
    "MostInstances": _Pick(
        lambda one: (-one.facts.instances,), "the series with the most instances", lambda one: f"{one.facts.instances} instances"
    ),
    "Thinnest": _Pick(
        lambda one: (_thickness(one), -one.facts.instances),
        "the series with the thinnest slices",
        lambda one: "no SliceThickness" if thickness(one.facts.tags) is None else f"{_thickness(one):g} mm",
    ),
    "Latest": _Pick(_latest, "the series of the latest SeriesDate and SeriesTime", lambda one: _time(one)),
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
