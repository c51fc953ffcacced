"""`make chaos`: every fault of the table at moments drawn from SEED, with real parts, and the books balanced at the end.

    python -m tests.chaos [--seed 1] [--faults "orthanc killed,pacs"] [--studies 8] [--long] [--mutants] [--folder build/chaos]
    cluster/sandbox .venv/bin/python -m tests.chaos --cluster

Ends with 1 when a study is lost, doubled or ended wrongly, or a fault could not be injected. `--mutants` plants defects and ends with 1 when
one of them is not found.
"""

import argparse
import contextlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from tests.chaos.catalogue import chosen
from tests.chaos.episode import Outcome, play
from tests.chaos.fault import Fault
from tests.chaos.world import World, a_world

ROOT = Path(__file__).parents[2]
HEAD = f"{'fault':<62} {'injected':>8} {'studies':>7} {'lost':>4} {'doubled':>7} {'wrong':>5} {'slowest recovery':>16} {'took':>7}"
FINDS = {
    "adopts-any-job": "foreign job",
    "advances-early": "beyond lookback",
    "never-scans": "killed before stable",
}
"""The fault that brings each planted defect to light."""


def line(one: Outcome) -> str:
    return f"{one.fault:<62} {one.injected:>8} {one.studies:>7} {one.lost:>4} {one.doubled:>7} {one.wrong:>5} {one.slowest_recovery:>14.1f} s {one.seconds:>5.0f} s"


@contextlib.contextmanager
def a_cluster(folder: Path) -> Iterator[World]:
    """The one-node cluster this runs in, in the place of processes."""
    from tests.chaos.cluster_world import ClusterWorld

    shutil.rmtree(folder, ignore_errors=True)
    world = ClusterWorld(folder)
    world.start()
    try:
        yield cast(World, world)
    finally:
        world.close()


def go_through(world: World, faults: Sequence[type[Fault]], seed: int, studies: int) -> list[Outcome]:
    outcomes = []
    for kind in faults:
        outcome = play(world, kind, seed, studies=studies)
        outcome.details += world.kubelet.errors
        world.kubelet.errors.clear()
        outcomes.append(outcome)
        print(line(outcome), flush=True)
        for words in outcome.details:
            print(f"    {words}", flush=True)
        if not outcome.injected:
            print("    the fault was not injected", flush=True)
    return outcomes


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Faults under a stream of studies; see docs/reliability.md")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", default="", help="comma separated parts of names; all but the long ones without")
    parser.add_argument("--studies", type=int, default=0, help="a fault; its own number without")
    parser.add_argument("--long", action="store_true", help="the long ones too")
    parser.add_argument("--cluster", action="store_true", help="the faults that need containers; inside cluster/sandbox only")
    parser.add_argument("--mutants", nargs="?", const="all", default="", help="plant all defects, or the one of that name, and see that they are found")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "chaos")
    chosen_options = parser.parse_args(arguments)
    chosen_options.folder = chosen_options.folder.resolve()
    if chosen_options.mutants:
        return mutants(chosen_options)
    level = "cluster" if chosen_options.cluster else "parts"
    faults = chosen(chosen_options.faults, long=chosen_options.long, level=level)
    if not faults:
        parser.error(f"no fault is named like {chosen_options.faults!r}")
    with a_cluster(chosen_options.folder) if chosen_options.cluster else a_world(chosen_options.folder) as world:
        print(f"seed {chosen_options.seed}\n{HEAD}", flush=True)
        outcomes = go_through(world, faults, chosen_options.seed, chosen_options.studies)
    written = {"seed": chosen_options.seed, "faults": [one.as_json() for one in outcomes]}
    (ROOT / "build" / ("chaos-cluster.json" if chosen_options.cluster else "chaos.json")).write_text(json.dumps(written, indent=1) + "\n")
    sums = {name: sum(one.sums.get(name, 0) for one in outcomes) for name in outcomes[0].sums}
    print("together: " + ", ".join(f"{name} {number}" for name, number in sums.items()))
    return 0 if all(one.good for one in outcomes) else 1


def mutants(options: argparse.Namespace) -> int:
    """Each in a world of its own."""
    found = {}
    for mutant, words in FINDS.items():
        if options.mutants not in ("all", "yes", mutant):
            continue
        print(f"planted: {mutant}\n{HEAD}", flush=True)
        with a_world(options.folder, mutant=mutant) as world:
            (outcome,) = go_through(world, chosen(words, long=True)[:1], options.seed, options.studies)
        found[mutant] = bool(outcome.lost or outcome.doubled or outcome.wrong)
    for mutant, red in found.items():
        print(f"{mutant}: {'found' if red else 'NOT FOUND'}")
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
