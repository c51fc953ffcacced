"""What was seen, as Gantry's findings document (docs/reference/findings.schema.json). It holds places and counts, never a word that was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .look import Seen
from .places import Place
from .settings import Settings

TEXT = {"scheme": "99GANTRY", "value": "BURNED-IN-TEXT", "meaning": "Burned-in text"}
"""DICOM has the attribute Burned In Annotation (0028,0301, PS3.3 C.7.6.1) and the method Clean Pixel Data Option (113101, DCM) for what removes it,
but no concept for the finding itself; SNOMED CT as DICOM uses it has none either."""
CHARACTERS = {"scheme": "99GANTRY", "value": "CHARACTERS", "meaning": "Number of letters and digits"}
ALGORITHM = {
    "id": "burned-in-text",
    "name": "Gantry example: burned-in text",
    "version": "1.0.0",
    "manufacturer": "Gantry",
    "family": {"scheme": "DCM", "value": "123110", "meaning": "Artificial Intelligence"},
}
MODEL = "PP-OCRv6 small"
MOST = 500
"""Findings in one report: a study of scanned pages has more lines than anybody looks at one by one. The impression counts the rest."""


def findings_document(seen: Seen, settings: Settings, *, provider: str) -> dict[str, Any]:
    """Also without findings a full document. Text is called absent only when every frame of every image was looked at."""
    parameters = {
        "model": MODEL,
        "provider": provider,
        "minConfidence": settings.minConfidence,
        "minCharacters": settings.minCharacters,
        "maxFrames": settings.maxFrames,
        "minSide": settings.minSide,
        "maxSide": settings.maxSide,
    }
    doubts = _doubts(seen)
    if seen.places:
        answer: dict[str, Any] = {}
    elif doubts:
        answer = {"notEvaluable": [{"type": TEXT, "text": " ".join(["No text on what was looked at.", *doubts])}]}
    else:
        answer = {"evaluatedFor": [TEXT]}
    return {
        "schemaVersion": "v1alpha1",
        "language": "en-US",
        "algorithms": [{**ALGORITHM, "parameters": parameters}],
        **answer,
        "summary": {"impression": " ".join([_impression(seen), *doubts])},
        "findings": [_finding(number, place) for number, place in enumerate(seen.places[:MOST], 1)],
    }


def _doubts(seen: Seen) -> list[str]:
    doubts = []
    if seen.left_out:
        doubts.append(f"{seen.left_out} of {seen.left_out + seen.frames} frames were not looked at (maxFrames).")
    if seen.unreadable:
        doubts.append(f"{len(seen.unreadable)} of {len(seen.unreadable) + seen.images} images could not be read: {_first(seen.unreadable)}.")
    return doubts


def _first(lines: Sequence[str], most: int = 3) -> str:
    return "; ".join([*lines[:most], *([f"and {len(lines) - most} more"] if len(lines) > most else [])])


def _impression(seen: Seen) -> str:
    if not seen.places:
        return f"No text found in the pixels of {_counted(seen.frames, 'frame')} of {_counted(seen.images, 'image')}."
    images = len({place.image for place in seen.places})
    told = f"Text in the pixels of {images} of {_counted(seen.images, 'image')}: {_counted(len(seen.places), 'line')}."
    return told if len(seen.places) <= MOST else f"{told} {MOST} are reported."


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _finding(number: int, place: Place) -> dict[str, Any]:
    left, top, right, bottom = (round(one, 1) for one in place.box)
    return {
        "id": f"text-{number}",
        "type": TEXT,
        "presence": "present",
        "confidence": {"value": round(place.confidence, 3)},
        "measurements": [{"name": CHARACTERS, "value": place.characters, "unit": "{characters}"}],
        "region": {"kind": "box", "sopInstanceUID": place.image, **_frames(place.frames), "points": [[left, top], [right, bottom]]},
    }


def _frames(frames: tuple[int, ...]) -> dict[str, Any]:
    if len(frames) == 1:
        return {"frame": frames[0]}
    return {"frames": list(frames)} if frames else {}
