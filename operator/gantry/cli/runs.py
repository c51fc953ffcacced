"""Lists InferenceRuns by kubeconfig: what `kubectl get irun` cannot put into columns (time taken, deliveries, why it failed)."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gantry.api import parse_timestamp
from gantry.kube import RUNS, AioKube, KubeError, NotFound, Throttle, api_client, configuration

from .failure import Failure

Run = dict[str, Any]
_STYLES = {"Succeeded": "green", "Failed": "red", "Cancelled": "yellow"}


def list_runs(namespace: str | None, *, everywhere: bool) -> list[Run]:
    """All Runs, the newest first. Raises Failure when the cluster cannot be asked."""
    if namespace and everywhere:
        raise Failure("--namespace and --all-namespaces exclude each other")
    context = _current_context()
    try:
        found = asyncio.run(_list(None if everywhere else namespace or context.get("namespace") or "default"))
    except NotFound as error:
        raise Failure("the cluster does not know InferenceRuns: install Gantry's chart, or its crds/") from error
    except KubeError as error:
        raise Failure(f"the API server did not answer as wanted: {error}") from error
    return sorted(found, key=lambda run: str(run["metadata"].get("creationTimestamp")), reverse=True)


async def _list(namespace: str | None) -> list[Run]:
    async with api_client(await configuration()) as client:
        throttle = Throttle(50, 50, clock=time.monotonic, sleep=asyncio.sleep)
        kube = AioKube(client, throttle=throttle, observe=lambda verb, resource, code: None)
        return [run async for page in kube.pages(RUNS, namespace) for run in page]


def _current_context() -> dict[str, Any]:
    """The context of the first file of KUBECONFIG that names one. Raises Failure when there is none."""
    paths = [Path(path) for path in os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config")).split(os.pathsep) if path]
    contexts: dict[str, dict[str, Any]] = {}
    current = None
    for path in paths:
        if not path.is_file():
            continue
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            contexts = {one["name"]: one.get("context") or {} for one in content.get("contexts") or []} | contexts
        except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            raise Failure(f"{path} is no kubeconfig: {str(error).splitlines()[0]}") from error
        current = current or content.get("current-context")
    if current is None or current not in contexts:
        raise Failure(f"no cluster: {':'.join(map(str, paths))} has no current context; set KUBECONFIG, or `kubectl config use-context`")
    return contexts[current]


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
    sent = sum(one["state"] == "Sent" for one in deliveries)
    reason = ": ".join(filter(None, (failure.get("reason"), failure.get("message"))))
    return [
        Text(run["metadata"]["name"]),
        Text((run["spec"].get("pipelineRef") or {}).get("name") or "by hand"),
        Text(state, style=_STYLES.get(state, "")),
        Text(f"{counts.get('present', 0)} present, {counts.get('absent', 0)} absent" if counts else ""),
        Text(_took(status)),
        Text(f"{sent}/{len(deliveries)}" if deliveries else ""),
        Text(str(run["metadata"].get("creationTimestamp", ""))),
        Text(reason),
    ]


def _took(status: dict[str, Any]) -> str:
    if not (status.get("startTime") and status.get("completionTime")):
        return ""
    return f"{(parse_timestamp(status['completionTime']) - parse_timestamp(status['startTime'])).total_seconds():.0f} s"
