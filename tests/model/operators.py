"""One operator of the model: the real store, the real passes, and a watch of each kind that may be late, repeat itself or lose events.

Its queue is a set of keys and a coroutine a key: what `runtime.queue` promises (one worker a key, at most one place in the line) is shown by its own
tests. All it awaits are requests to `api_server`, so that a pass can stop, fail or die at each of them.
"""

from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from typing import Any, ClassVar

from tests.builders_runs import at
from tests.model.api_server import ApiServer, Object, Pause, Requests
from tests.model.orthanc import ASKED, Orthanc
from tests.model.reading import ends, over

from gantry.api.run import DeliveryStatus
from gantry.delivery import Errand, Progress
from gantry.kube import KubeError, Unavailable
from gantry.orthanc import Unreachable
from gantry.runs import Installation, Limits
from gantry.runtime.metrics import Metrics
from gantry.runtime.records import Key
from gantry.runtime.runs import RunReconciler
from gantry.runtime.store import Store

KINDS = ("orthancbridges", "inferencepipelines", "inferenceruns", "jobs", "pods")
"""In the order of a full list."""


class Courier:
    """Its answer is the world's to choose."""

    def __init__(self, answers: Callable[[], str]) -> None:
        self._answers = answers

    async def advance(self, orthanc: object, errand: Errand, *, targets: object, deliveries: tuple[DeliveryStatus, ...]) -> Progress:
        await Pause("deliver", sent=False)
        state = self._answers()
        if state == "Sending":
            return Progress(tuple(DeliveryStatus(destination=one.destination, state="Sending", attempts=1) for one in deliveries), 5.0)
        words = {"message": "refused"} if state == "Failed" else {}
        return Progress(tuple(DeliveryStatus(destination=one.destination, state=state, attempts=1, **words) for one in deliveries), None)  # type: ignore[arg-type]


class Connected:
    """In place of the bridges' clients."""

    def __init__(self, orthanc: Orthanc) -> None:
        self._orthanc = orthanc

    def orthanc(self, bridge: Key) -> Orthanc:
        return self._orthanc

    def logins(self, bridge: Key) -> dict[str, Any]:
        return {}


