"""What a request to Orthanc is called in a metric: its method, and its path without anything that is an id or a name."""

from collections.abc import Callable

CallObserver = Callable[[str, str, float], None]
"""Told of each attempt of a request: what it is called, the HTTP status (or the error's class), and the seconds it took."""

WORDS = frozenset(
    {
        "answers", "attachments", "bulk-content", "changes", "data", "dicom", "dicom-web", "echo", "file", "find", "instances", "jobs", "labels",
        "lookup", "md5", "metadata", "modalities", "now", "peers", "plugins", "queries", "query", "series", "servers", "storage-commitment", "store",
        "stow", "studies", "study", "system", "tags", "tools",
    }
)  # fmt: skip
"""Of Orthanc's REST API. Whatever else stands in a path is told by nobody."""


def call_name(method: str, path: str) -> str:
    """`GET /studies/…/instances`: the words of the API stay, all else is `…`, so that its values are few."""
    parts = path.partition("?")[0].strip("/").split("/")
    return f"{method} /{'/'.join(part if part in WORDS else '…' for part in parts)}"
