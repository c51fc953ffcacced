"""A report for a person at a terminal, in the order a radiologist reads: impression, findings, what is absent.

Everything from the file is shown as plain text, never as markup.
"""

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gantry.report.reader import Algorithm, Evaluation, Finding, Measurement, Region, Report, Site

_NARROWEST = 100
"""Columns when the output is no terminal."""


def show(report: Report, *, patient: bool, console: Console | None = None) -> None:
    """Prints the report."""
    out = console or Console(highlight=False)
    if not out.is_terminal:
        out.width = _NARROWEST
    out.print(Text(report.title, style="bold"), Text(_moment(report), style="dim"))
    out.print(_header(report, patient=patient))
    if report.impression:
        _heading(out, "Impression")
        out.print(Padding(Text(report.impression), (0, 0, 0, 2)))
    if report.evaluations:
        _heading(out, "About the study")
        out.print(Padding(_pairs([(Text(one.name.meaning), Text(one.answer)) for one in report.evaluations]), (0, 0, 0, 2)))
    _heading(out, f"Findings ({len(report.findings)})")
    if report.findings:
        out.print(_findings(report.findings))
    else:
        out.print(Padding(Text("none"), (0, 0, 0, 2)))
    if report.absent:
        _heading(out, "Looked for and absent")
        for concept in report.absent:
            out.print(Padding(Text(concept.meaning), (0, 0, 0, 2)))


def _heading(out: Console, words: str) -> None:
    out.print()
    out.print(Text(words, style="bold"))


def _pairs(rows: list[tuple[Text, Text]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for left, right in rows:
        table.add_row(left, right)
    return table


def _header(report: Report, *, patient: bool) -> Table:
    rows = []
    if patient:
        whose = report.patient
        rows.append(("Patient", ", ".join(filter(None, (whose.name, whose.id, _date(whose.birth_date), whose.sex)))))
        rows.append(("Accession", whose.accession))
    rows += [
        ("Study", ", ".join(filter(None, (report.study_description, *report.procedures)))),
        *(("Algorithm", _algorithm(one)) for one in report.algorithms),
        ("Written by", report.product),
        ("Status", ", ".join(report.status).lower()),
    ]
    return _pairs([(Text(name, style="dim"), Text(words)) for name, words in rows if words])


def _algorithm(algorithm: Algorithm) -> str:
    name = " ".join(filter(None, (algorithm.name, algorithm.version)))
    parameters = f": {', '.join(algorithm.parameters)}" if algorithm.parameters else ""
    return f"{name}{f' ({algorithm.manufacturer})' if algorithm.manufacturer else ''}{parameters}"


def _findings(findings: tuple[Finding, ...]) -> Table:
    table = Table("", "Finding", "Where", "Measurements", "Certainty", show_lines=True)
    for number, finding in enumerate(findings, 1):
        table.add_row(
            str(number),
            Text("\n".join(_what(finding))),
            Text("\n".join([*map(_site, finding.sites), *map(_region, finding.regions)])),
            Text("\n".join([*map(_measurement, finding.measurements), *map(_evaluation, finding.evaluations)])),
            Text(_number(finding.certainty) if finding.certainty else ""),
        )
    return table


def _what(finding: Finding) -> list[str]:
    words = finding.type.meaning if finding.type else "finding"
    presence = f" ({finding.presence.meaning.lower()})" if finding.presence else ""
    return [line for line in (words + presence, finding.id, finding.comment) if line]


def _site(site: Site) -> str:
    return ", ".join(filter(None, (site.location.meaning, site.laterality and site.laterality.lower(), site.modifier)))


def _region(region: Region) -> str:
    points = f", {len(region.points)} points" if len(region.points) > 1 else ""
    image = f"\n  image …{region.image[-12:]}" if region.image else ""
    return f"{region.kind}{points}{image}"


def _measurement(measurement: Measurement) -> str:
    return f"{measurement.name.meaning} {_number(measurement)}"


def _evaluation(evaluation: Evaluation) -> str:
    return f"{evaluation.name.meaning}: {evaluation.answer}"


def _number(measurement: Measurement) -> str:
    if measurement.value is None:
        return "not measured"
    unit = "" if measurement.unit == "1" else f" {measurement.unit}"
    return f"{measurement.value:.10g}{unit}"


def _moment(report: Report) -> str:
    time = f"{report.time[:2]}:{report.time[2:4]}" if len(report.time) >= 4 else ""
    return f"{_date(report.date)} {time}".strip()


def _date(words: str) -> str:
    return f"{words[:4]}-{words[4:6]}-{words[6:8]}" if len(words) == 8 and words.isdigit() else words
