"""What watches have lately told to be gone, so that a late answer to a write of ours does not bring it back. Values only."""

KEPT = 1000
"""Deletions; an answer is late by a second at most, and of more than a thousand a second no API server tells."""


class Gone:
    """`note` what a watch tells; `outlived` is asked of everything else."""

    def __init__(self) -> None:
        self._versions: dict[str, int] = {}

    def note(self, uid: str, version: int) -> None:
        """It went at this version; or it left what the watch selects, as a Run that finishes does."""
        self._versions.pop(uid, None)
        self._versions[uid] = version
        if len(self._versions) > KEPT:
            del self._versions[next(iter(self._versions))]

    def outlived(self, uid: str, version: int) -> bool:
        """Whether the object of this version is older than its end."""
        return version < self._versions.get(uid, 0)
