"""What can go wrong at the API server:

    KubeError
    ├── Permanent            asking again will not help
    │   ├── Unconfigured     kubeconfig or the service account cannot be used: there is nobody to ask
    │   ├── NotFound         404
    │   ├── AlreadyExists    409, POST of a name that is taken
    │   └── Rejected         400, 403 of admission and quota, 413, 422: the object will never be taken as it is
    └── Transient            asking again later may help; `retry_after` is the server's wish in seconds
        ├── Conflict         409, the object changed meanwhile or is another one of the same name
        ├── Expired          410, the version to go on from is forgotten: list again
        ├── NotLeading       not sent: another process may lead by now
        ├── NotPermitted     401, 403 of RBAC: someone must mend a Role; the work itself is fine
        └── Unavailable      429, 5xx, no connection, no answer in time, 403 of a server that is still starting

The message is the server's own, without the URL. Nothing but `client` and `watching` raises these, `connection` Unconfigured and `lease` Unavailable.
"""

from collections.abc import Mapping
from typing import Any


class KubeError(Exception):
    """Base of all: `except KubeError` is every fault of the API server."""

    def __init__(self, message: str, *, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Permanent(KubeError):
    """Asking again will not help."""


class Unconfigured(Permanent):
    """Kubeconfig or the service account cannot be used."""


class NotFound(Permanent):
    """There is no such object."""

    of_object = True
    """False: the server does not know the kind."""


class AlreadyExists(Permanent):
    """An object of that name exists."""


class Rejected(Permanent):
    """The object will never be taken as it is."""


class Transient(KubeError):
    """Asking again later may help."""


class Conflict(Transient):
    """The object changed meanwhile, or is another one of the same name."""


class Expired(Transient):
    """The version a watch or a list is to go on from is not known any more: list anew."""


class NotLeading(Transient):
    """It was not sent: this process does not lead."""


class NotPermitted(Transient):
    """The operator may not do this: its Role or its token is at fault."""


class Unavailable(Transient):
    """No answer, or none that says anything about the object."""


_PASSING_403 = ("not yet ready to handle request", "status unknown for quota")
"""Words of admission plugins (apiserver, pkg/admission; plugin/resourcequota) of a server or a quota that is just starting."""
LONGEST_WISH = 60.0
"""Seconds that a server's Retry-After is believed: a proxy's maintenance page may ask for a day, and nobody would be heard until then."""
_PERMANENT_STATUS = frozenset({400, 405, 413, 415, 422})


def error_of(status: int, body: Mapping[str, Any], retry_after: str | None = None) -> KubeError:
    """The error for an answer of 300 and above; `body` is a Status (meta/v1) or whatever a proxy wrote."""
    message = str(body.get("message") or f"the API server answered {status}")
    wait = min(float(retry_after), LONGEST_WISH) if retry_after and retry_after.isdigit() else None
    match status:
        case 404:
            missing = NotFound(message, status=status)
            missing.of_object = bool((body.get("details") or {}).get("name"))
            return missing
        case 409:
            kind = AlreadyExists if body.get("reason") == "AlreadyExists" else Conflict
            return kind(message, status=status)
        case 410:
            return Expired(message, status=status)
        case 401:
            return NotPermitted(message, status=status)
        case 403:
            # RBAC's words (apiserver, pkg/endpoints/handlers/responsewriters): User "x" cannot create resource "jobs" …
            if " cannot " in message and " resource " in message:
                return NotPermitted(message, status=status)
            passing = any(words in message for words in _PASSING_403)
            return Unavailable(message, status=status) if passing else Rejected(message, status=status)
        case _ if status in _PERMANENT_STATUS:
            return Rejected(message, status=status)
        case _:
            return Unavailable(message, status=status, retry_after=wait)
