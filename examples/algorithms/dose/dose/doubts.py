"""Where the numbers end: what a reader of the report has to know about events that are not complete or do not fit together."""

from __future__ import annotations

from collections.abc import Sequence

from .events import Event, Total, differ
from .regions import ADULT


def doubts(events: Sequence[Event], total: Total | None, age: float | None, *, tolerance: float) -> list[str]:
    """One sentence for each."""
    found = []
    scans = [(place, event) for place, event in enumerate(events, 1) if not event.localizer]
    for place, event in scans:
        if event.ctdi is None and event.dlp is None:
            found.append(f"Event {place}: neither CTDIvol nor DLP is known.")
        if event.region is None:
            found.append(f"Event {place}: its body region is not known; no effective dose, no reference level.")
        elif event.phantom and event.phantom != event.region.phantom:
            found.append(f"Event {place}: its DLP refers to another phantom than the conversion factor of its region; no effective dose.")
        if event.dlp_estimated and event.dlp is not None:
            found.append(f"Event {place}: DLP is estimated from CTDIvol and the length of the images, without overranging, and not compared.")
    if age is not None and age < ADULT:
        found.append(f"The patient is under {ADULT} years: no effective dose, because the factors are for adults.")
    elif age is None and scans:
        found.append("The patient's age is not known; the factors are for adults.")
    known = [event.dlp for event in events if event.dlp is not None]
    if total is not None and total.dlp is not None and known and differ(total.dlp, sum(known), tolerance):
        found.append(f"The dose report's total DLP is {total.dlp:.1f} mGy.cm, its events have {sum(known):.1f} mGy.cm together.")
    if total is not None and total.events is not None and total.events != sum(event.from_report for event in events):
        found.append(f"The dose report counts {total.events} events and tells {sum(event.from_report for event in events)}.")
    return found
