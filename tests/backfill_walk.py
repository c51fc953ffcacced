"""A backfill's walk on an Orthanc in memory and a host that keeps what it is given; the test moves its clock and ends its Runs."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.builders import BACKFILL, changed
from tests.builders_bridge import FakeHost, a_candidate, requirement
from tests.fake_orthanc import FakeOrthanc

from gantry.api import labels
from gantry.api.backfill import BackfillSpec, BackfillStatus, Counts
from gantry.bridge import Backfill, Ground, Level, Problem

CT = requirement("Modality", "In", "CT")
SHORT = changed(changed(BACKFILL, "spec.from", "2025-03-01"), "spec.to", "2025-03-03")


class Killed(BaseException):
    """The process ends between two awaits, as by SIGKILL."""


class Walk:
    """One backfill and everything around it. `each_sleep` is called at each pause, with its number."""

    def __init__(self, fake: FakeOrthanc | None = None, **spec: Any) -> None:
        self.fake = fake or FakeOrthanc()
        self.host = FakeHost(a_candidate("chest-ct-nodules", series=[CT]))
        raw = SHORT
        for path, value in spec.items():
            raw = changed(raw, f"spec.{path}", value)
        self.spec = BackfillSpec.model_validate(raw["spec"])
        self.statuses: list[BackfillStatus] = []
        self.level = Level.STUDY
        self.problem: Problem | None = None
        self.finished: set[str] = set()
        self.reports: set[str] = set()
        self.most_active = 0
        self.each_sleep: Callable[[int], None] = lambda number: self.finish_one()
        self.status_fault: Exception | None = None
        self.pauses: list[float] = []

    # ---- the host ----

    def ground(self) -> Ground | Problem:
        candidate = self.host.candidates[0]
        return self.problem or Ground("main", self.level, self.client, candidate, self.host)

    def active(self) -> int:
        return len([name for name in self.ours() if name not in self.finished])

    def made(self, run: str) -> bool:
        return run in self.ours()

    async def owns(self, run: str) -> bool:
        return run in self.ours()

    def report_series(self, run: str) -> str:
        return f"series of {run}"

    async def write_status(self, status: BackfillStatus) -> None:
        if self.status_fault:
            raise self.status_fault
        self.statuses.append(status)

    # ---- the test ----

    def ours(self) -> list[str]:
        return [name for name, run in self.host.runs.items() if run["metadata"]["labels"].get(labels.BACKFILL) == "chest-2025"]

    def finish_one(self) -> None:
        if unfinished := [name for name in self.ours() if name not in self.finished]:
            self.finished.add(unfinished[0])

    def study(self, name: str, day: str = "20250301", **more: Any) -> str:
        return self.fake.arrived(name, study_tags={"StudyDate": day, **more.pop("tags", {})}, **more)

    def run(self, *, generation: int = 1) -> None:
        """Until it ends, or a step raises Killed."""
        self.client = self.fake.client()
        backfill = Backfill(
            namespace="radiology", name="chest-2025", generation=generation, spec=self.spec, status=self.statuses[-1] if self.statuses else None,
            host=self, clock=self.fake.clock, sleep=self._sleep, jitter=lambda: 1.0,
        )  # fmt: skip

        async def whole() -> None:
            try:
                await backfill.run()
            finally:
                await self.client.aclose()

        try:
            asyncio.run(whole())
        except Killed:
            return

    async def _sleep(self, seconds: float) -> None:
        assert len(self.pauses) < 5000, "the walk never ends"
        self.pauses.append(seconds)
        self.most_active = max(self.most_active, self.active())
        self.fake.clock.pass_by(seconds)
        self.each_sleep(len(self.pauses))
        await asyncio.sleep(0)

    @property
    def status(self) -> BackfillStatus:
        return self.statuses[-1]

    @property
    def counts(self) -> Counts:
        return self.status.counts or Counts()

    def condition(self, kind: str) -> str:
        found = next((c for c in self.status.conditions or () if c.type == kind), None)
        return f"{found.status}/{found.reason}" if found else ""

    def message(self, kind: str) -> str:
        return next(c.message for c in self.status.conditions or () if c.type == kind)
