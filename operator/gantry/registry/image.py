"""What an image says of itself: its index or manifest, and its configuration (OCI image specification; Docker's schema 2 is the same).

Values in, values out. What a registry sends is untrusted: everything is checked for its type, and what does not fit is Broken.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import Broken
from .reference import DIGEST

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
WORDS, LETTERS = 64, 4096
"""Most words of a command and letters of a word, as in the pipeline."""
MAP_LABELS = ("org.monai.deploy.app-sdk", "org.nvidia.holoscan")
MAP_VARIABLES = ("HOLOSCAN_APP_MANIFEST_PATH", "HOLOSCAN_INPUT_PATH", "MONAI_INPUTPATH", "MONAI_APPLICATION")
"""By labels and environment a MONAI application package is known without a look into its layers."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Something the registry keeps under its digest."""

    digest: str
    size: int
    kind: str


@dataclass(frozen=True, slots=True)
class Platform:
    """An image of an index."""

    blob: Blob
    architecture: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image of one architecture."""

    config: Blob
    layers: tuple[Blob, ...]

    @property
    def size(self) -> int:
        """Bytes of all layers, as they are pulled."""
        return sum(layer.size for layer in self.layers)


@dataclass(frozen=True, slots=True)
class Config:
    """How an image is run when nobody says otherwise."""

    architecture: str
    system: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    user: str
    directory: str
    labels: Mapping[str, str]
    variables: frozenset[str]
    """Names of the environment."""

    @property
    def says_map(self) -> bool:
        """Whether labels or environment are those of a MONAI application package."""
        return any(label in self.labels for label in MAP_LABELS) or any(name in self.variables for name in MAP_VARIABLES)


def read_manifest(data: bytes) -> tuple[Platform, ...] | Manifest:
    """The images of an index for Linux, or the one image. Raises Broken."""
    body = _object(data, "its manifest")
    if "manifests" in body:
        return tuple(_platforms(_items(body, "manifests")))
    if body.get("schemaVersion") == 1 or "fsLayers" in body:
        raise Broken("its manifest is of Docker's schema 1, which no current runtime pulls; build and push it again")
    if not isinstance(body.get("config"), dict):
        raise Broken("its manifest names no configuration")
    return Manifest(_blob(body["config"]), tuple(_blob(one) for one in _items(body, "layers")))


def read_config(data: bytes) -> Config:
    """Raises Broken."""
    body = _object(data, "its configuration")
    inner = body.get("config") or {}
    if not isinstance(inner, dict):
        raise Broken("its configuration has a `config` that is no object")
    labels = inner.get("Labels") or {}
    if not isinstance(labels, dict):
        raise Broken("its labels are no object")
    return Config(
        architecture=_text(body, "architecture"),
        system=_text(body, "os"),
        entrypoint=_words(inner, "Entrypoint"),
        command=_words(inner, "Cmd"),
        user=_text(inner, "User"),
        directory=_text(inner, "WorkingDir"),
        labels={str(name): str(value) for name, value in labels.items()},
        variables=frozenset(one.partition("=")[0] for one in _words(inner, "Env", most=1024, longest=1 << 16)),
    )


def _platforms(items: Iterable[Any]) -> Iterable[Platform]:
    """Attestations of BuildKit stand in an index too, as platform unknown/unknown."""
    for one in items:
        platform = one.get("platform") if isinstance(one, dict) else None
        if isinstance(platform, dict) and platform.get("os") == "linux" and isinstance(platform.get("architecture"), str):
            yield Platform(_blob(one), platform["architecture"])


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Broken(f"{what} is not JSON") from error
    if not isinstance(body, dict):
        raise Broken(f"{what} is not a JSON object")
    return body


def _items(body: Mapping[str, Any], name: str) -> list[Any]:
    found = body.get(name)
    if not isinstance(found, list) or len(found) > 1000:
        raise Broken(f"`{name}` of its manifest is no list of at most 1000")
    return found


def _blob(body: Any) -> Blob:
    digest, size = (body.get("digest"), body.get("size")) if isinstance(body, dict) else (None, None)
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest) or not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise Broken("its manifest names a part without sha256 digest and size")
    return Blob(digest, size, str(body.get("mediaType", "")))


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name) or ""
    if not isinstance(value, str) or len(value) > LETTERS:
        raise Broken(f"`{name}` of its configuration is no text of at most {LETTERS} characters")
    return value


def _words(body: Mapping[str, Any], name: str, *, most: int = WORDS, longest: int = LETTERS) -> tuple[str, ...]:
    value = body.get(name) or []
    if not isinstance(value, list) or len(value) > most or not all(isinstance(one, str) and len(one) <= longest for one in value):
        raise Broken(f"`{name}` of its configuration is no list of at most {most} texts of {longest} characters")
    return tuple(value)
