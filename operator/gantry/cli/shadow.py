"""`gantry shadow report`: reads the Runs of two pipelines from the cluster and their reports from Orthanc, and puts them side by side.

What agreement is, `gantry.report.agreement` says. It changes nothing, and tells no identifier of a patient or study but Orthanc's.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from gantry.api import InferencePipeline, labels, parse_duration, parse_timestamp
from gantry.kube import PIPELINES, RUNS, Kube, NotFound
from gantry.orthanc import NotFound as NotInOrthanc
from gantry.orthanc import Orthanc, OrthancError
from gantry.report import NotAReport, Report, read_report
from gantry.report.agreement import Agreement, Pair, Points, Row, Side, agreement
from gantry.report.compare import merged

from .cluster import asked, namespace_of
from .explain_sources import Source, orthanc_of
from .explain_studies import AT_ONCE, each
from .failure import Failure
from .pipeline_files import checked

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says."""

    pipeline: str
    against: str | None
    since: str
    url: str | None
    namespace: str | None


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of it."""

    shadow: str
    active: str
    since: datetime
    found: Agreement


@dataclass(frozen=True, slots=True)
class _Runs:
    """What the cluster says."""

    active: str
    source: Source
    shadow_runs: tuple[Object, ...]
    active_runs: tuple[Object, ...]


def compared(wanted: Wanted) -> Compared:
    """Raises Failure when a pipeline, its Runs or Orthanc cannot be read."""
    since = datetime.now(UTC) - _duration(wanted.since)
    place = namespace_of(wanted.namespace)
    runs = asked(lambda kube: _read(kube, place, wanted, since))
    pairs = asyncio.run(_pairs(runs))
    return Compared(wanted.pipeline, runs.active, since, agreement(pairs))


def as_json(one: Compared) -> str:
    """docs/shadow.md tells what it holds."""
    found = one.found
    body = {
        "shadow": one.shadow,
        "active": one.active,
        "since": one.since.isoformat(timespec="seconds"),
        "studies": found.studies,
        "compared": found.compared,
        "agrees": found.agrees,
        "findings": [_row(row) for row in found.rows],
        "measurements": [_points(points) for points in found.measurements],
        "differences": [
            {"study": each.study, "shadow": each.shadow, "active": each.active, "differences": list(each.words)} for each in found.differences
        ],
    }
    return json.dumps(body, indent=2, ensure_ascii=False)


def _row(row: Row) -> Object:
    kind = {"scheme": row.type.scheme, "value": row.type.value, "meaning": row.type.meaning}
    return {"type": kind, "counts": {_camel(name): count for name, count in row.counts.items()}, "agreement": row.agreement, "kappa": row.kappa}


def _points(points: Points) -> Object:
    return {
        "type": points.type.meaning,
        "measurement": points.name.meaning,
        "unit": points.unit,
        "count": len(points.points),
        "meanDifference": points.mean,
        "limitsOfAgreement": points.limits,
        "correlation": points.correlation,
        "points": [{"study": study, "active": active, "shadow": shadow} for study, active, shadow in points.points],
    }


def _camel(words: str) -> str:
    first, *rest = words.split()
    return first + "".join(one.capitalize() for one in rest)


# -- the cluster -------------------------------------------------------------------------------------------------------


async def _read(kube: Kube, place: str, wanted: Wanted, since: datetime) -> _Runs:
    try:
        known = {str(one["metadata"]["name"]): one async for page in kube.pages(PIPELINES, place) for one in page}
    except NotFound as error:
        raise Failure("the cluster does not know InferencePipelines: install Gantry's chart, or its crds/") from error
    for name in filter(None, (wanted.pipeline, wanted.against)):
        if name not in known:
            raise Failure(f"there is no pipeline {name} in namespace {place}; there is: {', '.join(sorted(known)) or 'none'}")
    shadow = checked(InferencePipeline, known[wanted.pipeline], f"InferencePipeline {wanted.pipeline}")
    bridge = shadow.spec.bridge_ref.name
    active = wanted.against or _only_other(wanted.pipeline, bridge, known)
    if (theirs := known[active]["spec"]["bridgeRef"]["name"]) != bridge:
        raise Failure(f"{wanted.pipeline} is of bridge {bridge}, {active} of {theirs}; two pipelines of one Orthanc can be compared")
    source = await orthanc_of(kube, place, bridge, wanted.url)
    mine, others = [await _runs(kube, place, name, mode, since) for name, mode in ((wanted.pipeline, "Shadow"), (active, "Active"))]
    if not mine:
        words = f"{wanted.pipeline} has no Runs in mode Shadow of the last {wanted.since}"
        raise Failure(f"{words}; its spec.mode is {shadow.spec.mode}; look further back with --since")
    return _Runs(active, source, mine, others)


def _only_other(name: str, bridge: str, known: dict[str, Object]) -> str:
    others = sorted(
        other
        for other, one in known.items()
        if other != name and one["spec"]["bridgeRef"]["name"] == bridge and one["spec"].get("mode", "Active") == "Active"
    )
    if len(others) != 1:
        raise Failure(f"say which active pipeline {name} is compared with, by --against; bridge {bridge} has: {', '.join(others) or 'none'}")
    return others[0]


async def _runs(kube: Kube, place: str, pipeline: str, mode: str, since: datetime) -> tuple[Object, ...]:
    """The one that counts of each study: the newest that has reported, else the newest."""
    chosen: dict[str, Object] = {}
    async for page in kube.pages(RUNS, place, selector=f"{labels.PIPELINE}={pipeline}"):
        for run in page:
            if run["spec"].get("mode", "Active") != mode or parse_timestamp(run["metadata"]["creationTimestamp"]) < since:
                continue
            study = str(run["spec"]["study"]["orthancID"])
            if study not in chosen or _rank(run) > _rank(chosen[study]):
                chosen[study] = run
    return tuple(chosen.values())


def _rank(run: Object) -> tuple[bool, str, str]:
    return bool(_reports(run)), str(run["metadata"]["creationTimestamp"]), str(run["metadata"]["name"])


def _reports(run: Object) -> list[str]:
    """Orthanc's ids of its SRs. Of a failed Run they say only that nothing was analysed."""
    status = run.get("status") or {}
    if (status.get("failure") or {}).get("reason") not in (None, "DeliveryFailed"):
        return []
    return [str(one["orthancID"]) for one in status.get("results") or () if one["kind"] == "SR"]


