"""Orthanc's modalities and DICOMweb servers: the places it can send to, and the names Gantry gives its own entries.

Pure. Who puts, compares and removes entries is `bridge/`; who sends is `delivery/`.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NAME_LENGTH = 64
"""Characters of a name: what status.managedModalities takes. Orthanc itself took 104."""
_PREFIX = "gantry"
_PLAIN = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Modality:
    """A DICOM node as Orthanc knows it. Orthanc keeps more (AllowFind, Timeout, …); Gantry leaves those at their defaults."""

    aet: str
    host: str
    port: int
    tls: bool = False
    """DICOM TLS, with the certificate of Orthanc's own configuration."""


@dataclass(frozen=True, slots=True)
class DicomWebServer:
    """A DICOMweb server as Orthanc's plugin knows it."""

    url: str
    """With a slash at its end, as the plugin writes it."""
    username: str = ""
    password: str = field(default="", repr=False)

    def told(self) -> "DicomWebServer":
        """As the plugin tells it: without the password."""
        return DicomWebServer(self.url, self.username)


def modality_name(namespace: str, bridge: str, destination: str) -> str:
    """Orthanc's symbolic name of a bridge's destination.

    Orthanc allows letters, digits, dashes and underscores; Kubernetes names have no underscore, so joined by it three names stay three.
    What does not fit ends in a hash instead.
    """
    return _fitting("_".join((_PREFIX, namespace, bridge, destination)))


def sender_name(namespace: str, bridge: str, aet: str) -> str:
    """Orthanc's symbolic name of a bridge's sender: one part more than a destination's. What a name may not hold, an AE title is hashed for."""
    part = aet if _PLAIN.fullmatch(aet) else hashlib.sha256(aet.encode()).hexdigest()[:12]
    return _fitting("_".join((_PREFIX, namespace, bridge, "from", part)))


def _fitting(name: str) -> str:
    if len(name) <= NAME_LENGTH:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: NAME_LENGTH - 13]}_{digest}"


def parse_modality(raw: Any) -> Modality | None:
    """Both forms of Orthanc: the object of `?expand`, and the array of the configuration file. None for anything else: not ours to judge."""
    if isinstance(raw, Mapping):
        aet, host, port = raw.get("AET"), raw.get("Host"), raw.get("Port")
    elif isinstance(raw, list) and len(raw) >= 3:
        aet, host, port = raw[:3]
    else:
        aet = host = port = None
    number = int(port) if isinstance(port, (int, str)) and str(port).isdecimal() else None
    if not isinstance(aet, str) or not isinstance(host, str) or number is None:
        return None
    return Modality(aet, host, number, tls=isinstance(raw, Mapping) and raw.get("UseDicomTls") is True)


def encode_modality(node: Modality) -> dict[str, Any]:
    return {"AET": node.aet, "Host": node.host, "Port": node.port, **({"UseDicomTls": True} if node.tls else {})}


def parse_server(raw: Any) -> DicomWebServer | None:
    """None for anything else: not ours to judge."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("Url"), str):
        return None
    return DicomWebServer(raw["Url"], str(raw.get("Username") or ""))


def encode_server(server: DicomWebServer) -> dict[str, Any]:
    return {"Url": server.url, **({"Username": server.username, "Password": server.password} if server.username else {})}
