"""Secrets of bridges, read by name and kept for a minute: credentials, and certificates for https.

It must not decide what a missing one means: it says what is missing, in words for the bridge's condition.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gantry.api import BridgeReason
from gantry.api.bridge import Tls
from gantry.kube import Kube, NotFound
from gantry.orthanc import Credentials, Trust, UnfitCertificate

from .records import Key

AGE = 60.0
"""Seconds after which a secret is read again: a rotation costs a minute at most, and less when Orthanc refuses the old one."""
PAUSE = 10.0
"""Seconds between two looks for a secret that is missing, or whose content Orthanc refuses."""
CERTIFICATE, PRIVATE_KEY = "tls.crt", "tls.key"
"""Keys of a secret of type kubernetes.io/tls."""


class SecretMissing(Exception):
    """The message says what is missing."""

    def __init__(self, message: str, reason: BridgeReason = BridgeReason.SECRET_MISSING) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Kept:
    """What was read of a secret, and when."""

    read_at: float
    data: Mapping[str, str] = field(repr=False)


class Secrets:
    """Of all bridges."""

    def __init__(self, *, kube: Kube, monotonic: Callable[[], float]) -> None:
        self._kube, self._monotonic = kube, monotonic
        self._kept: dict[tuple[Key, str], Kept] = {}

    async def credentials(self, bridge: Key, name: str) -> Credentials:
        """Of a secret of type kubernetes.io/basic-auth. Raises SecretMissing."""
        data = await self._read(bridge, name, ("username", "password"), "it must be of type kubernetes.io/basic-auth")
        return Credentials(data["username"], data["password"])

    async def trust(self, bridge: Key, tls: Tls) -> Trust:
        """Raises SecretMissing, also when what is there is no certificate."""
        authorities, client = tls.ca_secret_ref, tls.client_certificate_secret_ref
        try:
            ca = (await self._read(bridge, authorities.name, (authorities.key,), "see spec.tls.caSecretRef"))[authorities.key] if authorities else ""
            shown = await self._read(bridge, client.name, (CERTIFICATE, PRIVATE_KEY), "it must be of type kubernetes.io/tls") if client else {}
        except SecretMissing as missing:
            raise SecretMissing(str(missing), BridgeReason.TLS_SECRET_MISSING) from missing
        made = Trust(ca, shown.get(CERTIFICATE, ""), shown.get(PRIVATE_KEY, ""))
        try:
            made.context()
        except UnfitCertificate as error:
            self.forget(bridge)
            names = " and ".join(one.name for one in (authorities, client) if one)
            raise SecretMissing(f"{error}; see secret {names} in namespace {bridge.namespace}", BridgeReason.TLS_SECRET_MISSING) from error
        return made

    def doubt(self, bridge: Key) -> bool:
        """What was read of a bridge is refused: read again, but not at every poll. Gives whether anything will be."""
        old = [place for place, one in self._kept.items() if place[0] == bridge and self._monotonic() - one.read_at >= PAUSE]
        for place in old:
            del self._kept[place]
        return bool(old)

    def forget(self, bridge: Key) -> None:
        """The bridge is gone, or what it names is of no use."""
        self._kept = {place: one for place, one in self._kept.items() if place[0] != bridge}

    async def _read(self, bridge: Key, name: str, keys: tuple[str, ...], advice: str) -> Mapping[str, str]:
        known = self._kept.get((bridge, name))
        if known is None or self._monotonic() - known.read_at >= AGE - 1:
            self._kept.pop((bridge, name), None)
            try:
                data = await self._kube.read_secret(bridge.namespace, name)
            except NotFound as error:
                raise SecretMissing(f"secret {name} does not exist in namespace {bridge.namespace}; create it") from error
            known = Kept(self._monotonic(), data)
        if lacking := [one for one in keys if not known.data.get(one)]:
            self._kept.pop((bridge, name), None)
            raise SecretMissing(f"secret {name} lacks {' and '.join(lacking)}; {advice}")
        self._kept[bridge, name] = known
        return known.data
