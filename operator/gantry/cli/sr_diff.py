"""`gantry sr diff`: two reports side by side. What is the same and what differs `gantry.report.compare` says; here is how it is told."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gantry.report import Report
from gantry.report.compare import Comparison, FindingComparison, Numbers, Words, compare, merged
from gantry.report.reader import Finding

from .dicom_files import files_below, is_dicom, read_dicom
from .failure import Failure
from .sr_reader import is_measurement_report, reading

_NARROWEST = 120
"""Columns when the output is no terminal."""


def compared(before: Path, after: Path) -> Comparison:
    """Each a file, or a folder with all SRs of a Run. Raises Failure (exit code 2)."""
    try:
        return compare(_report(before), _report(after))
    except Failure as failure:
        raise Failure(str(failure), code=2) from failure


def _report(path: Path) -> Report:
    if not path.is_dir():
        return reading(path, read_dicom(path))
    studies, found = set(), []
    for file in files_below(path):
        dataset = read_dicom(file) if is_dicom(file) else None
        if dataset is None or not is_measurement_report(dataset):
            continue
        studies.add(str(dataset.get("StudyInstanceUID")))
        found.append(reading(file, dataset))
    if not found:
        raise Failure(f"{path} holds no measurement report; name a file, or another folder")
    if len(studies) > 1:
        raise Failure(f"{path} holds reports of {len(studies)} studies; name a folder with those of one Run")
    return merged(found)


def as_json(comparison: Comparison) -> str:
    """For programs: every pair with all its numbers, equal ones too."""
    document = {
        "equal": comparison.equal,
        "findings": [_pair(one) for one in comparison.findings],
        "disappeared": [_finding(one) for one in comparison.disappeared],
        "appeared": [_finding(one) for one in comparison.appeared],
        "statements": [asdict(one) for one in comparison.statements],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _pair(one: FindingComparison) -> dict[str, Any]:
    pair = one.pair
    return {
        "differs": one.differs,
        "before": _finding(pair.before),
        "after": _finding(pair.after),
        "matchedBy": pair.matched_by,
        "distance": pair.distance,
        "distanceUnit": pair.unit,
        "measurements": [{**asdict(each), "difference": each.difference} for each in one.measurements],
        "changes": [asdict(each) for each in one.changes],
    }


def _finding(one: Finding) -> dict[str, Any]:
    return {"id": one.id, "trackingUID": one.tracking_uid, "type": asdict(one.type) if one.type else None}


def tell(comparison: Comparison, console: Console | None = None) -> None:
    """A table a finding that differs; then what only one report has, and what is said of the study."""
    out = console or Console(highlight=False)
    if not out.is_terminal:
        out.width = _NARROWEST
    same = sum(not one.differs for one in comparison.findings)
    if comparison.equal:
        out.print(f"Both reports say the same: {_count(same)}.")
        return
    for one in comparison.findings:
        if one.differs:
            _show(out, one)
    for title, style, findings in (("only before", "red", comparison.disappeared), ("only after", "green", comparison.appeared)):
        for finding in findings:
            out.print(Text.assemble((f"{title}: ", style), *_name(finding)))
    if comparison.statements:
        out.print(Text("About the study", style="bold"))
        out.print(_rows((), comparison.statements))
    if same:
        out.print(Text(f"{_count(same)} the same in both", style="dim"))


def _show(out: Console, one: FindingComparison) -> None:
    pair = one.pair
    distance = f", {pair.distance:.1f} {pair.unit} apart" if pair.distance else ""
    out.print(Text.assemble(*_name(pair.before), (f"  the same by {pair.matched_by}{distance}", "dim")))
    out.print(_rows(one.measurements, one.changes))


def _name(finding: Finding) -> Sequence[str | tuple[str, str]]:
    words = finding.type.meaning if finding.type else "finding"
    return [(words, "bold"), f" {finding.id}" if finding.id else ""]


def _rows(measurements: Sequence[Numbers], changes: Sequence[Words]) -> Table:
    table = Table("", "Before", "After", "Difference", box=None, header_style="dim", padding=(0, 2))
    for each in measurements:
        unit = "" if each.unit == "1" else f" {each.unit}"
        difference = "" if not each.difference else f"{each.difference:+.6g}{unit}{_percent(each)}"
        table.add_row(Text(each.name.meaning), _number(each.before, unit), _number(each.after, unit), Text(difference, style="yellow"))
    for change in changes:
        table.add_row(Text(change.name), Text(change.before or "–"), Text(change.after or "–"), Text("changed", style="yellow"))
    return table


def _number(value: float | None, unit: str) -> Text:
    return Text("–" if value is None else f"{value:.10g}{unit}")


def _percent(each: Numbers) -> str:
    return f" ({each.difference / abs(each.before) * 100:+.1f} %)" if each.difference and each.before else ""


def _count(number: int) -> str:
    return "1 finding" if number == 1 else f"{number} findings"
