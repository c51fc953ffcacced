"""What a Run costs the operator's store for ever more Runs beside it: CPU time of this process, nothing asked of anybody.

Each row makes N Runs the store has to know, then lets a number of further ones live: seen, its turn, its Job, its end. What is to be shown is that
this costs the same beside 100 as beside 10,000.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.bench.figures import median
from tests.bench.operator_core import A_BRIDGE
from tests.builders import changed
from tests.scale.curves import Curve
from tests.scale.workload import A_PIPELINE, a_run

from gantry.runtime.process import now
from gantry.runtime.records import Key
from gantry.runtime.store import Store

Object = dict[str, Any]
SIZES = (100, 1_000, 10_000)
LIVES = 100
"""Runs whose cost is measured."""
ROUNDS = 3


class World:
    """A store, and versions that grow."""

    def __init__(self, *, places: int | None) -> None:
        self.began, self.version = now(), 0
        self.store = Store(changed=_nothing, counted=_nothing, clock=lambda: self.began)
        self.sees("orthancbridges", changed(A_BRIDGE, "metadata.namespace", "default"), "b")
        concurrency = {"maxActive": places} if places else {}
        self.sees("inferencepipelines", changed(changed(A_PIPELINE, "spec.concurrency", concurrency), "metadata.namespace", "default"), "p")
        self.store.turns.open()
        self.store.complete = True

    def served(self, body: Object, uid: str, *, status: Object | None = None, born: datetime | None = None) -> Object:
        """As the API server would give it."""
        self.version += 1
        made = (born or self.began).strftime("%Y-%m-%dT%H:%M:%SZ")
        meta = {**body["metadata"], "uid": uid, "namespace": "default", "resourceVersion": str(self.version), "generation": 1, "creationTimestamp": made}
        return {**body, "metadata": meta, "status": status or {}}

    def sees(self, plural: str, body: Object, uid: str, *, status: Object | None = None, born: datetime | None = None) -> None:
        self.store.observe(plural, self.served(body, uid, status=status, born=born))

    def run(self, name: str, number: int, *, status: Object | None = None, study: int | None = None, late: bool = False) -> None:
        body = a_run(name, number if study is None else study)
        self.sees("inferenceruns", body, f"run-{name}", status=status, born=self.began + timedelta(seconds=late))

    def job(self, name: str) -> None:
        owner = {"kind": "InferenceRun", "name": name, "uid": f"run-{name}", "controller": True}
        marks = {"gantry.health/run": name}
        self.sees("jobs", {"metadata": {"name": f"{name}-1", "labels": marks, "ownerReferences": [owner]}}, f"job-{name}")

    def ends(self, name: str, number: int, *, study: int | None = None) -> None:
        end = {"type": "Complete", "status": "True", "reason": "Complete", "message": "", "lastTransitionTime": "2026-03-01T12:00:00Z"}
        self.run(name, number, study=study, status={"state": "Succeeded", "conditions": [end]})

    def asked(self, name: str) -> bool:
        """What each pass over a Run asks; whether its turn has come."""
        key = Key("run", "default", name)
        run = self.store.runs[key]
        self.store.newer_run(key, run)
        self.store.lineage.successor(key)
        return self.store.held(key, run) is None


def _nothing(key: Key) -> None:
    """Nobody is woken: passes are asked for by hand."""


def beside_finished(number: int) -> float:
    """Finished Runs of other studies."""
    world = World(places=None)
    for index in range(number):
        world.ends(f"old-{index}", index)
    return _lives(world, number)


def beside_waiting(number: int) -> float:
    """Runs that wait for a place of their pipeline, of which there are ten. Each end gives one to the next in line."""
    world = World(places=10)
    for index in range(number + LIVES):
        world.run(f"new-{index:06}", index)
    waiting = [f"new-{index:06}" for index in range(number + LIVES)]
    began = time.process_time()
    for _ in range(LIVES):
        name = next(one for one in waiting if world.asked(one))
        world.job(name)
        world.ends(name, int(name.rpartition("-")[2]))
        waiting.remove(name)
    return (time.process_time() - began) / LIVES


def beside_kin(number: int) -> float:
    """Runs of the same pipeline on the same study, half of them finished."""
    world = World(places=None)
    for index in range(number):
        name = f"kin-{index}"
        (world.ends if index % 2 else world.run)(name, index, study=1)
        assert world.asked(name)
    return _lives(world, number, study=1)


def _lives(world: World, number: int, *, study: int | None = None) -> float:
    began = time.process_time()
    for index in range(number, number + LIVES):
        name = f"new-{index:06}"
        world.run(name, index, study=study, late=True)
        assert world.asked(name)
        world.job(name)
        assert world.asked(name)
        world.ends(name, index, study=study)
    return (time.process_time() - began) / LIVES


def a_full_list(number: int) -> float:
    """Of so many Runs that are all known and unchanged, as every ten minutes; a hundred Runs."""
    world = World(places=None)
    seen = [world.served(a_run(f"old-{index}", index), f"run-{index}") for index in range(number)]
    for one in seen:
        world.store.observe("inferenceruns", one)
    began = time.process_time()
    world.store.begin_census("inferenceruns", None)
    for one in seen:
        world.store.listed("inferenceruns", one)
    assert world.store.end_census("inferenceruns") == 0
    return (time.process_time() - began) / number * 100


ROWS: tuple[tuple[str, str, Callable[[int], float]], ...] = (
    ("store: CPU a Run, beside finished ones", "finished Runs", beside_finished),
    ("store: CPU a Run, beside those that wait for a place", "waiting Runs", beside_waiting),
    ("store: CPU a Run, beside those of the same study", "Runs of one study", beside_kin),
    ("store: CPU a hundred Runs of a full list", "Runs", a_full_list),
)


def curves(sizes: tuple[int, ...] = SIZES) -> list[Curve]:
    """Milliseconds of CPU a Run; the median of some rounds."""
    return [
        Curve(name, of, "ms", tuple((size, round(median([row(size) for _ in range(ROUNDS)]) * 1000, 3)) for size in sizes)) for name, of, row in ROWS
    ]


if __name__ == "__main__":
    for curve in curves():
        print(curve.line(), flush=True)
