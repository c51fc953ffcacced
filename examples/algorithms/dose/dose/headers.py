"""CT image headers to events: the CT Dose attributes of PS3.3 C.8.2.1 and Irradiation Event UID.

Pure. Several series may show one event (soft tissue, lung, MPR): they are one event by their Irradiation Event UID, else by frame of reference,
acquisition number and time, so that a reconstruction is never counted as a further scan.
"""

from __future__ import annotations

from collections.abc import Sequence

from .elements import Dataset, code, number, numbers, text, texts, uid
from .events import Event
from .regions import region_of_body_part

LARGEST = 1e4
"""mGy: perfusion of the brain comes to 1,000. More is a fault of the writer."""
LONGEST = 3e3
"""mm: no table moves further."""


def read_series(instances: Sequence[Dataset]) -> tuple[tuple[Event, ...], tuple[str, ...]]:
    """Events of all CT images of the study, in the order they appear, and notes."""
    groups: dict[tuple[str, ...], list[Dataset]] = {}
    for image in instances:
        groups.setdefault(_key(image), []).append(image)
    notes = []
    silent = sum(1 for images in groups.values() if not _ctdi(images))
    if silent:
        notes.append(f"{silent} of {len(groups)} acquisitions have no CTDIvol in their images.")
    return tuple(_event(key[0], images) for key, images in groups.items()), tuple(notes)


def _key(image: Dataset) -> tuple[str, ...]:
    event = uid(image, "00083010")
    if event:
        return (event,)
    kind = "localizer" if _localizer(image) else "scan"
    when = text(image, "00080022"), text(image, "00200012")
    return ("", kind, text(image, "00200052"), *(when if text(image, "00200012") else (text(image, "0020000E"),)))


def _localizer(image: Dataset) -> bool:
    return any(word.upper() in ("LOCALIZER", "SCOUT", "TOPOGRAM") for word in texts(image, "00080008"))


def _ctdi(images: Sequence[Dataset]) -> list[float]:
    """One value an image, of those that have one: with tube current modulation some scanners write the slice's own."""
    found = [number(image, "00189345") for image in images]
    return [value for value in found if value is not None and 0 < value <= LARGEST]


def _event(event: str, images: Sequence[Dataset]) -> Event:
    values = _ctdi(images)
    ctdi = sum(values) / len(values) if values else None
    localizer = _localizer(images[0])
    length = None if localizer else _length(images)
    phantom = code(images[0], "00189346")
    first: dict[str, str] = {}
    for image in images:
        first.setdefault(text(image, "0020000E"), uid(image, "00080018"))
    return Event(
        uid=event,
        localizer=localizer,
        ctdi=ctdi,
        dlp=ctdi * length / 10 if ctdi is not None and length is not None else None,
        dlp_estimated=True,
        region=region_of_body_part(text(images[0], "00180015")),
        phantom=phantom[0] if phantom else "",
        protocol=text(images[0], "00181030"),
        images=tuple(sop for sop in first.values() if sop),
    )


def _length(images: Sequence[Dataset]) -> float | None:
    """mm along the table between the outer borders of the outermost slices; None when the images do not say where they lie."""
    places = [place[2] for image in images if len(place := numbers(image, "00200032")) == 3]
    thickness = number(images[0], "00180050")
    if len(places) < 2 or thickness is None or thickness <= 0:
        return None
    length = max(places) - min(places) + thickness
    return length if length <= LONGEST else None
