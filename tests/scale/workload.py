"""A burst of Runs through to their end, and the same Jobs made by a loop without any operator: what a Run costs whom.

Both are made by the same eight hands, watched by the same kind of watch, and end by the same pods.
"""

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
from tests.bench.operator_core import A_BRIDGE, cpu, most_memory, pid_of
from tests.builders import PIPELINE, RUN, changed
from tests.component.operator_process import Api, Hospital, Operator, named, wait
from tests.scale.plane import GPU, Plane

from gantry.kube import JOBS, RUNS, Resource
from gantry.runs import BridgeView, Installation, RunView, job

Object = dict[str, Any]
HANDS = 8
SECONDS_EACH = 1.5
"""Patience for a Run on a machine that has other work; 0.05 to 0.1 on one that has none."""
STEP = {**PIPELINE["spec"]["template"]["steps"][0], "resources": {"limits": {GPU: 1}}}
TEMPLATE = {**PIPELINE["spec"]["template"], "steps": [STEP], "delivery": {"destinations": []}}
A_PIPELINE = changed(PIPELINE, "spec.template", TEMPLATE)
HOLDS = changed(A_PIPELINE, "metadata.name", "holds")
"""Its Runs never end (stages.yaml), and need no GPU, so that any number of them is under way."""
DONE = "status.state=Succeeded"
JOB_DONE = "status.successful=1"
"""Field selectors of what has ended well."""


def a_run(name: str, number: int, *, pipeline: str = "chest-ct-nodules") -> Object:
    """Of a study of its own."""
    study = f"{number:08x}-22222222-33333333-44444444-55555555"
    marks = {"gantry.health/pipeline": pipeline, "gantry.health/bridge": "main", "gantry.health/study": study[:8]}
    body = changed(changed(RUN, "spec.template", TEMPLATE), "metadata.labels", marks)
    return named(changed(changed(body, "spec.study.orthancID", study), "spec.pipelineRef.name", pipeline), name)


def a_run_that_holds(name: str, number: int) -> Object:
    """Of the pipeline `holds`."""
    return changed(a_run(name, number, pipeline="holds"), "spec.template.steps.0.resources", ...)


def a_job(name: str, number: int) -> Object:
    """What the operator would make of that Run, with nobody as owner."""
    born = {"uid": "0" * 36, "resourceVersion": "1", "creationTimestamp": "2026-03-01T12:00:00Z", "namespace": "default"}
    run, bridge = a_run(name, number), changed(A_BRIDGE, "metadata", {**A_BRIDGE["metadata"], **born})
    view = RunView.from_object({**run, "metadata": {**run["metadata"], **born}})
    body = job(view, BridgeView.from_object(bridge), Installation("test", "localhost/gantry/worker:test"))
    del body["metadata"]["ownerReferences"]
    return body


class Seen:
    """When each object of a kind was first seen by a watch that the server selects for."""

    def __init__(self, hospital: Hospital, resource: Resource, **selectors: str) -> None:
        self.seen: dict[str, float] = {}
        self._api = Api(hospital.plane)
        self._path = f"{resource.path(hospital.namespace)}?{urlencode({'watch': 'true', **selectors})}"
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._over.wait(0.1):  # the server ends a watch whose reader is slow; what was seen stays
            with contextlib.suppress(httpx.HTTPError, ValueError), self._api.http.stream("GET", self._path, timeout=None) as answer:
                for line in answer.iter_lines():
                    if self._over.is_set():
                        return
                    told = json.loads(line)
                    if told["type"] in ("ADDED", "MODIFIED"):
                        self.seen.setdefault(told["object"]["metadata"]["name"], time.monotonic())

    def close(self) -> None:
        self._over.set()


@dataclass
class Burst:
    """What a number of Runs, or of bare Jobs, took."""

    number: int
    seconds: float
    """From the first POST to the last end."""
    cpu: dict[str, float]
    """Seconds, by part."""
    writes: Counter[str] = field(default_factory=Counter)
    """Of the operator, by resource."""
    deepest: float = 0.0
    """Keys in the queue at most."""
    stall: float = 0.0
    """Longest stall of the operator's loop, in seconds."""
    most: float = 0.0
    """MiB of the operator's process at most, since it began."""

    @property
    def rate(self) -> float:
        return self.number / self.seconds


def bare_jobs(plane: Plane, hospital: Hospital, number: int, *, prefix: str) -> Burst:
    """A loop that makes Jobs, and nobody who looks after them."""
    return _burst(plane, hospital, JOBS, JOB_DONE, lambda index: a_job(f"{prefix}-{index}", index), number)


def runs_to_the_end(plane: Plane, hospital: Hospital, operator: Operator, number: int, *, prefix: str, make: Callable[[str, int], Object] = a_run) -> Burst:
    """Runs that the operator takes to Complete; ends when nothing is left to write."""
    pid, written, used = pid_of(operator), _writes(operator), cpu(pid_of(operator))
    with _sampled(operator) as sampled:
        made = _burst(plane, hospital, RUNS, DONE, lambda index: make(f"{prefix}-{index}", index), number, tell=lambda: operator.log[-3000:])
    operator.settled(seconds=3)  # longer than a pipeline's counts are collected
    made.cpu["operator"] = cpu(pid) - used
    made.writes, made.most = _writes(operator) - written, most_memory(pid)
    made.deepest, made.stall = (max(values, default=0.0) for values in zip(*sampled, strict=True)) if sampled else (0.0, 0.0)
    return made


def _burst(
    plane: Plane, hospital: Hospital, resource: Resource, ended: str, body: Callable[[int], Object], number: int, tell: Callable[[], object] = lambda: ""
) -> Burst:
    ends = Seen(hospital, resource, fieldSelector=ended)
    already = len(ends.seen)
    before, began = plane.cpu(), time.monotonic()
    with ThreadPoolExecutor(HANDS) as hands:
        names = list(hands.map(lambda index: str(hospital.api.create(resource, hospital.namespace, body(index))["metadata"]["name"]), range(number)))
    mine = set(names)

    def over() -> bool:
        time.sleep(0.2)  # counting is the bench's work, not what is measured
        return len(ends.seen) - already >= number and mine <= ends.seen.keys()

    wait(over, f"{number} {resource.plural} end", limit=120 + SECONDS_EACH * number, tell=lambda: f"{len(ends.seen)} did. {tell()}")
    seconds = max(ends.seen[name] for name in names) - began
    ends.close()
    return Burst(number, seconds, {name: value - before[name] for name, value in plane.cpu().items()})


def _writes(operator: Operator) -> Counter[str]:
    found: Counter[str] = Counter()
    for (verb, resource, _), number in operator.calls().items():
        if verb in ("create", "patch", "delete"):
            found[f"{verb} {resource}"] += int(number)
    return found


@contextlib.contextmanager
def _sampled(operator: Operator, every: float = 2.0) -> Iterator[list[tuple[float, float]]]:
    """Depth of the queue and stalls of the loop, seen now and then: a scrape costs the operator some milliseconds."""
    found: list[tuple[float, float]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(every):
            told = operator.metrics()
            if told:
                found.append((told["gantry_queue_depth"], told["gantry_loop_lag_seconds"]))

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield found
    finally:
        over.set()
        looker.join()
