"""Arrays in files: NIfTI and NumPy, read as untrusted input and slab by slab.

Pure: bytes in, numbers out. The header is read first and the shape compared with the images before anything is inflated, so that a small file
cannot become gigabytes. Values become small integers at once: a float64 mask of 1,000 slices would take 2 GiB.
"""

import gzip
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidReport

Bytes8 = NDArray[np.uint8]
FARTHEST = 1 << 20
"""Bytes before the data of a NIfTI file: header and extensions."""
SLAB = 1 << 22
"""Values converted at once."""
_NPY = b"\x93NUMPY"


@dataclass(frozen=True)
class Volume:
    """A file whose header was read."""

    shape: tuple[int, ...]
    affine: NDArray[np.float64] | None
    """From index to mm, patient RAS; None: the file has none."""
    dtype: np.dtype[Any]
    fortran: bool
    """The first axis changes fastest."""
    scale: tuple[float, float]
    """Slope and intercept."""
    offset: int
    content: bytes
    compressed: bool

    def values(self, convert: Callable[[NDArray[Any]], Bytes8], *, where: str) -> Bytes8:
        """All values, converted piece by piece, in the shape of the file. Raises InvalidReport when the file ends early."""
        total = math.prod(self.shape)
        result = np.empty(total, np.uint8)
        slope, intercept = self.scale
        with self._stream() as stream:
            _skip(stream, self.offset, where=where)
            for start in range(0, total, SLAB):
                count = min(SLAB, total - start)
                piece = np.frombuffer(_exactly(stream, count * self.dtype.itemsize, where=where), self.dtype)
                result[start : start + count] = convert(piece if (slope, intercept) == (1, 0) else piece * slope + intercept)
        return result.reshape(self.shape, order="F" if self.fortran else "C")

    def _stream(self) -> BinaryIO:
        return _opened(self.content, compressed=self.compressed)


def read_volume(content: bytes, *, where: str) -> Volume:
    """Raises InvalidReport for what is neither NIfTI-1, NIfTI-2 nor NumPy, and for values that are no numbers."""
    if content.startswith(_NPY):
        return _array(content, where=where)
    compressed = content.startswith(b"\x1f\x8b")
    with _opened(content, compressed=compressed) as stream:
        start = _exactly(stream, 4, where=where)
        kinds = _nifti_headers()
        kind = kinds.get(int.from_bytes(start, "little")) or kinds.get(int.from_bytes(start, "big"))
        if kind is None:
            raise InvalidReport(f"{where}: is neither NIfTI nor NumPy")
        raw = start + _exactly(stream, kind.sizeof_hdr - 4, where=where)
    return _nifti(kind, raw, content, compressed=compressed, where=where)


def _nifti(kind: Any, raw: bytes, content: bytes, *, compressed: bool, where: str) -> Volume:
    try:
        header = kind(raw, check=False)
        magic, shape, dtype = bytes(header["magic"]), tuple(int(length) for length in header.get_data_shape()), header.get_data_dtype()
        affine, offset = np.asarray(header.get_best_affine(), np.float64), int(header["vox_offset"])
        slope, intercept = header.get_slope_inter()
    except Exception as fault:  # noqa: BLE001 - whatever nibabel raises for a hostile header means the same
        raise InvalidReport(f"{where}: its NIfTI header cannot be read ({type(fault).__name__})") from None
    if not magic.startswith((b"n+1", b"n+2")):
        raise InvalidReport(f"{where}: header and data lie in two files; write one .nii or .nii.gz")
    if not header["sform_code"] and not header["qform_code"]:
        raise InvalidReport(f"{where}: has no affine (sform_code and qform_code are 0); write that of the images")
    if not np.isfinite(affine).all() or not 0 < offset <= FARTHEST:
        raise InvalidReport(f"{where}: its NIfTI header makes no sense (affine or vox_offset)")
    scale = (1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))
    if not all(map(math.isfinite, scale)):
        raise InvalidReport(f"{where}: its NIfTI header makes no sense (scl_slope, scl_inter)")
    return Volume(_squeezed(shape), affine, _numeric(dtype, where=where), True, scale, offset, content, compressed=compressed)


def _array(content: bytes, *, where: str) -> Volume:
    stream = BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = readers[version](stream)
    except (ValueError, KeyError, EOFError, SyntaxError, RecursionError, MemoryError) as fault:
        raise InvalidReport(f"{where}: its NumPy header cannot be read ({type(fault).__name__}); write it by numpy.save") from None
    return Volume(shape, None, _numeric(dtype, where=where), fortran, (1.0, 0.0), stream.tell(), content, compressed=False)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """NIfTI often says that there is one time."""
    return shape[:3] if all(length == 1 for length in shape[3:]) else shape


def _numeric(dtype: "np.dtype[Any]", *, where: str) -> "np.dtype[Any]":
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise InvalidReport(f"{where}: holds values of type {dtype.name[:16]}; write whole numbers (uint8), or floats for fractions")
    return dtype


def _nifti_headers() -> dict[int, Any]:
    """By the first number of the file. Loaded by the first mask of a process: 40 ms that no other report needs."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    return {int(kind.sizeof_hdr): kind for kind in (Nifti1Header, Nifti2Header)}


def _opened(content: bytes, *, compressed: bool) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=BytesIO(content))) if compressed else BytesIO(content)


def _skip(stream: BinaryIO, count: int, *, where: str) -> None:
    _exactly(stream, count, where=where)


def _exactly(stream: BinaryIO, count: int, *, where: str) -> bytes:
    try:
        content = stream.read(count)
    except (OSError, EOFError, zlib.error):
        raise InvalidReport(f"{where}: is not readable as gzip") from None
    if len(content) < count:
        raise InvalidReport(f"{where}: ends early")
    return content
