"""Shows what Runs have used: a table for people, a picture for a meeting (matplotlib, the extra `gantry[pictures]`)."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .failure import Failure
from .options import plain
from .usage import By, Prices, Row

MOST = 20
"""Bars of a picture, the largest."""


def show(rows: list[Row], by: By, known: Prices, console: Console | None = None) -> None:
    """Prints a table, and the sum below it."""
    out = console or Console(highlight=False)
    if not out.is_terminal:
        out.width = 160
    if not rows:
        out.print("No Run has finished in that time.")
        return
    table = Table(box=None, show_footer=len(rows) > 1)
    costs = [row.cost for row in rows if row.cost is not None]
    total = Row("all", sum(r.runs for r in rows), sum(r.reserved for r in rows), sum(r.used for r in rows), sum(costs) if costs else None)
    headers = [by.capitalize(), "Runs", "GPU-s reserved", "GPU-s used", "Share", *([f"Cost ({known.currency})"] if known.per_hour else [])]
    for position, (header, footer) in enumerate(zip(headers, _cells(total, known), strict=True)):
        table.add_column(header, footer=footer, justify="right" if position else "left")
    for row in rows:
        table.add_row(*_cells(row, known))
    out.print(table)


def _cells(row: Row, known: Prices) -> list[Text]:
    share = "" if row.share is None else f"{row.share:.0%}"
    cost = [] if not known.per_hour else ["" if row.cost is None else f"{row.cost:,.2f}"]
    return [Text(cell) for cell in (plain(row.name), str(row.runs), f"{row.reserved:,.0f}", f"{row.used:,.0f}", share, *cost)]


def draw(rows: list[Row], by: By, file: Path) -> None:
    """Reserved beside used. Raises Failure when there is nothing to draw, or the file cannot be written."""
    from matplotlib.figure import Figure

    chosen = [row for row in rows if row.reserved or row.used][:MOST]
    if not chosen:
        raise Failure("no Run of that time has used a GPU: there is nothing to draw")
    figure = Figure(figsize=(9, 1.5 + 0.45 * len(chosen)), layout="constrained")
    axes = figure.subplots()
    places = range(len(chosen))
    axes.barh([place - 0.2 for place in places], [row.reserved / 3600 for row in chosen], height=0.4, label="reserved", color="#9db7d5")
    axes.barh([place + 0.2 for place in places], [row.used / 3600 for row in chosen], height=0.4, label="used", color="#1f5fa8")
    axes.set_yticks(list(places), [plain(row.name) for row in chosen], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel("GPU-hours")
    axes.set_title(f"GPU-hours by {by}")
    axes.legend()
    try:
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}") from error
