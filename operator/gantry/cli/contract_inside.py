"""The last stage before the launcher of `gantry contract check`, in namespaces of its own: mounts, another root, another user.

Runs as a program with nothing but the standard library, by `unshare --mount --pid`. What it is to do stands in a JSON file that
`contract_room` writes. Everything it mounts goes with its namespace.
"""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

MOST_CAPABILITY = 63
PR_CAPBSET_DROP = 24  # linux/prctl.h
CLONE_NEWUSER = 0x10000000  # linux/sched.h
DEVICES = ("null", "zero", "full", "random", "urandom")


def main(path: str) -> None:
    """Becomes the launcher. What fails ends this process with its words on stderr and exit code 1."""
    room: dict[str, Any] = json.loads(Path(path).read_text())
    root = Path(room["root"])
    # A tmpfs may hold the upper layer of an overlay; the folder a container engine gives us may not.
    mount("-t", "tmpfs", "-o", "mode=755", "room", room["scratch"])
    upper, work = Path(room["scratch"]) / "upper", Path(room["scratch"]) / "work"
    upper.mkdir()
    work.mkdir()
    upper.chmod(Path(room["image"]).stat().st_mode & 0o7777)
    mount("-t", "overlay", "-o", f"lowerdir={room['image']},upperdir={upper},workdir={work}", "overlay", str(root))
    for kind, source, target, options in room["mounts"]:
        place(kind, source, Path(target), options)
    if room["readOnly"]:
        mount("-o", "remount,bind,ro", str(root))
    become(room["user"], root, room["directory"], mapped=room["mapped"])
    os.execve(room["arguments"][0], room["arguments"], room["environment"])  # noqa: S606


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)  # noqa: S603, S607


def place(kind: str, source: str, target: Path, options: str) -> None:
    """`target` lies below the new root; `contract_room` has followed the image's links to it."""
    if kind == "bind" and Path(source).is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    else:
        target.mkdir(parents=True, exist_ok=True)
    if kind == "bind":
        mount("--rbind" if options == "recursive" else "--bind", source, str(target))
        if options == "ro":
            mount("-o", "remount,bind,ro", str(target))
    elif kind == "dev":
        mount("-t", "tmpfs", "-o", "mode=755", "dev", str(target))
        for name in DEVICES:
            (target / name).touch()
            mount("--bind", f"/dev/{name}", str(target / name))
        for name, link in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")):
            (target / name).symlink_to(link)
    else:
        mount("-t", kind, *(["-o", options] if options else []), kind, str(target))


def become(user: tuple[int, int], root: Path, directory: str, *, mapped: bool) -> None:
    """Into the new root, as user and group, without capabilities. `mapped`: nobody but ourselves can be had, so we are called by that number."""
    libc = ctypes.CDLL(None, use_errno=True)
    if mapped:
        outside = os.geteuid(), os.getegid()
        if libc.unshare(CLONE_NEWUSER):
            raise OSError(ctypes.get_errno(), "a user namespace within the first one is refused")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user[0]} {outside[0]} 1")
        Path("/proc/self/gid_map").write_text(f"{user[1]} {outside[1]} 1")
    os.chroot(root)
    os.chdir(directory)
    for capability in range(MOST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # EINVAL for those this kernel does not have
    if not mapped:
        os.setgroups([user[1]])
        os.setresgid(user[1], user[1], user[1])
        os.setresuid(user[0], user[0], user[0])


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"gantry: the room cannot be made: {error}")
