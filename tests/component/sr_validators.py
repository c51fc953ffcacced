"""The validators an SR has to pass, each as a function from a file to its complaints. Missing programs are failures, never skips.

dciodvfy looks at the modules, dsrdump at the tree, PixelMed at the templates, srread at what highdicom's users read; none alone notices
every fault (facts measured with planted faults), and faults of content are found by `tests.sr_structure`.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dcmqi as dcmqi_wheel
import highdicom
from pydicom import dcmread
from tests.sr_structure import faults

from gantry.report import validate_report

PIXELMED = Path("/usr/share/java/pixelmed.jar")
# JDK 17 limits XPath expressions; without these the validator dies with a stack trace in which no line begins with "Error".
PIXELMED_LIMITS = ("-Djdk.xml.xpathExprGrpLimit=0", "-Djdk.xml.xpathExprOpLimit=0", "-Djdk.xml.xpathTotalOpLimit=0")
# What it says wrongly, and why that is wrong.
PIXELMED_ALLOWED = {
    "Template 1004 DeviceObserverIdentifyingAttributes": "two algorithms are two device observers, and it counts the rows of TID 1004 over both; dsrdump and dciodvfy take them",
    '(OT,DCM,"Other Modality") not found in context group 29': "Secondary Captures are of modality OT, and context group 29 is extensible",
}
PACKAGES = {"dciodvfy": "dicom3tools", "dsrdump": "dcmtk", "dcmdump": "dcmtk", "java": "default-jdk-headless"}


def _run(program: str, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    found = shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))
    assert found, f"{program} is missing: apt-get install {PACKAGES.get(program, 'dcmqi (requirements/dev.lock)')}"
    return subprocess.run([found, *arguments], capture_output=True, text=True, errors="replace", timeout=seconds, check=False)


def dciodvfy(path: Path) -> list[str]:
    """Modules and attributes. Warnings are not asked for: the tool is older than Device UID in Contributing Equipment."""
    done = _run("dciodvfy", str(path))
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    return [] if set(errors) <= {line for line in errors if _counts_bytes(line)} | {_SUMMARY} else errors


_SUMMARY = "Error - Dicom dataset contains invalid data values for Value Representations"


def _counts_bytes(line: str) -> bool:
    """The tool counts bytes where PS3.5 6.2 counts characters: a meaning in Japanese, or of 60 letters with an umlaut, is too long for it."""
    return "Length invalid for this VR" in line and not line.isascii()


def dsrdump(path: Path) -> list[str]:
    """The content tree, by its relationships."""
    done = _run("dsrdump", str(path))
    return [] if done.returncode == 0 else [line for line in done.stderr.splitlines() if line.startswith("E:")] or ["dsrdump failed"]


def srread(path: Path) -> list[str]:
    """highdicom's reader."""
    try:
        highdicom.sr.srread(path)
    except (ValueError, AttributeError, TypeError, RuntimeError) as fault:
        return [f"{type(fault).__name__}: {fault}"]
    return []


def structure(path: Path) -> list[str]:
    """What no validator notices."""
    return faults(dcmread(path))


def own(path: Path) -> list[str]:
    """Gantry's own check, which `publish` runs."""
    return [str(problem) for problem in validate_report(dcmread(path))]


def pixelmed(*paths: Path) -> list[str]:
    """Templates. One run for all files, as it reads its rules for half a minute. It never fails, also for files that it does not know: the lines of
    a complete run must be there."""
    assert PIXELMED.exists(), f"{PIXELMED} is missing: apt-get install libpixelmed-java"
    done = _run("java", *PIXELMED_LIMITS, "-cp", str(PIXELMED), str(Path(__file__).with_name("PixelMed.java")), *map(str, paths), seconds=3600)
    answers = dict(part.split("\n", 1) for part in done.stdout.split("== ")[1:])
    found = []
    for path in paths:
        lines = answers.get(str(path), "").splitlines()
        wanted = ("Found Root Template TID_1500", "Root Template Validation Complete", "IOD validation complete")
        found += [f"{path.name}: not said: {words}" for words in wanted if not any(line.startswith(words) for line in lines)]
        found += [f"{path.name}: {line}" for line in lines if line.startswith("Error") and not any(words in line for words in PIXELMED_ALLOWED)]
    return found


def dcmqi(path: Path) -> dict[str, Any]:
    """What an independent reader finds. The program itself, not the wheel's script, which starts Python for it."""
    extracted = path.with_suffix(".dcmqi.json")
    done = _run(str(Path(dcmqi_wheel.__file__).parent / "bin" / "tid1500reader"), "--inputDICOM", str(path), "--outputMetadata", str(extracted))
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(extracted.read_text("utf-8"))
    return result


GATE: dict[str, Callable[[Path], list[str]]] = {"dciodvfy": dciodvfy, "dsrdump": dsrdump, "srread": srread, "structure": structure, "own": own}


def complaints(path: Path) -> list[str]:
    """Of all that take milliseconds."""
    return [f"{name}: {complaint}" for name, validator in GATE.items() for complaint in validator(path)]
