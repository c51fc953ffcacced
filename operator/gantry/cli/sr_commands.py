"""`gantry sr`: the options of its commands. What each does stands in a module of its own, imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Output, OutputOption

sr = typer.Typer(help="DICOM structured reports, on disk and without a cluster.", no_args_is_help=True)


@sr.command("show")
def sr_show(
    file: Annotated[Path, typer.Argument(help="A DICOM file that holds a measurement report (TID 1500).")],
    output: OutputOption = Output.TEXT,
    patient: Annotated[bool, typer.Option("--patient", help="Also say whose report it is.")] = False,
) -> None:
    """Show a report as a radiologist reads it: algorithm, findings with measurements, what is absent, impression."""
    from .sr_reader import report_of

    report = report_of(file)
    if output is Output.JSON:
        from .sr_json import as_json

        typer.echo(as_json(report, patient=patient))
    else:
        from .sr_text import show

        show(report, patient=patient)


@sr.command("validate", epilog="Exit codes: 0 nothing is wrong; 1 problems, a line each; 2 a file cannot be read, or wrong usage.")
def sr_validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Reports, or folders that hold some.", show_default=False)],
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="The images and objects they are about: references are checked, too.", show_default=False),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Check reports against the standard, the template and IHE AI Results; each problem with its content item and what to do."""
    from .sr_validate import as_json, check_files, tell

    checked = check_files(files, images)
    if output is Output.JSON:
        typer.echo(as_json(checked))
    else:
        tell(checked)
    raise typer.Exit(max(one.code for one in checked))
