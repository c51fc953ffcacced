"""`gantry shadow`: its options. What it reads stands in `shadow.py`, what it shows in `shadow_text.py` and `shadow_picture.py`."""

from pathlib import Path
from typing import Annotated

import typer

from .options import NamespaceOption, Output, OutputOption

shadow = typer.Typer(help="Pipelines in mode Shadow, beside the active ones.", no_args_is_help=True)


@shadow.callback()
def _group() -> None:
    """Keeps `report` a command of its own while it is the only one."""


@shadow.command("report")
def report(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline in mode Shadow.", show_default=False)],
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="PIPELINE", help="The active one. Default: the only other of its bridge.", show_default=False),
    ] = None,
    since: Annotated[str, typer.Option("--since", metavar="DURATION", help="Runs made since then, for example 7d or 12h.")] = "7d",
    orthanc_url: Annotated[
        str | None,
        typer.Option(
            "--orthanc-url",
            metavar="URL",
            help="Orthanc's address in place of the bridge's; credentials from ORTHANC_USERNAME and ORTHANC_PASSWORD, if set.",
            show_default=False,
        ),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option("--png", metavar="FILE", help="Also draw the measurements. Needs the extra `gantry[pictures]`.", show_default=False),
    ] = None,
    namespace: NamespaceOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Compare a shadow pipeline with the active one on the same studies: agreement by finding type, measurements, and each study that differs."""
    from .shadow import Wanted, as_json, compared

    if png is not None:
        from .shadow_picture import require_matplotlib

        require_matplotlib()
    found = compared(Wanted(pipeline, against, since, orthanc_url, namespace))
    if png is not None:
        from .shadow_picture import draw

        draw(found, png)
    if output is Output.JSON:
        typer.echo(as_json(found))
    else:
        from .shadow_text import show

        show(found)
