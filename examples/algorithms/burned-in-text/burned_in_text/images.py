"""study.json and the files it names -> the images of the study, and which of their frames are looked at. It decodes no pixel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError


class Unusable(ValueError):
    """No image of the input can be looked at; the message says why."""


class NoImages(Unusable):
    """The input holds no images."""


@dataclass(frozen=True)
class Image:
    """One file with pixels."""

    path: Path
    name: str
    """Path below the input folder, for messages: it names nobody."""
    uid: str
    """SOP Instance UID."""
    frames: int
    multi_frame: bool
    """Whether the file says how many frames it has: then its regions name theirs (PS3.3 C.7.6.6), also when it has one."""


def read_study(folder: Path) -> tuple[Image, ...]:
    """The study's images in the order of study.json; files without pixels (reports, presentation states) are none. Raises NoImages or Unusable."""
    try:
        study = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        names = [str(instance["path"]) for series in study["series"] for instance in series["instances"]]
    except FileNotFoundError as error:
        raise NoImages(f"no study.json in {folder}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Unusable(f"study.json is not what Gantry writes: {type(error).__name__}: {error}") from error
    images = tuple(image for name in names if (image := _image(folder, name)) is not None)
    if not images:
        raise NoImages(f"none of the {len(names)} files of the study is an image")
    return images


def _image(folder: Path, name: str) -> Image | None:
    try:
        header = dcmread(folder / name, stop_before_pixels=True)
    except (InvalidDicomError, OSError, EOFError, ValueError) as error:
        raise Unusable(f"{name} is not a DICOM file: {type(error).__name__}") from error
    if not header.get("Rows") or not header.get("PhotometricInterpretation"):
        return None
    frames = header.get("NumberOfFrames")
    return Image(folder / name, name, str(header.SOPInstanceUID), max(1, int(frames or 1)), multi_frame=frames is not None)


def sampled(frames: int, most: int) -> tuple[int, ...]:
    """Numbers of the frames to look at, counted from 1: all, or `most` (0: no limit) evenly spread from the first to the last."""
    if most == 0 or frames <= most:
        return tuple(range(1, frames + 1))
    if most == 1:
        return (1,)
    return tuple(1 + (frames - 1) * step // (most - 1) for step in range(most))
