"""A container image on disk becomes the root file system that its container would see, and its configuration.

Reads the OCI image layout (a folder, or a tar of it as `podman save --format oci-archive` and `docker save` write it). Layers come from
strangers: no name leaves the folder, whatever links an earlier layer laid. It must not run anything of the image.
"""

import contextlib
import hashlib
import json
import os
import posixpath
import shutil
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from .failure import Failure

MOST_LINKS = 40
"""As the kernel follows (path_resolution(7))."""
DOCUMENT_LIMIT = 8 << 20
"""Bytes of an index, manifest or configuration."""


@dataclass(frozen=True)
class Image:
    """A root file system and what the image's configuration says (github.com/opencontainers/image-spec, config.md)."""

    root: Path
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    directory: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    configured: bool = True
    """False: a bare folder, of which nobody knows what its image says."""


def within(root: Path, path: str) -> Path:
    """Where `path` of the container lies outside of it: links are followed as the container would, never out of `root`."""
    place, rest, links = root, [part for part in path.split("/") if part not in ("", ".")], 0
    while rest:
        part = rest.pop(0)
        if part == "..":
            place = place.parent if place != root else root
            continue
        place = place / part
        if place.is_symlink():
            links += 1
            if links > MOST_LINKS:
                raise Failure(f"{path}: the image's links go in a circle")
            target = os.readlink(place)
            place = root if target.startswith("/") else place.parent
            rest = [one for one in target.split("/") if one not in ("", ".")] + rest
    return place


def unpacked(layout: Path, into: Path) -> Image:
    """The image of an OCI layout, a folder or a tar. Raises Failure."""
    if layout.is_file():
        folder = into / "layout"
        folder.mkdir()
        try:
            with tarfile.open(layout) as archive:
                _extract(archive, folder, owners=False)
        except tarfile.TarError as error:
            raise Failure(f"{layout} is no tar of an image: {error}", code=2) from error
        layout = folder
    if not (layout / "index.json").is_file():
        words = "write one with `podman save --format oci-archive`, or Docker 25 or newer"
        raise Failure(f"{layout} is no OCI image layout (no index.json): {words}", code=2)
    manifest = _manifest(layout)
    config = _document(layout, manifest.get("config", {}).get("digest", ""))
    root = into / "image"
    root.mkdir()
    for layer in manifest.get("layers", []):
        _apply(layout, layer, root)
    return _image(root, config.get("config") or {})


def _image(root: Path, config: dict[str, Any]) -> Image:
    return Image(
        root=root,
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        user=str(config.get("User") or ""),
        directory=str(config.get("WorkingDir") or "/"),
        environment=dict(pair.split("=", 1) for pair in config.get("Env") or () if "=" in pair),
        labels={str(name): str(value) for name, value in (config.get("Labels") or {}).items()},
    )


def _manifest(layout: Path) -> dict[str, Any]:
    """The only image, or this machine's of several."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    document = json.loads((layout / "index.json").read_bytes())
    for _ in range(4):  # an index may name another index
        manifests = [one for one in document.get("manifests", []) if one.get("platform", {}).get("architecture", machine) in (machine, "")]
        if not manifests:
            raise Failure(f"{layout}: no image for this machine's architecture ({machine}) is in it")
        document = _document(layout, manifests[0]["digest"])
        if "layers" in document:
            return document
    raise Failure(f"{layout}: no image manifest is in it", code=2)


def _blob(layout: Path, digest: str) -> Path:
    kind, _, number = digest.partition(":")
    path = layout / "blobs" / kind / number
    if kind != "sha256" or not number.isalnum() or not path.is_file():
        raise Failure(f"{layout}: blob {digest or 'without a digest'} is missing")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != number:
            raise Failure(f"{layout}: blob {digest} has other content than its digest says; copy the image again")
    return path


def _document(layout: Path, digest: str) -> dict[str, Any]:
    path = _blob(layout, digest)
    if path.stat().st_size > DOCUMENT_LIMIT:
        raise Failure(f"{layout}: {digest} is larger than a manifest is")
    document = json.loads(path.read_bytes())
    if not isinstance(document, dict):
        raise Failure(f"{layout}: {digest} is no manifest or configuration")
    return document


def _apply(layout: Path, layer: dict[str, Any], root: Path) -> None:
    path, kind = _blob(layout, str(layer.get("digest", ""))), str(layer.get("mediaType", ""))
    if kind.endswith("zstd"):
        raise Failure(f"{layout}: layers packed with zstd cannot be read here; write gzip: `skopeo copy --dest-compress-format gzip`")
    try:
        with tarfile.open(path) as archive:
            _extract(archive, root, owners=os.geteuid() == 0)
    except tarfile.TarError as error:
        raise Failure(f"{layout}: a layer is no tar: {error}") from error


def _extract(archive: tarfile.TarFile, root: Path, *, owners: bool) -> None:
    """One layer over the ones before it, with their whiteouts (image-spec, layer.md). Devices and pipes are left out."""
    for member in archive:
        parent, name = within(root, posixpath.dirname(member.name)), posixpath.basename(posixpath.normpath(member.name))
        if name in ("", ".", ".."):
            continue
        parent.mkdir(parents=True, exist_ok=True)
        if name == ".wh..wh..opq":
            for entry in parent.iterdir():
                _remove(entry)
        elif name.startswith(".wh."):
            _remove(parent / name.removeprefix(".wh."))
        else:
            _place(archive, member, root, parent / name, owners=owners)


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, root: Path, path: Path, *, owners: bool) -> None:
    if not (member.isdir() and path.is_dir() and not path.is_symlink()):
        _remove(path)
    if member.isdir():
        path.mkdir(exist_ok=True)
    elif member.issym():
        path.symlink_to(member.linkname)
    elif member.islnk():
        other = within(root, posixpath.dirname(member.linkname)) / posixpath.basename(member.linkname)
        if other.is_file() and not other.is_symlink():
            os.link(other, path)
        return
    elif member.isreg():
        content: IO[bytes] | None = archive.extractfile(member)
        with path.open("xb") as file:
            if content:
                shutil.copyfileobj(content, file)
    else:
        return
    if owners:
        os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        path.chmod(member.mode & 0o7777 if owners else (member.mode & 0o777) | 0o600 | (0o100 if member.isdir() else 0))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
