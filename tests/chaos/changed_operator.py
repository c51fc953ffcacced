"""`python -m tests.chaos.changed_operator`: the operator with a clock that can jump and, when asked for, a planted defect.

GANTRY_CHAOS_CLOCK names a file that holds seconds added to the wall clock (absent: none); monotonic time goes on, as in a real jump.
GANTRY_CHAOS_MUTANT names the defect. The harness must find each: `make chaos MUTANTS=yes`.
"""

import contextlib
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import gantry.runtime.parts as parts
from gantry.bridge import cursor, follower, recovery
from gantry.runs.observed import Observed
from gantry.runtime.__main__ import main


def adopts_any_job() -> None:
    """The owner of a Job that is found under the Run's name is not looked at."""
    Observed.own_job = property(lambda self: self.job)  # type: ignore[method-assign,assignment]


def advances_early() -> None:
    """The cursor passes rows, and says so in the status, before their studies are recorded."""
    honest = follower.Follower._handle

    async def early(self: Any, rows: Any, events: Any, seen: Any) -> None:
        for row in rows:
            self._cursor = self._cursor.read(row.seq)
        self._runs_made = True
        await self._write_status()
        await honest(self, rows, events, seen)

    follower.Follower._handle = early  # type: ignore[method-assign]
    cursor.Cursor.durable = property(lambda self: self.position)  # type: ignore[method-assign,assignment]


def never_scans() -> None:
    """No scan, no watch for lost events: only the change log counts."""

    async def nothing(self: Any) -> bool:
        return False

    recovery.Recovery.piece = nothing  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {"adopts-any-job": adopts_any_job, "advances-early": advances_early, "never-scans": never_scans}


def jumping(honest: Callable[[], datetime], offset: Path) -> Callable[[], datetime]:
    """The wall clock with what the file adds."""

    def jumped() -> datetime:
        added = 0.0
        with contextlib.suppress(OSError, ValueError):
            added = float(offset.read_text())
        return honest() + timedelta(seconds=added)

    return jumped


if __name__ == "__main__":
    if mutant := os.environ.get("GANTRY_CHAOS_MUTANT"):
        MUTANTS[mutant]()
    if offset := os.environ.get("GANTRY_CHAOS_CLOCK"):
        parts.now = jumping(parts.now, Path(offset))
    main()
