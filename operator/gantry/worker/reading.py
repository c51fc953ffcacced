"""The header of an input image: what stands before its pixels, read in bounded memory also where the file is deflated.

pydicom inflates a deflated file (PS3.5 A.5) whole before it looks at anything: 262 KB from a modality, which Orthanc takes, became 600 MB.
Here as much is inflated as the header needs. It must not judge what the header says.
"""

import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import FileDataset
from pydicom.filereader import _read_file_meta_info, read_dataset, read_preamble
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from gantry.api import RunReason

from .log import complain, frames
from .outcome import Stop

MOST = 128 << 20
"""Bytes of inflated headers a Run: 2,000 slices have 40 MB, an enhanced image of 10,000 frames 5 MB. publish has 1 GiB."""
MOST_OF_TAGS = 32 << 20
"""Bytes of one image in fetch, which has 512 MiB, keeps a few elements and may be reading several at once."""
FIRST = 1 << 20
"""Bytes that are inflated first; the header of nearly every image is in them."""
PIXELS = 0x7FE00000
"""Group of Float, Double Float and Pixel Data (PS3.3 C.7.6.3)."""


def read_header(path: Path, *, most: int = MOST, tags: Sequence[str] = ()) -> tuple[FileDataset, int]:
    """The dataset, and how many bytes of it were inflated. Raises Stop when those would be more than `most`, and when the header is damaged."""
    try:
        return _read(path, most, tags)
    except (Stop, OSError, MemoryError):
        raise
    except Exception as error:  # whatever the parser makes of bytes that are no DICOM; its words may quote them
        complain("the header of an image is damaged", {"error": type(error).__name__, "frames": frames(error)})
        words = f"the header of an image is damaged ({type(error).__name__}); repair the image or delete it, and send the study again"
        raise Stop(RunReason.INPUT_UNREADABLE, words) from error


def _read(path: Path, most: int, tags: Sequence[str]) -> tuple[FileDataset, int]:
    with path.open("rb") as file:
        # force: Orthanc also keeps files without the Part 10 preamble.
        preamble, meta = read_preamble(file, force=True), _read_file_meta_info(file)
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(tags) or None), 0
        begin, size = file.tell(), min(FIRST, most)
        while True:
            file.seek(begin)
            plain, whole = _inflated(file, size)
            try:
                dataset, length = _parsed(plain, tags)
                if whole or length is not None:
                    break
            except Exception:  # whatever the parser makes of an element that is cut in two; of a whole file it is the file's fault
                if whole:
                    raise
            if size == most:
                words = f"the headers of deflated images inflate to more than {MOST >> 20} MiB; store such images uncompressed"
                raise Stop(RunReason.INPUT_UNREADABLE, words)
            size = min(8 * size, most)
    read = FileDataset(path, dataset, preamble, meta, is_implicit_VR=False, is_little_endian=True)
    read.set_original_encoding(False, True, dataset._character_set)
    return read, len(plain) if length is None else length


def _inflated(file: BinaryIO, size: int) -> tuple[bytes, bool]:
    """At most `size` bytes of the stream, and whether there are no more."""
    inflate, made = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    while len(made) < size:
        packed = inflate.unconsumed_tail or file.read(FIRST)
        if inflate.eof or not packed:
            return bytes(made), True
        made += inflate.decompress(packed, size - len(made))
    return bytes(made), inflate.eof


def _parsed(plain: bytes, tags: Sequence[str]) -> tuple[pydicom.Dataset, int | None]:
    """The elements before the pixels, and where those begin; None: they were not reached."""
    stream, reached = BytesIO(plain), False

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal reached
        reached = tag & 0xFFFF0000 == PIXELS
        return reached

    dataset = read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=at_pixels, specific_tags=[Tag(one) for one in tags] or None)
    return dataset, stream.tell() if reached else None
