"""One Follower and one Orthanc client a bridge, alive as long as the bridge is there; made anew when its spec or its secret changes.

What following means is `gantry.bridge`'s; here it is started, watched and ended. Secrets are read by name, again each minute, and at once when
Orthanc refuses the credentials.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from structlog.contextvars import bound_contextvars

from gantry.api.bridge import BridgeSpec, BridgeStatus
from gantry.bridge import Follower, Login, held_status
from gantry.kube import Kube
from gantry.orthanc import CallObserver, Credentials, Orthanc, Trust

from . import secrets
from .host import BridgeHost
from .metrics import Metrics
from .pipelines import Pipelines
from .records import BridgeRecord, Key
from .secrets import SecretMissing, Secrets
from .store import Store

log = structlog.get_logger(__name__)

CRASH_PAUSE = 5.0
"""Seconds until a Follower that ended by a fault of its own is started again."""


@dataclass(frozen=True, slots=True)
class Access:
    """What the secrets of a bridge give."""

    credentials: Credentials | None
    trust: Trust | None
    logins: Mapping[str, Login]
    """Of its DICOMweb destinations."""

    @property
    def looked_at_again(self) -> float | None:
        """Seconds until the secrets are; None when there are none."""
        if self.credentials is None and self.trust is None and not self.logins:
            return None
        return secrets.PAUSE if any(isinstance(one, str) for one in self.logins.values()) else secrets.AGE


@dataclass(slots=True)
class Following:
    """A bridge that is followed."""

    uid: str
    generation: int
    access: "Access"
    orthanc: Orthanc
    host: BridgeHost
    follower: Follower
    task: "asyncio.Task[None]"

    def fits(self, record: BridgeRecord, access: "Access") -> bool:
        """Whether it may go on as it is."""
        return not self.task.done() and (self.uid, self.generation, self.access) == (record.uid, record.generation, access)


class Bridges:
    """All bridges. `orthanc` is for whoever sends from there."""

    def __init__(
        self,
        *,
        kube: Kube,
        store: Store,
        pipelines: Pipelines,
        metrics: Metrics,
        wake_after: Callable[[Key, float], None],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        connect: Callable[[BridgeSpec, Credentials | None, Trust | None, CallObserver], Orthanc],
    ) -> None:
        self._kube, self._store, self._pipelines, self._metrics = kube, store, pipelines, metrics
        self._wake_after, self._clock, self._monotonic, self._sleep, self._connect = wake_after, clock, monotonic, sleep, connect
        self._following: dict[Key, Following] = {}
        self._secrets = Secrets(kube=kube, monotonic=monotonic)
        self.leaving: Callable[[Key], Awaitable[None]] = _nobody_else
        """Told before a bridge's client closes: whoever asks it must end first."""

    def orthanc(self, key: Key) -> Orthanc | None:
        """The client of a bridge that is there and whose secret is there."""
        following = self._following.get(key)
        return following.orthanc if following else None

    def host(self, key: Key) -> BridgeHost | None:
        """What the bridge's Follower stands on, for whoever takes studies in beside it."""
        following = self._following.get(key)
        return following.host if following else None

    def logins(self, key: Key) -> Mapping[str, Login]:
        """Of the bridge's DICOMweb destinations, as they were read last."""
        following = self._following.get(key)
        return following.access.logins if following else {}

    def reachable(self) -> Mapping[str, float]:
        """1 for each bridge whose Orthanc answers, 0 for one that does not; those that are suspended are left out. Of one name in several
        namespaces the worst counts."""
        found: dict[str, float] = {}
        for key, record in self._store.bridges.items():
            if not record.view.spec.suspend:
                following = self._following.get(key)
                found[key.name] = min(found.get(key.name, 1.0), float(following is not None and following.host.reachable))
        return found

    def lags(self) -> Mapping[str, float]:
        """Changes not read yet, by bridge, as the last poll said."""
        return {key.name: one.host.lag for key, one in self._following.items() if one.host.polled is not None}

    def poll_ages(self) -> Mapping[str, float]:
        """Seconds since the change log was read to its end, by bridge."""
        now = self._monotonic()
        return {key.name: now - one.host.polled for key, one in self._following.items() if one.host.polled is not None}

    async def reconcile(self, key: Key) -> None:
        """Starts, restarts or ends the Follower; nothing when it fits."""
        record = self._store.bridges.get(key)
        if record is None:
            self._secrets.forget(key)
            await self._end(key)
            return
        try:
            access = await self._access(key, record.view.spec)
        except SecretMissing as missing:
            before = await self._end(key)
            await self._say_secret_is_missing(key, record, missing, before)
            self._wake_after(key, secrets.PAUSE)
            return
        if (pause := access.looked_at_again) is not None:
            self._wake_after(key, pause)
        following = self._following.get(key)
        if following is None or not following.fits(record, access):
            self._begin(key, record, access, before=await self._end(key))
            if following is not None and following.access != access:
                for run in self._store.runs_of_bridge(key):  # deliveries may wait for just that
                    self._wake_after(run, 0.0)

    async def stop(self) -> None:
        """No Follower takes anything in any more; how far each has come is written. Their clients stay open, for deliveries under way."""
        tasks = [one.task for one in self._following.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.gather(*(one.follower.flush() for one in self._following.values()))

    async def close(self) -> None:
        """Ends all Followers. What they have not written yet they find again."""
        for key in list(self._following):
            await self._end(key)

    async def _access(self, key: Key, spec: BridgeSpec) -> Access:
        """Raises SecretMissing when Orthanc itself cannot be asked without."""
        reference = spec.credentials_secret_ref
        credentials = await self._secrets.credentials(key, reference.name) if reference else None
        trust = await self._secrets.trust(key, spec.tls) if spec.tls else None
        return Access(credentials, trust, await self._logins(key, spec))

    async def _logins(self, key: Key, spec: BridgeSpec) -> dict[str, Login]:
        """A secret that is missing holds up its destination only."""
        found: dict[str, Login] = {}
        for one in spec.destinations:
            if one.dicom_web is not None and one.dicom_web.credentials_secret_ref is not None:
                try:
                    found[one.name] = await self._secrets.credentials(key, one.dicom_web.credentials_secret_ref.name)
                except SecretMissing as missing:
                    found[one.name] = str(missing)
        return found

    def doubt(self, key: Key) -> None:
        """Credentials or certificates are refused, Orthanc's or a destination's: the secrets are read again, but not at every poll."""
        if self._secrets.doubt(key):
            self._wake_after(key, 0.0)

    def _begin(self, key: Key, record: BridgeRecord, access: Access, *, before: BridgeStatus | None) -> None:
        orthanc = self._connect(record.view.spec, access.credentials, access.trust, self._metrics.of_orthanc(key.name))
        host = BridgeHost(
            key,
            record.uid,
            kube=self._kube,
            store=self._store,
            pipelines=self._pipelines,
            metrics=self._metrics,
            unauthorized=lambda: self.doubt(key),
            monotonic=self._monotonic,
        )
        known = before or record.status
        host.status = known.model_copy(update={"destinations": None}) if known else None  # those are not the Follower's
        follower = Follower(
            namespace=key.namespace,
            name=key.name,
            generation=record.generation,
            spec=record.view.spec,
            status=host.status,
            orthanc=orthanc,
            username=access.credentials.username if access.credentials else None,
            host=host,
            clock=self._clock,
            sleep=self._sleep,
            logins=access.logins,
        )
        with bound_contextvars(namespace=key.namespace, bridge=key.name):  # a task keeps them: they stand in each line it writes
            task = asyncio.create_task(follower.run(), name=f"follow-{key.namespace}-{key.name}")
        self._following[key] = Following(record.uid, record.generation, access, orthanc, host, follower, task)
        task.add_done_callback(lambda done: self._ended(key, done))
        log.info("following Orthanc", namespace=key.namespace, bridge=key.name, generation=record.generation)

    async def _end(self, key: Key) -> BridgeStatus | None:
        """Gives the last status written, for whoever follows the same bridge next."""
        following = self._following.pop(key, None)
        if following is None:
            return None
        await self.leaving(key)
        following.task.cancel()
        await asyncio.wait([following.task])
        await following.orthanc.aclose()
        record = self._store.bridges.get(key)
        return following.host.status if record is not None and record.uid == following.uid else None

    def _ended(self, key: Key, task: "asyncio.Task[None]") -> None:
        """A Follower ends by cancellation only; anything else is a fault of ours."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._metrics.faults.labels(key.name, "follower", type(error).__name__).inc()
        log.error("following ended by a fault of its own; starting again", bridge=key.name, key=str(key), exc_info=error)
        self._wake_after(key, CRASH_PAUSE)

    async def _say_secret_is_missing(self, key: Key, record: BridgeRecord, missing: SecretMissing, before: BridgeStatus | None) -> None:
        known = before or record.status
        status = held_status(known, generation=record.generation, reason=missing.reason, message=str(missing), now=self._clock())
        if status == known:
            return
        host = BridgeHost(
            key,
            record.uid,
            kube=self._kube,
            store=self._store,
            pipelines=self._pipelines,
            metrics=self._metrics,
            unauthorized=_nobody,
            monotonic=self._monotonic,
        )
        await host.write_status(status)


async def _nobody_else(bridge: Key) -> None:
    """Only the Follower asks."""


def _nobody() -> None:
    """A bridge without secret has no credentials to doubt."""
