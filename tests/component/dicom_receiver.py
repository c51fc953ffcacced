"""A DICOM receiver that is not Orthanc: dcmtk's storescp on a free port, started and ended by the test."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
from pydicom import Dataset
from tests.component.control_plane import free_port

START_LIMIT = 15.0  # seconds; 0.05 on an idle machine


class Receiver:
    """Where files arrive. Without TCP_NODELAY dcmtk waits 40 ms for each answer."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.aet = "RECEIVER"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """Returns when the port is open. `more`: a failing mode, `--refuse`, `--abort-after` or `--abort-during`."""
        command = ["storescp", "--aetitle", self.aet, "--output-directory", str(self.folder), *more, str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "TCP_NODELAY": "1"})
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            assert self._process.poll() is None, "storescp ended at once"
            time.sleep(0.02)
        raise AssertionError(f"storescp did not open its port within {START_LIMIT:g} s")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def received(self) -> list[Dataset]:
        return [pydicom.dcmread(path) for path in sorted(self.folder.iterdir())]


@contextlib.contextmanager
def dicom_receiver(folder: Path) -> Iterator[Receiver]:
    """Made, not started; ended with the block."""
    receiver = Receiver(folder)
    try:
        yield receiver
    finally:
        receiver.stop()
