"""A report as one HTML file that shows itself: pictures inline, nothing loaded from anywhere, no script.

Everything that comes from the file is escaped; a Content Security Policy stands behind that. Whose report it is stands there only if asked for.
"""

import base64
from collections.abc import Iterable
from html import escape
from io import BytesIO

from PIL import Image

from gantry.report.reader import Finding, Measurement, Report, Site

from .sr_pictures import Drawn

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root {
  color-scheme: light dark; --ink: #1a2230; --dim: #5c6a7d; --line: #dfe4ea; --ground: #f4f6f8; --card: #fff; --sign: #b07800;
  --notice: #fff4d6; --noticed: #6b4a00;
}
@media screen and (prefers-color-scheme: dark) { :root {
  --ink: #dde3ea; --dim: #98a4b3; --line: #333b46; --ground: #0f1317; --card: #181d23; --sign: #d9a520; --notice: #40330f; --noticed: #ffdf8a;
} }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 24px; margin: 0 0 2px; } h2 { font-size: 17px; margin: 30px 0 10px; } h3 { font-size: 17px; margin: 0 0 4px; }
.dim { color: var(--dim); } .card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 18px 20px;
  margin: 0 0 16px; }
.notice { display: inline-block; margin: 10px 0 0; padding: 3px 10px; border-radius: 4px; background: var(--notice);
  color: var(--noticed); font-size: 13px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 18px; margin: 12px 0 0; } dt { color: var(--dim); }
