"""One Follower and one Orthanc client a bridge, alive as long as the bridge is there; made anew when its spec or its secret changes.

What following means is `gantry.bridge`'s; here it is started, watched and ended. Secrets are read by name, again each minute, and at once when
Orthanc refuses the credentials.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog

from gantry.api import BridgeReason
from gantry.api.bridge import BridgeSpec, BridgeStatus
from gantry.bridge import Follower, Login, held_status
from gantry.kube import Kube, NotFound
from gantry.orthanc import Credentials, Orthanc

from .host import BridgeHost
from .metrics import Metrics
from .pipelines import Pipelines
from .records import BridgeRecord, Key
from .store import Store

log = structlog.get_logger(__name__)

SECRET_AGE = 60.0
"""Seconds after which a secret is read again: a rotation costs a minute at most, and less when Orthanc refuses the old one."""
SECRET_PAUSE = 10.0
"""Seconds between two looks for a secret that is missing, or whose content Orthanc refuses."""
CRASH_PAUSE = 5.0
"""Seconds until a Follower that ended by a fault of its own is started again."""


class SecretMissing(Exception):
    """The message says what is missing."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What was read of a secret, and when."""

    read_at: float
    credentials: Credentials


@dataclass(slots=True)
class Following:
    """A bridge that is followed."""

    uid: str
    generation: int
    credentials: Credentials | None
    logins: Mapping[str, Login]
    orthanc: Orthanc
    host: BridgeHost
    task: "asyncio.Task[None]"

    def fits(self, record: BridgeRecord, credentials: Credentials | None, logins: Mapping[str, Login]) -> bool:
        """Whether it may go on as it is."""
        mine, wanted = (self.uid, self.generation, self.credentials, self.logins), (record.uid, record.generation, credentials, logins)
        return not self.task.done() and mine == wanted


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
        connect: Callable[[BridgeSpec, Credentials | None], Orthanc],
    ) -> None:
        self._kube, self._store, self._pipelines, self._metrics = kube, store, pipelines, metrics
        self._wake_after, self._clock, self._monotonic, self._sleep, self._connect = wake_after, clock, monotonic, sleep, connect
        self._following: dict[Key, Following] = {}
        self._secrets: dict[tuple[Key, str], Secret] = {}
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
        return following.logins if following else {}

    async def reconcile(self, key: Key) -> None:
        """Starts, restarts or ends the Follower; nothing when it fits."""
        record = self._store.bridges.get(key)
        if record is None:
            self._secrets = {place: one for place, one in self._secrets.items() if place[0] != key}
            await self._end(key)
            return
        try:
            credentials = await self._credentials(key, record)
        except SecretMissing as missing:
            before = await self._end(key)
            await self._say_secret_is_missing(key, record, str(missing), before)
            self._wake_after(key, SECRET_PAUSE)
            return
        logins = await self._logins(key, record)
        if credentials is not None or logins:
            self._wake_after(key, SECRET_PAUSE if any(isinstance(one, str) for one in logins.values()) else SECRET_AGE)
        following = self._following.get(key)
        if following is None or not following.fits(record, credentials, logins):
            self._begin(key, record, credentials, logins, before=await self._end(key))
            if following is not None and following.logins != logins:
                for run in self._store.runs_of_bridge(key):  # deliveries may wait for just that
                    self._wake_after(run, 0.0)

    async def close(self) -> None:
        """Ends all Followers. What they have not written yet they find again."""
        for key in list(self._following):
            await self._end(key)

    async def _credentials(self, key: Key, record: BridgeRecord) -> Credentials | None:
        reference = record.view.spec.credentials_secret_ref
        if reference is None:
            return None
        return await self._read(key, reference.name)

    async def _logins(self, key: Key, record: BridgeRecord) -> dict[str, Login]:
        """A secret that is missing holds up its destination only."""
        found: dict[str, Login] = {}
        for one in record.view.spec.destinations:
            if one.dicom_web is not None and one.dicom_web.credentials_secret_ref is not None:
                try:
                    found[one.name] = await self._read(key, one.dicom_web.credentials_secret_ref.name)
                except SecretMissing as missing:
                    found[one.name] = str(missing)
        return found

    async def _read(self, key: Key, name: str) -> Credentials:
        known = self._secrets.get((key, name))
        if known and self._monotonic() - known.read_at < SECRET_AGE - 1:
            return known.credentials
        self._secrets.pop((key, name), None)
        try:
            data = await self._kube.read_secret(key.namespace, name)
        except NotFound as error:
            raise SecretMissing(f"secret {name} does not exist in namespace {key.namespace}; create it") from error
        lacking = [one for one in ("username", "password") if not data.get(one)]
        if lacking:
            raise SecretMissing(f"secret {name} lacks {' and '.join(lacking)}; it must be of type kubernetes.io/basic-auth")
        secret = Secret(self._monotonic(), Credentials(data["username"], data["password"]))
        self._secrets[key, name] = secret
        return secret.credentials

    def doubt(self, key: Key) -> None:
        """Credentials are refused, Orthanc's or a destination's: the secrets are read again, but not at every poll."""
        old = [place for place, one in self._secrets.items() if place[0] == key and self._monotonic() - one.read_at >= SECRET_PAUSE]
        for place in old:
            del self._secrets[place]
        if old:
            self._wake_after(key, 0.0)

    def _begin(
        self, key: Key, record: BridgeRecord, credentials: Credentials | None, logins: Mapping[str, Login], *, before: BridgeStatus | None
    ) -> None:
        orthanc = self._connect(record.view.spec, credentials)
        host = BridgeHost(
            key,
            record.uid,
            kube=self._kube,
            store=self._store,
            pipelines=self._pipelines,
            metrics=self._metrics,
            unauthorized=lambda: self.doubt(key),
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
            username=credentials.username if credentials else None,
            host=host,
            clock=self._clock,
            sleep=self._sleep,
            logins=logins,
        )
        task = asyncio.create_task(follower.run(), name=f"follow-{key.namespace}-{key.name}")
        self._following[key] = Following(record.uid, record.generation, credentials, logins, orthanc, host, task)
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

    async def _say_secret_is_missing(self, key: Key, record: BridgeRecord, message: str, before: BridgeStatus | None) -> None:
        known = before or record.status
        status = held_status(
            known, generation=record.generation, reason=BridgeReason.SECRET_MISSING, message=message, now=self._clock()
        )
        if status == known:
            return
        host = BridgeHost(
            key, record.uid, kube=self._kube, store=self._store, pipelines=self._pipelines, metrics=self._metrics, unauthorized=_nobody
        )
        await host.write_status(status)


async def _nobody_else(bridge: Key) -> None:
    """Only the Follower asks."""


def _nobody() -> None:
    """A bridge without secret has no credentials to doubt."""
