"""The manifests of a MONAI application package, found in an image without pulling it.

The builders (holoscan-cli, App SDK 0.5) COPY app.json and pkg.json at the end of their Dockerfile, so they lie in small layers near the end. Only
small layers are looked into, from the last to the first; a squashed image has none, and then nothing is known here. Layers are untrusted: sizes are
bounded before and after decompression, and members are read by their exact name only.
"""

import gzip
import io
import json
import math
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import Broken
from .image import Blob, Manifest

LAYER = 1 << 20
"""Bytes of a layer that is looked into; one that holds a manifest has about 400."""
LAYERS = 16
"""Small layers that are looked into at most."""
PLAIN = 8 << 20
"""Bytes of a layer after decompression."""
FILE = 1 << 20
"""Bytes of a manifest, as the launcher has it."""
APPLICATION = {"etc/holoscan/app.json": "MAP 1.0", "etc/monai/app.json": "MAP 0.x"}
PACKAGE = {"etc/holoscan/pkg.json": "MAP 1.0", "etc/monai/pkg.json": "MAP 0.x"}
_UNITS = {"": "", "b": "", "ki": "Ki", "mi": "Mi", "gi": "Gi", "ti": "Ti", "kib": "Ki", "mib": "Mi", "gib": "Gi", "tib": "Ti"}
_UNITS |= {"k": "k", "kb": "k", "m": "M", "mb": "M", "g": "G", "gb": "G", "t": "T", "tb": "T"}


@dataclass(frozen=True, slots=True)
class Needs:
    """`resources` of pkg.json, as Kubernetes writes quantities; empty where it says nothing that can be read."""

    cpu: str = ""
    memory: str = ""
    gpu: int = 0
    gpu_memory: str = ""
    shared_memory: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """What the two manifests say."""

    contract: str
    """`MAP 1.0` or `MAP 0.x`."""
    version: str = ""
    needs: Needs = Needs()


def small_layers(manifest: Manifest) -> tuple[Blob, ...]:
    """Where manifests may lie, the last layer first."""
    return tuple(layer for layer in reversed(manifest.layers) if 0 < layer.size <= LAYER)[:LAYERS]


def members(layer: bytes, kind: str) -> dict[str, bytes]:
    """The manifests in one layer, by path. `kind`: its media type. Raises Broken."""
    plain = _plain(layer, kind)
    if plain is None:
        return {}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
            for member in archive:
                name = member.name.removeprefix("./").removeprefix("/")
                if name not in APPLICATION and name not in PACKAGE:
                    continue
                if not member.isreg() or member.size > FILE:
                    raise Broken(f"/{name} in the image is no file of at most {FILE} bytes")
                file = archive.extractfile(member)
                found[name] = file.read() if file else b""
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise Broken("a layer is no tar archive") from error
    return found


def read_package(found: Mapping[str, bytes]) -> Package | None:
    """Of the newest generation there is. Raises Broken."""
    application = next((path for path in APPLICATION if path in found), None)
    package = next((path for path in PACKAGE if path in found), None)
    if application is None and package is None:
        return None
    told = _object(found[application], application) if application else {}
    needs = _object(found[package], package) if package else {}
    if application and not told.get("command"):
        raise Broken(f"/{application} in the image has no command: the package cannot be started")
    contract = APPLICATION[application] if application else PACKAGE[str(package)]
    resources = needs.get("resources") or needs.get("resource") or {}
    return Package(contract, str(told.get("version", ""))[:64], _needs(resources if isinstance(resources, dict) else {}))


def _plain(layer: bytes, kind: str) -> bytes | None:
    """Decompressed; None when it is larger than a layer that holds manifests."""
    try:
        if kind.endswith("+zstd") or layer[:4] == b"\x28\xb5\x2f\xfd":
            import zstandard  # few images have it, and it takes 3 MB

            with zstandard.ZstdDecompressor(max_window_size=PLAIN).stream_reader(layer) as reader:
                plain = reader.read(PLAIN + 1)
        elif layer[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(layer)) as file:
                plain = file.read(PLAIN + 1)
        else:
            plain = layer
    except (OSError, EOFError, zlib.error) as error:
        raise Broken("a layer cannot be decompressed") from error
    except Exception as error:
        if type(error).__name__ != "ZstdError":  # the class is known only where the module is loaded
            raise
        raise Broken("a layer cannot be decompressed") from error
    return plain if len(plain) <= PLAIN else None


def _object(text: bytes, path: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Broken(f"/{path} in the image is not JSON") from error
    if not isinstance(body, dict):
        raise Broken(f"/{path} in the image is not a JSON object")
    return body


def _needs(resources: Mapping[str, Any]) -> Needs:
    """Copied unvalidated from the author's app.yaml by the builders: what cannot be read counts as not said."""
    return Needs(
        cpu=_number(resources.get("cpu")),
        memory=_quantity(resources.get("memory")),
        gpu=math.ceil(float(_number(resources.get("gpu")) or 0)),
        gpu_memory=_quantity(resources.get("gpuMemory", resources.get("gpu-memory"))),
        shared_memory=_quantity(resources.get("sharedMemory", resources.get("shared-memory"))),
    )


def _number(value: object) -> str:
    """A whole or decimal number of processors; `500m` is not written by authors of MAPs."""
    try:
        number = float(str(value))
    except ValueError:
        return ""
    return _written(number) if 0 < number < 10_000 else ""


def _quantity(value: object) -> str:
    """`6Gi`, `1024 MiB`, `0.5Gi` as Kubernetes writes them; a bare number is bytes."""
    text = "" if value is None or isinstance(value, bool) else str(value).strip()
    digits = text.rstrip("KMGTBIkmgtbi ").strip()
    unit = _UNITS.get(text[len(digits) :].strip().lower())
    try:
        number = float(digits)
    except ValueError:
        return ""
    if unit is None or not 0 < number < 1e15:
        return ""
    return f"{_written(number)}{unit}" if unit else str(int(number))


def _written(number: float) -> str:
    """Without exponent."""
    return f"{number:.3f}".rstrip("0").rstrip(".")
