"""How backfills are shown to people: a list, one in full, what was counted, and a progress bar."""

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

Object = dict[str, Any]
Tally = dict[str, int]
"""Runs by state."""
_STYLES = {"Complete": "green", "Counted": "green", "Failed": "red", "Blocked": "red", "Suspended": "yellow"}


def console() -> Console:
    """Standard output; wide where it is no terminal, so that nothing is cut."""
    out = Console(highlight=False)
    if not out.is_terminal:
        out.width = 160
    return out


class Follower:
    """Shows each look at a backfill: a bar at a terminal, else a line when its state changes."""

    def __init__(self, *, quiet: bool = False, leaving: str = "") -> None:
        """`leaving`: what to say when it is left by Ctrl-C."""
        self.leaving = leaving
        self._quiet, self._console = quiet, console()
        self._said = ""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("waiting for the operator", total=None)

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def show(self, found: Object) -> None:
        """One look."""
        if self._quiet:
            return
        status = found.get("status") or {}
        counts, line = status.get("counts") or {}, _line(status)
        if self._console.is_terminal:
            done, total = counts.get("examined", 0), counts.get("found")
            self._bar.update(self._task, description=line, completed=done, total=None if total is None else max(total, done))
        elif (said := str(status.get("state") or "") + _trouble(status)) != self._said:
            self._said = said
            self._console.print(Text(f"{found['metadata']['name']}: {line}"))


def _line(status: Object) -> str:
    counts, state = status.get("counts") or {}, status.get("state") or "waiting for the operator"
    if status.get("mode") == "DryRun":
        return f"{state}, {counts.get('matched', 0)} match{_trouble(status)}"
    made = f", {counts.get('created', 0)} Runs made, {counts.get('active', 0)} under way" if counts else ""
    return f"{state}{made}{_trouble(status)}"


def _trouble(status: Object) -> str:
    ready: Object = next((c for c in status.get("conditions") or () if c["type"] == "Ready" and c["status"] == "False"), {})
    return f" ({ready['reason']}: {ready['message']})" if ready else ""


def counted(found: Object) -> None:
    """What a dry run says."""
    spec, status = found["spec"], found.get("status") or {}
    out = console()
    if status.get("state") != "Counted":
        details(found, {})
        return
    counts = status.get("counts") or {}
    rows = (
        (counts.get("found", 0), f"studies from {spec['from']} to {spec['to']}"),
        (counts.get("created", 0), "would be analysed"),
        (counts.get("known", 0), "match and are analysed already"),
        (counts.get("examined", 0) - counts.get("matched", 0) - counts.get("failed", 0), "do not match"),
        (counts.get("failed", 0), "could not be read; see the operator's log"),
    )
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right")
    for number, words in rows:
        if number or words in ("would be analysed",) or words.startswith("studies"):
            grid.add_row(str(number), words)
    out.print(grid)
    out.print(Text(f"At most {spec['maxActive']} Runs at once, class {spec['priority']}."))


def details(found: Object, runs: Tally) -> None:
    """One in full."""
    spec, status, out = found["spec"], found.get("status") or {}, console()
    counts = status.get("counts") or {}
    state = status.get("state") or "Pending"
    of = f" of {counts['found']}" if "found" in counts else ""
    studies = f"{counts.get('examined', 0)}{of} looked at, {counts.get('matched', 0)} match, {counts.get('known', 0)} were analysed already"
    rows = [
        ("Backfill", Text(found["metadata"]["name"])),
        ("Pipeline", Text(spec["pipelineRef"]["name"])),
        ("Days", Text(f"{spec['from']} to {spec['to']}")),
        ("State", Text(f"{state}{' (dry run)' if status.get('mode') == 'DryRun' else ''}", style=_STYLES.get(state, ""))),
        ("Studies", Text(studies)),
        ("Runs", Text(_runs(counts, runs) if status.get("mode") == "Run" else "none: it only counts")),
        ("At once", Text(f"{spec.get('maxActive')}, class {spec.get('priority')}")),
    ]
    if counts.get("failed") or counts.get("refused"):
        left = f"{counts.get('failed', 0)} Orthanc fails on, {counts.get('refused', 0)} the API server refuses; see the operator's log"
        rows.append(("Left", Text(left)))
    if cursor := status.get("cursor"):
        rows.append(("Day", Text(str(cursor.get("day")))))
    for condition in status.get("conditions") or ():
        if condition.get("message"):
            rows.append((condition["type"], Text(condition["message"])))
    grid = Table.grid(padding=(0, 2))
    for title, value in rows:
        grid.add_row(title, value)
    out.print(grid)


def _runs(counts: Object, runs: Tally) -> str:
    states = ", ".join(f"{number} {state}" for state, number in sorted(runs.items()))
    return f"{counts.get('created', 0)} made{f' ({states})' if states else ''}"


def table(found: list[Object]) -> None:
    """A list."""
    out = console()
    if not found:
        out.print("No backfills. `gantry backfill PIPELINE --from DAY --to DAY` makes one.")
        return
    grid = Table("Backfill", "Pipeline", "Days", "State", "Examined", "Runs", "Under way", "Created", box=None)
    for one in found:
        spec, status = one["spec"], one.get("status") or {}
        counts, state = status.get("counts") or {}, status.get("state") or "Pending"
        grid.add_row(
            Text(one["metadata"]["name"]),
            Text(spec["pipelineRef"]["name"]),
            Text(f"{spec['from']} to {spec['to']}"),
            Text(state, style=_STYLES.get(state, "")),
            Text(f"{counts.get('examined', 0)}/{counts.get('found', '?')}"),
            Text(str(counts.get("created", 0)) if status.get("mode") == "Run" else ""),
            Text(str(counts.get("active", 0)) if status.get("mode") == "Run" else ""),
            Text(str(one["metadata"].get("creationTimestamp", ""))),
        )
    out.print(grid)
