"""Writes the JSON Schema of findings.json: `python -m gantry.findings.schemagen docs/reference/findings.schema.json`."""

import json
import sys
from pathlib import Path

from .schema import findings_schema


def main() -> None:
    """Writes the schema into the file named by the first argument."""
    Path(sys.argv[1]).write_text(json.dumps(findings_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
