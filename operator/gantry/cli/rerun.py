"""What `gantry rerun` does: a further Run on the same images for each finished Run that was named or selected.

A repeat's name is derived from the Run it repeats, so asking twice does not analyse twice. The images are those of the old Run, by their
fingerprint: fetch refuses when Orthanc holds others now. It names the old Run in spec.supersedes, so its report names the old one as predecessor.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from gantry.api import API_VERSION, InferenceRun, labels, parse_duration, parse_timestamp
from gantry.kube import PIPELINES, RUNS, AioKube, AlreadyExists, NotFound, Rejected
from gantry.runs import repeat_name

from .backfill_text import console
from .cluster import asked, namespace_of
from .failure import Failure

Object = dict[str, Any]
_NOT_ASKED_AGAIN = ("Superseded",)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    runs: tuple[str, ...]
    pipeline: str | None
    failed: bool
    since: str | None
    current: bool


@dataclass(frozen=True, slots=True)
class Repeat:
    """One Run and its repeat, or why there is none."""

    run: str
    repeat: str | None = None
    reason: str = ""
    """Empty: it is made, or would be."""
    known: bool = False
    """The repeat is there already."""
    body: Object = field(default_factory=dict)


def repeat(wanted: Wanted, namespace: str | None, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Says what is to be done, asks, does it. Exit code 1 when a Run that was named cannot be repeated."""
    place = namespace_of(namespace)
    planned = asked(lambda kube: _plan(kube, place, wanted, datetime.now(UTC)))
    to_do = [one for one in planned if one.body]
    if to_do and not dry_run:
        if not (yes or as_json or wanted.runs):
            _show(planned, dry_run=True)
        if not yes and not _agreed(len(to_do), named=bool(wanted.runs)):
            typer.echo("Nothing was done.")
            return
        made = {one.run: one for one in asked(lambda kube: _make(kube, place, to_do))}
        planned = [made.get(one.run, one) for one in planned]
    if as_json:
        runs = [{"run": one.run, "repeat": one.repeat} for one in planned if not one.reason]
        skipped = [{"run": one.run, "repeat": one.repeat, "reason": one.reason} for one in planned if one.reason]
        typer.echo(json.dumps({"runs": runs, "skipped": skipped}, indent=2))
    else:
        _show(planned, dry_run=dry_run)
    if any(one.reason and not one.known for one in planned):
        raise typer.Exit(1)


async def _plan(kube: AioKube, namespace: str, wanted: Wanted, now: datetime) -> list[Repeat]:
    found = {str(run["metadata"]["name"]): run for run in await _runs(kube, namespace, wanted)}
    names = wanted.runs or tuple(name for name, run in found.items() if _selected(run, wanted, now))
    templates: dict[str, Object] = {}
    planned = []
    for name in dict.fromkeys(names):
        if name not in found:
            planned.append(Repeat(name, reason=f"namespace {namespace} has no such Run"))
            continue
        one = _planned(found[name], found)
        if one.body and wanted.current:
            one = await _renewed(kube, namespace, one, templates)
        planned.append(one)
    return planned


async def _runs(kube: AioKube, namespace: str, wanted: Wanted) -> list[Object]:
    """The pipeline's Runs; of named ones, themselves and their repeats."""
    try:
        if wanted.pipeline:
            selector = f"{labels.PIPELINE}={wanted.pipeline}"
            return [run async for page in kube.pages(RUNS, namespace, selector=selector) for run in page]
    except NotFound as error:
        raise Failure("the cluster does not know InferenceRuns: install Gantry's chart, or its crds/") from error
    found = []
    for name in dict.fromkeys(wanted.runs):
        for one in (name, _repeat_of(name)):
            if one is None:
                continue
            try:
                found.append(await kube.get(RUNS, namespace, one))
            except NotFound:
                continue  # said of the Run by the plan; without a repeat there is nothing to say
    return found


def _selected(run: Object, wanted: Wanted, now: datetime) -> bool:
    status = run.get("status") or {}
    completed = status.get("completionTime")
    if not completed or status.get("state") in _NOT_ASKED_AGAIN or (wanted.failed and status.get("state") != "Failed"):
        return False
    return wanted.since is None or parse_timestamp(completed) >= now - _duration(wanted.since)


