"""Processes in the place of containers: fetch and publish from the zygote, an application under the real launcher."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Container:
    """One process; `code` is None while it runs."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self.code: int | None = None

    def send(self, number: int) -> bool:
        """Whether the signal reached a process that still ran."""
        if self.pid is None or self.code is not None:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


class Application(Container):
    """A step: the launcher as a process of its own."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        super().__init__()
        with log.open("ab") as out:
            self._process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
        self.pid = self._process.pid
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        code = self._process.wait()
        self.code = code if code >= 0 else 128 - code

    def send(self, number: int) -> bool:
        """The whole container: the application lives in the launcher's session."""
        if self.code is not None or self.pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
            return True
        return False


class Zygote:
    """The process that forks fetch and publish."""

    def __init__(self) -> None:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.zygote"], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lock = threading.Lock()
        self._known: dict[str, Container] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, role: str, environment: dict[str, str], log: Path) -> Container:
        """Returns at once; the pid is known a moment later."""
        made, name = Container(), uuid.uuid4().hex
        self._known[name] = made
        order: dict[str, Any] = {"id": name, "role": role, "environment": environment, "log": str(log)}
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        return made

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "pid" in told:
                self._known[told["id"]].pid = told["pid"]
            else:
                self._known.pop(told["id"]).code = told["code"]

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()
