"""A measured figure beside its goal: `name  measured  goal  ratio  ok|MISSED`, and build/bench.json for machines.

A figure is one run on a small shared machine: compare ratios and peers of the same run, not seconds of different days.
"""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """One line of the bench. `goal` None: shown only. A peer is what was measured beside it in the same run, the physical limit if there is one."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    better: Literal["lower", "higher"] = "lower"
    peer: str | None = None
    peer_value: float | None = None
    note: str = ""

    @property
    def ok(self) -> bool:
        if self.goal is None:
            return True
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal

    def line(self) -> str:
        goal = f"{'≤' if self.better == 'lower' else '≥'} {self.goal:g}" if self.goal is not None else ""
        ratio = f"{self.value / self.goal:.2f}" if self.goal else ""
        verdict = "" if self.goal is None else ("ok" if self.ok else "MISSED")
        peer = f"   [{self.peer}: {self.peer_value:.3g} {self.unit}]" if self.peer is not None and self.peer_value is not None else ""
        return f"{self.name:<66} {self.value:>9.3g} {self.unit:<7} {goal:>8} {ratio:>6} {verdict:<6}{peer} {self.note}".rstrip()


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank, 0 < share <= 1. Raises ValueError without values."""
    if not values:
        raise ValueError("no values: nothing was measured")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def write(figures: Sequence[Figure], path: Path) -> None:
    """Merges into the file by name, so that parts of the bench can run apart."""
    known = {one["name"]: one for one in json.loads(path.read_text())} if path.exists() else {}
    known.update({one.name: {**asdict(one), "ok": one.ok} for one in figures})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(known.values()), indent=1, ensure_ascii=False))
