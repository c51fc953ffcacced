"""What an irradiation event is, and how what headers and dose reports say of the same one becomes one.

Pure. The dose report is the scanner's own account and goes first; headers say what it does not, and are compared with it. What does not fit
together is told in a note and never mended silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .regions import Region


@dataclass(frozen=True)
class Event:
    """One irradiation event: one turn of the tube on and off (PS3.3 C.7.6.16.2.2)."""

    uid: str
    """Irradiation Event UID; "" when nothing says it."""
    localizer: bool
    ctdi: float | None
    """CTDIvol, mGy."""
    dlp: float | None
    """mGy.cm."""
    region: Region | None
    phantom: str = ""
    """Code value (DCM) of the CTDI phantom; "" when unknown."""
    protocol: str = ""
    dlp_estimated: bool = False
    """From CTDIvol and the length the images cover, which leaves overranging out."""
    from_report: bool = False
    images: tuple[str, ...] = ()
    """SOP Instance UIDs: the dose report, and the first image of each series of the event."""


@dataclass(frozen=True)
class Total:
    """Accumulated dose of a dose report."""

    dlp: float | None
    events: int | None


def combined(reported: Sequence[Event], imaged: Sequence[Event], *, tolerance: float) -> tuple[tuple[Event, ...], tuple[str, ...]]:
    """One event for each, in the order of the dose report, and notes."""
    notes: list[str] = []
    rest = list(imaged)
    events: list[Event] = []
    for place, event in enumerate(reported, 1):
        of_it = [one for one in rest if one.uid and one.uid == event.uid] or _only_candidate(event, reported, rest)
        rest = [one for one in rest if one not in of_it]
        events.append(_completed(event, of_it, tolerance, notes, place=place))
    if reported and rest:
        notes.append(f"{len(rest)} acquisition(s) in the images stand in no dose report.")
    return (*events, *rest), tuple(notes)


def _only_candidate(event: Event, reported: Sequence[Event], rest: Sequence[Event]) -> list[Event]:
    """Images without an event UID belong to an event when nothing else is left that either could belong to."""
    silent = [one for one in rest if not one.uid and one.localizer == event.localizer]
    alike = [one for one in reported if one.localizer == event.localizer]
    return silent if len(silent) == len(alike) == 1 else []


def _completed(event: Event, imaged: Iterable[Event], tolerance: float, notes: list[str], *, place: int) -> Event:
    for one in imaged:
        if event.ctdi is not None and one.ctdi is not None and differ(event.ctdi, one.ctdi, tolerance):
            values = f"{event.ctdi:.2f} mGy in the dose report and {one.ctdi:.2f} mGy in the images"
            notes.append(f"Event {place}: CTDIvol is {values}; the report's is used.")
        if event.phantom and one.phantom and event.phantom != one.phantom:
            notes.append(f"Event {place}: dose report and images name different CTDI phantoms; the report's is used.")
        event = replace(
            event,
            ctdi=one.ctdi if event.ctdi is None else event.ctdi,
            dlp=one.dlp if event.dlp is None else event.dlp,
            dlp_estimated=one.dlp_estimated if event.dlp is None else event.dlp_estimated,
            region=event.region or one.region,
            phantom=event.phantom or one.phantom,
            images=event.images + one.images,
        )
    return event


def differ(first: float, second: float, tolerance: float) -> bool:
    """By more than a share of the larger."""
    return abs(first - second) > tolerance * max(abs(first), abs(second))
