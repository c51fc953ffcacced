"""What a hostile application tries in its container, one attack after another: `{"attack": …, "succeeded": …, "how": …}` on a line for each.

Standard library only, for it runs in the image of an example. Each attack is a function that returns if it got what it wanted and raises, or dies,
if it was refused; it runs in a process of its own. An attack that the kernel lets pass without any effect must look for the effect itself.
"""

import ctypes
import json
import mmap
import os
import platform
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

LAUNCHER = os.getppid()
LIBC = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
BOMB = 3000
"""Processes at once: more than any application needs, and fewer than would hurt the machine that runs the test."""


def call(number: int, *arguments: object) -> int:
    done: int = LIBC.syscall(number, *arguments)
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done


def service_account_token() -> None:
    Path("/var/run/secrets/kubernetes.io/serviceaccount/token").read_text()


def credentials_in_the_environment() -> None:
    if not [name for name in os.environ if "ORTHANC" in name or "PASSWORD" in name or name == "GANTRY_TASK"]:
        raise PermissionError("none there")


def environment_of_other_processes() -> None:
    others = [one for one in Path("/proc").glob("[0-9]*/environ") if one.parent.name not in (str(os.getpid()), str(APPLICATION))]
    if not [one.read_bytes() for one in others]:
        raise PermissionError("none there")


def private_volume() -> None:
    list(Path("/gantry/private").iterdir())


def memory_of_the_launcher() -> None:
    with open(f"/proc/{LAUNCHER}/mem", "rb") as memory:
        memory.seek(4096 * 1024)
        memory.read(1)


def trace_the_launcher() -> None:
    if LIBC.ptrace(16, LAUNCHER, 0, 0) < 0:  # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), "ptrace")


def kill_the_launcher() -> None:
    os.kill(LAUNCHER, signal.SIGTERM)


def tcp_to_orthanc() -> None:
    socket.create_connection((os.environ["TARGET"], 8042), 3).close()


def tcp_to_the_api_server() -> None:
    socket.create_connection((os.environ.get("KUBERNETES_SERVICE_HOST", "10.96.0.1"), 443), 3).close()


def ask_the_name_server() -> None:
    servers = [line.split()[1] for line in Path("/etc/resolv.conf").read_text().splitlines() if line.startswith("nameserver")]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as question:
        question.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0\4pacs\0\0\1\0\1", (servers[0], 53))
        question.settimeout(3)
        question.recv(512)


def raw_socket() -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


def listen() -> None:
    with socket.socket(socket.AF_INET6) as server:
        server.bind(("::", 8080))


def io_uring() -> None:
    call(425, 1, ctypes.create_string_buffer(120))


def a_32_bit_call() -> None:
    """socketcall(2) of i386 would be a way to a socket that a filter for 64 bit does not see."""
    if not X86:
        raise PermissionError("this processor has none")
    with mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as code:
        code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, getpid; int 0x80; ret
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()


def become_root() -> None:
    os.setuid(0)


def user_namespace() -> None:
    if LIBC.unshare(0x10000000) < 0:
        raise OSError(ctypes.get_errno(), "unshare")


def mount() -> None:
    if LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, None) < 0:
        raise OSError(ctypes.get_errno(), "mount")


def bpf() -> None:
    call(321 if X86 else 280, 0, ctypes.create_string_buffer(72), 72)


def kernel_keys() -> None:
    call(250 if X86 else 219, 0, -3, 1)  # KEYCTL_GET_KEYRING_ID


def device_of_the_node() -> None:
    for folder in ("/tmp", str(OUT)):
        try:
            os.mknod(f"{folder}/disk", stat.S_IFBLK | 0o600, os.makedev(8, 0))
        except OSError:
            continue
        return
    raise PermissionError("mknod")


def setting_of_the_node() -> None:
    Path("/proc/sys/kernel/core_pattern").write_text("|/tmp/take")


def own_memory_limit() -> None:
    Path("/sys/fs/cgroup/memory.max").write_text("max")


def own_image() -> None:
    Path("/app/detect.py").write_text("")


def write_the_input() -> None:
    next(IN.glob("*/*.dcm")).write_bytes(b"")


def output_of_another_step() -> None:
    Path("/gantry/steps/prepare/left.txt").write_text("changed")


def end_of_another_step() -> None:
    Path("/gantry/before/exit.json").write_text("{}")


def own_end() -> None:
    for name in ("exit.json", "exit.json.part", "started"):
        try:
            Path("/gantry/barrier", name).write_text('{"code":0,"startTime":"2026-01-01T00:00:00Z","seconds":1}')
        except OSError:
            continue
        return
    raise PermissionError("all of them")


def own_lock() -> None:
    """publish would take the step for over, and read while it still writes."""
    os.rename("/gantry/barrier/lock", "/gantry/barrier/other")


def replace_the_launcher() -> None:
    Path("/gantry/bin/launcher").write_bytes(b"#!/bin/sh\n")


def receipt_of_its_own() -> None:
    """What stands in the termination log is shown by the API server; publish's is the Run's receipt."""
    Path("/dev/termination-log").write_text("{}")


def link_to_a_file_of_the_node() -> None:
    os.link("/etc/passwd", OUT / "findings.json")


def core_dump() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))


def fork_bomb() -> None:
    """It stops at BOMB; who is refused before that leaves room for others."""
    started: list[int] = []
    try:
        while len(started) < BOMB:
            child = os.fork()
            if not child:
                signal.pause()
                os._exit(0)
            started.append(child)
    finally:
        for child in started:
            os.kill(child, signal.SIGKILL)
        for child in started:
            os.waitpid(child, 0)
        print(f"forked {len(started)}", file=sys.stderr)


ATTACKS: tuple[Callable[[], None], ...] = (
    service_account_token, credentials_in_the_environment, environment_of_other_processes, private_volume, memory_of_the_launcher,
    trace_the_launcher, kill_the_launcher, tcp_to_orthanc, tcp_to_the_api_server, ask_the_name_server, raw_socket, listen, io_uring, a_32_bit_call,
    become_root, user_namespace, mount, bpf, kernel_keys, device_of_the_node, setting_of_the_node, own_memory_limit, own_image, write_the_input,
    output_of_another_step, end_of_another_step, own_end, own_lock, replace_the_launcher, receipt_of_its_own, link_to_a_file_of_the_node, core_dump,
    fork_bomb,
)  # fmt: skip
OUT, IN = Path(os.environ.get("GANTRY_OUTPUT", "/gantry/output")), Path(os.environ.get("GANTRY_INPUT", "/gantry/input"))
APPLICATION = os.getpid()


def tried(attack: Callable[[], None]) -> dict[str, object]:
    """In a process of its own, which may die of it."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            attack()
            os.write(writing, b"it went through")
            os._exit(0)
        except (OSError, ValueError) as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
            os._exit(1)
        except BaseException as error:  # noqa: BLE001 - a fault of this program, which proves nothing
            os.write(writing, f"not tried: {type(error).__name__}: {error}".encode())
            os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    words = os.read(reading, 400).decode()
    os.close(reading)
    killed = f"killed by {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else ""
    return {"attack": attack.__name__.replace("_", " "), "succeeded": status == 0 or (killed != "" and "SIGSYS" not in killed), "how": killed or words}


def main() -> None:
    for attack in ATTACKS:
        print(json.dumps(tried(attack)), flush=True)
    time.sleep(1)  # a signal that was let through would come by now


if __name__ == "__main__":
    main()
