"""Radiation dose SR to events: TID 10011 CT Radiation Dose with TID 10013 CT Irradiation Event Data (PS3.16).

Pure. Looks for concepts by code, at any depth: vendors put containers where the template has none.
"""

from __future__ import annotations

from collections.abc import Iterator

from .elements import Code, Dataset, code, items, number, text, uid
from .events import Event, Total
from .regions import region_of_code

DOSE_REPORT = "113701"
"""(113701, DCM, X-Ray Radiation Dose Report), the root of CT and of projection X-ray dose reports."""
ACCUMULATED, EVENT = "113811", "113819"
"""(113811, DCM, CT Accumulated Dose Data), (113819, DCM, CT Acquisition)."""
LOCALIZER = "113805"
"""(113805, DCM, Constant Angle Acquisition)."""
LARGEST = 1e6
"""mGy, mGy.cm or events: a hundred times what a day of interventions under CT comes to. More is a fault of the writer."""
_MGY = {"mGy": 1.0, "Gy": 1000.0, "cGy": 10.0, "uGy": 0.001}
_MGY_CM = {"mGy.cm": 1.0, "mGycm": 1.0, "mGy*cm": 1.0, "Gy.cm": 1000.0, "mGy.mm": 0.1}
"""Factors to mGy and mGy.cm; the middle two are what some scanners write."""


class NoCTDoseReport(ValueError):
    """A structured report of another kind; the message says which."""


def read_dose_report(instance: Dataset) -> tuple[tuple[Event, ...], Total, tuple[str, ...]]:
    """Events, total and notes. Raises NoCTDoseReport."""
    root = code(instance, "0040A043")
    if root is None or root[0] != DOSE_REPORT:
        raise NoCTDoseReport(f"a structured report that is no dose report ({root[2][:40] if root else 'without title'})")
    containers = list(_named(instance, ACCUMULATED, EVENT))
    if not containers:
        raise NoCTDoseReport("a dose report without CT")
    notes: list[str] = []
    acquisitions = [item for item in containers if _name(item) == EVENT]
    document = uid(instance, "00080018")
    events = tuple(_event(item, document, place, notes) for place, item in enumerate(acquisitions, 1))
    accumulated = [item for item in containers if _name(item) == ACCUMULATED]
    totals = [_quantity(item, "113813", _MGY_CM, "the total", notes) for item in accumulated]
    counts = [_quantity(item, "113812", None, "the number of events", notes) for item in accumulated]
    known = [one for one in totals if one is not None]
    count = next((int(one) for one in counts if one is not None), None)
    return events, Total(sum(known) if known else None, count), tuple(notes)


def _event(item: Dataset, document: str, place: int, notes: list[str]) -> Event:
    what = f"event {place} of the dose report"
    kind, phantom = _code(item, "113820"), _code(item, "113835")
    ctdi, dlp = _quantity(item, "113830", _MGY, what, notes), _quantity(item, "113838", _MGY_CM, what, notes)
    return Event(
        uid=_uid(item, "113769"),
        localizer=kind is not None and kind[0] == LOCALIZER,
        ctdi=ctdi,
        dlp=dlp,
        region=region_of_code(_code(item, "123014")),
        phantom=phantom[0] if phantom else "",
        protocol=_text(item, "125203"),
        from_report=True,
        images=(document,) if document else (),
    )


def _children(item: Dataset) -> list[Dataset]:
    return items(item, "0040A730")


def _name(item: Dataset) -> str:
    name = code(item, "0040A043")
    return name[0] if name else ""


def _named(item: Dataset, *names: str) -> Iterator[Dataset]:
    """Content items of these concept names, outermost first; not inside of one another."""
    for child in _children(item):
        if _name(child) in names:
            yield child
        else:
            yield from _named(child, *names)


def _first(item: Dataset, name: str) -> Dataset:
    return next(_named(item, name), {})


def _code(item: Dataset, name: str) -> Code | None:
    return code(_first(item, name), "0040A168")


def _uid(item: Dataset, name: str) -> str:
    return uid(_first(item, name), "0040A124")


def _text(item: Dataset, name: str) -> str:
    return text(_first(item, name), "0040A160")


def _quantity(item: Dataset, name: str, units: dict[str, float] | None, what: str, notes: list[str]) -> float | None:
    """A number in our unit; None with a note when there is one that cannot be used."""
    for measured in items(_first(item, name), "0040A300"):
        value, unit = number(measured, "0040A30A"), code(measured, "004008EA")
        factor = 1.0 if units is None else units.get(unit[0] if unit else "")
        if value is None:
            continue
        if factor is None or not 0 <= value * factor <= LARGEST:
            notes.append(f"A number of {what} is impossible or in an unknown unit and was left out.")
            continue
        return value * factor
    return None
