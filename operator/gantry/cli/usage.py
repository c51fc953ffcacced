"""What Runs have used, summed from their status: GPU-seconds reserved and used, and what the reserved ones cost.

The Runs that exist are counted; `history.ttl` deletes them, and Prometheus keeps the counters longer. It must not print.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from gantry.api import parse_duration, parse_timestamp
from gantry.kube import RUNS, AioKube, NotFound

from .cluster import asked, namespace_of
from .failure import Failure

By = Literal["pipeline", "vendor", "department", "namespace", "resource"]
Run = Mapping[str, Any]


@dataclass(frozen=True)
class Prices:
    """Of an hour of a GPU, by resource."""

    currency: str
    per_hour: Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """One pipeline, vendor, department, namespace or resource."""

    name: str
    runs: int
    """Runs that finished."""
    reserved: float
    """GPU-seconds that pods held."""
    used: float
    """GPU-seconds that applications ran."""
    cost: float | None
    """Of the reserved ones; None without prices."""

    @property
    def share(self) -> float | None:
        """Used of reserved."""
        return self.used / self.reserved if self.reserved else None


def prices(given: Iterable[str], currency: str, what: str = "--price") -> Prices:
    """Raises Failure for one that is none; `what` names where it stands."""
    found = {}
    for one in given:
        resource, _, text = one.partition("=")
        try:
            found[resource] = float(text)
        except ValueError as error:
            raise Failure(f"{what} {one}: write for example nvidia.com/gpu=2.50") from error
        if not resource or not 0 <= found[resource] < 1e6:
            raise Failure(f"{what} {one}: write for example nvidia.com/gpu=2.50")
    return Prices(currency, found)


def finished_runs(namespace: str | None, *, everywhere: bool, since: str) -> list[Run]:
    """Those that ended since then. Raises Failure when the cluster cannot be asked."""
    if namespace and everywhere:
        raise Failure("--namespace and --all-namespaces exclude each other")
    begin = datetime.now(UTC) - span(since)
    place = None if everywhere else namespace_of(namespace)

    async def read(kube: AioKube) -> list[Run]:
        try:
            return [run async for page in kube.pages(RUNS, place) for run in page if ended_since(run, begin)]
        except NotFound as error:
            raise Failure("the cluster does not know InferenceRuns: install Gantry's chart, or its crds/") from error

    return asked(read)


def span(text: str) -> timedelta:
    """`30d`, or as the API writes durations. Raises Failure."""
    try:
        return timedelta(days=int(text[:-1])) if text.endswith("d") and text[:-1].isdecimal() else parse_duration(text)
    except (ValueError, OverflowError) as error:
        raise Failure(f"--since {text}: write for example 30d, 12h or 30m") from error


def ended_since(run: Run, begin: datetime) -> bool:
    """Whether it has finished, and when."""
    ended = (run.get("status") or {}).get("completionTime")
    return ended is not None and parse_timestamp(ended) >= begin


def summed(runs: Iterable[Run], by: By, known: Prices) -> list[Row]:
    """The largest first. Every GPU-second is in exactly one row; by resource a Run with several of them counts in each of their rows. An unpriced
    resource makes its row's cost what the others cost."""
    rows: dict[str, Row] = {}
    for run in runs:
        usage = (run.get("status") or {}).get("usage") or {}
        shares = _shares(usage)
        for number, (resource, reserved, used) in enumerate(shares):
            price = known.per_hour.get(resource)
            cost = None if price is None else reserved / 3600 * price
            name = (resource or "none") if by == "resource" else _name(run, usage, by)
            before = rows.get(name, Row(name, 0, 0.0, 0.0, None))
            total = before.cost if cost is None else (before.cost or 0.0) + cost
            counted = 1 if number == 0 or by == "resource" else 0
            rows[name] = Row(name, before.runs + counted, before.reserved + reserved, before.used + used, total)
    return sorted(rows.values(), key=lambda row: (-row.reserved, -row.runs, row.name))


def _shares(usage: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Resource, GPU-seconds reserved and used; of a Run without GPU one of nothing."""
    several = usage.get("gpus") or [{**usage, "resource": usage.get("gpuResource", "")}]
    return [(str(one["resource"]), float(one.get("reservedGpuSeconds") or 0), float(one.get("gpuSeconds") or 0)) for one in several]


def _name(run: Run, usage: Mapping[str, Any], by: By) -> str:
    if by == "pipeline":
        return str((run["spec"].get("pipelineRef") or {}).get("name") or "by hand")
    if by == "namespace":
        return str(run["metadata"]["namespace"])
    return str(usage.get(by) or "not known")


def as_json(rows: list[Row], by: By, known: Prices) -> str:
    """docs/usage.md tells what it holds."""
    items = [{**asdict(row), "share": row.share} for row in rows]
    return json.dumps({"by": by, "currency": known.currency if known.per_hour else None, "rows": items}, indent=2, ensure_ascii=False)


def as_csv(rows: list[Row], by: By, known: Prices) -> str:
    """With a header; a name that a spreadsheet would take for a formula is quoted by an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([by, "runs", "gpu_seconds_reserved", "gpu_seconds_used", "cost", "currency"])
    for row in rows:
        cost = "" if row.cost is None else f"{row.cost:.2f}"
        name = f"'{row.name}" if row.name[:1] in "=+-@" else row.name
        writer.writerow([name, row.runs, f"{row.reserved:.1f}", f"{row.used:.1f}", cost, known.currency if cost else ""])
    return out.getvalue()
