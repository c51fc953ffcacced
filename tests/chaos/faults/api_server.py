"""The API server and etcd: killed, away, silent, refusing, slow."""

import random
import time

from tests.chaos.fault import Fault
from tests.chaos.proxy import Asked, Rule, Spoilt
from tests.chaos.stream import Study

WRITES = ("POST", "PATCH", "DELETE")


class ApiServerKilled(Fault):
    name = "API server killed (kill -9)"
    lasts = (0.5, 3.0)

    def strike(self, study: Study) -> None:
        self.world.plane.api.kill()
        self.struck += 1

    def heal(self) -> None:
        self.world.plane.start_api()


class EtcdKilled(Fault):
    name = "etcd killed (kill -9)"
    lasts = (0.5, 3.0)

    def strike(self, study: Study) -> None:
        self.world.plane.etcd.kill()
        self.struck += 1

    def heal(self) -> None:
        self.world.plane.etcd.start()


class ApiServerAway(Fault):
    """For the operator; containers, Job controller and garbage collector go on. Told is how long after its return the operator works again."""

    name = "API server away for 15 s"
    times = 1
    lasts = (15.0, 15.0)

    def prepare(self) -> None:
        self.back: float | None = None
        self.again: dict[str, float] = {}
        self.world.api_proxy.observers.append(self._asked)

    def _asked(self, asked: Asked) -> None:
        if self.back is not None:
            self.again.setdefault("watches" if asked.watches else "writes" if asked.method in WRITES else "reads", time.monotonic() - self.back)

    def strike(self, study: Study) -> None:
        self.world.api_proxy.leave()
        self.struck += 1

    def heal(self) -> None:
        self.back = time.monotonic()
        self.world.api_proxy.come_back()

    def clean(self) -> None:
        self.world.api_proxy.observers.remove(self._asked)
        print("    after its return the operator " + ", ".join(f"{what} in {seconds:.1f} s" for what, seconds in self.again.items()), flush=True)


class ApiServerAwayLong(ApiServerAway):
    name = "API server away for 2 min"
    lasts = (120.0, 120.0)
    long = True


class WatchSilent(Fault):
    """Every open watch stays connected and says nothing more; new ones work. The worst case of a cut: the peer's kernel still answers.

    It mends itself once the operator gives them up: bookmarks come once a minute, and 70 s without a word are too long.
    """

    name = "watches silently cut"
    times = 1
    lasts = (0.0, 0.0)

    def strike(self, study: Study) -> None:
        self.struck += self.world.api_proxy.silence()


class Spoiling(Fault):
    """A share of the operator's requests goes wrong for a while."""

    share = 0.5
    lasts = (2.0, 5.0)

    def spoils(self, asked: Asked) -> Spoilt | None:
        raise NotImplementedError

    def rule(self) -> Rule:
        dice = random.Random(self.rng.random())
        return lambda asked: self.spoils(asked) if dice.random() < self.share else None

    def strike(self, study: Study) -> None:
        self.before = self.world.api_proxy.spoilt
        self.world.api_proxy.rule = self.rule()

    def heal(self) -> None:
        self.world.api_proxy.rule = None
        self.struck += self.world.api_proxy.spoilt - self.before


class Conflicts(Spoiling):
    name = "API server answers 409 to writes"

    def spoils(self, asked: Asked) -> Spoilt | None:
        """As for a write that lost a race, and as a quota's own race answers a POST."""
        return Spoilt(status=409, reason="Conflict") if asked.method in WRITES else None


class TooMany(Spoiling):
    name = "API server answers 429"

    def spoils(self, asked: Asked) -> Spoilt | None:
        return Spoilt(status=429, reason="TooManyRequests", retry_after=1)


class ServerErrors(Spoiling):
    name = "API server answers 500"

    def spoils(self, asked: Asked) -> Spoilt | None:
        return Spoilt(status=500, reason="InternalError")


class AnswersLost(Spoiling):
    """The server has done what it was asked; the operator does not learn of it."""

    name = "answers of the API server lost"

    def spoils(self, asked: Asked) -> Spoilt | None:
        return Spoilt(answer_lost=True) if asked.method in WRITES else None


class Slow(Spoiling):
    name = "API server slow (up to 6 s)"
    share = 0.7
    lasts = (5.0, 10.0)

    def spoils(self, asked: Asked) -> Spoilt | None:
        return None if asked.watches else Spoilt(seconds=self.rng.uniform(0.5, 6.0))
