"""What `gantry backfill` does: makes an InferenceBackfill, lets it count, asks, lets it begin, holds it, and follows it.

All work is the operator's; the state is the object's. A command that ends changes nothing of it.
"""

import asyncio
import json
import re
import sys
from dataclasses import dataclass
from datetime import date
from typing import Any

import typer
from pydantic import ValidationError

from gantry.api import API_VERSION, InferenceBackfill, TagRequirement, labels
from gantry.kube import BACKFILLS, PIPELINES, RUNS, AioKube, AlreadyExists, NotFound, Rejected, Transient

from .backfill_text import Follower, Tally, counted, details, table
from .cluster import asked, namespace_of
from .failure import Failure

Object = dict[str, Any]

POLL = 1.0
"""Seconds between two looks at the object; the operator writes it every five."""
PATIENCE = 60
"""Looks in a row that may fail: an API server that restarts is back by then."""
ENDED = ("Counted", "Complete", "Failed")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A backfill as it was asked for."""

    pipeline: str
    first: str
    last: str
    match: tuple[Object, ...]
    max_active: int
    priority: str
    name: str | None

    def body(self, namespace: str, *, dry_run: bool) -> Object:
        """What to POST. Raises Failure on a day that is none."""
        first, last = _day("--from", self.first), _day("--to", self.last)
        if first > last:
            raise Failure(f"--from {first} is later than --to {last}; exchange them")
        name = self.name or f"{self.pipeline[:40].rstrip('-')}-{first:%Y%m%d}-{last:%Y%m%d}"
        return {
            "apiVersion": API_VERSION,
            "kind": InferenceBackfill.kind,
            "metadata": {"name": name, "namespace": namespace, "labels": {labels.PIPELINE: self.pipeline}},
            "spec": {
                "pipelineRef": {"name": self.pipeline},
                "from": first.isoformat(),
                "to": last.isoformat(),
                "match": list(self.match),
                "maxActive": self.max_active,
                "priority": self.priority,
                "dryRun": dry_run,
            },
        }


_REQUIREMENT = re.compile(r'(?P<tag>[0-9A-Fa-f]{4},"[^"]*",[0-9A-Fa-f]{2}|\S+)\s+(?P<operator>[A-Za-z]+)(?:\s+(?P<values>.*\S))?\s*')


def requirement(text: str) -> Object:
    """`Modality In CT,MR` as a requirement. In and NotIn take several values with commas between them, all others one. Raises Failure."""
    found = _REQUIREMENT.fullmatch(text)
    if found is None:
        raise Failure(f"--match {text!r}: write TAG OPERATOR VALUE, for example 'StudyDescription Matches (?i)chest'")
    tag, operator, values = found["tag"], found["operator"], found["values"]
    if (values is None) != (operator in ("Exists", "DoesNotExist")):
        raise Failure(f"--match {text!r}: Exists and DoesNotExist take no value; every other operator needs one")
    split = [value.strip() for value in values.split(",")] if values and operator in ("In", "NotIn") else [values] if values else None
    made = {"tag": tag, "operator": operator, **({"values": split} if split else {})}
    try:
        TagRequirement.model_validate(made)
    except ValidationError as error:
        words = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise Failure(f"--match {text!r}: {words}") from error
    return made


def begin(wanted: Wanted, namespace: str | None, *, dry_run: bool, yes: bool, wait: bool, as_json: bool) -> None:
    """Makes it, lets it count, shows the count, asks and begins; or begins at once."""
    place = namespace_of(namespace)
    body = wanted.body(place, dry_run=not yes)
    name = str(body["metadata"]["name"])
    asked(lambda kube: _make(kube, place, body))
    if as_json:
        made = _follow(place, name, Follower(quiet=True)) if dry_run and wait else _read(place, name)
        typer.echo(json.dumps(made, indent=2))
        return
    if not yes:
        if not wait:
            typer.echo(f"{name} counts. `gantry backfill status {name}` shows the count, `gantry backfill continue {name}` begins.")
            return
        counted(_follow(place, name, Follower(leaving=_counts_on(name))))
        if dry_run:
            typer.echo(f"Nothing was begun. `gantry backfill continue {name}` begins; `kubectl -n {place} delete ibf {name}` forgets the count.")
            return
        if not _wants(name):
            typer.echo(f"Not begun. `gantry backfill continue {name}` begins later; `kubectl -n {place} delete ibf {name}` forgets it.")
            return
        asked(lambda kube: kube.merge(BACKFILLS, place, name, {"spec": {"dryRun": False}}))
    if wait:
        details(_follow(place, name, Follower(leaving=_goes_on(name))), _tally(place, name))
    else:
        typer.echo(_goes_on(name))


def list_all(namespace: str | None, *, as_json: bool) -> None:
    """All of a namespace."""
    place = namespace_of(namespace)

    async def read(kube: AioKube) -> list[Object]:
        try:
            return [one async for page in kube.pages(BACKFILLS, place) for one in page]
        except NotFound as error:
            raise Failure("the cluster does not know InferenceBackfills: upgrade Gantry's chart, or its crds/") from error

    found = sorted(asked(read), key=lambda one: str(one["metadata"].get("creationTimestamp")), reverse=True)
    if as_json:
        typer.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": found}, indent=2))
    else:
        table(found)


def show(name: str, namespace: str | None, *, wait: bool, as_json: bool) -> None:
    """One, and how its Runs ended."""
    place = namespace_of(namespace)
    found = _follow(place, name, Follower(quiet=as_json, leaving=_goes_on(name))) if wait else _read(place, name)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        details(found, _tally(place, name))


def hold(name: str, namespace: str | None) -> None:
    """No further Runs."""
    place = namespace_of(namespace)
    found = _read(place, name)
    if (state := _state(found)) in ("Complete", "Failed"):
        raise Failure(f"{name} is over ({state}); there is nothing to stop")
    asked(lambda kube: kube.merge(BACKFILLS, place, name, {"spec": {"suspend": True}}))
    typer.echo(f"{name} is held: no further Runs; those under way go on. `gantry backfill continue {name}` goes on.")


def go_on(name: str, namespace: str | None) -> None:
    """Takes away what holds it: suspension, or that it was only counted."""
    place = namespace_of(namespace)
    found = _read(place, name)
    state, spec = _state(found), found["spec"]
    if state in ("Complete", "Failed"):
        raise Failure(f"{name} is over ({state}); make a new one")
    change = {**({"suspend": False} if spec.get("suspend") else {}), **({"dryRun": False} if spec.get("dryRun") and state == "Counted" else {})}
    if not change:
        raise Failure(f"{name} is not held ({state}); `gantry backfill status {name}` says how far it is")
    asked(lambda kube: kube.merge(BACKFILLS, place, name, {"spec": change}))
    words = f"{name} begins." if "dryRun" in change else f"{name} goes on."
    typer.echo(f"{words} `gantry backfill status {name} --wait` shows the progress, `gantry backfill stop {name}` holds it.")


# ---- the cluster ----


async def _make(kube: AioKube, namespace: str, body: Object) -> None:
    name, pipeline = body["metadata"]["name"], body["spec"]["pipelineRef"]["name"]
    try:
        await kube.get(PIPELINES, namespace, pipeline)
    except NotFound as error:
        raise Failure(f"namespace {namespace} has no InferencePipeline {pipeline}; `kubectl -n {namespace} get ipl` lists them") from error
    try:
        await kube.create(BACKFILLS, namespace, body)
    except AlreadyExists as error:
        raise Failure(f"{name} exists already; `gantry backfill status {name}` shows it, --name makes another beside it") from error
    except NotFound as error:
        raise Failure("the cluster does not know InferenceBackfills: upgrade Gantry's chart, or its crds/") from error
    except Rejected as error:
        raise Failure(f"the API server refuses it: {error}") from error


async def _get(kube: AioKube, namespace: str, name: str) -> Object:
    try:
        return await kube.get(BACKFILLS, namespace, name)
    except NotFound as error:
        raise Failure(f"namespace {namespace} has no InferenceBackfill {name}; `gantry backfill list` shows what there is") from error


def _read(namespace: str, name: str) -> Object:
    return asked(lambda kube: _get(kube, namespace, name))


def _tally(namespace: str, name: str) -> Tally:
    """Its Runs by state."""

    async def read(kube: AioKube) -> Tally:
        tally: Tally = {}
        async for page in kube.pages(RUNS, namespace, selector=f"{labels.BACKFILL}={name}"):
            for run in page:
                state = str((run.get("status") or {}).get("state") or "Queued")
                tally[state] = tally.get(state, 0) + 1
        return tally

    return asked(read)


def _follow(namespace: str, name: str, follower: Follower) -> Object:
    """Shows the progress until the walk that is asked for has ended; Ctrl-C ends the command, not the walk."""

    async def look(kube: AioKube) -> Object:
        failures = 0
        while True:
            try:
                found = await _get(kube, namespace, name)
                failures = 0
            except Transient:
                failures += 1
                if failures > PATIENCE:
                    raise
            else:
                follower.show(found)
                if _over(found):
                    return found
            await asyncio.sleep(POLL)

    try:
        with follower:
            return asked(look)
    except KeyboardInterrupt:
        typer.echo(follower.leaving)
        raise typer.Exit(0) from None


def _over(found: Object) -> bool:
    """Whether the status is of this spec and says that the walk has ended."""
    status, generation = found.get("status") or {}, found["metadata"].get("generation")
    if status.get("observedGeneration") != generation:
        return False
    return _state(found) in ENDED or bool(found["spec"].get("suspend"))


def _state(found: Object) -> str:
    return str((found.get("status") or {}).get("state") or "Pending")


def _wants(name: str) -> bool:
    if not sys.stdin.isatty():
        raise Failure(f"not begun, for there is no terminal to ask at: `gantry backfill continue {name}` begins, or give --yes")
    return typer.confirm("Begin?", default=False)


def _goes_on(name: str) -> str:
    return (
        f"{name} goes on in the cluster. `gantry backfill status {name} --wait` comes back to it, `gantry backfill stop {name}` holds it, "
        f"`gantry backfill continue {name}` lets it go on."
    )


def _counts_on(name: str) -> str:
    return (
        f"{name} goes on counting in the cluster. `gantry backfill status {name} --wait` comes back to it, "
        f"`gantry backfill continue {name}` begins when it is counted."
    )


def _day(option: str, text: str) -> date:
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError as error:
        raise Failure(f"{option} {text} is no day; write it as 2025-01-31") from error


