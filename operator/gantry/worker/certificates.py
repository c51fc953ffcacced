"""The certificates of the bridge's spec.tls, as the kubelet has put them into the pod. It must not know what they are for."""

from pathlib import Path

from gantry.api import RunReason
from gantry.orthanc import Trust, UnfitCertificate
from gantry.runs.jobspec import CA, CERTIFICATE, PRIVATE_KEY

from .outcome import Stop


def mounted_trust(folder: Path, *, reason: RunReason, role: str) -> Trust | None:
    """None where the bridge has no spec.tls. Raises Stop when what is there is no certificate."""
    if not folder.is_dir():
        return None
    authorities, certificate, key = ((folder / name).read_text() if (folder / name).exists() else "" for name in (CA, CERTIFICATE, PRIVATE_KEY))
    made = Trust(authorities, certificate, key)
    try:
        made.context()
    except UnfitCertificate as error:
        raise Stop(reason, f"spec.tls of the bridge: {error}", step=role) from error
    return made
