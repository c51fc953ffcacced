"""A bridge's Follower on an Orthanc in memory and a fake host, moved turn by turn with a clock that stands."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.builders import BRIDGE, changed
from tests.builders_bridge import FakeHost
from tests.fake_orthanc import USERNAME, FakeOrthanc

from gantry.api import OrthancBridge
from gantry.api.bridge import BridgeStatus
from gantry.bridge import Decided, Follower

Spec = dict[str, Any]
PACS = "gantry_radiology_main_pacs"


class Bridge:
    """A Follower on a fake Orthanc and a fake host, moved turn by turn."""

    def __init__(self, fake: FakeOrthanc | None = None, host: FakeHost | None = None, **spec: Any) -> None:
        self.fake = fake or FakeOrthanc()
        self.host = host or FakeHost()
        self.spec = spec
        self.clock = self.fake.clock
        self.credentials = True
        self._turns = 0

    def follower(self, status: BridgeStatus | None) -> Follower:
        raw = BRIDGE
        for path, value in self.spec.items():
            raw = changed(raw, f"spec.{path.replace('__', '.')}", value)
        spec = OrthancBridge.model_validate({"spec": raw["spec"]}).spec
        return Follower(
            namespace="radiology", name="main", generation=1, spec=spec, status=status, orthanc=self.fake.client(),
            username=USERNAME if self.credentials else None, host=self.host, clock=self.clock, sleep=self._sleep, jitter=lambda: 1.0,
        )  # fmt: skip

    async def run(self, *steps: Callable[[], Any] | float) -> None:
        """A process: between its turns the steps are done. A number is so many seconds of turns."""
        plan: list[Callable[[], Any]] = []
        for step in steps:
            plan += [lambda: None] * round(step) if isinstance(step, (int, float)) else [step]
        self._plan = [*plan, lambda: None, lambda: None]
        self.last = follower = self.follower(self.host.statuses[-1] if self.host.statuses else None)
        with pytest.raises(asyncio.CancelledError):
            await follower.run()
        await follower._orthanc.aclose()

    async def _sleep(self, seconds: float) -> None:
        self.clock.slept.append(seconds)
        self.clock.pass_by(max(seconds, 0.001))
        if not self._plan:
            raise asyncio.CancelledError
        self._plan.pop(0)()

    @property
    def runs(self) -> list[dict[str, Any]]:
        return list(self.host.runs.values())

    def outcomes(self) -> list[str]:
        return [one.outcome.value for one in self.host.seen(Decided)]


def told_reasons(bridge: Bridge) -> set[str]:
    """Reasons of every condition that was ever written."""
    return {one.reason for status in bridge.host.statuses for one in status.conditions or ()}