class Operator:
    """One process, from its first look to its death."""

    METRICS: ClassVar = Metrics(version="model")
    LIMITS: ClassVar = Limits()

    def __init__(
        self,
        server: ApiServer,
        orthanc: Orthanc,
        *,
        seconds: Callable[[], float],
        wrote: Callable[[str, str, Object], None],
        courier: Callable[[], str],
    ) -> None:
        self._server, self._orthanc, self._seconds = server, orthanc, seconds
        self.dirty: dict[Key, None] = {}
        self.passes: dict[Key, tuple[Coroutine[Any, None, None], Pause]] = {}
        self.timers: dict[Key, float] = {}
        self.store = Store(changed=self._changed, counted=lambda _: None, clock=self._clock)
        self.runs = RunReconciler(
            kube=Requests(server, seconds=seconds, wrote=wrote),
            store=self.store,
            bridges=Connected(orthanc),  # type: ignore[arg-type]
            courier=Courier(courier),  # type: ignore[arg-type]
            installation=Installation("model", "worker:1"),
            limits=self.LIMITS,
            metrics=self.METRICS,
            wake_after=self._wake_after,
            clock=self._clock,
        )
        self.cursors: dict[str, int] = {}
        """Where watches go on from: where the lists were made."""
        self.looked = False
        """Watches are open."""
        self._look = self._looking()
        self.read_on()

    def _clock(self) -> datetime:
        return at(self._seconds())

    def _changed(self, key: Key) -> None:
        if key.kind == "run":
            self.dirty[key] = None
        elif key.kind == "bridge":
            self.dirty |= dict.fromkeys(self.store.runs_of_bridge(key))

    def _wake_after(self, key: Key, seconds: float) -> None:
        due = self._seconds() + seconds
        self.timers[key] = min(due, self.timers.get(key, due))

    # ---- watches ----

    def behind(self, kind: str) -> bool:
        return self.looked and any(one[0] == kind for one in self._server.log[self.cursors[kind] :])

    def hear(self, kind: str) -> None:
        """The next event of a watch."""
        place = next(n for n in range(self.cursors[kind], len(self._server.log)) if self._server.log[n][0] == kind)
        self.cursors[kind] = place + 1
        self._observe(self._server.log[place])

    def hear_again(self, kind: str, back: int) -> None:
        """An event it has had before: a watch that began anew with an older version."""
        had = [one for one in self._server.log[: self.cursors[kind]] if one[0] == kind and not one[1]]
        if had:
            self._observe(had[-1 - back % len(had)])

    def lose(self, kind: str) -> None:
        """The watch broke and began anew: what is there comes again, deletions do not."""
        self.cursors[kind] = len(self._server.log)
        for obj in self._server.all(kind):
            if (obj.get("status") or {}).get("state") not in ("Succeeded", "Failed", "Cancelled", "Superseded"):
                self._observe((kind, False, obj))

    # ---- lists ----

    def read_on(self) -> None:
        """The next list of those at the start; passes may come between two."""
        next(self._look, None)

    def _looking(self) -> Iterator[None]:
        """As `runtime.census.first_look` and then `take_census`. What people write comes before there is any Run."""
        self.list_anew("orthancbridges")
        self.list_anew("inferencepipelines")
        self._read_runs(lambda run: not run.get("status"))
        yield
        self.list_anew("jobs", lambda job: "Complete" not in ends(job))
        yield
        self.list_anew("pods", lambda pod: pod["status"]["phase"] != "Succeeded")
        yield
        self._read_runs(lambda run: not over(run))
        self.store.turns.open()
        self.looked = True
        for kind in KINDS:
            yield
            self.list_anew(kind)
        self.store.complete = True

    def _read_runs(self, chosen: Callable[[Object], bool]) -> None:
        self._begin_watch("inferenceruns")
        for run in filter(chosen, self._server.all("inferenceruns")):
            self.store.observe("inferenceruns", run)

    def _begin_watch(self, kind: str) -> None:
        if not self.looked:
            self.cursors[kind] = len(self._server.log)

    def read_all_at_the_start(self) -> None:
        while not self.store.complete:
            self.read_on()

    def list_all(self) -> None:
        for kind in KINDS:
            self.list_anew(kind)

    def resync(self) -> None:
        """Everything is listed every ten minutes."""
        self.read_all_at_the_start()
        self.list_all()

    def list_anew(self, kind: str, chosen: Callable[[Object], bool] = lambda obj: True) -> None:
        self._begin_watch(kind)
        self.store.begin_census(kind, None)
        for obj in filter(chosen, self._server.all(kind)):
            self.store.listed(kind, obj)
        self.store.end_census(kind)

    def _observe(self, event: tuple[str, bool, Object]) -> None:
        self.store.observe(event[0], event[2], deleted=event[1])

    # ---- passes ----

    def ready(self) -> list[Key]:
        return [key for key in self.dirty if key not in self.passes]

    def begin(self, key: Key) -> None:
        del self.dirty[key]
        made: Coroutine[Any, None, None] = self.runs.reconcile(key)
        self._advance(key, made, lambda: made.send(None))

    def go_on(self, key: Key) -> None:
        """To its next request, or to the answer of this one."""
        made, _ = self.passes.pop(key)
        self._advance(key, made, lambda: made.send(None))

    def fail(self, key: Key) -> None:
        """The request, or its answer, is lost."""
        made, pause = self.passes.pop(key)
        of_orthanc = pause.what == ASKED
        self._orthanc.silent |= of_orthanc
        self._advance(key, made, lambda: made.throw((Unreachable if of_orthanc else Unavailable)(f"no answer to {pause.what}")))

    def _advance(self, key: Key, made: Coroutine[Any, None, None], step: Callable[[], Any]) -> None:
        try:
            self.passes[key] = (made, step())
        except StopIteration:
            pass
        except KubeError:
            self._wake_after(key, 1.0)

    def ring(self) -> None:
        """Timers whose time has come."""
        for key in [key for key, due in self.timers.items() if due <= self._seconds()]:
            del self.timers[key]
            self.dirty[key] = None

    def sweep(self) -> None:
        self.dirty |= {key: None for key, _ in self.store.finished() if self.runs.due(key)}

    def die(self) -> None:
        """At whatever it waits for."""
        for made, _ in self.passes.values():
            made.close()
        self.passes.clear()
