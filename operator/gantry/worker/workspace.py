"""Where things lie in a Run's pod, and how files get there: one place for every path of the container contract.

The volumes are emptyDirs of the pod (runs/jobspec.py mounts them). It must not know what is in the files.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

FOLDER_MODE = 0o755
FILE_MODE = 0o644
"""Every other user may read: a step runs as its own user, whatever the umask of this image is."""
PROGRAM_MODE = 0o755


@dataclass(frozen=True, slots=True)
class Workspace:
    """`/gantry` of fetch and publish."""

    root: Path

    @property
    def input(self) -> Path:
        return self.root / "input"

    @property
    def private(self) -> Path:
        return self.root / "private"

    @property
    def tools(self) -> Path:
        return self.root / "tools"

    @property
    def data(self) -> Path:
        """The writable input of a first step that is a mercure module."""
        return self.root / "data"

    @property
    def study(self) -> Path:
        """Gantry's description of the input."""
        return self.input / "study.json"

    @property
    def certificates(self) -> Path:
        """Of the bridge's spec.tls; not there without it."""
        return self.root / "tls"

    def output(self, step: str) -> Path:
        """As publish sees it."""
        return self.root / "outputs" / step

    def barrier(self, step: str) -> Path:
        """As publish sees it."""
        return self.root / "barriers" / step


def emptied(folder: Path) -> None:
    """The folder is there and empty: what a first attempt of the container left must not mix with the second's."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def made(folder: Path) -> Path:
    """The folder, readable for every user. One that exists stays as it is: a volume's root belongs to the kubelet, which made it so."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        os.chmod(folder, FOLDER_MODE)
    return folder


def written(path: Path, content: bytes, *, mode: int = FILE_MODE) -> None:
    """The file whole, readable for every user."""
    made(path.parent)
    path.write_bytes(content)
    os.chmod(path, mode)


def rooted() -> Path:
    """`/gantry`; tests name another place in GANTRY_ROOT."""
    return Path(os.environ.get("GANTRY_ROOT", "/gantry"))
