"""Carries results from Orthanc to their destinations: does what `plan.py` says, one step for each delivery, and says when to come again.

What has to last is in the Run's `status.deliveries`. A step that is done and not recorded is done again, which is harmless. Only who waits for
whom (`lanes.py`) is kept in memory, and made anew after a restart.
At most four requests a destination and step, six for a receipt by query; a further one for each result only when Orthanc does not start the send.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gantry.api.bridge import ReportClass
from gantry.api.run import DeliveryStatus, Receipt
from gantry.orthanc import JobState, NotFound, Orthanc, OrthancError, ServerFault

from .alternatives import Cargo, begun, learnt
from .faults import MISSING, ORTHANC, RESULTS_GONE, SEND_FAILED, STORE_FAILED, STOW_FAILED, UNREACHABLE, WHOLE, Fault
from .lanes import ASKS, Lane, Order
from .places import PlaceMissing, Target, ToPeer, ToServer, Unusable
from .plan import (
    LONGEST_PAUSE,
    NO_DESTINATION,
    Ask,
    Look,
    Nothing,
    Send,
    Terms,
    Wait,
    after_answer,
    after_job,
    at_once,
    ended,
    failed_once,
    given_up,
    next_action,
    not_begun,
    pause_after,
    poll_pause,
    sending,
    sent,
)
from .receipts import Silent, ask, receipt_of

GONE = "Orthanc does not have the results any more"
SILENT_SERVER = "it answers no query either: no connection, no trust in its certificate, or it is in trouble; Orthanc's log says which"
REFUSING_SERVER = "it answers queries and did not take the objects; Orthanc's log says with which status"
REFUSING_PEER = "it answered with an error; Orthanc's log says with which status"
UNSPECIFIC = {STOW_FAILED.reason, UNREACHABLE.reason, SEND_FAILED.reason}
NOTHING_FOR_IT = "the destination takes none of these kinds; see its accept"
ASK_PAUSE = 0.3
"""Seconds until somebody asks for a receipt who found others asking."""
PUT_BACK = timedelta(seconds=2)
"""A clock that is earlier than it was by more than this was put back; less is NTP at work."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the deliveries of one Run are."""

    deliveries: tuple[DeliveryStatus, ...]
    again_after: float | None
    """Seconds until the next step; None when all are final."""
    found: Mapping[str, ReportClass] = field(default_factory=dict)
    """By destination: which class of reports it takes, where that was found out now."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be delivered for whom. `who` is woken by `Courier.wake`."""

    who: Hashable
    order: Order
    bridge: Hashable
    """Its destinations' lanes are its own."""
    cargo: Cargo
    terms: Terms


@dataclass(slots=True)
class _Step:
    """One delivery of an errand, at one moment."""

    orthanc: Orthanc
    errand: Errand
    target: Target | Unusable
    lane: Lane
    before: DeliveryStatus
    pause: float | None = None
    """Seconds, when the step knows better than the state."""
    waits: bool = False
    """For its turn in the lane."""
    found: ReportClass | None = None
    """What the destination was found to take."""


