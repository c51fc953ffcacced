"""Keeps a bridge's destinations and senders in Orthanc's modalities.

Orthanc forgets entries made over REST at its next start (unless DicomModalitiesInDatabase is set), so they are compared at each contact and
each scan, and put again where they differ. Entries Gantry did not make are never touched: only names of its own form are written, and only
names it recorded in status.managedModalities are removed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from gantry.api.bridge import Destination, Sender
from gantry.orthanc import Modality, NotFound, Orthanc, Permanent, modality_name, sender_name

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Changes:
    """What has to be done so that Orthanc has what the bridge names."""

    put: Mapping[str, Modality]
    remove: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """What Orthanc has now."""

    managed: tuple[str, ...]
    """Names of entries this bridge made and will remove."""
    refused: tuple[str, ...]
    """Destinations Orthanc did not take, with its words."""


def wanted(namespace: str, bridge: str, destinations: Sequence[Destination], senders: Sequence[Sender] = ()) -> dict[str, Modality]:
    """Orthanc's entries for the destinations and senders of the spec."""
    asked = {sender_name(namespace, bridge, one.aet): Modality(one.aet, one.host, one.port) for one in senders}
    return {modality_name(namespace, bridge, one.name): node_of(one) for one in destinations} | asked


def node_of(destination: Destination) -> Modality:
    """The DICOM node behind a destination."""
    return Modality(destination.dicom.aet, destination.dicom.host, destination.dicom.port)


def plan(want: Mapping[str, Modality], managed: Sequence[str], present: Mapping[str, Modality]) -> Changes:
    """Pure. Nothing to do when everything is as wanted."""
    put = {name: node for name, node in want.items() if present.get(name) != node}
    return Changes(put, tuple(sorted(name for name in set(managed) - set(want) if name in present)))


async def keep(orthanc: Orthanc, want: Mapping[str, Modality], managed: Sequence[str]) -> Kept:
    """Compares and mends. One request when nothing differs; none when there is nothing to keep. A refusal does not stop the others."""
    if not want and not managed:
        return Kept((), ())
    changes = plan(want, managed, await orthanc.modalities())
    refused: dict[str, str] = {}
    for name, node in changes.put.items():
        try:
            await orthanc.put_modality(name, node)
        except Permanent as error:
            refused[name] = f"modality {name}: {error}"
            log.warning("Orthanc refuses a modality", modality=name, error=str(error))
    for name in changes.remove:
        try:
            await orthanc.delete_modality(name)
        except NotFound:
            log.info("a modality that is no longer listed was gone already", modality=name)
    return Kept(tuple(sorted(set(want) - set(refused))), tuple(refused[name] for name in sorted(refused)))
