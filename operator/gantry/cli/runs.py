"""Lists InferenceRuns by kubeconfig: what `kubectl get irun` cannot put into columns (time taken, deliveries, why it failed)."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gantry.api import parse_timestamp
from gantry.kube import RUNS, AioKube, NotFound

from .cluster import asked, namespace_of
from .failure import Failure

Run = dict[str, Any]
_STYLES = {"Succeeded": "green", "Failed": "red", "Cancelled": "yellow", "Superseded": "yellow", "Waiting": "cyan"}


def list_runs(namespace: str | None, *, everywhere: bool) -> list[Run]:
    """All Runs, the newest first. Raises Failure when the cluster cannot be asked."""
    if namespace and everywhere:
        raise Failure("--namespace and --all-namespaces exclude each other")
    place = None if everywhere else namespace_of(namespace)

    async def read(kube: AioKube) -> list[Run]:
        try:
            return [run async for page in kube.pages(RUNS, place) for run in page]
        except NotFound as error:
            raise Failure("the cluster does not know InferenceRuns: install Gantry's chart, or its crds/") from error

    return sorted(asked(read), key=lambda run: str(run["metadata"].get("creationTimestamp")), reverse=True)


def runs_json(runs: list[Run]) -> str:
    """The objects as the API server has them."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": runs}, indent=2)


def show_runs(runs: list[Run], *, everywhere: bool, console: Console | None = None) -> None:
    """Prints a table."""
    out = console or Console(highlight=False)
    if not out.is_terminal:
        out.width = 160
    if not runs:
        out.print("No Runs. `kubectl describe ipl` says whether a pipeline is ready, `kubectl describe obridge` whether Orthanc is followed.")
        return
    table = Table(*(["Namespace"] if everywhere else []), "Run", "Pipeline", "State", "Findings", "Took", "Delivered", "Created", "Reason", box=None)
    for run in runs:
        row = _row(run)
        table.add_row(*([Text(run["metadata"]["namespace"])] if everywhere else []), *row)
    out.print(table)


def _row(run: Run) -> list[Text]:
    status = run.get("status") or {}
    state = status.get("state") or "Queued"
    counts, deliveries, failure = status.get("findings"), status.get("deliveries") or [], status.get("failure") or {}
    sent = sum(one["state"] in ("Sent", "Committed") for one in deliveries)
    reason = ": ".join(filter(None, (failure.get("reason"), failure.get("message"))))
    return [
        Text(run["metadata"]["name"]),
        Text((run["spec"].get("pipelineRef") or {}).get("name") or "by hand"),
        Text(state, style=_STYLES.get(state, "")),
        Text(_counted(counts) if counts else ""),
        Text(_took(status)),
        Text(f"{sent}/{len(deliveries)}" if deliveries else ""),
        Text(str(run["metadata"].get("creationTimestamp", ""))),
        Text(reason),
    ]


def _counted(counts: dict[str, int]) -> str:
    unknown = counts.get("notEvaluable")
    return f"{counts.get('present', 0)} present, {counts.get('absent', 0)} absent" + (f", {unknown} not evaluable" if unknown else "")


def _took(status: dict[str, Any]) -> str:
    if not (status.get("startTime") and status.get("completionTime")):
        return ""
    return f"{(parse_timestamp(status['completionTime']) - parse_timestamp(status['startTime'])).total_seconds():.0f} s"
