"""`gantry sr`: the options of its commands. What each does stands in a module of its own, imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Output, OutputOption

sr = typer.Typer(help="DICOM structured reports, on disk and without a cluster.", no_args_is_help=True)


@sr.command("show")
def sr_show(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="A measurement report (TID 1500), or all SRs of one Run: files, or a folder.", show_default=False),
    ],
    output: OutputOption = Output.TEXT,
    patient: Annotated[bool, typer.Option("--patient", help="Also say whose report it is.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="OUT", help="Write a page with pictures in place.", show_default=False)] = None,
    png: Annotated[Path | None, typer.Option("--png", metavar="DIR", help="Write a picture of each finding.", show_default=False)] = None,
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="The images and segmentations, for pictures.", show_default=False)
    ] = None,
) -> None:
    """Show a report as a radiologist reads it: algorithm, findings with measurements, what is absent, impression."""
    from .sr_reader import report_of

    report = report_of(*files)
    if html or png:
        from .sr_look import look

        for path in look(report, html=html, png=png, images=images, patient=patient):
            typer.echo(str(path))
    elif output is Output.JSON:
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


@sr.command("build", epilog="Exit codes: 0 written, files on standard output; 1 it could not be done; 2 wrong usage; 3 refused, a line a finding.")
def sr_build(
    findings: Annotated[Path, typer.Option("--findings", metavar="F", help="findings.json; segmentations lie beside it.", show_default=False)],
    images: Annotated[Path, typer.Option("--images", metavar="DIR", help="The images it is about.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE|DIR", help="Where to write: a name for the first SR, or a folder.")] = Path(),
    sop_class: Annotated[str, typer.Option("--sop-class", help="Or ComprehensiveSR, which has no 3D regions.")] = "Comprehensive3DSR",
    series_number: Annotated[int, typer.Option("--series-number", help="Of the first SR.")] = 9001,
    series_description: Annotated[
        str | None, typer.Option("--series-description", metavar="TEXT", help="Default: AI, algorithm and version.", show_default=False)
    ] = None,
    algorithm: Annotated[
        str | None, typer.Option("--algorithm", metavar="NAME/VERSION/MANUFACTURER", help="In place of the document's first.", show_default=False)
    ] = None,
    evaluated_for: Annotated[
        list[str] | None,
        typer.Option("--evaluated-for", metavar="SCHEME/VALUE/MEANING", help="What is looked for, beside the document's.", show_default=False),
    ] = None,
) -> None:
    """Make the SRs of findings.json and images, as a Run does, without a cluster. All or nothing: one refused finding, and no SR is written."""
    from .sr_build import Options, build

    options = Options(sop_class, series_number, series_description, algorithm, tuple(evaluated_for or ()))
    for path in build(findings, images, out, options):
        typer.echo(str(path))


@sr.command("diff", epilog="Exit codes: 0 both say the same; 1 they differ; 2 a file cannot be read, or wrong usage.")
def sr_diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="A report, or a folder with all SRs of a Run.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B", help="What it is compared with.", show_default=False)],
    output: OutputOption = Output.TEXT,
) -> None:
    """Compare two reports: findings by tracking UID, else by type, site and distance; measurements side by side; what only one of them has."""
    from .sr_diff import as_json, compared, tell

    comparison = compared(before, after)
    if output is Output.JSON:
        typer.echo(as_json(comparison))
    else:
        tell(comparison)
    raise typer.Exit(int(not comparison.equal))
