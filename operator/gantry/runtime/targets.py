"""The destinations of a bridge as the courier takes them: what the spec says, with the secrets that were read.

Pure. Whether Orthanc has them is `bridge/destinations.py`'s.
"""

from collections.abc import Mapping

from gantry.api.bridge import BridgeSpec, Destination
from gantry.bridge import Login, node_of, server_of
from gantry.delivery import Target, ToModality, ToPeer, ToServer, Unusable
from gantry.orthanc import modality_name

from .records import Key


def targets_of(bridge: Key, spec: BridgeSpec, logins: Mapping[str, Login]) -> dict[str, Target | Unusable]:
    """By the destination's name."""
    return {one.name: _target(bridge, one, logins.get(one.name)) for one in spec.destinations}


def _target(bridge: Key, destination: Destination, login: Login | None) -> Target | Unusable:
    name = modality_name(bridge.namespace, bridge.name, destination.name)
    options = (destination.accept, destination.verify == "Query", destination.max_active)
    if destination.dicom_web is not None:
        server = server_of(destination.dicom_web, login)
        return Unusable(server) if isinstance(server, str) else Target(ToServer(name, server), *options)
    if destination.orthanc_peer is not None:
        return Target(ToPeer(destination.orthanc_peer), *options)
    if destination.orthanc_modality is not None:
        return Target(ToModality(destination.orthanc_modality, None), *options)
    return Target(ToModality(name, node_of(destination)), *options)


def gives_receipt(destination: Destination) -> bool:
    """Whether it can confirm at all that it has something."""
    return destination.verify == "Query" or destination.dicom is not None or destination.orthanc_modality is not None
