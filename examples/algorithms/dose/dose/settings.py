"""What a pipeline may set (`settings` of the step), with the reason for each default."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .regions import REGIONS

QUANTITIES = ("CTDIvol", "DLP")


class WrongSettings(ValueError):
    """The settings file is not JSON, or names or values in it are wrong."""


@dataclass(frozen=True)
class Settings:
    """`{"referenceLevels": {"chest": {"CTDIvol": 10, "DLP": 350}}, "tolerance": 0.1}`."""

    referenceLevels: dict[str, dict[str, float]] = field(default_factory=dict)
    """By region: CTDIvol in mGy and DLP in mGy.cm of one scan. No default: levels are a country's, and change."""
    tolerance: float = 0.1
    """Share by which headers and dose report, or events and their total, may differ without a note. Headers are rounded, and average modulation."""

    @classmethod
    def read(cls, path: Path) -> Settings:
        """The file's settings over the defaults; no file is the same as an empty one. Raises WrongSettings."""
        if not path.exists():
            return cls()
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise WrongSettings(f"{path} is not JSON: {error}") from error
        if not isinstance(given, dict) or set(given) - {"referenceLevels", "tolerance"}:
            raise WrongSettings(f"settings may hold referenceLevels, tolerance; given: {given}")
        levels = given.get("referenceLevels", {})
        if not isinstance(levels, dict) or set(levels) - set(REGIONS):
            raise WrongSettings(f"referenceLevels names regions out of {', '.join(sorted(REGIONS))}; given: {levels}")
        tolerance = _positive("tolerance", given.get("tolerance", cls.tolerance))
        if tolerance > 1:
            raise WrongSettings(f"tolerance is a share from 0 to 1; given: {tolerance}")
        return cls({region: _levels(region, level) for region, level in levels.items()}, tolerance)


def _levels(region: str, level: Any) -> dict[str, float]:
    if not isinstance(level, dict) or not level or set(level) - set(QUANTITIES):
        raise WrongSettings(f"referenceLevels.{region} holds CTDIvol (mGy) and DLP (mGy.cm), or one of them; given: {level}")
    return {name: _positive(f"referenceLevels.{region}.{name}", value) for name, value in level.items()}


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise WrongSettings(f"{name} must be a number above 0; given: {value!r}")
    return float(value)
