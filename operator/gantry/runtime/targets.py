"""The destinations of a bridge as the courier takes them: what the spec says, with the secrets that were read.

Pure. Whether Orthanc has them is `bridge/destinations.py`'s.
"""

from collections.abc import Mapping
from datetime import timedelta

from gantry.api.bridge import RETURN_TO_SENDER, BridgeSpec, Destination, DestinationStatus, destination_place
from gantry.bridge import Login, node_of, sender_node, server_of
from gantry.delivery import Place, Target, ToModality, ToPeer, ToServer, Unusable
from gantry.orthanc import modality_name, sender_name
from gantry.runs import BridgeView, known_to_take

from .records import Key

UNKNOWN = "the application entity that stored the images is not known (they did not come by C-STORE), so nothing can go back to it"


def targets_of(bridge: Key, view: BridgeView, logins: Mapping[str, Login], sender: str | None) -> dict[str, Target | Unusable]:
    """By the destination's name. `sender`: who stored the images of the Run."""
    targets = {one.name: _target(bridge, one, logins.get(one.name), view.decided.get(one.name)) for one in view.spec.destinations}
    return {**targets, RETURN_TO_SENDER: _way_back(bridge, view.spec, sender)}


def _way_back(bridge: Key, spec: BridgeSpec, sender: str | None) -> Target | Unusable:
    if sender is None:
        return Unusable(UNKNOWN, final="SenderUnknown")
    node = next((sender_node(one) for one in spec.senders if one.aet == sender), None)
    if node is None:
        return Unusable(f"the images came from {sender}, which the bridge's spec.senders does not list; add it with host and port")
    return Target(ToModality(sender_name(bridge.namespace, bridge.name, sender), node))


def _target(bridge: Key, destination: Destination, login: Login | None, found: DestinationStatus | None) -> Target | Unusable:
    name = modality_name(bridge.namespace, bridge.name, destination.name)
    if destination.dicom_web is not None:
        server = server_of(destination.dicom_web, login)
        return Unusable(server) if isinstance(server, str) else _with_options(ToServer(name, server), destination, found)
    if destination.orthanc_peer is not None:
        return _with_options(ToPeer(destination.orthanc_peer), destination, found)
    if destination.orthanc_modality is not None:
        return _with_options(ToModality(destination.orthanc_modality, None), destination, found)
    return _with_options(ToModality(name, node_of(destination)), destination, found)


def _with_options(place: Place, destination: Destination, found: DestinationStatus | None) -> Target:
    return Target(
        place,
        accept=destination.accept,
        verify=destination.verify == "Query",
        size=destination.max_active,
        interval=timedelta(minutes=1) / destination.max_per_minute if destination.max_per_minute else timedelta(0),
        fallback=destination.sr_fallback == "ComprehensiveSR",
        takes=known_to_take(destination_place(destination), found),
    )


def gives_receipt(destination: Destination) -> bool:
    """Whether it can confirm at all that it has something."""
    return destination.verify == "Query" or destination.dicom is not None or destination.orthanc_modality is not None
