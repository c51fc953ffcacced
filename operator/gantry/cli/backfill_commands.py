"""`gantry backfill`: its commands and options. What they do stands in `backfill.py`, what they show in `backfill_text.py`.

`gantry backfill PIPELINE` is short for `gantry backfill start PIPELINE`; a pipeline that is called like a command needs the long form.
"""

from enum import StrEnum
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .options import NamespaceOption, Output, OutputOption

SHORT = "start"


class Commands(TyperGroup):
    """Takes a first word that is no command for a pipeline."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [SHORT, *args]
        return super().parse_args(ctx, args)


class PriorityClass(StrEnum):
    """Classes of Runs, the most urgent first."""

    STAT = "Stat"
    URGENT = "Urgent"
    ROUTINE = "Routine"
    BACKGROUND = "Background"


backfill = typer.Typer(
    help="Analyse studies that are stored already, a few at a time. `gantry backfill PIPELINE --from DAY --to DAY` begins one.",
    cls=Commands,
    no_args_is_help=True,
)
NameArgument = Annotated[str, typer.Argument(help="The InferenceBackfill.", show_default=False)]
DAY = "YYYY-MM-DD"


@backfill.command(SHORT)
def start(
    pipeline: Annotated[str, typer.Argument(help="The InferencePipeline whose rules choose studies and series.", show_default=False)],
    first: Annotated[str, typer.Option("--from", metavar=DAY, help="First StudyDate.", show_default=False)],
    last: Annotated[str, typer.Option("--to", metavar=DAY, help="Last StudyDate; that day too.", show_default=False)],
    match: Annotated[
        list[str] | None,
        typer.Option(
            "--match",
            metavar="'TAG OPERATOR VALUE'",
            help="A further requirement on the study, as in a pipeline: 'StudyDescription Matches (?i)chest', 'PatientSex In F,O'. May be repeated.",
            show_default=False,
        ),
    ] = None,
    max_active: Annotated[int, typer.Option("--max-active", min=1, max=1000, help="Unfinished Runs at once.")] = 2,
    priority: Annotated[PriorityClass, typer.Option("--class", help="Priority class of its Runs.")] = PriorityClass.BACKGROUND,
    name: Annotated[str | None, typer.Option("--name", help="Default: pipeline and days.", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what it would do.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Begin at once: neither count nor ask.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay for the progress; Ctrl-C leaves it to the cluster.")] = True,
    namespace: NamespaceOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Count the stored studies a pipeline would take, ask, and analyse them slowly. It goes on in the cluster whatever becomes of this terminal."""
    from .backfill import Wanted, begin, requirement

    if yes and dry_run:
        raise typer.BadParameter("--yes begins at once, --dry-run never does; give one of them", param_hint="--yes")
    requirements = tuple(requirement(one) for one in match or ())
    wanted = Wanted(pipeline, first, last, requirements, max_active, priority.value, name)
    begin(wanted, namespace, dry_run=dry_run, yes=yes, wait=wait, as_json=output is Output.JSON)


@backfill.command("list")
def list_(namespace: NamespaceOption = None, output: OutputOption = Output.TEXT) -> None:
    """List InferenceBackfills, the newest first."""
    from .backfill import list_all

    list_all(namespace, as_json=output is Output.JSON)


@backfill.command()
def status(
    name: NameArgument,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Stay for the progress; Ctrl-C leaves it to the cluster.")] = False,
    namespace: NamespaceOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show how far one is, how its Runs ended, and what it waits for."""
    from .backfill import show

    show(name, namespace, wait=wait, as_json=output is Output.JSON)


@backfill.command()
def stop(name: NameArgument, namespace: NamespaceOption = None) -> None:
    """Hold one: no further Runs; those under way go on."""
    from .backfill import hold

    hold(name, namespace)


@backfill.command("continue")
def continue_(name: NameArgument, namespace: NamespaceOption = None) -> None:
    """Let one go on where it stood, or begin one that was only counted."""
    from .backfill import go_on

    go_on(name, namespace)
