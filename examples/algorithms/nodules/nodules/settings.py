"""What a pipeline may set (`settings` of the step), with the reason for each default."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path


class WrongSettings(ValueError):
    """The settings file is not JSON, or names or values in it are wrong."""


@dataclass(frozen=True)
class Settings:
    """Lengths are diameters in millimetres."""

    minDiameter: float = 4.0
    """Smaller than 4 mm is not followed up by any guideline (Fleischner Society 2017)."""
    maxDiameter: float = 40.0
    """Above 30 mm it is a mass, not a nodule; a little beyond, so that the limit is the reader's decision."""
    threshold: float = -400.0
    """Hounsfield units between lung (-850) and soft tissue (40): where a first border is drawn."""
    minConfidence: float = 0.6
    """Below it nothing is reported. In 20 phantoms every sphere had 0.66 or more, and two pieces of vessels 0.54 at most."""

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
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise WrongSettings(f"{name} must be a number; given: {value!r}")
        made = cls(**{name: float(value) for name, value in given.items()})
        if not 1 <= made.minDiameter < made.maxDiameter <= 100:
            raise WrongSettings(f"1 <= minDiameter < maxDiameter <= 100 must hold; given: {made.minDiameter} and {made.maxDiameter}")
        if not 0 <= made.minConfidence <= 1:
            raise WrongSettings(f"minConfidence is 0 to 1; given: {made.minConfidence}")
        return made
