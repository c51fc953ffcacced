"""Receivers of events: each Run whose pipeline has some is told to them until each has accepted it, or its deadline is over.

That it has findings is told as soon as its report is in Orthanc; the rest when it has ended, of which its condition `Notified` (Pending) is the mark,
written by the write that ended it. Who has accepted what is in the Run's `status.notifications`, under a field manager of its own, while others are
still to be told. A kill between an event and that write sends it again, under the same id. A receiver that fails is left alone for a while, by all
Runs, and has few requests at once, so that it costs the others nothing. It has workers of its own. What an event says is `gantry.notify`'s.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from gantry import runs
from gantry.api import labels, parse_duration
from gantry.api.notification import Notification
from gantry.api.run import NotificationStatus, RunStatus
from gantry.kube import RUNS, Kube, KubeError, NotFound
from gantry.notify import Event, NotAccepted, Receiver, Sender, Told, early_events_of, events_of, shown
from gantry.notify.signature import SHORTEST_KEY
from gantry.runs import RunView, Telling

from .metrics import Metrics
from .records import Key
from .store import Store

log = structlog.get_logger(__name__)

MANAGER = f"{labels.FIELD_MANAGER}-notify"
WORKERS = 8
"""Runs told at once; with `AT_ONCE` a receiver, three must hang before a fourth has to wait, and then for seconds."""
AT_ONCE = 2
"""Requests at one receiver."""
LOOK_AGAIN = 30.0
"""Seconds after which a Run that waits for a receiver looks whether its turn has come, or its time is over."""
FIRST_REST, LONGEST_REST = 2.0, 120.0
"""Seconds a receiver that failed is left alone, doubled at each further failure: then one Run tries it for all."""
SECRET_AGE = 60.0
"""Seconds after which a secret is read again."""
ALL = "all"
WHY = ("", "why")
Done = set[tuple[str, str]]
"""What receivers have accepted, by `identity` and event, ALL for everything; WHY: why one has not, is written."""


class Unusable(Exception):
    """What is wrong with the pipeline's own settings."""


@dataclass(slots=True)
class State:
    """What is known of one receiver; forgotten with the process, for it only spares requests."""

    under_way: int = 0
    failures: int = 0
    rests_until: float = 0.0
    why: str = ""
    waiting: dict[Key, None] = field(default_factory=dict)
    """Runs that have events for it, in their order."""

    def may_begin(self, now: float) -> bool:
        """One at a time while it is not known to be well."""
        return now >= self.rests_until and self.under_way < (1 if self.failures else AT_ONCE)


