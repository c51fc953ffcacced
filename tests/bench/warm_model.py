"""What tests.bench.warm runs in a container beside 2 GB of weights; numpy and pydicom, nothing of Gantry.

`cold`: one study and an end, as a Run's step; EVICT=yes: the weights are not in the page cache, as on a node that never read them.
`resident`: loads once, then a child by fork for each new value of the pod's annotation `claim`, as a warm worker would.
Lines of JSON with moments of CLOCK_MONOTONIC, which all containers of a node share, and CPU seconds.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

WEIGHTS = Path("/model/weights.bin")
CLAIMS = Path("/podinfo/annotations")
FIRST_LINE = time.monotonic()


def process_start() -> float:
    """When the kernel made this process: field 22 of its stat, in ticks since the machine's start (proc(5))."""
    return float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")


def read_from_disk() -> int:
    """Bytes that storage had to give (proc(5), io): 0 when all came from the page cache."""
    return int(Path("/proc/self/io").read_text().partition("\nread_bytes:")[2].split()[0])


def tell(event: str, **values: Any) -> None:
    print(json.dumps({"event": event, "at": time.monotonic(), "cpu": time.process_time(), **values}), flush=True)


def load() -> Any:
    import numpy

    before = read_from_disk()
    weights = numpy.fromfile(WEIGHTS, dtype=numpy.float32).reshape(-1, 1000)
    tell("loaded", megabytes=weights.nbytes / 1e6, fromDisk=(read_from_disk() - before) / 1e6)
    return weights


def infer(weights: Any) -> float:
    """One pass over all weights: what a network does at least."""
    import numpy

    return float((weights @ numpy.ones(weights.shape[1], dtype=numpy.float32)).sum())


def cold() -> None:
    import numpy  # noqa: F401
    import pydicom

    tell("imported", process=process_start(), firstLine=FIRST_LINE)
    if os.environ.get("EVICT") == "yes":
        with WEIGHTS.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    tell("begins")
    weights = load()
    for image in sorted(Path(os.environ["GANTRY_INPUT"]).rglob("*.dcm")):
        pydicom.dcmread(image)
    infer(weights)
    tell("inferred")
    (Path(os.environ["GANTRY_OUTPUT"]) / "findings.json").write_text(os.environ["FINDINGS"])


def resident() -> None:
    import numpy  # noqa: F401

    weights = load()
    infer(weights)
    tell("ready")
    known = CLAIMS.read_text()
    while True:
        if (now := CLAIMS.read_text()) == known:
            time.sleep(0.005)  # the resolution of what is measured
            continue
        known = now
        seen = time.monotonic()
        if (child := os.fork()) == 0:
            forked = time.monotonic()
            infer(weights)
            tell("inferred", seen=seen, forked=forked, claims=known)
            os._exit(0)
        os.waitpid(child, 0)
        tell("done", seen=seen, claims=known)


if __name__ == "__main__":
    {"cold": cold, "resident": resident}[sys.argv[1]]()
