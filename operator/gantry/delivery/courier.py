"""Carries results from Orthanc to their destinations: does what `plan.py` says, one step for each delivery, and says when to come again.

It keeps nothing: all state is in the Run's `status.deliveries`. A step that is done and not recorded is done again, which is harmless.
At most four requests a destination and step; a further one for each result only when Orthanc does not start the send.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gantry.api.run import DeliveryStatus, Result
from gantry.orthanc import NotFound, Orthanc, OrthancError, ServerFault

from .places import PlaceMissing, Target, Unusable
from .plan import (
    NO_DESTINATION,
    Action,
    Look,
    Nothing,
    Send,
    Wait,
    after_job,
    ended,
    failed_once,
    moment,
    next_action,
    not_begun,
    pause_after,
    poll_pause,
    sending,
)

GONE = "Orthanc does not have the results any more"
NOTHING_FOR_IT = "the destination takes none of these kinds; see its accept"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the deliveries of one Run are."""

    deliveries: tuple[DeliveryStatus, ...]
    again_after: float | None
    """Seconds until the next step; None when all are final."""


class Courier:
    """`jitter` gives 0 to 1: it spreads the sends of many Runs to a destination that comes back."""

    def __init__(self, *, clock: Callable[[], datetime], jitter: Callable[[], float]) -> None:
        self._clock = clock
        self._jitter = jitter

    async def advance(
        self,
        orthanc: Orthanc,
        *,
        targets: Mapping[str, Target | Unusable],
        results: Sequence[Result],
        deliveries: Sequence[DeliveryStatus],
        deadline: datetime,
    ) -> Progress:
        """One step of each delivery. Never raises for faults of Orthanc or a destination: they become the delivery's message."""
        moved: list[DeliveryStatus] = []
        pauses: list[float] = []
        for delivery in deliveries:
            target = targets.get(delivery.destination, Unusable(NO_DESTINATION))
            now = self._clock()
            action = next_action(delivery, known=isinstance(target, Target), now=now, deadline=deadline)
            after = await self._do(action, orthanc, target, results, delivery)
            now = self._clock()
            after = ended(after, now=now, deadline=deadline)
            moved.append(after)
            if after.state not in ("Sent", "Failed"):
                left = max(0.0, (deadline - now).total_seconds())
                pauses.append(min(left, self._pause(action, after, now)))
        return Progress(tuple(moved), min(pauses, default=None))

    def _pause(self, action: Action, after: DeliveryStatus, now: datetime) -> float:
        if isinstance(action, Wait):
            return action.seconds
        if after.state == "Sending":
            return poll_pause(after, now)
        return pause_after(after.attempts, jitter=self._jitter()).total_seconds()

    async def _do(
        self, action: Action, orthanc: Orthanc, target: Target | Unusable, results: Sequence[Result], delivery: DeliveryStatus
    ) -> DeliveryStatus:
        match action:
            case Look(job):
                return await self._look(job, orthanc, target, results, delivery)
            case Send() if isinstance(target, Target):
                return await self._send(orthanc, target, results, delivery)
            case Wait() if isinstance(target, Unusable):
                return delivery.model_copy(update={"message": target.words})
            case Wait() | Nothing() | Send():
                return delivery

    async def _look(
        self, job: str, orthanc: Orthanc, target: Target | Unusable, results: Sequence[Result], delivery: DeliveryStatus
    ) -> DeliveryStatus:
        try:
            seen = await orthanc.job(job)
        except OrthancError:
            return delivery  # Orthanc is away, which says nothing of its job; the bridge's condition tells it
        if seen is not None and not seen.unknown_place:
            return after_job(delivery, seen, self._clock())
        if isinstance(target, Unusable):
            return failed_once(delivery, target.words, self._clock())
        return await self._send(orthanc, target, results, delivery, mend=seen is not None)

    async def _send(
        self, orthanc: Orthanc, target: Target, results: Sequence[Result], delivery: DeliveryStatus, *, mend: bool = False
    ) -> DeliveryStatus:
        instances = [one.orthanc_id for one in target.chosen(results)]
        if not instances:
            words = NOTHING_FOR_IT if results else "the Run has no results to send"
            return delivery.model_copy(update={"state": "Sent", "message": words, "time": moment(self._clock())})
        try:
            if mend:
                await target.place.mend(orthanc)
            job = await target.place.begin(orthanc, instances)
        except PlaceMissing as missing:
            return not_begun(delivery, str(missing), self._clock())
        except OrthancError as error:
            words = GONE if await self._gone(orthanc, instances, error) else f"Orthanc did not start the send: {error}"
            return not_begun(delivery, words, self._clock())
        return sending(delivery, job, self._clock())

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
