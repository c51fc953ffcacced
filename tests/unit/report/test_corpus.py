"""Every document of the corpus becomes the report that was looked at when its golden dump was made, on every machine the same bytes.

`GANTRY_GOLDEN=write pytest tests/unit/report/test_corpus.py` writes the dumps anew; the diff is what changed for radiologists.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.builders_corpus import Case, corpus
from tests.builders_dicom import read_back
from tests.sr_dump import dump

from gantry.report import require_valid

CORPUS = corpus()
GOLDEN = Path(__file__).parent / "golden"
DIGESTS = GOLDEN / "digests.txt"


def dumped(case: Case) -> list[str]:
    lines = [f"== {case.name}"]
    for report in case.built:
        lines += dump(read_back(report.dicom), case.source)
    return lines


def digests() -> list[str]:
    """Of all bytes, a line a document."""
    return [f"{hashlib.sha256(b''.join(each.dicom for each in case.built)).hexdigest()[:32]}  {case.name}" for cases in CORPUS.values() for case in cases]


def compared(path: Path, lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    if os.environ.get("GANTRY_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text("utf-8").splitlines() == text.splitlines()


def test_the_corpus_is_large() -> None:
    assert sum(len(cases) for cases in CORPUS.values()) >= 60


@pytest.mark.parametrize("kind", CORPUS)
def test_a_report_is_the_one_that_was_looked_at(kind: str) -> None:
    compared(GOLDEN / f"{kind.replace(' ', '-')}.txt", [line for case in CORPUS[kind] for line in dumped(case)])


@pytest.mark.parametrize("kind", CORPUS)
def test_a_report_passes_gantrys_own_check(kind: str) -> None:
    for case in CORPUS[kind]:
        require_valid(case.built, case.source, [] if case.segmentation is None else [case.segmentation])


def test_the_bytes_are_those_of_every_other_machine() -> None:
    compared(DIGESTS, digests())


def test_another_process_makes_the_same_bytes() -> None:
    """Sets and hashes have another order there."""
    code = "from tests.unit.report.test_corpus import digests; print(*digests(), sep='\\n')"
    environment = os.environ | {"PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-X", "utf8", "-c", code], capture_output=True, text=True, encoding="utf-8", check=True, cwd=root, env=environment)
    assert done.stdout.splitlines() == DIGESTS.read_text("utf-8").splitlines()
