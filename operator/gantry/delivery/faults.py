"""What a failed send means: a word for people, and whether trying again can help.

Pure. Orthanc has one error code for nearly everything (9, "Error in the network protocol"), so its words are read: those of Orthanc 1.10
and 1.13 and their DCMTK, measured. Only what is known to be final is called final; what is not understood is tried again until the deadline.
"""

import re
from dataclasses import dataclass

from gantry.orthanc import Job

NO_PRESENTATION_CONTEXT = 2015
"""OrthancError of a destination that accepts no presentation context for an object."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A send that did not work."""

    reason: str
    """One word, documented in docs/delivery.md."""
    permanent: bool = False
    """The same send will not work later either: it is tried once more and then given up."""
    whole: bool = False
    """Nothing else can be sent there now either."""


SOP_CLASS_REFUSED = Fault("SOPClassRefused", permanent=True)
TRANSFER_SYNTAX_REFUSED = Fault("TransferSyntaxRefused", permanent=True)
OBJECT_REFUSED = Fault("ObjectRefused", permanent=True)
OUT_OF_RESOURCES = Fault("OutOfResources", whole=True)
STORE_FAILED = Fault("StoreFailed")
ABORTED = Fault("Aborted")
UNREACHABLE = Fault("Unreachable", whole=True)
STOW_FAILED = Fault("StowFailed")
MISSING = Fault("DestinationMissing", whole=True)
ORTHANC = Fault("OrthancFault", whole=True)
NOT_STORED = Fault("NotStored")
RESULTS_GONE = Fault("ResultsGone", permanent=True)
SEND_FAILED = Fault("SendFailed")

_WORDS: tuple[tuple[re.Pattern[str], Fault], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), fault)
    for pattern, fault in (
        (r"presentation context", SOP_CLASS_REFUSED),
        # Of a destination that accepts others of the association's classes (it offers all an Orthanc knows) and not this one.
        (r"cannot transcode from [0-9.]+ to one of \[ *\]", SOP_CLASS_REFUSED),
        (r"cannot transcode from", TRANSFER_SYNTAX_REFUSED),
        # PS3.4 B.2.3: 0122 SOP class not supported, A9xx data set does not match it, A7xx out of resources. Cxxx (cannot understand) is what many
        # servers say of any trouble of their own, so it is not taken for final.
        (r"DIMSE status 0x0122", SOP_CLASS_REFUSED),
        (r"DIMSE status 0xA9", OBJECT_REFUSED),
        (r"DIMSE status 0xA7", OUT_OF_RESOURCES),
        (r"DIMSE status", STORE_FAILED),
        (r"association rejected", Fault("AssociationRejected", whole=True)),
        (r"plugin engine", STOW_FAILED),  # all that the DICOMweb plugin says, from no trust to one object refused
        (r"unknown host|resolve host", Fault("UnknownHost", whole=True)),
        (r"\b(TLS|SSL|certificate)\b", Fault("TLSFailed", whole=True)),
        (r"bad credentials", Fault("Unauthorized", whole=True)),
        (r"connecting to AET|libCURL", UNREACHABLE),
        (r"aborted association", ABORTED),
        (r"^unknown resource$", Fault("WrongURL", whole=True)),
        (r"^error in the network protocol$", UNREACHABLE),  # of DICOMweb servers and peers no more is said
    )
)

WHOLE = frozenset(fault.reason for fault in (OUT_OF_RESOURCES, MISSING, ORTHANC, *(fault for _, fault in _WORDS)) if fault.whole)
"""Reasons that hold for everything that is sent to the destination."""


def fault_of(job: Job) -> Fault:
    """Of a job that failed."""
    if job.error_code == NO_PRESENTATION_CONTEXT:
        return SOP_CLASS_REFUSED
    return fault_in(words_of(job))


def fault_in(words: str) -> Fault:
    """Of Orthanc's words, `description: details`."""
    return next((fault for pattern, fault in _WORDS if pattern.search(words)), SEND_FAILED)


def words_of(job: Job) -> str:
    """What Orthanc said."""
    said = ": ".join(one for one in (job.error_description, job.error_details) if one)
    return said or f"Orthanc's job failed with error {job.error_code}"
