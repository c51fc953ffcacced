"""The name of an image: which registry, which repository, which tag or digest.

As the reference grammar of github.com/distribution/reference has it, with Docker Hub as the registry of names that name none.
"""

import re
from dataclasses import dataclass

HUB, HUB_HOST = "docker.io", "registry-1.docker.io"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?|\[[0-9a-fA-F:]+\](:[0-9]{1,5})?")
_PATH = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


class InvalidReference(ValueError):
    """The text names no image; the message says what it should look like."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image as people write it."""

    name: str
    """As written, without tag and digest."""
    registry: str
    """Host and port; `docker.io` for Docker Hub."""
    repository: str
    tag: str
    """`latest` when neither tag nor digest is written; empty beside a digest alone."""
    digest: str
    """Empty, or sha256:…; beside a tag the digest counts."""

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Raises InvalidReference."""
        named, at, digest = text.partition("@")
        head, slash, last = named.rpartition("/")
        last, colon, tag = last.partition(":")
        name = f"{head}{slash}{last}"
        host, _, path = name.partition("/")
        if not path or not ("." in host or ":" in host or host == "localhost"):
            host, path = HUB, name if "/" in name else f"library/{name}"
        if not _HOST.fullmatch(host) or not _PATH.fullmatch(path) or (colon and not _TAG.fullmatch(tag)) or (at and not DIGEST.fullmatch(digest)):
            raise InvalidReference(f"{text!r} names no image; write registry.example/name:tag or registry.example/name@sha256:…")
        return cls(name, HUB if host == "index.docker.io" else host, path, tag or ("" if digest else "latest"), digest)

    @property
    def host(self) -> str:
        """Where the registry answers."""
        return HUB_HOST if self.registry == HUB else self.registry

    @property
    def version(self) -> str:
        """What the registry is asked for."""
        return self.digest or self.tag

    def pinned(self, digest: str) -> str:
        """The same image for ever. The tag stays, for people: beside a digest the kubelet does not look at it."""
        return f"{self.name}{f':{self.tag}' if self.tag else ''}@{digest}"

    def __str__(self) -> str:
        return f"{self.name}{f':{self.tag}' if self.tag else ''}{f'@{self.digest}' if self.digest else ''}"
