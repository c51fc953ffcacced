"""The study to its irradiation events: dose reports and headers read, put together, and everything that was left out told."""

from __future__ import annotations

from .elements import text
from .events import Event, Total, combined
from .headers import read_series
from .report import NoCTDoseReport, read_dose_report
from .study import Study, Unusable


def summarised(study: Study, *, tolerance: float) -> tuple[tuple[Event, ...], Total | None, tuple[str, ...]]:
    """Events, total of the dose report if there is one, notes. Raises Unusable when nothing tells a dose."""
    notes: list[str] = []
    reported, total = _reported(study, notes)
    imaged, more = read_series(study.images)
    notes += more
    if study.images and not reported:
        notes.append("There is no dose report; all values are from the images.")
    for modality, count in sorted(study.other.items()):
        notes.append(f"{count} instance(s) of modality {modality or 'unknown'} are no CT and were left out.")
    events, doubts = combined(reported, imaged, tolerance=tolerance)
    if not any(event.ctdi is not None or event.dlp is not None for event in events):
        raise Unusable("neither images nor reports tell CTDIvol or DLP")
    return events, total, (*notes, *doubts)


def _reported(study: Study, notes: list[str]) -> tuple[tuple[Event, ...], Total | None]:
    """Of all dose reports. One that is sent again with more events (a report in progress, then the whole) replaces its events."""
    events: dict[str, Event] = {}
    totals: list[Total] = []
    repeated = False
    ordered = sorted(study.reports, key=lambda one: (text(one, "00080023"), text(one, "00080033"), text(one, "00080018")))
    for number, report in enumerate(ordered):
        try:
            found, total, more = read_dose_report(report)
        except NoCTDoseReport as reason:
            notes.append(f"Left out: {reason}.")
            continue
        notes += more
        repeated |= any(event.uid and event.uid in events for event in found)
        events |= {event.uid or f"{number}/{place}": event for place, event in enumerate(found)}
        totals.append(total)
    if repeated:
        notes.append("Several dose reports tell the same events; the latest is used.")
    return tuple(events.values()), _sum(totals, repeated=repeated)


def _sum(totals: list[Total], *, repeated: bool) -> Total | None:
    if not totals:
        return None
    if repeated:
        return totals[-1]
    products = [total.dlp for total in totals if total.dlp is not None]
    counts = [total.events for total in totals if total.events is not None]
    return Total(sum(products) if products else None, sum(counts) if len(counts) == len(totals) else None)
