"""Names and UIDs of everything a Run makes: all derived, so that doing anything twice ends in the same object.

Pure. A name never holds an identifier of patient or study; the fingerprint is a hash.
"""

import re
import uuid

PRODUCT = uuid.UUID("6b3f2a58-9c44-5d0e-8a7b-1f2e3d4c5b6a")
"""Namespace of every UID Gantry makes; fixed for ever, or the PACS would see old results as new ones."""
RESULT_MARK = 0x67A17B79
"""First 32 bits of the UUID behind every result's UID; fixed for ever, or older results would be taken for images."""
UUID_DIGITS = 39
"""Decimal digits of the largest UUID."""
PIPELINE_LENGTH = 40
RUN_NAME_LIMIT = 60
"""The CRD's own: the Job's name is longer by its suffix."""
FINGERPRINT_LENGTH = 13
"""65 bits of the fingerprint: a collision within one pipeline is less likely than a wrong bit in memory."""

QUEUE = "kueue.x-k8s.io/queue-name"
QUEUE_CLASS = "kueue.x-k8s.io/priority-class"
"""Labels of Kueue on a Job: the LocalQueue and the WorkloadPriorityClass."""


def run_name(pipeline: str, fingerprint: str) -> str:
    """`<pipeline, at most 40>-<13 of the fingerprint>`. Creating it twice is impossible: the exactly-once guarantee."""
    return f"{pipeline[:PIPELINE_LENGTH].rstrip('-')}-{fingerprint[:FINGERPRINT_LENGTH]}"


def job_name(run: str) -> str:
    """The one Job of a Run."""
    return f"{run}-1"


def notice_name(run: str) -> str:
    """The Job of a Run that failed, which reports that the analysis was not performed. Three characters: a Job's name has at most 63."""
    return f"{run}-np"


def repeat_name(run: str) -> str:
    """The Run that repeats this one: `-r1`, of a repeat `-r2`. Raises ValueError when the name leaves no room.

    There is one repeat of a Run, whoever asks and how often: who wants another repeats the repeat.
    """
    found = re.fullmatch(r"(.+)-r([1-9][0-9]{0,3})", run)
    base, number = (found[1], int(found[2])) if found else (run, 0)
    name = f"{base}-r{number + 1}"
    if len(name) > RUN_NAME_LIMIT:
        raise ValueError(f"the name {run} leaves no room for -r{number + 1} within {RUN_NAME_LIMIT} characters")
    return name


def result_uid(installation: str, namespace: str, run: str, role: str, index: int = 0) -> str:
    """A DICOM UID under 2.25 (PS3.5 B.2) for one object of a Run: the same Run always gives the same, two installations never do.

    The UUID behind it is of version 8 (RFC 9562, 5.8): `RESULT_MARK`, then 90 bits of a hash. So a result can be told by its UID alone,
    whichever PACS hands it back and under whatever account.
    """
    own = uuid.uuid5(PRODUCT, installation)
    digest = uuid.uuid5(own, "/".join((namespace, run, role, str(index)))).int
    free = (digest & ((1 << 96) - 1)) & ~(0xF << 76) & ~(0b11 << 62)
    return f"2.25.{RESULT_MARK << 96 | free | 8 << 76 | 0b10 << 62}"


def is_result_uid(uid: str) -> bool:
    """Whether `result_uid` of any installation made it. A UID of somebody else passes with a probability of 2^-38 at most."""
    root, _, number = uid.strip(" \0").rpartition(".")
    if root != "2.25" or not (number.isascii() and number.isdecimal()) or len(number) > UUID_DIGITS:
        return False
    value = int(number)
    return value >> 96 == RESULT_MARK and value >> 76 & 0xF == 8 and value >> 62 & 0b11 == 0b10
