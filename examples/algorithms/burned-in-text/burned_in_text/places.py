"""Lines seen on several pictures of one image -> places on that image. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; 0,0 is the top left corner of the top left pixel."""
SAME = 0.4
"""Share of the area of both together (intersection over union) from which two boxes are one line: frames differ by noise."""


@dataclass(frozen=True)
class Line:
    """What the model saw on one picture. Not what it read: that may name the patient."""

    box: Box
    confidence: float
    characters: int


@dataclass(frozen=True)
class Place:
    """One line of text on an image, and on which of its frames."""

    image: str
    """SOP Instance UID."""
    box: Box
    confidence: float
    characters: int
    frames: tuple[int, ...]
    """Counted from 1; () on an image that has none."""


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, 0 to 1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (area(one) + area(other) - both)


def area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def together(image: str, seen: Iterable[tuple[int | None, Line]]) -> tuple[Place, ...]:
    """Places from top to bottom. A place is as large as all its lines, and as certain as the best of them."""
    places: list[Place] = []
    for frame, line in seen:
        frames = () if frame is None else (frame,)
        at = next((k for k, place in enumerate(places) if overlap(place.box, line.box) >= SAME), None)
        if at is None:
            places.append(Place(image, line.box, line.confidence, line.characters, frames))
            continue
        old = places[at]
        box = (min(old.box[0], line.box[0]), min(old.box[1], line.box[1]), max(old.box[2], line.box[2]), max(old.box[3], line.box[3]))
        best, characters = max(old.confidence, line.confidence), max(old.characters, line.characters)
        places[at] = replace(old, box=box, confidence=best, characters=characters, frames=tuple(sorted({*old.frames, *frames})))
    return tuple(sorted(places, key=lambda place: (place.box[1], place.box[0])))
