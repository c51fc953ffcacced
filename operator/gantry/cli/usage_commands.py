"""`gantry usage`: its options. What it sums stands in `usage.py`, what it shows in `usage_text.py`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .options import NamespaceOption


class Key(StrEnum):
    """What rows are made by."""

    PIPELINE = "pipeline"
    VENDOR = "vendor"
    DEPARTMENT = "department"
    NAMESPACE = "namespace"
    RESOURCE = "resource"


class Form(StrEnum):
    """How it answers."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def usage(
    since: Annotated[str, typer.Option("--since", metavar="DURATION", help="Runs that ended since then, for example 30d or 12h.")] = "30d",
    by: Annotated[Key, typer.Option("--by", help="What a row is.")] = Key.PIPELINE,
    price: Annotated[
        list[str] | None,
        typer.Option("--price", metavar="RESOURCE=PRICE", help="Price of a GPU-hour, in place of the chart's. May be repeated.", show_default=False),
    ] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="Of the prices; EUR, or the chart's.", show_default=False)] = None,
    png: Annotated[
        Path | None,
        typer.Option("--png", metavar="FILE", help="Also draw it. Needs the extra `gantry[pictures]`.", show_default=False),
    ] = None,
    namespace: NamespaceOption = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of the whole cluster.")] = False,
    output: Annotated[Form, typer.Option("--output", "-o", help="For people, or for programs.")] = Form.TABLE,
) -> None:
    """Sum the GPU time of finished Runs: reserved beside used, and what it costs."""
    from .usage import By, as_csv, as_json, finished_runs, prices, summed

    if png is not None:
        from .shadow_picture import require_matplotlib

        require_matplotlib()
    known, unknown = prices(price or (), currency or "EUR"), ""
    if not price:
        from .chart_prices import chart_prices

        found, unknown = chart_prices(namespace, everywhere=everywhere)
        known = found or known
    if unknown:
        typer.echo(f"gantry: no prices: {unknown}; give --price", err=True)
    key: By = by.value
    rows = summed(finished_runs(namespace, everywhere=everywhere, since=since), key, known)
    if png is not None:
        from .usage_text import draw

        draw(rows, key, png)
    if output is Form.TABLE:
        from .usage_text import show

        show(rows, key, known)
    else:
        typer.echo((as_json if output is Form.JSON else as_csv)(rows, key, known), nl=output is Form.JSON)
