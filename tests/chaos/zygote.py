"""`python -m tests.chaos.zygote`: forks the processes of fetch and publish, so that each need not load highdicom anew (2 s of CPU).

Each child is a process of its own that runs `gantry.worker` as the container does and may be killed like one. Lines of JSON come in
({"id", "role", "environment", "log"}) and go out ({"id", "pid"}, later {"id", "code"}); the end of the input ends everything.
It must stay single-threaded: what is forked is this very process.
"""

import contextlib
import json
import os
import select
import signal
import sys
from typing import Any

# What the two roles load by themselves.
import gantry.worker.__main__ as worker
import gantry.worker.fetch
import gantry.worker.publish  # noqa: F401

LOOK = 0.02
"""Seconds between two looks for children that have ended."""


def _child(order: dict[str, Any]) -> None:
    """Becomes the container's process; does not return."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    empty = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((empty, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(order["environment"])
    code = worker.main([order["role"]])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _say(**words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def _reap(children: dict[int, str]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        _say(id=children.pop(pid), code=code if code >= 0 else 128 - code)


def main() -> None:
    """Until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is the harness' to handle
    children: dict[int, str] = {}
    rest = b""
    while True:
        ready, _, _ = select.select([0], [], [], LOOK if children else None)
        _reap(children)
        if not ready:
            continue
        came = os.read(0, 1 << 20)
        if not came:
            break
        *lines, rest = (rest + came).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if pid := os.fork():
                children[pid] = order["id"]
                _say(id=order["id"], pid=pid)
            else:
                try:
                    _child(order)
                finally:
                    os._exit(70)
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
