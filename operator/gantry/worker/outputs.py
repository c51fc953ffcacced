"""What the last step left in its output folder, read as untrusted input.

Every name is opened relative to its folder's descriptor and never through a link, so nothing outside the folder can be reached and nothing
can be swapped between look and read. Anything but folders and regular files is refused, as is more than the limits. No name from a document
is ever opened. It must not judge what the files say: that is `report` and `objects`.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gantry.api import RunReason

from .outcome import Stop

FINDINGS = "findings.json"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What an application may hand over. Checked before anything is read."""

    findings: int = 8 * MIB
    """Bytes of findings.json: 10,000 findings with measurements and regions take 5 MB."""
    objects: int = 4
    """DICOM files: so many that they fit into a receipt beside the reports (making.objects_that_fit)."""
    object_bytes: int = 256 * MIB
    """Of all DICOM files together: publish holds them twice and has 1 GiB. A segmentation of 1,000 slices of 512 x 512 takes 33 MB a segment."""
    mask_bytes: int = 256 * MIB
    """Of all masks together, as files: NIfTI is best compressed. Each is read into one byte a voxel, one mask after the other."""
    entries: int = 10_000
    """Files and folders: images and notes beside the results are not counted as results, but they are looked at."""
    depth: int = 8
    """Folders within folders."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """`objects`: DICOM files by their path within the folder, in the order of their names."""

    findings: bytes | None
    """findings.json; None: there is none."""
    objects: tuple[tuple[str, bytes], ...]
    other: int
    """Files that are neither; they stay where they are and go with the pod."""


def collect(folder: Path, *, step: str, limits: Limits | None = None, is_input: Callable[[BinaryIO, int], bool] | None = None) -> Outputs:
    """Raises Stop: UnacceptedObject, InvalidFindings (too large). `is_input`: DICOM files for which it holds count as other files; it gets a file
    at whatever place it is read, and its bytes."""
    reader = _Reader(step, limits or Limits(), is_input)
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path, parent, name in reader.files(root, "", 1):
            reader.take(path, parent, name)
    finally:
        os.close(root)
    return Outputs(reader.findings, tuple(reader.objects), reader.other)


def collect_masks(folder: Path, names: Collection[str], *, step: str, limits: Limits | None = None) -> dict[str, bytes]:
    """Files of these names, for those that are there. The names are compared with what the folder holds and never opened themselves."""
    reader = _Reader(step, limits or Limits())
    found: dict[str, bytes] = {}
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path, parent, name in reader.files(root, "", 1):
            if path in names:
                found[path] = reader.mask(path, parent, name)
    finally:
        os.close(root)
    return found


def collect_texts(
    folder: Path, names: Collection[str], *, step: str, limits: Limits | None = None, anywhere: bool = True
) -> dict[str, list[bytes]]:
    """Files of these names; a name without a slash is that of a file in any folder, if `anywhere`. Each may be as large as findings.json."""
    reader = _Reader(step, limits or Limits())
    found: dict[str, list[bytes]] = {}
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path, parent, name in reader.files(root, "", 1):
            for wanted in ({path, name} if anywhere else {path}) & set(names):
                found.setdefault(wanted, []).append(reader.text(path, parent, name))
    finally:
        os.close(root)
    return found


class _Reader:
    def __init__(self, step: str, limits: Limits, is_input: Callable[[BinaryIO, int], bool] | None = None) -> None:
        self.step, self.limits, self.is_input = step, limits, is_input
        self.entries = self.other = self.bytes = 0
        self.findings: bytes | None = None
        self.objects: list[tuple[str, bytes]] = []

    def files(self, folder: int, prefix: str, depth: int) -> Iterator[tuple[str, int, str]]:
        """Path, descriptor of the folder and name of every regular file, in the order of names."""
        if depth > self.limits.depth:
            raise self.refused(f"folders lie more than {self.limits.depth} deep")
        for name in self._names(folder):
            path = f"{prefix}{name}"
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if stat.S_ISREG(mode):
                yield path, folder, name
            elif stat.S_ISDIR(mode):
                inner = self._open(path, folder, name, os.O_DIRECTORY)
                try:
                    yield from self.files(inner, f"{path}/", depth + 1)
                finally:
                    os.close(inner)
            else:
                raise self.refused(f"{path} is {_kind(mode)}; only regular files are taken")

    def _names(self, folder: int) -> list[str]:
        names: list[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                self.entries += 1
                if self.entries > self.limits.entries:
                    raise self.refused(f"more than {self.limits.entries} files and folders")
                names.append(entry.name)
        return sorted(names)

    def take(self, path: str, folder: int, name: str) -> None:
        """Reads what belongs to the result."""
        file = self._open(path, folder, name, os.O_NONBLOCK)
        try:
            state = os.fstat(file)
            if not stat.S_ISREG(state.st_mode):
                raise self.refused(f"{path} changed while it was read")
            with os.fdopen(os.dup(file), "rb") as stream:
                if path == FINDINGS:
                    if state.st_size > self.limits.findings:
                        words = f"{FINDINGS} has {state.st_size} bytes; at most {self.limits.findings} are taken"
                        raise Stop(RunReason.INVALID_FINDINGS, words, step=self.step)
                    self.findings = stream.read(self.limits.findings)
                elif _is_dicom(stream.read(132)):
                    if self.is_input and self.is_input(stream, state.st_size):
                        self.other += 1
                    else:
                        self._take_object(path, state.st_size, stream)
                elif name.lower().endswith((".dcm", ".dicom")):
                    raise self.refused(f"{path} is not DICOM")
                else:
                    self.other += 1
        finally:
            os.close(file)

    def mask(self, path: str, folder: int, name: str) -> bytes:
        """The whole file."""
        file = self._open(path, folder, name, os.O_NONBLOCK)
        with os.fdopen(file, "rb") as stream:
            state = os.fstat(file)
            if not stat.S_ISREG(state.st_mode):
                raise self.refused(f"{path} changed while it was read")
            self.bytes += state.st_size
            if self.bytes > self.limits.mask_bytes:
                raise self.refused(f"the masks have more than {self.limits.mask_bytes // MIB} MiB together; write whole numbers as .nii.gz")
            return stream.read(state.st_size)

    def text(self, path: str, folder: int, name: str) -> bytes:
        """The whole file."""
        file = self._open(path, folder, name, os.O_NONBLOCK)
        with os.fdopen(file, "rb") as stream:
            state = os.fstat(file)
            if not stat.S_ISREG(state.st_mode):
                raise self.refused(f"{path} changed while it was read")
            if state.st_size > self.limits.findings:
                raise self.refused(f"{path} has {state.st_size} bytes; at most {self.limits.findings} are taken")
            return stream.read(self.limits.findings)

    def _take_object(self, path: str, size: int, stream: BinaryIO) -> None:
        if len(self.objects) == self.limits.objects:
            raise self.refused(f"more than {self.limits.objects} DICOM files; put several images into one multi-frame object")
        self.bytes += size
        if self.bytes > self.limits.object_bytes:
            raise self.refused(f"the DICOM files have more than {self.limits.object_bytes // MIB} MiB together")
        stream.seek(0)
        self.objects.append((path, stream.read(size)))

    def _open(self, path: str, folder: int, name: str, flags: int) -> int:
        try:
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=folder)
        except PermissionError:
            words = f"{path} cannot be read by Gantry's user; the application has to leave its files readable for their group (umask 022)"
            raise self.refused(words) from None
        except OSError as error:
            raise self.refused(f"{path} cannot be opened: {error.strerror}") from None

    def refused(self, words: str) -> Stop:
        return Stop(RunReason.UNACCEPTED_OBJECT, f"output of step {self.step}: {words}", step=self.step)


def _is_dicom(start: bytes) -> bool:
    """A Part 10 file (PS3.10 section 7.1), whatever its name is."""
    return start[128:132] == b"DICM"


def _kind(mode: int) -> str:
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
