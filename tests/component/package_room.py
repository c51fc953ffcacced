"""A package in a Run's pod without a container engine: its step as jobspec makes it, in namespaces of its own, under the launcher, as its user.

The image is this machine's root file system, of which the package changes a copy; its code and its Python are mounted into it. The rooms are those of
`gantry contract check`; only root can make such a one.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.component.worker_pod import ROOT, Pod

from gantry.cli.contract_room import Room, run_step
from gantry.cli.contract_unpack import Image
from gantry.runs import step_container


@dataclass(frozen=True)
class Installed:
    """A virtual environment with what a package's image has."""

    program: Path
    prefix: Path
    base: Path
    """Of the Python that made it."""
    libraries: Path


def installed(package: str) -> Installed:
    """Made once for all checkouts."""
    made = subprocess.run([ROOT / "cluster" / "algorithm-venv", package], stdout=subprocess.PIPE, text=True, timeout=600, check=True)
    program = made.stdout.strip()
    question = "import sys, sysconfig; print(sys.prefix, sys.base_prefix, sysconfig.get_path('purelib'), sep='\\n')"
    answers = subprocess.run([program, "-c", question], stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout.splitlines()
    return Installed(Path(program), *map(Path, answers))


def run_package(pod: Pod, code: Path, command: list[str], python: Installed, environment: dict[str, str]) -> dict[str, Any]:
    """The pod's only step, a MAP 1.0, to its end: what the launcher says of it. `code`: what the image has in /opt/holoscan/app. `environment`: the image's."""
    (step,) = pod.task.spec.template.steps
    own = pod.root / "volumes" / "package"
    own.mkdir(parents=True)
    (own / "app.json").write_text(json.dumps(_manifest(command)))
    (own / "app").symlink_to(code)
    container = step_container(pod.task.spec.template, 0)
    container["volumeMounts"] += [
        {"name": "package", "mountPath": "/etc/holoscan/app.json", "subPath": "app.json", "readOnly": True},
        {"name": "package", "mountPath": "/opt/holoscan/app", "subPath": "app", "readOnly": True},
        *_reachable(own, python.prefix, python.base),
    ]
    room = Room(Image(root=Path("/"), environment=environment), container, pod.root, allow_network=step.security.allow_network, seconds=60)
    run_step(room, pod.root / "package.log")
    ended: dict[str, Any] = json.loads((pod.barrier(step.name) / "exit.json").read_text())
    return ended


def _manifest(command: list[str]) -> dict[str, Any]:
    """app.json by holoscan-cli: the command is a list within a string, the paths are relative."""
    return {
        "apiVersion": "1.0.0",
        "command": json.dumps(command),
        "environment": {"HOLOSCAN_APPLICATION": "/opt/holoscan/app", "HOLOSCAN_INPUT_PATH": "input/", "HOLOSCAN_OUTPUT_PATH": "output/", "HOLOSCAN_WORKDIR": "/var/holoscan"},
        "input": {"path": "input/", "formats": None},
        "output": {"path": "output/", "formats": None},
        "sdk": "monai-deploy",
        "sdkVersion": "3.5.0",
        "timeout": 0,
        "version": 1.0,
        "workingDirectory": "/var/holoscan",
    }


def _reachable(own: Path, *folders: Path) -> list[dict[str, Any]]:
    """Mounts that show these to the package's user at their places. Where a folder above keeps others out, as /root does, an empty one hides it."""
    (own / "empty").mkdir()
    made: dict[str, dict[str, Any]] = {}
    for number, folder in enumerate(folders):
        closed = next((above for above in reversed(folder.parents) if not above.stat().st_mode & 0o001), None)
        if closed:
            made[str(closed)] = {"name": "package", "mountPath": str(closed), "subPath": "empty"}
        (own / str(number)).symlink_to(folder)
        made[str(folder)] = {"name": "package", "mountPath": str(folder), "subPath": str(number), "readOnly": True}
    return list(made.values())