class Courier:
    """`jitter` gives 0 to 1: it spreads the sends of many Runs to a destination that comes back. `wake` makes an errand's `who` come again."""

    def __init__(
        self, *, clock: Callable[[], datetime], jitter: Callable[[], float], wake: Callable[[Hashable, float], None] = lambda who, seconds: None
    ) -> None:
        self._clock, self._jitter, self._wake = clock, jitter, wake
        self._lanes: dict[tuple[Hashable, str], Lane] = {}
        self._latest: datetime | None = None

    async def advance(
        self, orthanc: Orthanc, errand: Errand, *, targets: Mapping[str, Target | Unusable], deliveries: Sequence[DeliveryStatus]
    ) -> Progress:
        """One step of each delivery. Never raises for faults of Orthanc or a destination: they become the delivery's message."""
        self._mind_the_clock()
        moved: list[DeliveryStatus] = []
        pauses: list[float] = []
        found: dict[str, ReportClass] = {}
        for delivery in deliveries:
            if delivery.final:
                moved.append(delivery)
                continue
            target = targets.get(delivery.destination, Unusable(NO_DESTINATION))
            step = _Step(orthanc, errand, target, self._lane(errand, target, delivery.destination), delivery)
            after = ended(await self._do(step), now=self._clock(), terms=errand.terms)
            now = self._clock()
            moved.append(after)
            if step.found:
                found[delivery.destination] = step.found
            self._make_way(step, after, now)
            if not after.final:
                left = max(0.0, (errand.terms.deadline - now).total_seconds())
                pauses.append(min(left, self._pause(step, after, now)))
        return Progress(tuple(moved), min(pauses, default=None), found)

    def _mind_the_clock(self) -> None:
        """A clock that was put back would leave a destination unprobed until it is again as late: the lanes begin anew, as after a restart."""
        now = self._clock()
        if self._latest is not None and now < self._latest - PUT_BACK:
            self._lanes.clear()
        self._latest = now

    def away(self) -> dict[str, int]:
        """Destinations that are away, and how many probes failed."""
        return {destination: lane.failures for (_, destination), lane in self._lanes.items() if lane.away}

    def _lane(self, errand: Errand, target: Target | Unusable, destination: str) -> Lane:
        size = target.size if isinstance(target, Target) else 1
        lane = self._lanes.get((errand.bridge, destination))
        if lane is None:
            lane = self._lanes[errand.bridge, destination] = Lane(self._wake, lambda n: pause_after(n, jitter=self._jitter()), size)
        lane.size = size
        lane.interval = target.interval if isinstance(target, Target) else lane.interval
        return lane

    def _pause(self, step: _Step, after: DeliveryStatus, now: datetime) -> float:
        if step.pause is not None:
            return step.pause
        if after.state == "Sending" or after.awaits:
            return poll_pause(after, now)
        if after.reason in WHOLE:
            return self._turn()
        if at_once(after):
            return 0.0
        return pause_after(after.attempts, jitter=self._jitter()).total_seconds()

    def _make_way(self, step: _Step, after: DeliveryStatus, now: datetime) -> None:
        """Whoever sends no more gives its place in the lane to the next."""
        who = step.errand.who
        if after.state == "Sending" or (step.waits and not after.final):
            return
        step.lane.leave(who, now)
        if not after.final and after.state == "Pending" and after.reason in WHOLE and isinstance(step.target, Target):
            step.lane.enter(who, step.errand.order, now)  # away: it waits for its turn

    def _turn(self) -> float:
        """Who waits for its turn is woken; this is for the case that nobody wakes it."""
        return LONGEST_PAUSE.total_seconds() * (0.5 + self._jitter() / 2)

    async def _do(self, step: _Step) -> DeliveryStatus:
        delivery, target, now = step.before, step.target, self._clock()
        match next_action(delivery, known=isinstance(target, Target), now=now, deadline=step.errand.terms.deadline):
            case Look(job):
                return await self._look(job, step)
            case Ask(receipt) if isinstance(target, Target):
                return await self._ask(step, target, receipt)
            case Send() if isinstance(target, Target):
                if step.lane.enter(step.errand.who, step.errand.order, now):
                    return await self._send(step, target)
                step.pause, step.waits = self._turn(), True
                words = f"waits while the destination is away ({step.lane.reason}); it is tried again by one send at a time"
                return delivery.model_copy(update={"message": words}) if step.lane.away and not delivery.message else delivery
            case Wait(seconds):
                step.pause = seconds
                if isinstance(target, Target):
                    return delivery
                if target.final:
                    return given_up(delivery, target.final, target.words, now)
                return delivery.model_copy(update={"message": target.words})
            case Nothing() | Send() | Ask():
                return delivery

    async def _look(self, job: str, step: _Step) -> DeliveryStatus:
        delivery, target, errand = step.before, step.target, step.errand
        step.lane.hold(errand.who, self._clock())
        try:
            seen = await step.orthanc.job(job)
        except OrthancError:
            return delivery  # Orthanc is away, which says nothing of its job; the bridge's condition tells it
        if seen is not None and not seen.unknown_place:
            awaits = receipt_of(target, errand.terms.commitment) if isinstance(target, Target) else None
            after = await self._explained(step, after_job(delivery, seen, self._clock(), awaits=awaits))
            if after.state != "Sending":
                self._learn(step, after if seen.state is JobState.FAILURE else None)
                if isinstance(target, Target):
                    after, step.found = learnt(delivery, after, errand.cargo, target)
            return after
        if isinstance(target, Unusable):
            return failed_once(delivery, MISSING, target.words, self._clock())
        return await self._send(step, target, mend=seen is not None)

    async def _explained(self, step: _Step, after: DeliveryStatus) -> DeliveryStatus:
        """Over HTTP Orthanc has the same words for a server that is away and for one object that it refuses: a query tells them apart."""
        place = step.target.place if isinstance(step.target, Target) else None
        if after.reason not in UNSPECIFIC or "libCURL" in (after.message or ""):
            return after
        if isinstance(place, ToPeer) and after.reason == UNREACHABLE.reason:  # it answered, with an HTTP status that is none of success
            return failed_once(step.before, STORE_FAILED, REFUSING_PEER, self._clock())
        if not isinstance(place, ToServer):
            return after
        try:
            answers = await step.orthanc.server_answers(place.name)
        except OrthancError:
            return after
        fault, words = (STOW_FAILED, REFUSING_SERVER) if answers else (UNREACHABLE, SILENT_SERVER)
        return failed_once(step.before, fault, words, self._clock())

    async def _ask(self, step: _Step, target: Target, receipt: Receipt) -> DeliveryStatus:
        delivery, lane, now = step.before, step.lane, self._clock()
        quiet = (lane.ask_at - now).total_seconds() if lane.ask_at else 0.0
        if quiet > 0 or lane.asking >= ASKS:
            step.pause = max(quiet, ASK_PAUSE) * (1 + self._jitter() / 2)
            return delivery
        lane.asking += 1
        try:
            answer = await ask(step.orthanc, target, receipt, step.errand.cargo.chosen(target, delivery), delivery.transaction_uid)
        finally:
            lane.asking -= 1
        now = self._clock()
        lane.ask_at = now + timedelta(seconds=poll_pause(delivery, now)) if isinstance(answer, Silent) else None
        return after_answer(delivery, answer, step.errand.terms, now, query=target.verify and receipt != "Query")

    async def _send(self, step: _Step, target: Target, *, mend: bool = False) -> DeliveryStatus:
        cargo, orthanc = step.errand.cargo, step.orthanc
        delivery = step.before = begun(step.before, cargo, target)
        instances = [one.orthanc_id for one in cargo.chosen(target, delivery)]
        if not instances:
            words = NOTHING_FOR_IT if cargo.results else "the Run has no results to send"
            return sent(delivery, self._clock(), awaits=None, message=words)
        try:
            if mend:
                await target.place.mend(orthanc)
            job = await target.place.begin(orthanc, instances)
        except PlaceMissing as missing:
            return self._not_begun(step, MISSING, str(missing))
        except OrthancError as error:
            if await self._gone(orthanc, instances, error):
                return self._not_begun(step, RESULTS_GONE, GONE)
            return self._not_begun(step, ORTHANC, f"Orthanc did not start the send: {error}")
        step.lane.hold(step.errand.who, self._clock())
        return sending(delivery, job, self._clock())

    def _not_begun(self, step: _Step, fault: Fault, words: str) -> DeliveryStatus:
        after = not_begun(step.before, fault, words, self._clock())
        self._learn(step, after)
        return after

    def _learn(self, step: _Step, failed: DeliveryStatus | None) -> None:
        """What a send that ended says of the whole destination."""
        if failed is None or failed.reason not in WHOLE:
            step.lane.works()
        else:
            step.lane.fails(failed.reason, self._clock())

    async def _gone(self, orthanc: Orthanc, instances: Sequence[str], error: OrthancError) -> bool:
        """Orthanc 1.10 answers 404 to a send of what it does not have, 1.13 an internal error 500: only asking for it tells."""
        if isinstance(error, NotFound):
            return True
        if not isinstance(error, ServerFault):
            return False
        try:
            for instance in instances:
                await orthanc.instance_metadata(instance)
        except NotFound:
            return True
        except OrthancError:
            return False  # in trouble: nothing is known, and the error that was met first says more
        return False
