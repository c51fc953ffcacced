"""Keeps a bridge's destinations and senders in Orthanc: its modalities and its DICOMweb servers.

Orthanc forgets entries made over REST at its next start (unless DicomModalitiesInDatabase is set), so they are compared at each contact and
each scan, and put again where they differ. Entries Gantry did not make are never touched: only names of its own form are written, and only
names it recorded in status.managedModalities and status.managedServers are removed. Of peers and modalities that are Orthanc's own it only
looks whether they are there.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from gantry.api.bridge import Destination, DicomWebNode, Sender
from gantry.orthanc import Credentials, DicomWebServer, Modality, NotFound, Orthanc, Permanent, modality_name, sender_name

log = structlog.get_logger(__name__)

Login = Credentials | str
"""Of a DICOMweb destination: its credentials, or words that say what is missing."""
Entry = TypeVar("Entry", Modality, DicomWebServer)
NO_PLUGIN = "Orthanc has no DICOMweb plugin; install it or use another kind of destination"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Orthanc's entries for the destinations and senders of a spec."""

    modalities: Mapping[str, Modality] = field(default_factory=dict)
    servers: Mapping[str, DicomWebServer] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    """By destination: the modality that must be in Orthanc's configuration."""
    peers: Mapping[str, str] = field(default_factory=dict)
    """By destination: the same of a peer."""
    web: Mapping[str, str] = field(default_factory=dict)
    """By destination that needs the DICOMweb plugin: the name of its server, also of one that cannot be made for now."""
    lacking: tuple[str, ...] = ()
    """Destinations that cannot be made, with the reason."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What has to be done so that Orthanc has what the bridge names."""

    put: Mapping[str, Modality]
    remove: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """What Orthanc has now."""

    managed: tuple[str, ...] = ()
    """Names of modalities this bridge made and will remove."""
    servers: tuple[str, ...] = ()
    """The same of DICOMweb servers."""
    refused: tuple[str, ...] = ()
    """Destinations Orthanc did not take, with its words."""
    missing: tuple[str, ...] = ()
    """Destinations that Orthanc, or their secret, does not have."""


def wanted(
    namespace: str, bridge: str, destinations: Sequence[Destination], senders: Sequence[Sender] = (), logins: Mapping[str, Login] | None = None
) -> Wanted:
    """`logins`: by destination, of those whose spec names a secret."""
    asked = {sender_name(namespace, bridge, one.aet): sender_node(one) for one in senders}
    modalities = {modality_name(namespace, bridge, one.name): node for one in destinations if (node := node_of(one))}
    found = {one.name: server_of(one.dicom_web, (logins or {}).get(one.name)) for one in destinations if one.dicom_web}
    return Wanted(
        modalities | asked,
        {modality_name(namespace, bridge, name): server for name, server in found.items() if isinstance(server, DicomWebServer)},
        {one.name: one.orthanc_modality for one in destinations if one.orthanc_modality},
        {one.name: one.orthanc_peer for one in destinations if one.orthanc_peer},
        {name: modality_name(namespace, bridge, name) for name in found},
        tuple(f"destination {name}: {words}" for name, words in found.items() if isinstance(words, str)),
    )


def node_of(destination: Destination) -> Modality | None:
    """The DICOM node behind a destination of kind `dicom`."""
    node = destination.dicom
    return Modality(node.aet, node.host, node.port, tls=node.tls) if node else None


def sender_node(sender: Sender) -> Modality:
    """The DICOM node of a sender."""
    return Modality(sender.aet, sender.host, sender.port)


def server_of(node: DicomWebNode, login: Login | None) -> DicomWebServer | str:
    """The server behind a destination of kind `dicomWeb`, or why there is none."""
    url = node.url if node.url.endswith("/") else f"{node.url}/"
    if isinstance(login, Credentials):
        return DicomWebServer(url, login.username, login.password)
    if node.credentials_secret_ref is None:
        return DicomWebServer(url)
    return login or f"secret {node.credentials_secret_ref.name} was not read yet"


def plan(want: Mapping[str, Modality], managed: Sequence[str], present: Mapping[str, Modality]) -> Changes:
    """Pure. Nothing to do when everything is as wanted."""
    put = {name: node for name, node in want.items() if present.get(name) != node}
    return Changes(put, tuple(sorted(name for name in set(managed) - set(want) if name in present)))


class Keeper:
    """Of one bridge and one Orthanc. It remembers the servers it put, because Orthanc does not tell their passwords."""

    def __init__(self, orthanc: Orthanc) -> None:
        self._orthanc = orthanc
        self._put: dict[str, DicomWebServer] = {}

    async def keep(self, want: Wanted, managed: Sequence[str], servers: Sequence[str] = ()) -> Kept:
        """Compares and mends: one request for each kind of entry when nothing differs. A refusal does not stop the others."""
        modalities, refused, missing = await self._modalities(want, managed)
        kept, more_refused, more_missing = await self._servers(want, servers)
        absent = await self._absent_peers(want)
        return Kept(modalities, kept, refused + more_refused, (*want.lacking, *missing, *more_missing, *absent))

    async def _modalities(self, want: Wanted, managed: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        if not want.modalities and not managed and not want.known:
            return (), (), ()
        present = await self._orthanc.modalities()
        changes = plan(want.modalities, managed, present)
        refused = await self._put_all("modality", changes.put, self._orthanc.put_modality)
        for name in changes.remove:
            try:
                await self._orthanc.delete_modality(name)
            except NotFound:
                log.info("a modality that is no longer listed was gone already", modality=name)
        missing = tuple(
            f"destination {name}: Orthanc has no modality {entry}; add it to its DicomModalities"
            for name, entry in want.known.items() if entry not in present
        )  # fmt: skip
        return tuple(sorted(set(want.modalities) - set(refused))), tuple(refused[name] for name in sorted(refused)), missing

    async def _servers(self, want: Wanted, managed: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        if not want.web and not managed:
            return (), (), ()
        present = await self._orthanc.servers()
        if present is None:
            return (), (), tuple(f"destination {name}: {NO_PLUGIN}" for name in want.web)
        put = {name: one for name, one in want.servers.items() if present.get(name) != one.told() or self._put.get(name) != one}
        refused = await self._put_all("DICOMweb server", put, self._orthanc.put_server)
        self._put = {name: one for name, one in want.servers.items() if name not in refused}
        listed = set(want.web.values())
        for name in sorted(set(managed) - listed):
            if name in present:
                await self._orthanc.delete_server(name)
        held = {name for name in managed if name in listed and name in present}  # its secret is missing for now: what is there stays
        return tuple(sorted({*self._put, *held})), tuple(refused[name] for name in sorted(refused)), ()

    async def _absent_peers(self, want: Wanted) -> tuple[str, ...]:
        if not want.peers:
            return ()
        present = await self._orthanc.peers()
        return tuple(
            f"destination {name}: Orthanc has no peer {entry}; add it to its OrthancPeers"
            for name, entry in want.peers.items() if entry not in present
        )  # fmt: skip

    async def _put_all(self, what: str, entries: Mapping[str, Entry], put: Callable[[str, Entry], Awaitable[None]]) -> dict[str, str]:
        """What was refused, with Orthanc's words."""
        refused: dict[str, str] = {}
        for name, entry in entries.items():
            try:
                await put(name, entry)
            except Permanent as error:
                refused[name] = f"{what} {name}: {error}"
                log.warning(f"Orthanc refuses a {what}", name=name, error=str(error))
        return refused