# -- Orthanc -----------------------------------------------------------------------------------------------------------


async def _pairs(runs: _Runs) -> list[Pair]:
    source = runs.source
    try:
        async with Orthanc(source.url, credentials=source.credentials, trust=source.trust, connections=AT_ONCE) as orthanc:
            mine, others = [await _sides(orthanc, found) for found in (runs.shadow_runs, runs.active_runs)]
    except OrthancError as error:
        raise source.failure(error) from error
    return [Pair(study, mine.get(study), others.get(study)) for study in sorted(mine.keys() | others.keys())]


async def _sides(orthanc: Orthanc, runs: Sequence[Object]) -> dict[str, Side]:
    sides = await each(lambda run: _side(orthanc, run), runs)
    return {str(run["spec"]["study"]["orthancID"]): side for run, side in zip(runs, sides, strict=True)}


async def _side(orthanc: Orthanc, run: Object) -> Side:
    name, study = str(run["metadata"]["name"]), run["spec"]["study"]
    images = (study["instances"], *sorted(study["seriesIDs"]))
    instances = _reports(run)
    if not instances:
        status = run.get("status") or {}
        return Side(name, None, str((status.get("failure") or {}).get("reason") or status.get("state") or "Queued"), images)
    try:
        files = [await orthanc.file(one) for one in instances]
    except NotInOrthanc:
        return Side(name, None, "deleted from Orthanc", images)
    reports = [report for file in files if (report := _report(file)) is not None]
    return Side(name, merged(reports) if reports else None, "" if reports else "no measurement report", images)


def _report(file: bytes) -> Report | None:
    """None: an SR that the application made itself, of another template."""
    try:
        return read_report(dcmread(BytesIO(file)))
    except (NotAReport, InvalidDicomError):
        return None


def _duration(text: str) -> timedelta:
    """As the API has them, and in days."""
    days = text[:-1]
    try:
        return timedelta(days=int(days)) if text.endswith("d") and days.isdecimal() else parse_duration(text)
    except (ValueError, OverflowError) as error:
        raise Failure(f"--since {text}: write for example 7d, 12h or 30m") from error


def one_line(words: Iterable[str]) -> str:
    """Of a difference."""
    return "; ".join(words)
