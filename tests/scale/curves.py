"""How a cost grows with what it is paid for: some points, and the share of linear growth that the last one is."""

from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """A cost at some sizes, smallest first. `each`: a cost of one of many, which should not grow at all; else of all of them, which may grow as they do."""

    name: str
    of: str
    """What grows."""
    unit: str
    points: tuple[Point, ...]
    each: bool = True

    @property
    def growth(self) -> float:
        """1: as it should be. Of a cost of each: the last by the first. Of a cost of all: what a step of the size has added, by what the step before
        has, as a share of the sizes; a constant part (a process that starts) does not count as growth."""
        (x0, y0), *_, (x1, y1) = self.points
        if y0 <= 0 and (self.each or len(self.points) < 3):
            return float("nan")  # too little to be measured: nothing to compare with
        if self.each:
            return y1 / y0
        if len(self.points) < 3:
            return (y1 / y0) / (x1 / x0)
        (xm, ym) = self.points[-2]
        before, after = (ym - y0) / (xm - x0), (y1 - ym) / (x1 - xm)
        return after / before if before > 0 else float("nan")

    def line(self) -> str:
        """All points on one line."""
        told = "   ".join(f"{x:>9,.0f}: {y:.4g} {self.unit}" for x, y in self.points)
        return f"{self.name} by {self.of:<24} {told}   growth {self.growth:.2f}"
