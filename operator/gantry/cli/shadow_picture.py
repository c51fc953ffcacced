"""Draws the measurements of a comparison: shadow against active, and their difference against their mean (Bland and Altman).

The only module that uses matplotlib, which is an extra (`gantry[pictures]`): no image holds it.
"""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from gantry.report.agreement import Points

from .failure import Failure
from .shadow import Compared

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 6
"""Measurements drawn, those with the most points: a picture of more cannot be read."""


def require_matplotlib() -> None:
    """Before anything is asked. Raises Failure."""
    if importlib.util.find_spec("matplotlib") is None:
        raise Failure("--png needs matplotlib: pip install 'gantry[pictures]'")


def draw(one: Compared, file: Path) -> None:
    """Raises Failure when there is nothing to draw, or the file cannot be written."""
    from matplotlib.figure import Figure

    chosen = sorted(one.found.measurements, key=lambda points: -len(points.points))[:MOST]
    if not chosen:
        raise Failure("no finding that both have was measured by both: there is nothing to draw")
    figure = Figure(figsize=(9, 3.6 * len(chosen)), layout="constrained")
    figure.suptitle(f"{one.shadow} (shadow) against {one.active} (active)", parse_math=False)
    for row, (left, right) in zip(chosen, figure.subplots(len(chosen), 2, squeeze=False), strict=True):
        _scatter(left, row)
        _bland_altman(right, row)
    try:
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}") from error


def _scatter(axes: "Axes", row: Points) -> None:
    active, shadow = [one[1] for one in row.points], [one[2] for one in row.points]
    low, high = min(*active, *shadow), max(*active, *shadow)
    axes.plot([low, high], [low, high], color="0.7", linewidth=1)
    axes.scatter(active, shadow, s=18, alpha=0.7)
    axes.set_title(f"{row.type.meaning}: {row.name.meaning}", fontsize=10, parse_math=False)
    axes.set_xlabel(f"active ({row.unit})", parse_math=False)
    axes.set_ylabel(f"shadow ({row.unit})", parse_math=False)


def _bland_altman(axes: "Axes", row: Points) -> None:
    axes.scatter([(a + s) / 2 for _, a, s in row.points], [s - a for _, a, s in row.points], s=18, alpha=0.7)
    lines = [("mean", row.mean, "-"), *((f"{part:+.3g}", part, "--") for part in row.limits or ())]
    for label, level, style in lines:
        axes.axhline(level, color="0.4", linewidth=1, linestyle=style)
        axes.annotate(
            label if label != "mean" else f"mean {level:+.3g}", (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8
        )
    axes.set_title(f"difference, n = {len(row.points)}", fontsize=10)
    axes.set_xlabel(f"mean of both ({row.unit})", parse_math=False)
    axes.set_ylabel(f"shadow - active ({row.unit})", parse_math=False)
