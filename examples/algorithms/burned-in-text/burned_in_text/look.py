"""Goes through the images and their frames, and remembers what was not looked at: only what was looked at can be without text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydicom import dcmread

from .images import Image, Unusable, sampled
from .places import Line, Place, together
from .rendering import Picture, Undecodable, pictures
from .settings import Settings


@dataclass(frozen=True)
class Seen:
    """What was found, and on how much."""

    places: tuple[Place, ...]
    images: int
    """Images looked at."""
    frames: int
    """Frames looked at, of all images; an image without frames counts as one."""
    left_out: int
    """Frames of those images that were not looked at."""
    unreadable: tuple[str, ...]
    """A line for each image whose pixels cannot be read."""


def look_at(images: Sequence[Image], read: Callable[[Picture], tuple[Line, ...]], settings: Settings) -> Seen:
    """Raises Unusable when no image can be read."""
    places: list[Place] = []
    unreadable: list[str] = []
    frames = left_out = 0
    for image in images:
        chosen = sampled(image.frames, settings.maxFrames)
        try:
            places += _places(image, chosen, read)
        except Undecodable as error:
            unreadable.append(f"{image.name}: the pixels cannot be read ({error})")
            continue
        frames += len(chosen)
        left_out += image.frames - len(chosen)
    if len(unreadable) == len(images):
        raise Unusable("; ".join(unreadable[:3]))
    return Seen(tuple(places), len(images) - len(unreadable), frames, left_out, tuple(unreadable))


def _places(image: Image, chosen: Sequence[int], read: Callable[[Picture], tuple[Line, ...]]) -> tuple[Place, ...]:
    """Raises Undecodable, also when one frame of several is broken: half an image is not reported as looked at."""
    dataset = dcmread(image.path)
    seen = [(frame if image.multi_frame else None, line) for frame in chosen for picture in pictures(dataset, frame) for line in read(picture)]
    return together(image.uid, seen)
