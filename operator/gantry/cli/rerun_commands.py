"""`gantry rerun`: its options. What it does stands in `rerun.py`."""

from typing import Annotated

import typer

from .options import NamespaceOption, Output, OutputOption


def rerun(
    run: Annotated[list[str] | None, typer.Argument(help="Finished Runs.", metavar="RUN…", show_default=False)] = None,
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", "-p", metavar="NAME", help="All finished Runs of a pipeline.", show_default=False)
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="With --pipeline: only those that failed.")] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DURATION", help="With --pipeline: only those that finished within it: 2h, 30m.", show_default=False),
    ] = None,
    current: Annotated[
        bool, typer.Option("--with-current-template", help="By the pipeline's template as it is now, not as it was. The images stay the same.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    namespace: NamespaceOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Analyse the images of finished Runs once more. A Run is repeated once: asking again says so, and a repeat can be repeated in its turn."""
    if bool(run) == bool(pipeline):
        raise typer.BadParameter("give either Runs or --pipeline", param_hint="RUN…")
    if run and (failed or since):
        raise typer.BadParameter("--failed and --since go with --pipeline", param_hint="RUN…")
    from .rerun import Wanted, repeat

    wanted = Wanted(tuple(run or ()), pipeline, failed, since, current)
    repeat(wanted, namespace, dry_run=dry_run, yes=yes, as_json=output is Output.JSON)
