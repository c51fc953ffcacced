"""The limits of thresholds.yaml, each with where it comes from, and what a run says to them. Counts and ratios bind; times only on the machine they are of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field
from tests.bench.figures import Figure
from tests.scale.curves import Curve

FILE = Path(__file__).with_name("thresholds.yaml")


class Part(BaseModel):
    """Base of both."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Measured(Part):
    """The runs that set a limit."""

    mean: float
    spread: Annotated[float, Field(ge=0)]
    """Half of the difference between the largest and the smallest."""
    runs: Annotated[int, Field(ge=1)]
    date: str
    commit: str
    machine: str


class Threshold(Part):
    """One limit."""

    name: str
    """Of a figure; of a curve's growth `growth: NAME by OF`."""
    limit: float
    better: Literal["lower", "higher"] = "lower"
    margin: str
    """How the limit follows from what was measured."""
    measured: Measured
    why: str


@dataclass(frozen=True)
class Verdict:
    """A threshold and what a run found."""

    threshold: Threshold
    value: float

    @property
    def ok(self) -> bool:
        return self.value <= self.threshold.limit if self.threshold.better == "lower" else self.value >= self.threshold.limit

    def line(self) -> str:
        one = self.threshold
        sign = "≤" if one.better == "lower" else "≥"
        was = f"[mean {one.measured.mean:g} of {one.measured.runs}, {one.measured.date}]"
        return f"threshold  {one.name:<80} {self.value:>9.3g}  {sign} {one.limit:g}  {'ok' if self.ok else 'MISSED':<6} {was}"


def read(path: Path = FILE) -> tuple[Threshold, ...]:
    """Raises ValidationError when an entry lacks its provenance."""
    return tuple(Threshold.model_validate(one) for one in yaml.safe_load(path.read_text())["thresholds"])


def judged(known: Sequence[Threshold], figures: Sequence[Figure], curves: Sequence[Curve]) -> Iterator[Verdict]:
    """Of what was measured and has a threshold."""
    values = {one.name: one.value for one in figures} | {f"growth: {one.name} by {one.of}": one.growth for one in curves}
    return (Verdict(one, values[one.name]) for one in known if one.name in values)
