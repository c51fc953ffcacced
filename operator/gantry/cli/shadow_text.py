"""Prints a comparison of two pipelines for people. What is compared stands in `shadow.py`."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gantry.report.agreement import OUTCOMES, Points, Row

from .shadow import Compared, one_line

LISTED = 50
"""Studies listed; `-o json` has all."""


def show(one: Compared, *, console: Console | None = None) -> None:
    """Agreement, measurements, and what differs."""
    out = console or Console(highlight=False)
    if not out.is_terminal:
        out.width = 160
    found = one.found
    out.print(f"{one.shadow} (shadow) against {one.active} (active), Runs since {one.since:%Y-%m-%d %H:%M} UTC")
    out.print(f"{found.studies} studies, {found.compared} with a report of both" + _verdict(one), end="\n\n")
    if found.rows:
        table = Table("Finding", *(name.capitalize() for name in OUTCOMES), "Agreement", "Kappa", box=None)
        for row in found.rows:
            table.add_row(Text(row.type.meaning), *(str(row.counts[name]) for name in OUTCOMES), *_figures(row))
        out.print(table, end="\n\n")
    if found.measurements:
        table = Table("Finding", "Measurement", "Pairs", "Mean difference", "Limits of agreement", "Correlation", box=None)
        for points in found.measurements:
            table.add_row(Text(points.type.meaning), Text(points.name.meaning), str(len(points.points)), *_differences(points))
        out.print(table)
        out.print("Differences are shadow minus active; 95 % of them lie between the limits.", end="\n\n")
    if found.differences:
        table = Table("Study (Orthanc id)", "Differs", "Shadow Run", "Active Run", box=None)
        for each in found.differences[:LISTED]:
            table.add_row(each.study, Text(one_line(each.words)), each.shadow or "", each.active or "")
        out.print(table)
        if len(found.differences) > LISTED:
            out.print(f"and {len(found.differences) - LISTED} more studies; -o json lists all")


def _verdict(one: Compared) -> str:
    if not one.found.compared:
        return "; nothing to compare yet"
    return ": they agree on every finding" if one.found.agrees else ": they differ"


def _figures(row: Row) -> tuple[str, str]:
    return "" if row.agreement is None else f"{row.agreement:.0%}", "" if row.kappa is None else f"{row.kappa:.2f}"


def _differences(points: Points) -> tuple[Text, Text, Text]:
    """A unit is written by the application: in square brackets it would be markup."""
    limits, correlation = points.limits, points.correlation
    return (
        Text(f"{points.mean:+.3g} {points.unit}"),
        Text(f"{limits[0]:+.3g} to {limits[1]:+.3g}" if limits else ""),
        Text("" if correlation is None else f"{correlation:.3f}"),
    )
