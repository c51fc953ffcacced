"""Definitions -> docs/reference/metrics.md: `python -m gantry.runtime.measuregen docs/reference/metrics.md`. Nothing is worded here but headings."""

import sys
from collections.abc import Iterable
from pathlib import Path

from .measures import ALL, GROUPS, LABELS, Measure

HEADER = """<!-- Generated from operator/gantry/runtime/measures.py by `make generate`. Do not edit. -->
# Metrics

`http://<pod>:8080/metrics`, in Prometheus' text format. No label holds an identifier of patient or study, nor the name of a Run.
Scrape each pod, not the Service's address: only the leader has figures of studies and Runs, and after a hand-over the counters begin anew.
What to look at, alerts, the dashboard and traces: [observability](../observability.md).
"""


def page() -> str:
    """The whole page."""
    groups = "".join(
        f"\n## {title}\n| metric | type | labels | meaning |\n|---|---|---|---|\n{''.join(_row(one) for one in measures)}"
        for title, measures in GROUPS.items()
    )
    labels = "".join(f"| `{name}` | {_cell(meaning)} |\n" for name, meaning in LABELS.items())
    bounds = {one.buckets: [other.name for other in ALL if other.buckets == one.buckets] for one in ALL if one.buckets}
    buckets = "".join(f"| {_listed(f'{bound:g}' for bound in one)} | {_listed(f'`{name}`' for name in names)} |\n" for one, names in bounds.items())
    return (
        f"{HEADER}{groups}\n## Labels\n| label | holds |\n|---|---|\n{labels}"
        f"\n## Buckets\nUpper bounds in seconds.\n\n| bounds | of |\n|---|---|\n{buckets}"
    )




def _row(one: Measure) -> str:
    text = one.text[0].lower() + one.text[1:] if not one.text.startswith("`") else one.text
    return f"| `{one.name}` | {one.kind} | {', '.join(one.labels)} | {_cell(text)} |\n"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;")


def main(path: str) -> None:
    """Writes it."""
    Path(path).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
