"""A Run's pod without Kubernetes: the folders of the volumes, the containers as processes, and the launcher really built."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from tests.builders import RUN, changed
from tests.component.orthanc_server import OrthancServer

from gantry.api.run import RunSpec
from gantry.runs import FetchReceipt, PublishReceipt, Task, decode_fetch, decode_publish, fingerprint

ROOT = Path(__file__).parents[2]
CREATED = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@cache
def launcher(folder: Path) -> Path:
    """The launcher, built once a session by Go."""
    target = folder / "gantry-launcher"
    environment = {**os.environ, "CGO_ENABLED": "0"}
    subprocess.run(["go", "build", "-trimpath", "-o", target, "."], cwd=ROOT / "launcher", env=environment, check=True, capture_output=True)
    return target


def a_task(server: OrthancServer, *, url: str = "", series: list[str] | None = None, **changes: Any) -> Task:
    """A Run for every series of the only study in the server, or for `series`. `changes`: dotted paths in the Run's spec, with __ for dots."""
    (study,) = server.rest("GET", "/studies?expand")
    chosen = series or sorted(study["Series"])
    uids = [
        instance["MainDicomTags"]["SOPInstanceUID"] for one in chosen for instance in server.rest("GET", f"/series/{one}/instances")
    ]
    spec = RUN["spec"]
    mark = fingerprint("default", "chest-ct-nodules", study["ID"], uids)
    values = {"orthancID": study["ID"], "seriesIDs": chosen, "instances": len(uids), "fingerprint": mark}
    spec = changed(spec, "study", values)
    for path, value in changes.items():
        spec = changed(spec, path.replace("__", "."), value)
    return Task(
        installation="test", namespace="default", run="chest-ct-nodules-abcdefghijklm", uid="run-uid", created=CREATED,
        orthanc_url=url or server.url, connections=4, spec=RunSpec.model_validate(spec),
    )  # fmt: skip


@dataclass
class Pod:
    """The volumes of one pod."""

    root: Path
    task: Task
    launcher: Path
    log: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, role: str) -> subprocess.Popen[str]:
        """`python -m gantry.worker fetch|publish` as the kubelet would start it."""
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "operator"),
            "GANTRY_TASK": self.task.model_dump_json(by_alias=True, exclude_none=True),
            "GANTRY_ROOT": str(self.root),
            "GANTRY_LAUNCHER": str(self.launcher),
            "TERMINATION_LOG": str(self.root / f"{role}.receipt"),
            "ORTHANC_USERNAME": "gantry",
            "ORTHANC_PASSWORD": "secret",
            **self.environment,
        }
        (self.root / f"{role}.receipt").unlink(missing_ok=True)
        return subprocess.Popen([sys.executable, "-m", "gantry.worker", role], env=environment, stderr=subprocess.PIPE, text=True)

    def finish(self, process: subprocess.Popen[str]) -> int:
        assert process.stderr is not None
        self.log = process.stderr.read()
        process.stderr.close()
        return process.wait()

    def fetch(self) -> tuple[int, FetchReceipt]:
        code = self.finish(self.start("fetch"))
        receipt = decode_fetch((self.root / "fetch.receipt").read_text())
        assert receipt is not None, self.log
        return code, receipt

    def publish(self) -> tuple[int, PublishReceipt]:
        code = self.finish(self.start("publish"))
        return code, self.publish_receipt()

    def publish_receipt(self) -> PublishReceipt:
        text = (self.root / "publish.receipt").read_text()
        assert len(text.encode()) <= 4096
        receipt = decode_publish(text)
        assert receipt is not None, self.log
        return receipt

    @property
    def input(self) -> Path:
        return self.root / "input"

    def study(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.root / "input" / "study.json").read_text())
        return document

    def events(self) -> list[dict[str, Any]]:
        """The log, every line of which is a JSON object."""
        return [json.loads(line) for line in self.log.splitlines()]

    def output(self, step: str) -> Path:
        folder = self.root / "outputs" / step
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def barrier(self, step: str) -> Path:
        folder = self.root / "barriers" / step
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def step(self, name: str, script: str = "true", *, before: str = "", timeout: str = "600s") -> int:
        """One application (a line of sh) under the real launcher, to its end."""
        return self.begin_step(name, script, before=before, timeout=timeout).wait(60)

    def begin_step(self, name: str, script: str = "true", *, before: str = "", timeout: str = "600s") -> subprocess.Popen[bytes]:
        options = ["--barrier", str(self.barrier(name)), "--timeout", timeout]
        if before:
            options += ["--before", str(self.barrier(before))]
        environment = {"PATH": os.environ["PATH"], "GANTRY_INPUT": str(self.input), "GANTRY_OUTPUT": str(self.output(name))}
        return subprocess.Popen([self.launcher, *options, "--", "sh", "-c", script], env=environment, stderr=subprocess.DEVNULL)

    def killed_step(self, name: str, script: str = "true") -> None:
        """The application does what `script` says, then the launcher is killed under it, as when the whole container is.

        From outside: behind Landlock the application cannot signal its launcher.
        """
        told = self.root / f"{name}-did-it"
        step = self.begin_step(name, f"{script}; touch {told}; sleep 5")
        deadline = time.monotonic() + 30
        while not told.exists():
            assert time.monotonic() < deadline, f"the application of {name} did not run"
            time.sleep(0.02)
        step.kill()
        step.wait(30)

    def module(self, name: str, script: str, *, before: str = "", data: Path | None = None) -> int:
        """One mercure module (a line of sh) under the real launcher; behind another one, what that left is handed on as jobspec has it."""
        folder = data or self.root / "data"
        folders = {"MERCURE_IN_DIR": str(folder), "MERCURE_OUT_DIR": str(self.output(name))}
        options = ["--barrier", str(self.barrier(name)), "--timeout", "60s"]
        if before:
            folder.mkdir(exist_ok=True)
            options += ["--before", str(self.barrier(before)), "--copy", f"{self.output(before)}:{folder}"]
            options += ["--copy", f"{self.root}/tools/tasks/{name}.json:{folder}/task.json"]
        started = subprocess.Popen([self.launcher, *options, "--", "sh", "-c", script], env={"PATH": os.environ["PATH"], **folders}, stderr=subprocess.DEVNULL)
        return started.wait(60)

    def package(self, name: str, manifest: Path, *, write: tuple[Path, ...] = ()) -> int:
        """One MAP under the real launcher, which starts what the manifest says; to its end. `write`: behind Landlock, with these to be changed."""
        folders = {"HOLOSCAN_INPUT_PATH": str(self.input), "HOLOSCAN_OUTPUT_PATH": str(self.output(name))}
        options = ["--barrier", str(self.barrier(name)), "--timeout", "60s", f"--manifest={manifest}", *(f"--keep={one}" for one in folders), *(f"--write={one}" for one in write)]
        started = subprocess.Popen([self.launcher, *options], env={"PATH": os.environ["PATH"], **folders}, stderr=subprocess.DEVNULL)
        return started.wait(60)
