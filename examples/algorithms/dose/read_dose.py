#!/usr/bin/env python3
"""Reads a CT study's dose from image headers and radiation dose SR and writes it as a findings document. It sees no pixel.

Gantry's Native contract with `input.content: Metadata`: reads $GANTRY_INPUT (study.json, <n>/<m>.json) and $GANTRY_SETTINGS, writes
$GANTRY_OUTPUT/findings.json. Exit codes: 0 done; 65 nothing in the study tells a dose; 66 there is no input; 78 the settings are wrong.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from dose.document import findings_document
from dose.settings import Settings, WrongSettings
from dose.study import NoInput, Unusable, read_study
from dose.summary import summarised

EX_DATAERR, EX_NOINPUT, EX_CONFIG = 65, 66, 78  # sysexits.h: codes 64 to 78 tell Gantry that another attempt would not help


def main() -> int:
    folder = Path(os.environ.get("GANTRY_INPUT", "/gantry/input"))
    output = Path(os.environ.get("GANTRY_OUTPUT", "/gantry/output"))
    try:
        settings = Settings.read(Path(os.environ.get("GANTRY_SETTINGS", "/gantry/settings.json")))
        study = read_study(folder)
        events, total, notes = summarised(study, tolerance=settings.tolerance)
    except WrongSettings as error:
        return _refuse(error, EX_CONFIG)
    except NoInput as error:
        return _refuse(error, EX_NOINPUT)
    except Unusable as error:
        return _refuse(error, EX_DATAERR)
    document = findings_document(events, total, notes, age=study.age, settings=settings)
    (output / "findings.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{len(events)} irradiation events in {len(study.images)} images and {len(study.reports)} reports")
    return 0


def _refuse(error: Exception, code: int) -> int:
    print(f"dose: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
