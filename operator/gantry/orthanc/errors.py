"""What can go wrong between Gantry and an Orthanc.

    OrthancError                 the one class to catch
    ├── Transient                the same request may work later
    │   ├── Unreachable          no connection, no name, or the connection broke off
    │   │   └── Untrusted        a certificate does not verify, the server's or ours; works again once one is replaced
    │   ├── TooSlow              no connection or no answer in time
    │   └── ServerFault          Orthanc or a proxy before it answered 5xx or 429
    └── Permanent                the same request will never work
        ├── Unauthorized         401, 403: the credentials are refused
        ├── NotFound             404: the study, instance, modality or job is not there (any more)
        └── Refused              any other 4xx, a redirect, or an answer that is not Orthanc's

A message says what was tried, what came back and what to do. It never holds a DICOM identifier: only Orthanc's own ids (hashes),
and words of Orthanc after `harmless`.
"""

import re

WORDS_LIMIT = 300
"""Characters of a server's words that are kept: enough for DCMTK's longest association error, short enough for a status message."""

_IDENTIFYING = re.compile(
    r"[^\s\"'(),;:=<>]*\^[^\s\"'(),;<>]*"  # a person name (PS3.5 6.2.1: components are separated by ^)
    r"|\b\d+(?:\.\d+){4,}\b"  # a UID; an IPv4 address has fewer components
    r"|\b\d{6,}\b"  # a patient id, an accession number or a date; a TCP port has at most five digits
)


class OrthancError(Exception):
    """Base of all of them: `except OrthancError` around a call is enough to survive it."""


class Transient(OrthancError):
    """Worth trying again later."""


class Unreachable(Transient):
    """No connection could be made, or it broke off."""


class Untrusted(Unreachable):
    """One side does not believe the other's certificate."""


class TooSlow(Transient):
    """No connection or no answer in time. Not repeated by the client: it has cost the whole time-out."""


class ServerFault(Transient):
    """An answer of the server that speaks of its own trouble."""


class Permanent(OrthancError):
    """Not worth trying again unchanged."""


class Unauthorized(Permanent):
    """The credentials are refused."""


class NotFound(Permanent):
    """What the path names does not exist."""


class Refused(Permanent):
    """The server does not take this request."""


def harmless(words: str) -> str:
    """A server's words in one line, shortened, with everything masked that looks like a DICOM identifier or a person's name."""
    text = _IDENTIFYING.sub("…", " ".join(words.split()))
    return text if len(text) <= WORDS_LIMIT else text[: WORDS_LIMIT - 1] + "…"
