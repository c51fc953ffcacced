"""The commands, their options and exit codes. What a command does stands in a module of its own, imported when it runs.

Exit codes: 0 done; 1 it could not be done, one line on stderr says why; 2 wrong usage. `explain`, `contract check`, `sr validate` and
`sr diff` answer by it, as grep does, and `sr build` says with 3 that findings were refused.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gantry import __version__

from .backfill_commands import backfill
from .contract_commands import contract
from .explain_commands import EXIT_CODES, explain
from .failure import Failure
from .options import NamespaceOption, Output, OutputOption
from .rerun_commands import rerun
from .shadow_commands import shadow
from .sr_commands import sr
from .usage_commands import usage

_EXIT_CODES = "Exit codes: 0 done; 1 it could not be done, one line on stderr says why; 2 wrong usage."

app = typer.Typer(
    help="Radiology AI on Kubernetes: what is analysed and why, what ran, and what it found.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
schema = typer.Typer(help="Schemas of what applications hand over.", no_args_is_help=True)
app.command(epilog=EXIT_CODES)(explain)


@app.command()
def runs(
    namespace: NamespaceOption = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of the whole cluster.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """List InferenceRuns, the newest first: how far each is, what it found, how long it took and why it failed."""
    from .runs import list_runs, runs_json, show_runs

    found = list_runs(namespace, everywhere=everywhere)
    if output is Output.JSON:
        typer.echo(runs_json(found))
    else:
        show_runs(found, everywhere=everywhere)


app.command()(rerun)
app.command()(usage)
app.add_typer(backfill, name="backfill")
app.add_typer(contract, name="contract")
app.add_typer(shadow, name="shadow")
app.add_typer(sr, name="sr")
app.add_typer(schema, name="schema")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@schema.command("findings")
def schema_findings(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file in place of standard output.")] = None,
) -> None:
    """Print the JSON Schema of findings.json, which an application writes."""
    import json

    from gantry.report import findings_schema

    text = json.dumps(findings_schema(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"{output} cannot be written: {error.strerror}") from error


def main() -> None:
    """Entry point of `gantry`."""
    try:
        app(prog_name="gantry")
    except Failure as failure:
        typer.echo(f"gantry: {failure}", err=True)
        sys.exit(failure.code)
