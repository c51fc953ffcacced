"""The operator's own process: killed, ended, started twice, away for long, with a clock that jumps."""

import signal
from typing import ClassVar

from tests.chaos.fault import Fault
from tests.chaos.journal import Stage
from tests.chaos.proxy import Asked, Spoilt
from tests.chaos.stream import Study


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
        self.world.hospital.apply(self.world.bridge(lookback="1m"))
        self.world.is_ready()
        self.world.api_proxy.rule = self._asked

    def _asked(self, asked: Asked) -> Spoilt | None:
        if asked.method == "POST" and asked.path.endswith("/inferenceruns") and not self.struck:
            self.struck += 1
            self.world.operator.kill()
            return Spoilt(status=503)  # it is not passed on, and nobody hears the answer
        return None

    def strike(self, study: Study) -> None:
        """At the first Run of the episode, wherever that is."""

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