dd { margin: 0; overflow-wrap: anywhere; }
.impression { font-size: 17px; white-space: pre-wrap; overflow-wrap: anywhere; border-left: 4px solid var(--sign); }
.finding { display: grid; grid-template-columns: minmax(0, 440px) minmax(0, 1fr); gap: 22px; break-inside: avoid; } .finding.bare { display: block; }
figure { margin: 0; } figure img { display: block; width: 100%; border-radius: 4px; background: #000; }
figcaption { color: var(--dim); font-size: 13px; margin-top: 6px; }
.detail { width: 48%; max-width: 220px; margin-top: 12px; }
.number { display: inline-block; min-width: 26px; margin-right: 8px; padding: 0 7px; border-radius: 13px; background: #ffcc00; color: #1a2230;
  text-align: center; }
table { border-collapse: collapse; width: 100%; margin: 12px 0 0; }
th, td { text-align: left; padding: 5px 8px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--dim); font-weight: 500; }
.finding td { text-align: right; padding-right: 0; } td.value { white-space: nowrap; font-variant-numeric: tabular-nums; }
.comment { white-space: pre-wrap; overflow-wrap: anywhere; margin: 12px 0 0; } .code { color: var(--dim); font-size: 12px; }
ul { margin: 6px 0 0; padding-left: 20px; } footer { margin-top: 30px; font-size: 13px; }
@media (max-width: 760px) { .finding { display: block; } figure { margin-bottom: 14px; } }
@media print { body { background: #fff; } .card { border-color: #bbb; } }
"""


def page(report: Report, drawn: Iterable[Drawn], *, patient: bool) -> str:
    """The file's text."""
    findings = "".join(map(_finding, drawn)) or '<p class="card dim">No findings.</p>'
    parts = [
        _header(report, patient=patient),
        f'<h2>Impression</h2><div class="card impression">{escape(report.impression)}</div>' if report.impression else "",
        f"<h2>Findings ({len(report.findings)})</h2>{findings}",
        _absent(report),
        _statements(report),
        '<footer class="dim">Made by <code>gantry sr show</code>. What counts is the DICOM report in the archive.</footer>',
    ]
    language = escape(report.language or "en")
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}"><meta name="viewport" content="width=device-width">'
    title = f"<title>{escape(report.title)}</title><style>{_STYLE}</style>"
    return f'<!DOCTYPE html>\n<html lang="{language}"><head>{head}{title}</head><body><main>\n{"".join(parts)}\n</main></body></html>\n'


def _header(report: Report, *, patient: bool) -> str:
    rows = []
    if patient:
        whose = report.patient
        rows.append(("Patient", ", ".join(filter(None, (whose.name, whose.id, _date(whose.birth_date), whose.sex)))))
        rows.append(("Accession", whose.accession))
    rows.append(("Study", ", ".join(filter(None, (report.study_description, *report.procedures)))))
    for one in report.algorithms:
        maker = f" ({one.manufacturer})" if one.manufacturer else ""
        rows.append(("Algorithm", f"{one.name} {one.version or ''}".strip() + maker))
    rows.append(("Written by", report.product))
    time = f" {report.time[:2]}:{report.time[2:4]}" if len(report.time) >= 4 else ""
    notice = '<span class="notice">Result of an algorithm, not verified by a person</span>' if "UNVERIFIED" in report.status else ""
    return (
        f'<header class="card"><h1>{escape(report.title)}</h1><div class="dim">{escape(_date(report.date) + time)}</div>{notice}'
        f"<dl>{''.join(f'<dt>{name}</dt><dd>{escape(words)}</dd>' for name, words in rows if words)}</dl></header>"
    )


def _finding(one: Drawn) -> str:
    finding = one.finding
    name = finding.type.meaning if finding.type else "Finding"
    presence = f' <span class="dim">({escape(finding.presence.meaning.lower())})</span>' if finding.presence else ""
    sites = "; ".join(map(_site, finding.sites))
    words = [
        f'<h3><span class="number">{one.number}</span>{escape(name)}{presence}</h3>',
        f"<div>{escape(sites)}</div>" if sites else "",
        f'<div class="code">{escape(_code(finding))}</div>',
        _table(finding),
        f'<p class="comment">{escape(finding.comment)}</p>' if finding.comment else "",
        f'<p class="dim">{escape(one.caption)}</p>' if one.caption and one.picture is None else "",
        f'<img class="detail" alt="Detail of finding {one.number}" src="{_inline(one.detail)}">' if one.detail else "",
    ]
    if one.picture is None:
        return f'<section class="card finding bare">{"".join(words)}</section>'
    alternative = escape(f"Finding {one.number}: {name}", quote=True)
    figure = f'<figure><img alt="{alternative}" src="{_inline(one.picture)}"><figcaption>{escape(one.caption)}</figcaption></figure>'
    return f'<section class="card finding">{figure}<div>{"".join(words)}</div></section>'


def _code(finding: Finding) -> str:
    code = f"{finding.type.scheme} {finding.type.value}" if finding.type else ""
    return " · ".join(filter(None, (code, finding.id)))


def _table(finding: Finding) -> str:
    numbers = [*finding.measurements, *((finding.certainty,) if finding.certainty else ())]
    rows = [(one.name.meaning, f'<td class="value">{escape(_number(one))}</td>') for one in numbers]
    rows += [(one.name.meaning, f"<td>{escape(one.answer)}</td>") for one in finding.evaluations]
    cells = "".join(f"<tr><th>{escape(name)}</th>{cell}</tr>" for name, cell in rows)
    return f"<table>{cells}</table>" if cells else ""


def _number(one: Measurement) -> str:
    if one.value is None:
        return "not measured"
    return f"{one.value:.10g}" + ("" if one.unit == "1" else f" {one.unit}")


def _site(site: Site) -> str:
    return ", ".join(filter(None, (site.location.meaning, site.laterality and site.laterality.lower(), site.modifier)))


def _absent(report: Report) -> str:
    items = "".join(f"<li>{escape(concept.meaning)}</li>" for concept in report.absent)
    return f'<h2>Looked for and absent</h2><div class="card"><ul>{items}</ul></div>' if items else ""


def _statements(report: Report) -> str:
    rows = "".join(f"<tr><th>{escape(one.name.meaning)}</th><td>{escape(one.answer)}</td></tr>" for one in report.evaluations)
    return f'<h2>About the study</h2><div class="card"><table style="margin:0">{rows}</table></div>' if rows else ""


def _inline(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=90, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _date(words: str) -> str:
    return f"{words[:4]}-{words[4:6]}-{words[6:8]}" if len(words) == 8 and words.isdigit() else words
