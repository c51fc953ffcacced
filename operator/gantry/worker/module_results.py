"""result.json of a mercure module: what of its reserved keys is honoured, and which files it only passed on.

A module's text is shown in the Run's warnings, which lose every identifier of the patient on their way; where results go is the pipeline's to
decide, so a wish to route elsewhere is told and not followed. Other values of result.json are `report.mapping`'s.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, BinaryIO

RESULT = "result.json"
NOTIFICATION, ROUTING = "__mercure_notification", "__mercure_routing"
TEXT_LIMIT = 150
"""Characters of a module's text: a warning has 200."""


def warnings_of(files: list[bytes]) -> tuple[str, ...]:
    """A line for each thing that a person should know. `files`: contents of result.json, as many as there are."""
    return tuple(line for content in files for line in _warnings(content))


def _warnings(content: bytes) -> list[str]:
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return [f"{RESULT} is not JSON: nothing of it was looked at"]
    if not isinstance(document, dict):
        return []
    lines = []
    if text := _text(document.get(NOTIFICATION)):
        lines.append(f"the module says: {text}")
    if document.get(ROUTING):
        lines.append(f"{RESULT} asks for another way of its results ({ROUTING}): not followed; delivery of the pipeline decides")
    return lines


def _text(notification: Any) -> str:
    """On one line, without control characters."""
    text = notification.get("text") if isinstance(notification, dict) else None
    words = " ".join(text.split()) if isinstance(text, str) else ""
    plain = "".join(letter for letter in words if letter.isprintable())
    return plain if len(plain) <= TEXT_LIMIT else f"{plain[: TEXT_LIMIT - 1]}…"


class Forwarded:
    """Knows the files of a folder by their content, whatever their names: a module hands on what it got, for the next one of a chain.

    A file is read only when one of its size was in the input.
    """

    def __init__(self, folder: Path) -> None:
        self._by_size: dict[int, list[Path]] = {}
        self._known: dict[int, set[bytes]] = {}
        for path in folder.glob("*/*.dcm"):
            self._by_size.setdefault(path.stat().st_size, []).append(path)

    def holds(self, stream: BinaryIO, size: int) -> bool:
        """Whether this is one of the input's, byte for byte. The stream is read from its start."""
        if size not in self._by_size:
            return False
        if size not in self._known:
            self._known[size] = {_digest_of(path) for path in self._by_size[size]}
        stream.seek(0)
        return _digest(stream) in self._known[size]


def _digest_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return _digest(file)


def _digest(stream: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.digest()
