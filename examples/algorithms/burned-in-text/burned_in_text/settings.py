"""What a pipeline may set (`settings` of the step), with the reason for each default."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path


class WrongSettings(ValueError):
    """The settings file is not JSON, or names or values in it are wrong."""


@dataclass(frozen=True)
class Settings:
    """`{"minConfidence": 0.6, "minCharacters": 2, "maxFrames": 5, "minSide": 960, "maxSide": 2000, "threads": 2}`."""

    minConfidence: float = 0.6
    """Mean probability of the letters read, 0 to 1; below it nothing is reported. The README tells what tests measured."""
    minCharacters: int = 2
    """Letters and digits on a line. One alone is most often a side marker, or the cross of a calliper that was read as a letter."""
    maxFrames: int = 5
    """Frames looked at of each multi-frame image, evenly spread, the first and the last among them; 0: all. A frame takes about a second."""
    minSide: int = 960
    """Pixels: images whose shorter side is less are enlarged before text is looked for. At 736, rapidocr's own, letters 10 pixels high on speckle
    were missed that were found at 960; it takes twice the time."""
    maxSide: int = 2000
    """Pixels: larger images are made smaller before they are read, for time and memory grow with the area (README)."""
    threads: int = 2
    """Threads of the model. More than the step's CPU limit slows it down: the runtime would else take one for each core of the node."""

    @classmethod
    def read(cls, path: Path) -> Settings:
        """The file's settings over the defaults; no file is the same as an empty one. Raises WrongSettings."""
        if not path.exists():
            return cls()
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise WrongSettings(f"{path} is not JSON: {error}") from error
        known = {field.name for field in fields(cls)}
        if not isinstance(given, dict) or set(given) - known:
            raise WrongSettings(f"settings may hold {', '.join(sorted(known))}; given: {given}")
        for name, (low, high) in BOUNDS.items():
            value = given.get(name, low)
            wanted = float | int if name == "minConfidence" else int
            if isinstance(value, bool) or not isinstance(value, wanted) or not low <= value <= high:
                raise WrongSettings(f"{name} is {'a number' if name == 'minConfidence' else 'a whole number'} from {low} to {high}; given: {value!r}")
        return cls(**given)


BOUNDS = {
    "minConfidence": (0, 1),
    "minCharacters": (1, 100),
    "maxFrames": (0, 100_000),
    "minSide": (256, 4096),
    "maxSide": (256, 8192),
    "threads": (1, 256),
}
