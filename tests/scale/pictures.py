"""Pictures of growth from build/scale.json: `python -m tests.scale.pictures` writes docs/pictures/scale-*.png.

One picture for what is paid for each Run, study or poll, which should stay where it is, and one for what is paid for all of them, which may grow as
they do.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib
from tests.scale.__main__ import WRITTEN

FOLDER = Path("docs/pictures")
COLUMNS = 3


def draw(curves: list[dict[str, Any]], title: str, path: Path) -> None:
    """A panel a curve, both axes logarithmic; dashed: as the first point would go on, flat or in proportion."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = -(-len(curves) // COLUMNS)
    figure, panels = pyplot.subplots(rows, COLUMNS, figsize=(3.4 * COLUMNS, 2.3 * rows), squeeze=False)
    for panel, curve in zip(panels.flat, curves, strict=False):
        xs, ys = [point[0] for point in curve["points"]], [point[1] for point in curve["points"]]
        expected = [ys[0] for _ in xs] if curve["each"] else [ys[0] * x / xs[0] for x in xs]
        panel.plot(xs, expected, "--", color="0.7", linewidth=1)
        panel.plot(xs, ys, "o-", color="tab:blue", markersize=4)
        panel.set(xscale="log", yscale="log", xlabel=curve["of"], ylabel=curve["unit"], ylim=(min(*ys, *expected) / 3, max(*ys, *expected) * 3))
        panel.set_title(curve["name"], fontsize=8)
        panel.tick_params(labelsize=7)
        panel.xaxis.label.set_size(7)
        panel.yaxis.label.set_size(7)
    for panel in panels.flat[len(curves) :]:
        panel.set_axis_off()
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=80, metadata={"Software": None})


def main() -> None:
    curves = json.loads(WRITTEN.read_text())["curves"]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for each, title, name in ((True, "Cost of each: should be flat", "scale-each"), (False, "Cost of all: may grow in proportion", "scale-all")):
        chosen = [one for one in curves if one["each"] is each and len(one["points"]) > 1 and all(y > 0 for _, y in one["points"])]
        if chosen:
            draw(chosen, title, FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
