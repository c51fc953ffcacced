"""A report as JSON, for programs."""

import json
from dataclasses import asdict

from gantry.report import Report


def as_json(report: Report, *, patient: bool) -> str:
    """All fields; those that are absent are null or empty. The patient only if asked for."""
    fields = asdict(report)
    if not patient:
        del fields["patient"]
    return json.dumps(fields, indent=2, ensure_ascii=False)
