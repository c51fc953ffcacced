"""Writes findings.json where Gantry looks for it. The one module of this package that touches a file."""

import os
from pathlib import Path

from .document import Findings

NAME = "findings.json"


def to_json(findings: Findings) -> str:
    """The document as text; what was not given is left out."""
    return findings.model_dump_json(by_alias=True, exclude_unset=True, indent=2) + "\n"


def write_findings(findings: Findings, folder: Path | str | None = None) -> Path:
    """Writes the document into the output folder (GANTRY_OUTPUT, else /gantry/output) and returns its path.

    Whole or not at all: a reader never sees half a document.
    """
    path = Path(folder or os.environ.get("GANTRY_OUTPUT", "/gantry/output")) / NAME
    unfinished = path.with_name(f".{NAME}.unfinished")
    unfinished.write_text(to_json(findings), encoding="utf-8")
    unfinished.replace(path)
    return path
