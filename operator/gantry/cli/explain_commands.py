"""`gantry explain`: its options and exit codes. What it does stands in `explain.py`, what it shows in `explain_text.py`."""

from typing import Annotated

import typer

from .failure import Failure
from .options import NamespaceOption, Output, OutputOption

EXIT_CODES = "Exit codes: 0 a pipeline takes the study, or one of the recent ones; 1 none does; 2 an error, one line on stderr says which."


def explain(
    study: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="Orthanc id, StudyInstanceUID or accession number of a stored study.", show_default=False)
    ] = None,
    recent: Annotated[
        int | None, typer.Option("--recent", metavar="N", min=1, max=10000, help="In place of a study: as many as came last.", show_default=False)
    ] = None,
    pipeline: Annotated[
        list[str] | None,
        typer.Option("--pipeline", "-p", metavar="NAME", help="Only this pipeline. May be repeated. Default: all.", show_default=False),
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(
            "--file", "-f", metavar="FILE", help="Pipelines that need not be applied yet; - is standard input. May be repeated.", show_default=False
        ),
    ] = None,
    orthanc_url: Annotated[
        str | None,
        typer.Option(
            "--orthanc-url",
            metavar="URL",
            help="Orthanc's address in place of the bridge's; credentials from ORTHANC_USERNAME and ORTHANC_PASSWORD. With -f, no cluster is needed.",
            show_default=False,
        ),
    ] = None,
    namespace: NamespaceOption = None,
    patient: Annotated[bool, typer.Option("--patient", help="Also say whose study it is, and values that tell it.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say which pipelines take a study and which do not, by which check, and why. Decides as the bridge does; changes nothing."""
    if (study is None) == (recent is None):
        raise typer.BadParameter("give either a study or --recent with a number", param_hint="STUDY")
    from .explain import as_json, explained
    from .explain_sources import Wanted
    from .explain_text import show_recent, show_study

    wanted = Wanted(tuple(file or ()), tuple(pipeline or ()), orthanc_url, namespace)
    try:
        found = explained(wanted, study, recent or 0, for_people=output is Output.TEXT)
    except Failure as failure:
        raise Failure(str(failure), code=2) from failure
    if output is Output.JSON:
        typer.echo(as_json(found, single=study is not None, patient=patient))
    elif study is None:
        show_recent(found, patient=patient)
    else:
        show_study(found[0], patient=patient)
    raise typer.Exit(0 if any(one.matched for one in found) else 1)
