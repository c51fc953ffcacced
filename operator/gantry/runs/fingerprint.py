"""The identity of a piece of work: the same pipeline on the same images is the same Run, for ever.

Pure. By the pipeline's name, not its uid: a pipeline that GitOps deletes and applies again must not analyse yesterday's studies twice.
"""

import base64
import hashlib
from collections.abc import Iterable

_SEPARATOR = "\x1f"


def fingerprint(namespace: str, pipeline: str, study: str, sop_instance_uids: Iterable[str]) -> str:
    """SHA-256 over pipeline, Orthanc's study id and the sorted SOP Instance UIDs, as 52 characters of lower-case base32.

    Raises ValueError when there is no instance: no work has no identity.
    """
    uids = sorted(set(sop_instance_uids))
    if not uids:
        raise ValueError("a fingerprint needs at least one instance")
    digest = hashlib.sha256(_SEPARATOR.join((f"{namespace}/{pipeline}", study, *uids)).encode()).digest()
    return base64.b32encode(digest).decode().rstrip("=").lower()
