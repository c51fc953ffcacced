#!/usr/bin/env python3
"""Finds dense spheres in the lungs of a CT and writes what it found as a findings document.

Gantry's Native contract: reads $GANTRY_INPUT (<n>/<m>.dcm) and $GANTRY_SETTINGS, writes $GANTRY_OUTPUT/findings.json.
Exit codes: 0 done, also when nothing was found; 65 the images cannot be used; 66 there are no images; 78 the settings are wrong.
Any other code is a fault of this program.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from nodules.document import findings_document
from nodules.lungs import find_lungs
from nodules.settings import Settings, WrongSettings
from nodules.spheres import find_spheres
from nodules.volume import NoImages, Unusable, read_volume

EX_DATAERR, EX_NOINPUT, EX_CONFIG = 65, 66, 78  # sysexits.h: codes 64 to 78 tell Gantry that another attempt would not help


def main() -> int:
    began = time.monotonic()
    folder = Path(os.environ.get("GANTRY_INPUT", "/gantry/input"))
    output = Path(os.environ.get("GANTRY_OUTPUT", "/gantry/output"))
    try:
        settings = Settings.read(Path(os.environ.get("GANTRY_SETTINGS", "/gantry/settings.json")))
        volume = read_volume(folder)
        lungs = find_lungs(volume)
        spheres = find_spheres(volume, lungs, settings)
    except WrongSettings as error:
        return _refuse(error, EX_CONFIG)
    except NoImages as error:
        return _refuse(error, EX_NOINPUT)
    except Unusable as error:
        return _refuse(error, EX_DATAERR)
    document = findings_document(volume, lungs, spheres, settings)
    (output / "findings.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{len(spheres)} nodules in {len(volume.uids)} slices, {time.monotonic() - began:.1f} s")
    return 0


def _refuse(error: Exception, code: int) -> int:
    print(f"nodules: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
