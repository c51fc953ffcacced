#!/usr/bin/env python3
"""Finds text burned into the pixels of images and writes where it is, never what it says, as a findings document.

Gantry's Native contract: reads $GANTRY_INPUT (study.json, <n>/<m>.dcm) and $GANTRY_SETTINGS, writes $GANTRY_OUTPUT/findings.json.
Exit codes: 0 done, also when nothing was found; 65 no image can be read; 66 there are no images; 78 the settings are wrong.
Any other code is a fault of this program.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from burned_in_text.document import findings_document
from burned_in_text.images import NoImages, Unusable, read_study
from burned_in_text.look import look_at
from burned_in_text.settings import Settings, WrongSettings

EX_DATAERR, EX_NOINPUT, EX_CONFIG = 65, 66, 78  # sysexits.h: codes 64 to 78 tell Gantry that another attempt would not help


def main() -> int:
    began = time.monotonic()
    folder = Path(os.environ.get("GANTRY_INPUT", "/gantry/input"))
    output = Path(os.environ.get("GANTRY_OUTPUT", "/gantry/output"))
    try:
        settings = Settings.read(Path(os.environ.get("GANTRY_SETTINGS", "/gantry/settings.json")))
        images = read_study(folder)
        from burned_in_text.reader import Reader  # two seconds of imports, which wrong settings or input need not wait for

        reader = Reader(settings)
        seen = look_at(images, reader.read, settings)
    except WrongSettings as error:
        return _refuse(error, EX_CONFIG)
    except NoImages as error:
        return _refuse(error, EX_NOINPUT)
    except Unusable as error:
        return _refuse(error, EX_DATAERR)
    document = findings_document(seen, settings, provider=reader.provider)
    (output / "findings.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"lines: {len(seen.places)}, frames: {seen.frames}, images: {seen.images}, {reader.provider}, {time.monotonic() - began:.1f} s")
    return 0


def _refuse(error: Exception, code: int) -> int:
    print(f"burned-in-text: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
