"""Prometheus' own promtool: a real evaluation of rules over time, and its lint. Tests that need it are skipped, with words, where it cannot be had."""

import functools
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@functools.cache
def promtool() -> str:
    """Its path."""
    found = subprocess.run([ROOT / "cluster" / "promtool"], capture_output=True, text=True, timeout=300, check=False)
    if found.returncode:
        pytest.skip(found.stderr.strip().splitlines()[-1])
    return found.stdout.strip()


def said(*arguments: str, stdin: str | None = None, folder: Path | None = None) -> tuple[int, str]:
    """Exit code and all its words."""
    done = subprocess.run([promtool(), *arguments], input=stdin, capture_output=True, text=True, timeout=60, cwd=folder, check=False)
    return done.returncode, done.stdout + done.stderr
