"""The operator's own process: killed, ended, started twice, away for long, with a clock that jumps."""

import signal
import subprocess
import threading
from typing import ClassVar

from tests.chaos.fault import Fault
from tests.chaos.journal import Stage
from tests.chaos.proxy import Asked, Spoilt
from tests.chaos.stream import Study
from tests.component.operator_process import LEASE, Operator, wait
from tests.component.waiting import LIMIT

HAND_OVER = 60.0
"""Seconds a standby may take on a busy machine; the Lease holds for 9."""


class OperatorKilled(Fault):
    name = "operator killed (kill -9)"
    times = 3
    studies = 6
    lasts = (0.0, 2.0)

    def strike(self, study: Study) -> None:
        self.world.operator.kill()
        self.struck += 1

    def heal(self) -> None:
        self.world.operator.start(ready=False)


class OperatorEnded(OperatorKilled):
    name = "operator ended (SIGTERM)"
    times = 2

    def strike(self, study: Study) -> None:
        self.world.operator.kill(signal.SIGTERM)
        self.struck += 1


class OperatorAwayBeyondLookback(Fault):
    """Killed while the API server is being asked to make a Run, and away for longer than a scan looks back: only the kept cursor can tell."""

    name = "operator killed in the making of a Run, away beyond lookback"
    stages = (Stage.SENT,)
    times = 1
    studies = 3
    lasts = (70.0, 70.0)
    long = True

    def prepare(self) -> None:
        self._killed = threading.Event()
        self.world.hospital.apply(self.world.bridge(lookback="1m"))
        self.world.is_ready()
        self.world.api_proxy.rule = self._asked

    def _asked(self, asked: Asked) -> Spoilt | None:
        if asked.method == "POST" and asked.path.endswith("/inferenceruns") and not self.struck:
            self.struck += 1
            self.world.operator.kill()
            self._killed.set()
            return Spoilt(status=503)  # it is not passed on, and nobody hears the answer
        return None

    def strike(self, study: Study) -> None:
        """At the first Run of the episode, wherever that is: the time it is away counts from there."""
        self._killed.wait(LIMIT)

    def heal(self) -> None:
        self.world.api_proxy.rule = None
        self.world.operator.kill()
        self.world.operator.start(ready=False)

    def clean(self) -> None:
        self.world.hospital.apply(self.world.bridge())
        self.world.is_ready()


class TwoOperators(Fault):
    """The same settings twice, without any election between them. Both are killed and started, so that each takes over from the other."""

    name = "two operators by mistake"
    studies = 6
    times = 3
    lasts = (0.2, 1.0)

    def prepare(self) -> None:
        self.second = self.world.add_operator()
        self.second.start()

    def strike(self, study: Study) -> None:
        self.struck += 1
        self.victim = self.rng.choice((self.second, self.world.operator))
        self.victim.kill()

    def heal(self) -> None:
        self.victim.start(ready=False)

    def clean(self) -> None:
        self.second.kill()


class LeaderKilled(Fault):
    """Two replicas and one Lease. The leader is killed and stays away until the standby leads; it comes back as the standby, and so in turn."""

    name = "leader killed (kill -9), a second replica standing by"
    studies = 6
    times = 2
    lasts = (0.5, 2.0)
    """Beyond the hand-over."""

    def prepare(self) -> None:
        lease = f"{self.world.hospital.namespace}/{LEASE}"
        self.first, self.faults = self.world.operator, list[str]()
        self.alone, self.leader = dict(self.first.environment), self.first
        self.first.kill()
        self.first.environment |= {"GANTRY_LEASE": lease, "GANTRY_IDENTITY": "one"}
        self.first.start()
        wait(lambda: _leads(self.first), "the first leads", limit=HAND_OVER)
        self.second = self.world.add_operator(GANTRY_LEASE=lease, GANTRY_IDENTITY="two")
        self.second.start()

    def _hit(self, leader: Operator) -> None:
        leader.kill()

    def _leader(self) -> Operator | None:
        """The one that leads. One that has lost its Lease on a busy machine has ended, and is started again as a kubelet does."""
        for one in (self.first, self.second):
            if one.process is not None and one.process.poll() is not None:
                one.process = None
                one.start(ready=False)
        leading = [one for one in (self.first, self.second) if _leads(one)]
        return leading[0] if len(leading) == 1 else None

    def strike(self, study: Study) -> None:
        self.leader = wait(self._leader, "one leads", limit=HAND_OVER)
        other = self.second if self.leader is self.first else self.first
        self._hit(self.leader)
        self.struck += 1
        wait(lambda: _leads(other), "the standby leads", limit=HAND_OVER, tell=lambda: other.log[-3000:])

    def heal(self) -> None:
        if self.leader.process is None:
            self.leader.start(ready=False)

    def extra(self) -> list[str]:
        return self.faults

    def clean(self) -> None:
        for one in (self.second, self.first):
            one.kill()
        self.first.environment = self.alone
        self.first.start()


class LeaderEnded(LeaderKilled):
    """It gives the Lease back, so nobody waits for its end."""

    name = "leader ended (SIGTERM), a second replica standing by"

    def _hit(self, leader: Operator) -> None:
        leader.kill(signal.SIGTERM)


class LeaderStopped(LeaderKilled):
    """Suspended for longer than its Lease holds (SIGSTOP), in the midst of whatever it did; it wakes up beside the new leader, and has to end."""

    name = "leader stopped beyond its Lease, then going on"

    def _hit(self, leader: Operator) -> None:
        assert leader.process is not None
        leader.process.send_signal(signal.SIGSTOP)

    def heal(self) -> None:
        assert self.leader.process is not None
        self.leader.process.send_signal(signal.SIGCONT)
        try:
            code = self.leader.process.wait(HAND_OVER)
        except subprocess.TimeoutExpired:
            self.faults.append("a leader whose Lease another holds went on")
            self.leader.kill()
        else:
            self.leader.process = None
            if code != 1:
                self.faults.append(f"a leader whose Lease another holds ended with {code}")
        super().heal()


class ClockJumps(Fault):
    """The operator's wall clock, by an offset in its own clock: two hours forth and back, while it works. Each order goes back at least once."""

    name = "clock of the operator jumps"
    times = 3
    lasts = (1.0, 2.0)
    orders: ClassVar[tuple[tuple[int, ...], ...]] = ((7200, 0, -7200), (-7200, 7200, 0), (7200, -7200, 600))

    def prepare(self) -> None:
        self.offsets = list(self.rng.choice(self.orders))

    def strike(self, study: Study) -> None:
        self.world.clock.write_text(str(self.offsets.pop(0)))
        self.struck += 1

    def clean(self) -> None:
        self.world.clock.unlink(missing_ok=True)


def _leads(operator: Operator) -> bool:
    return operator.metrics().get("gantry_leader") == 1
