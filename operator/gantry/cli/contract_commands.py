"""`gantry contract`: the options of its commands. What they do stands in a module of its own, imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Output, OutputOption

contract = typer.Typer(help="Applications and the contracts by which they run.", no_args_is_help=True)


@contract.command("check", epilog="Exit codes: 0 a Run would succeed; 1 it would fail, and why; 2 it cannot be found out here, or wrong usage.")
def contract_check(
    package: Annotated[
        str,
        typer.Argument(metavar="IMAGE|DIR", help="An image (podman or docker), an OCI layout or archive, or a root file system.", show_default=False),
    ],
    contract: Annotated[str | None, typer.Option("--contract", help="Native, MAP or Mercure. Default: MAP with a manifest, else Native.")] = None,
    command: Annotated[str | None, typer.Option("--command", metavar="WORDS", help="In place of the image's or the manifest's.")] = None,
    run_as_user: Annotated[int | None, typer.Option("--run-as-user", metavar="UID", min=0, help="Default: 1000, as in a Run.")] = None,
    timeout: Annotated[str, typer.Option("--timeout", help="Of the application.")] = "10m",
    allow_network: Annotated[bool, typer.Option("--allow-network", help="Let it open network sockets.")] = False,
    study: Annotated[
        Path | None, typer.Option("--study", metavar="DIR", help="DICOM files of one study. Default: a CT phantom.", show_default=False)
    ] = None,
    pipeline: Annotated[
        Path | None, typer.Option("--pipeline", metavar="FILE", help="Its step and report settings count, in place of options.", show_default=False)
    ] = None,
    step: Annotated[str | None, typer.Option("--step", metavar="NAME", help="Of the pipeline.", show_default=False)] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Run a package on one study on this machine, by Gantry's launcher and checks, and tell what a Run would make of it. Linux; no cluster."""
    from .contract_check import Options, as_json, check, told

    result = check(package, Options(contract, command, run_as_user, timeout, allow_network, study, pipeline, step))
    typer.echo(as_json(result) if output is Output.JSON else told(result))
    raise typer.Exit(int(result.reason is not None))
