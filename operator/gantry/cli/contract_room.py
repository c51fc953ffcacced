"""Runs one step of a Run on this machine: its container as jobspec makes it, in namespaces in place of a container engine.

The real launcher starts the application, with its filter and its deadline, as process 1, as the step's user, without capabilities and
network. There is no memory limit; the peak is measured. It needs Linux, and either root or user namespaces for everybody.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gantry.runs import USER

from .contract_unpack import Image, within
from .failure import Failure

SPARE = 60
"""Seconds beyond the step's own timeout, after which the launcher itself must be stuck."""
SOURCE = Path(__file__).parents[3] / "launcher"
"""In a checkout."""


@dataclass(frozen=True)
class Room:
    """One step's container: what it runs in, and where its volumes lie on this machine."""

    image: Image
    container: dict[str, Any]
    """Of the Job (runs/jobspec.py)."""
    folder: Path
    """Of the pod: what fetch and publish know as /gantry, and the other volumes."""
    allow_network: bool
    seconds: float
    """The step's timeout."""

    @property
    def user(self) -> int:
        """As in the pod."""
        return int(self.container["securityContext"].get("runAsUser", USER))


def find_launcher() -> Path:
    """The worker image's, one on PATH, or one that Go builds of a checkout's sources. Raises Failure."""
    named = os.environ.get("GANTRY_LAUNCHER") or "/usr/local/bin/gantry-launcher"
    if Path(named).is_file():
        return Path(named)
    if found := shutil.which("gantry-launcher"):
        return Path(found)
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if not (SOURCE / "main.go").is_file() or go is None:
        raise Failure("the launcher is not here: set GANTRY_LAUNCHER to it, run this in the worker image, or in a checkout with Go installed", code=2)
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(SOURCE.glob("*.go")))).hexdigest()[:16]
    target = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gantry" / f"launcher-{digest}"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_suffix(f".new.{os.getpid()}")
        static = {**os.environ, "CGO_ENABLED": "0"}
        command = [go, "build", "-trimpath", "-o", str(new), "."]
        built = subprocess.run(command, cwd=SOURCE, env=static, capture_output=True, text=True, check=False)  # noqa: S603 - our own sources
        if built.returncode:
            raise Failure(f"Go cannot build the launcher: {' '.join(built.stderr.split())[-300:]}", code=2)
        new.replace(target)
    return target


def run_step(room: Room, log: Path) -> None:
    """To its end; the launcher leaves the truth about it in the barrier. Raises Failure when there is no way to run it here."""
    unshare = shutil.which("unshare")
    if sys.platform != "linux" or unshare is None:
        raise Failure("only Linux with unshare (util-linux) can run a package like this; use the worker image on a Linux machine", code=2)
    mapped = os.geteuid() != 0
    spaces = ["--mount", "--pid", "--fork", "--kill-child", "--ipc", *([] if room.allow_network else ["--net"])]
    if mapped:
        spaces += ["--user", "--map-root-user"]
    plan = room.folder / "room.json"
    plan.write_text(json.dumps(_plan(room, mapped=mapped)))
    inside = Path(__file__).with_name("contract_inside.py")
    with log.open("wb") as output:
        # Python's own settings could come from the caller's environment and end where no module can be found.
        process = subprocess.Popen(  # noqa: S603
            [unshare, *spaces, sys.executable, "-I", str(inside), str(plan)], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            process.wait(room.seconds + SPARE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    started = room.folder / "barriers" / room.container["name"] / "started"
    if not started.exists():
        words = " ".join(log.read_text(errors="replace").split())[-400:]
        hint = "run it as root, or allow user namespaces" if mapped else "a container without privileges cannot make mounts"
        raise Failure(f"the package cannot be run here ({hint}): {words}", code=2)


def _plan(room: Room, *, mapped: bool) -> dict[str, Any]:
    """What contract_inside is to do, every link of the image followed here, where nothing is mounted yet."""
    root, scratch = room.folder / "root", room.folder / "scratch"
    root.mkdir()
    scratch.mkdir()
    system = [("proc", "proc", "/proc", ""), ("bind", "/sys", "/sys", "recursive"), ("dev", "dev", "/dev", "")]
    mounts = [(kind, source, str(_target(room, root, path)), options) for kind, source, path, options in (*system, *_volumes(room))]
    return {
        "image": str(room.image.root),
        "root": str(root),
        "scratch": str(scratch),
        "mounts": mounts,
        "readOnly": bool(room.container["securityContext"].get("readOnlyRootFilesystem")),
        "user": [room.user, USER],
        "directory": room.image.directory,
        "mapped": mapped,
        "arguments": room.container["command"],
        "environment": _environment(room),
    }


def _target(room: Room, root: Path, path: str) -> Path:
    return root / within(room.image.root, path).relative_to(room.image.root)


def _volumes(room: Room) -> list[tuple[str, str, str, str]]:
    """Parents before what is mounted below them, as the runtime sorts."""
    mounts = sorted(room.container["volumeMounts"], key=lambda one: str(one["mountPath"]).count("/"))
    made = []
    for one in mounts:
        source = volume(room.folder, str(one["name"]))
        if part := one.get("subPath"):
            source = source / part
        else:
            source.mkdir(parents=True, exist_ok=True)
        if not one.get("readOnly"):
            source.chmod(0o777)  # as the kubelet makes an emptyDir
        made.append(("bind", str(source), str(one["mountPath"]), "ro" if one.get("readOnly") else ""))
    return made


def volume(folder: Path, name: str) -> Path:
    """Where fetch and publish look for it, or else beside."""
    kind, _, step = name.partition("-")
    places = {"output": folder / "outputs" / step, "barrier": folder / "barriers" / step}
    return folder / name if name in ("input", "tools", "data") else places.get(kind, folder / "volumes" / name)


def _environment(room: Room) -> dict[str, str]:
    """The image's, with HOME as a runtime sets it, and over it the pod's. A secret's value is not known here."""
    home = {"HOME": _home(room)} if "HOME" not in room.image.environment else {}
    path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    pod = {one["name"]: str(one.get("value", "")) for one in room.container["env"]}
    return {**path, **home, **room.image.environment, **pod}


def _home(room: Room) -> str:
    passwd = within(room.image.root, "/etc/passwd")
    lines = passwd.read_text(errors="replace").splitlines() if passwd.is_file() else []
    return next((fields[5] for line in lines if len(fields := line.split(":")) > 5 and fields[2] == str(room.user)), "/")