def _planned(run: Object, others: dict[str, Object]) -> Repeat:
    """Pure: whether this Run can be repeated, and by which Run."""
    name, status = str(run["metadata"]["name"]), run.get("status") or {}
    state = str(status.get("state") or "Queued")
    if not status.get("completionTime"):
        return Repeat(name, reason=f"is not finished ({state}); wait for it, or set spec.cancel")
    if state in _NOT_ASKED_AGAIN:
        return Repeat(name, reason="was superseded by a Run on more images; repeat that one")
    try:
        new = repeat_name(name)
    except ValueError as error:
        return Repeat(name, reason=str(error))
    if new in others:
        theirs = str((others[new].get("status") or {}).get("state") or "Queued")
        return Repeat(name, new, reason=f"is repeated already by {new} ({theirs}); repeat that one to analyse once more", known=True)
    return Repeat(name, new, body=_body(run, new))


def _body(run: Object, name: str) -> Object:
    """The old Run's spec with what makes it a repeat. Not of the backfill that made the old one: its cap does not count it."""
    meta, spec = run["metadata"], run["spec"]
    kept = {key: value for key, value in (meta.get("labels") or {}).items() if key != labels.BACKFILL}
    noted = {key: value for key, value in (meta.get("annotations") or {}).items() if key == labels.COMMANDS}
    fields = ("pipelineRef", "bridgeRef", "study", "mode", "priority", "sender", "after", "template")
    return {
        "apiVersion": API_VERSION,
        "kind": InferenceRun.kind,
        "metadata": {"name": name, "namespace": meta["namespace"], "labels": kept, **({"annotations": noted} if noted else {})},
        "spec": {**{one: spec[one] for one in fields if one in spec}, "trigger": "Rerun", "supersedes": {"name": meta["name"]}},
    }


async def _renewed(kube: AioKube, namespace: str, one: Repeat, known: dict[str, Object]) -> Repeat:
    """By the pipeline's template and mode as they are now: what was shadow is delivered, once the pipeline is active."""
    pipeline = (one.body["spec"].get("pipelineRef") or {}).get("name")
    if not pipeline:
        return Repeat(one.run, reason="was made without a pipeline; there is no current template")
    if pipeline not in known:
        try:
            known[pipeline] = await kube.get(PIPELINES, namespace, pipeline)
        except NotFound:
            known[pipeline] = {}
    if not (current := known[pipeline]):
        return Repeat(one.run, reason=f"its pipeline {pipeline} does not exist any more; leave --with-current-template out")
    reference = {"name": pipeline, "uid": current["metadata"]["uid"], "generation": current["metadata"]["generation"]}
    spec = {**one.body["spec"], "pipelineRef": reference, "mode": current["spec"].get("mode", "Active"), "template": current["spec"]["template"]}
    metadata = {key: value for key, value in one.body["metadata"].items() if key != "annotations"}  # the command is the pipeline's again
    return Repeat(one.run, one.repeat, body={**one.body, "metadata": metadata, "spec": spec})


async def _make(kube: AioKube, namespace: str, planned: Sequence[Repeat]) -> list[Repeat]:
    done = []
    for one in planned:
        try:
            await kube.create(RUNS, namespace, one.body)
            done.append(Repeat(one.run, one.repeat))
        except AlreadyExists:
            done.append(Repeat(one.run, one.repeat, reason=f"is repeated already by {one.repeat}; somebody else asked meanwhile", known=True))
        except Rejected as error:
            done.append(Repeat(one.run, one.repeat, reason=f"the API server refuses the repeat: {error}"))
    return done


def _show(planned: Sequence[Repeat], *, dry_run: bool) -> None:
    out = console()
    if not planned:
        out.print("No finished Run fits. `gantry runs` lists them.")
        return
    grid = Table("Run", "Would be repeated by" if dry_run else "Repeated by", "", box=None)
    for one in planned:
        grid.add_row(Text(one.run), Text(one.repeat or "" if not one.reason else ""), Text(one.reason, style="" if one.known else "red"))
    out.print(grid)


def _agreed(number: int, *, named: bool) -> bool:
    """A Run that was named is meant; a selection is shown first."""
    if named:
        return True
    if not sys.stdin.isatty():
        raise Failure(f"{number} Runs would be repeated and there is no terminal to ask at: give --yes")
    return typer.confirm(f"Repeat {number} Runs?", default=False, err=True)


def _repeat_of(name: str) -> str | None:
    try:
        return repeat_name(name)
    except ValueError:
        return None


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise Failure(f"--since {text}: {error}") from error