class Notifications:
    """`reported`, `ended` and `look_at_all` name Runs to `add`; `reconcile` tells one."""

    def __init__(
        self,
        *,
        kube: Kube,
        store: Store,
        sender: Sender,
        metrics: Metrics,
        installation: str,
        add: Callable[[Key], None],
        wake_after: Callable[[Key, float], None],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._kube, self._store, self._sender, self._metrics, self._installation = kube, store, sender, metrics, installation
        self._add, self._wake_after, self._clock, self._monotonic = add, wake_after, clock, monotonic
        self._states: dict[str, State] = {}
        self._secrets: dict[tuple[str, str], tuple[float, dict[str, str]]] = {}
        self._accepted: dict[Key, tuple[str, Done]] = {}
        """By Run, with its uid."""

    def ended(self, key: Key) -> None:
        """A Run is seen to have finished."""
        run = self._store.runs.get(key)
        if run is not None and run.finished and run.notifies:
            self._add(key)

    def reported(self, key: Key) -> None:
        """A Run's findings are in Orthanc, and it goes on."""
        run = self._store.runs.get(key)
        if run is not None and run.early and self._receivers(run):
            self._add(key)

    def look_at_all(self) -> None:
        """All Runs are known: those that reported or ended while the process was away are among them."""
        for key, run in self._store.finished():
            if run.notifies:
                self._add(key)
        for key in list(self._store.unfinished):
            self.reported(key)

    async def reconcile(self, key: Key) -> None:
        """One Run, as far as its receivers can be asked now; for the others it comes again."""
        run = self._store.runs.get(key)
        if run is None or not (run.early or (run.finished and run.notifies)):
            self._accepted.pop(key, None)
            return
        receivers, done = self._receivers(run), self._done(key, run)
        lacking = [one for one in receivers if not _has_all(one, done, run)]
        if lacking and not any(self._may_be_asked(run, one) for one in lacking):
            self._wait(key, lacking)  # without a request to the API server: thousands of Runs may wait for one receiver
            return
        if not lacking and run.early:
            return
        try:
            whole = await self._kube.get(RUNS, key.namespace, key.name)
        except NotFound:
            self._accepted.pop(key, None)
            return
        status = RunStatus.model_validate(whole["status"])
        done |= {(one.receiver, event) for one in status.notifications or () for event in one.accepted}
        told = Told(self._installation, key.namespace, key.name, run.uid, run.pipeline or "", run.priority, status)
        events = early_events_of(told) if run.early else events_of(told)
        tellings = await asyncio.gather(*(self._tell(run, one, events, done) for one in receivers))
        left = [one for one, telling in zip(receivers, tellings, strict=True) if telling.open]
        if run.early or left:
            whole = await self._remember(key, run, receivers, done, status) or whole
        if run.finished:
            await self._say(key, run, whole, tellings, done, final=not left)
        if left:
            self._wait(key, left)
        elif run.finished:
            self._accepted.pop(key, None)

    async def _remember(self, key: Key, run: RunView, receivers: Sequence[Notification], done: Done, status: RunStatus) -> dict[str, Any] | None:
        """Who has accepted what: what a restart must not repeat. Gives the Run as it was written, if it was."""
        marks = {identity(one): [event for event in one.events if (identity(one), event) in done] for one in receivers}
        made = [NotificationStatus(receiver=mark, accepted=accepted) for mark, accepted in marks.items() if accepted]
        if made == (status.notifications or []):
            return None
        body = RunStatus(notifications=made).model_dump(mode="json", by_alias=True, exclude_none=True)
        written = await self._kube.apply_status(RUNS, key.namespace, key.name, body, uid=run.uid, manager=MANAGER)
        self._store.observe(RUNS.plural, written, quiet=True)
        return written

    async def _say(
        self, key: Key, run: RunView, whole: Mapping[str, Any], tellings: Sequence[Telling], done: Done, *, final: bool
    ) -> None:
        """The condition: at the end, and once before why somebody was not told."""
        status = RunStatus.model_validate(whole["status"])
        said = runs.told(status, tellings, self._clock())
        tell_why = any(one.why for one in tellings) and WHY not in done
        if said == status or not (tell_why or final):
            return
        body = said.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"notifications"})
        version = str(whole["metadata"]["resourceVersion"])
        written = await self._kube.apply_status(RUNS, key.namespace, key.name, body, uid=run.uid, version=version)
        self._store.observe(RUNS.plural, written, quiet=True)
        done.add(WHY)

    async def _tell(self, run: RunView, receiver: Notification, events: tuple[Event, ...], done: Done) -> Telling:
        """All events that this one wants and lacks, in their order. Never raises for a fault of the receiver."""
        name, state = shown(receiver.url), self._state(receiver)
        for event in events:
            if event.kind not in receiver.events or (identity(receiver), event.kind) in done:
                continue
            if self._is_over(run, receiver):
                self._metrics.notifications.labels(run.pipeline or "", event.kind, "given-up").inc()
                return Telling(name, state.why or f"{name} was not asked in time")
            if not state.may_begin(self._monotonic()):
                return Telling(name, open=True)
            try:
                await self._send(run, receiver, event, state)
            except (NotAccepted, Unusable, KubeError) as error:
                self._metrics.notifications.labels(run.pipeline or "", event.kind, "failed").inc()
                log.info("a receiver did not accept an event; tried again", run=run.name, event_kind=event.kind, error=str(error))
                return Telling(name, str(error), open=True)
            done.add((identity(receiver), event.kind))
            self._metrics.notifications.labels(run.pipeline or "", event.kind, "accepted").inc()
        if run.finished:
            done.add((identity(receiver), ALL))
        return Telling(name)

    async def _send(self, run: RunView, receiver: Notification, event: Event, state: State) -> None:
        state.under_way += 1
        try:
            await self._sender.send(await self._receiver(run.namespace, receiver), event)
        except (NotAccepted, Unusable, KubeError) as error:
            state.failures += 1
            state.rests_until = self._monotonic() + min(FIRST_REST * 2 ** min(state.failures - 1, 20), LONGEST_REST)
            state.why = str(error)
            raise
        else:
            state.failures, state.rests_until, state.why = 0, 0.0, ""
        finally:
            state.under_way -= 1
            if not state.failures:
                self._next(state)

    async def _receiver(self, namespace: str, one: Notification) -> Receiver:
        secret = await self._secret(namespace, one.secret_ref.name)
        key = secret.get("key", "").encode()
        if len(key) < SHORTEST_KEY:
            raise Unusable(f"secret {one.secret_ref.name} lacks `key` of {SHORTEST_KEY} bytes or more; without it nothing is sent")
        if one.tls is None:
            return Receiver(one.url, key)
        reference = one.tls.ca_secret_ref
        ca = (await self._secret(namespace, reference.name)).get(reference.key)
        if not ca:
            raise Unusable(f"secret {reference.name} lacks {reference.key}, the certificates in tls.caSecretRef")
        return Receiver(one.url, key, ca)

    async def _secret(self, namespace: str, name: str) -> dict[str, str]:
        now = self._monotonic()
        known = self._secrets.get((namespace, name))
        if known and now - known[0] < SECRET_AGE:
            return known[1]
        try:
            data = dict(await self._kube.read_secret(namespace, name))
        except NotFound:
            self._secrets.pop((namespace, name), None)
            raise Unusable(f"secret {name} does not exist in namespace {namespace}; create it") from None
        self._secrets[namespace, name] = now, data
        return data

    def _receivers(self, run: RunView) -> list[Notification]:
        """Of an unfinished Run those that want to hear of findings."""
        pipeline = self._store.pipelines.get(Key("pipeline", run.namespace, run.pipeline or ""))
        found = pipeline.spec.notifications if pipeline else []
        return [one for one in found if run.finished or "FindingPresent" in one.events]

    def _state(self, receiver: Notification) -> State:
        return self._states.setdefault(receiver.url, State())

    def _done(self, key: Key, run: RunView) -> Done:
        uid, done = self._accepted.get(key, ("", set()))
        if uid != run.uid:
            done = set()
            self._accepted[key] = run.uid, done
        return done

    def _may_be_asked(self, run: RunView, receiver: Notification) -> bool:
        return self._is_over(run, receiver) or self._state(receiver).may_begin(self._monotonic())

    def _wait(self, key: Key, receivers: list[Notification]) -> None:
        """Until one of them has rested, or has taken what it is busy with (`_next`); LOOK_AGAIN is a net, and brings deadlines."""
        now = self._monotonic()
        for one in receivers:
            state = self._state(one)
            rest = state.rests_until - now
            if rest > 0 and not state.waiting:
                self._wake_after(key, rest)  # the first that waits tries it for all
            state.waiting[key] = None
        self._wake_after(key, LOOK_AGAIN)

    def _next(self, state: State) -> None:
        """A receiver that is well has a place free."""
        for key in list(state.waiting)[:AT_ONCE]:
            del state.waiting[key]
            self._add(key)

    def _is_over(self, run: RunView, receiver: Notification) -> bool:
        return run.completed is not None and self._clock() >= run.completed + parse_duration(receiver.deadline)


def identity(receiver: Notification) -> str:
    """By which it is known in a Run's status."""
    return hashlib.sha256(receiver.url.encode()).hexdigest()[:16]


def _has_all(receiver: Notification, done: Done, run: RunView) -> bool:
    return (identity(receiver), ALL if run.finished else "FindingPresent") in done


def expected(error: Exception) -> bool:
    """Whether it is nothing of ours: no traceback is needed."""
    return isinstance(error, KubeError)
