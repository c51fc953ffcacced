"""The only HTTP to Orthanc: changes, studies, downloads, uploads, modalities and jobs.

It decides nothing: what to follow, fetch or send is decided by the rooms above. Only this room imports httpx.
"""

from .calls import CallObserver
from .client import Orthanc
from .elements import COMPUTED_LEVEL, SERIES_LEVEL, STUDY_LEVEL, keyword_of, with_numbers
from .errors import (
    NotFound,
    OrthancError,
    Permanent,
    Refused,
    ServerFault,
    TooSlow,
    Transient,
    Unauthorized,
    Unreachable,
    Untrusted,
    harmless,
)
from .files import InstanceFiles
from .http import Credentials
from .modalities import DicomWebServer, Modality, modality_name, sender_name
from .models import (
    Attachment,
    Change,
    ChangesPage,
    Commitment,
    InstanceResource,
    Job,
    JobState,
    SeriesResource,
    Stored,
    StudyResource,
    SystemInfo,
)
from .trust import Trust, UnfitCertificate

__all__ = [
    "COMPUTED_LEVEL",
    "SERIES_LEVEL",
    "STUDY_LEVEL",
    "Attachment",
    "CallObserver",
    "Change",
    "ChangesPage",
    "Commitment",
    "Credentials",
    "DicomWebServer",
    "InstanceFiles",
    "InstanceResource",
    "Job",
    "JobState",
    "Modality",
    "NotFound",
    "Orthanc",
    "OrthancError",
    "Permanent",
    "Refused",
    "SeriesResource",
    "ServerFault",
    "Stored",
    "StudyResource",
    "SystemInfo",
    "TooSlow",
    "Transient",
    "Trust",
    "Unauthorized",
    "UnfitCertificate",
    "Unreachable",
    "Untrusted",
    "harmless",
    "keyword_of",
    "modality_name",
    "sender_name",
    "with_numbers",
]
