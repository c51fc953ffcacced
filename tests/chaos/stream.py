"""Studies that go in as from a scanner: storescu of dcmtk, again and again until Orthanc has taken every image."""

import hashlib
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.builders_slices import a_ct, uid

LIMIT = 600.0  # seconds one study is tried; Orthanc is away for less in every fault, and 10,000 images take 2 to 5 minutes
PAUSE = 0.2  # seconds between two tries


class NotTaken(RuntimeError):
    """Orthanc did not take a study for so long that the harness gives up."""


@dataclass
class Study:
    """One study of the stream. `number` counts within its episode."""

    number: int
    name: str
    folder: Path
    images: int = 2
    host: str = "127.0.0.1"
    sent_at: float | None = None
    """Monotonic, when the last image was acknowledged."""
    marks: dict[str, object] = field(default_factory=dict)
    """What faults remember of it."""

    @property
    def uid(self) -> str:
        return uid(self.name)

    @property
    def orthanc_id(self) -> str:
        digest = hashlib.sha1(f"{self.name}|{self.uid}".encode()).hexdigest()
        return "-".join(digest[start : start + 8] for start in range(0, 40, 8))

    @property
    def sop_uids(self) -> list[str]:
        return [uid(self.name, "series", number) for number in range(1, self.images + 1)]

    def written(self, rows: int = 8) -> "Study":
        """Its files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, self.images + 1):
            (self.folder / f"{number}.dcm").write_bytes(a_ct(self.name, number=number, patient=self.name, rows=rows))
        return self

    def send(self, port: int) -> None:
        """Raises NotTaken. What has been taken before is taken again: Orthanc knows it."""
        command = ["storescu", "-aet", "CT_1", "-aec", "ORTHANC", "-ta", "20", "-td", "20", "-to", "5", "+sd", self.host, str(port), str(self.folder)]
        deadline = time.monotonic() + LIMIT
        while subprocess.run(command, capture_output=True, check=False).returncode != 0:
            if time.monotonic() > deadline:
                raise NotTaken(f"study {self.number} was not taken within {LIMIT:g} s")
            time.sleep(PAUSE)
        self.sent_at = time.monotonic()
