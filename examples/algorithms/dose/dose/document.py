"""What is known of the study's dose, as Gantry's findings document (docs/reference/findings.schema.json). It reads no DICOM itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .concepts import (
    ABOVE,
    BY_FACTOR,
    CTDI,
    DLP,
    DLP_TOTAL,
    EFFECTIVE,
    EFFECTIVE_TOTAL,
    ESTIMATED,
    EVENT,
    EVENTS,
    FACTOR,
    FROM_IMAGES,
    FROM_REPORT,
    LEVELS,
    LOCALIZER,
    PER_DLP,
    PHANTOM_TYPE,
    PHANTOMS,
    SOURCE,
    TOTAL,
    UNITS,
    Concept,
    concept,
)
from .doubts import doubts
from .events import Event, Total
from .regions import ADULT
from .settings import Settings

ALGORITHM = {"id": "dose", "name": "Gantry example: CT dose", "version": "1.0.0", "manufacturer": "Gantry"}

LONGEST = 10_000
"""Characters of the impression; findings.json takes 10,240."""


@dataclass(frozen=True)
class Excess:
    """One quantity of one event above its reference level."""

    place: int
    quantity: str
    value: float
    level: float


def findings_document(events: Sequence[Event], total: Total | None, notes: Sequence[str], *, age: float | None, settings: Settings) -> dict[str, Any]:
    """One finding for each event, one for the study, and one for each event above a reference level."""
    not_compared = _not_compared(events, settings)
    told = [*notes, *doubts(events, total, age, tolerance=settings.tolerance), *([not_compared] if not_compared else [])]
    effective = [_effective(event, age) for event in events]
    excesses = [excess for place, event in enumerate(events, 1) for excess in above(place, event, settings)]
    findings = [_event(place, event, dose) for place, (event, dose) in enumerate(zip(events, effective, strict=True), 1)]
    findings.append(_total(events, total, effective))
    for place in sorted({excess.place for excess in excesses}):
        findings.append(_above(events[place - 1], [excess for excess in excesses if excess.place == place]))
    words = "\n".join([_impression(events, excesses, settings), *(f"Note: {note}" for note in told)])
    return {
        "schemaVersion": "v1alpha1",
        "language": "en-US",
        "algorithms": [{**ALGORITHM, "parameters": {"tolerance": settings.tolerance}}],
        **_looked_for(not_compared, excesses, events, settings),
        "summary": {"impression": words[:LONGEST]},
        "findings": findings,
    }


def above(place: int, event: Event, settings: Settings) -> list[Excess]:
    """Levels are for scans: a localizer has none. An estimated DLP is too low and is not compared."""
    levels = _levels(event, settings)
    values = {"CTDIvol": event.ctdi, "DLP": None if event.dlp_estimated else event.dlp}
    known = {name: value for name, value in values.items() if value is not None}
    return [Excess(place, name, value, levels[name]) for name, value in known.items() if name in levels and value > levels[name]]


def _levels(event: Event, settings: Settings) -> dict[str, float]:
    return {} if event.localizer or event.region is None else settings.referenceLevels.get(event.region.name, {})


def _looked_for(not_compared: str, excesses: Sequence[Excess], events: Sequence[Event], settings: Settings) -> dict[str, Any]:
    """That nothing is above a level can be said only if every scan was compared."""
    if excesses or not settings.referenceLevels or all(event.localizer for event in events):
        return {}
    return {"notEvaluable": [{"type": ABOVE, "text": not_compared}]} if not_compared else {"evaluatedFor": [ABOVE]}


def _not_compared(events: Sequence[Event], settings: Settings) -> str:
    """A sentence about the scans for which there is no level or no value; "" when there is none, or no level at all."""
    silent = [str(place) for place, event in enumerate(events, 1) if not event.localizer and not _compared(event, settings)]
    if not silent or not settings.referenceLevels:
        return ""
    return f"Event {', '.join(silent)}: no reference level for its region, or no value to compare with one."


def _compared(event: Event, settings: Settings) -> bool:
    levels = _levels(event, settings)
    return ("CTDIvol" in levels and event.ctdi is not None) or ("DLP" in levels and event.dlp is not None and not event.dlp_estimated)


def _effective(event: Event, age: float | None) -> float | None:
    """mSv: DLP times the adult factor of the region, when both are known and the DLP is of the phantom that the factor is for.

    The factors are for a turning tube, so a localizer gets none; its dose is some hundredths of the scan's.
    """
    if event.localizer or event.dlp is None or event.region is None or (age is not None and age < ADULT):
        return None
    return None if event.phantom and event.phantom != event.region.phantom else event.dlp * event.region.k


def _number(name: Concept, value: float, unit: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "value": round(value, 4), "unit": unit, **more}


def _event(place: int, event: Event, effective: float | None) -> dict[str, Any]:
    measurements = []
    estimated = {"derivation": ESTIMATED} if event.dlp_estimated else {}
    if event.ctdi is not None:
        measurements.append(_number(CTDI, event.ctdi, "mGy"))
    if event.dlp is not None:
        measurements.append(_number(DLP, event.dlp, "mGy.cm", **estimated))
    if effective is not None and event.region is not None:
        measurements.append(_number(EFFECTIVE, effective, "mSv", derivation=ESTIMATED, method=BY_FACTOR))
        measurements.append(_number(FACTOR, event.region.k, PER_DLP))
    evaluations = [{"name": SOURCE, "value": FROM_REPORT if event.from_report else FROM_IMAGES}]
    if event.phantom in PHANTOMS:
        evaluations.append({"name": PHANTOM_TYPE, "value": PHANTOMS[event.phantom]})
    return {
        "id": f"event-{place}",
        "type": LOCALIZER if event.localizer else EVENT,
        "presence": "present",
        "measurements": measurements,
        "evaluations": evaluations,
        **_where(event),
    }


def _total(events: Sequence[Event], total: Total | None, effective: Sequence[float | None]) -> dict[str, Any]:
    known = [event.dlp for event in events if event.dlp is not None]
    dlp = total.dlp if total is not None and total.dlp is not None else sum(known) if known else None
    measurements = [_number(EVENTS, len(events), "{events}")]
    if dlp is not None:
        estimated = {"derivation": ESTIMATED} if any(event.dlp_estimated for event in events) else {}
        measurements.append(_number(DLP_TOTAL, dlp, "mGy.cm", **estimated))
    doses = [dose for dose in effective if dose is not None]
    if doses:
        measurements.append(_number(EFFECTIVE_TOTAL, sum(doses), "mSv", derivation=ESTIMATED, method=BY_FACTOR))
    return {"id": "study", "type": TOTAL, "presence": "present", "measurements": measurements}


def _above(event: Event, excesses: Sequence[Excess]) -> dict[str, Any]:
    measurements = []
    for excess in excesses:
        name, unit = CTDI if excess.quantity == "CTDIvol" else DLP, UNITS[excess.quantity]
        measurements += [_number(name, excess.value, unit), _number(LEVELS[excess.quantity], excess.level, unit)]
    return {"id": f"above-event-{excesses[0].place}", "type": ABOVE, "presence": "present", "measurements": measurements, **_where(event)}


def _where(event: Event) -> dict[str, Any]:
    """Region and images, as far as they are known."""
    found: dict[str, Any] = {}
    if event.region is not None:
        found["sites"] = [{"location": concept(event.region.code)}]
    if event.images:
        found["images"] = list(event.images)
    return found


def _impression(events: Sequence[Event], excesses: Sequence[Excess], settings: Settings) -> str:
    scans = sum(not event.localizer for event in events)
    what = f"{scans} CT scan(s) and {len(events) - scans} localizer(s)."
    if excesses:
        told = "; ".join(f"event {one.place}: {one.quantity} {one.value:.2f} of {one.level:g} {UNITS[one.quantity]}" for one in excesses)
        return f"{what} Above diagnostic reference level: {told}."
    compared = sum(_compared(event, settings) for event in events)
    if not compared:
        return f"{what} No scan was compared with a reference level."
    return f"{what} {compared} of {scans} compared with a diagnostic reference level, none above."
