"""`make scale`: thousands of Runs on fake nodes, and how what they cost grows. `python -m tests.scale [--runs 10000] [--parts life,store,fleet,index,gpus]`.

Prints one line a figure as `make bench` does, one a curve, and what `thresholds.yaml` says of them; build/scale.json has all of it, for
`python -m tests.scale.pictures`.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure
from tests.scale import fleet, gpus, index, store
from tests.scale.curves import Curve
from tests.scale.life import life
from tests.scale.plane import a_plane
from tests.scale.thresholds import judged, read

WRITTEN = Path("build/scale.json")
Found = tuple[list[Figure], list[Curve]]


def told(line: str, *, flush: bool = True) -> None:
    print(line, flush=flush)


def the_life(runs: int) -> Found:
    with tempfile.TemporaryDirectory() as name, a_plane(Path(name) / "plane") as plane:
        return life(plane, Path(name) / "life", runs=runs, cores=os.cpu_count() or 1, tell=told)


def circumstances() -> dict[str, Any]:
    """When, of what, on what."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    load = round(os.getloadavg()[1], 1)
    return {"date": datetime.now(UTC).date().isoformat(), "commit": commit, "cores": os.cpu_count(), "load": load}


def write(figures: list[Figure], curves: list[Curve], before: dict[str, Any]) -> None:
    """Merges into the file by name, so that parts can run apart."""
    known = json.loads(WRITTEN.read_text()) if WRITTEN.exists() else {"figures": [], "curves": []}
    by_name = {one["name"]: one for one in known["figures"]} | {one.name: {**asdict(one), "ok": one.ok, "run": before} for one in figures}
    growth = {(one["name"], one["of"]): one for one in known["curves"]}
    growth |= {(one.name, one.of): {**asdict(one), "growth": round(one.growth, 3), "run": before} for one in curves}
    WRITTEN.parent.mkdir(parents=True, exist_ok=True)
    WRITTEN.write_text(json.dumps({"figures": list(by_name.values()), "curves": list(growth.values())}, indent=1, ensure_ascii=False))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000, help="finished Runs of the 10,000 that really run; the rest is written down as finished")
    arguments.add_argument("--parts", default="store,gpus,life,fleet,index", help="comma separated")
    chosen = arguments.parse_args()
    parts: dict[str, Callable[[], Found]] = {
        "store": lambda: ([], store.curves()),
        "life": lambda: the_life(chosen.runs),
        "gpus": lambda: (gpus.gpus(tell=told), []),
        "fleet": lambda: fleet.fleet(tell=told),
        "index": lambda: index.index(tell=told),
    }
    known = read()
    for name in chosen.parts.split(","):
        before = circumstances()
        told(f"== {name}: {before}")
        figures, curves = parts[name]()
        for curve in curves:
            told(curve.line())
        for verdict in judged(known, figures, curves):
            told(verdict.line())
        write(figures, curves, before | {"load at the end": round(os.getloadavg()[1], 1)})


if __name__ == "__main__":
    main()
