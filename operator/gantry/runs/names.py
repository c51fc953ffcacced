"""Names and UIDs of everything a Run makes: all derived, so that doing anything twice ends in the same object.

Pure. A name never holds an identifier of patient or study; the fingerprint is a hash.
"""

import uuid

PRODUCT = uuid.UUID("6b3f2a58-9c44-5d0e-8a7b-1f2e3d4c5b6a")
"""Namespace of every UID Gantry makes; fixed for ever, or the PACS would see old results as new ones."""
PIPELINE_LENGTH = 40
FINGERPRINT_LENGTH = 13
"""65 bits of the fingerprint: a collision within one pipeline is less likely than a wrong bit in memory."""


def run_name(pipeline: str, fingerprint: str) -> str:
    """`<pipeline, at most 40>-<13 of the fingerprint>`. Creating it twice is impossible: the exactly-once guarantee."""
    return f"{pipeline[:PIPELINE_LENGTH].rstrip('-')}-{fingerprint[:FINGERPRINT_LENGTH]}"


def job_name(run: str) -> str:
    """The one Job of a Run."""
    return f"{run}-1"


def result_uid(installation: str, namespace: str, run: str, role: str, index: int = 0) -> str:
    """A DICOM UID under 2.25 (PS3.5 B.2) for one object of a Run: the same Run always gives the same, two installations never do."""
    own = uuid.uuid5(PRODUCT, installation)
    return f"2.25.{uuid.uuid5(own, '/'.join((namespace, run, role, str(index)))).int}"
