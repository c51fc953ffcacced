"""Few GPUs and many Runs: how much of the time the GPUs are reserved while Runs wait for them, and how soon an emergency has one.

The real scheduler and Job controller, and the operator; kwok plays one node with four GPUs. Reserved is what pods say themselves: from the scheduler's
choice of a node to the end of the last container. Those times have whole seconds, cut off at both ends alike, so over a hundred pods they even out.
How soon an emergency begins is seen by a watch: a GPU is free when its pod has ended, or is gone.
"""

import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.bench.figures import Figure, median
from tests.bench.operator_core import A_BRIDGE, SETTINGS
from tests.builders import changed
from tests.component.operator_process import Api, Hospital, Operator, a_hospital, wait
from tests.scale.plane import a_plane
from tests.scale.workload import A_PIPELINE, HANDS, a_run

from gantry.api import parse_timestamp
from gantry.kube import PODS, RUNS, Resource

Object = dict[str, Any]
GPUS, RUNS_WAITING = 4, 100
TAKES = (4, 12)
"""Seconds of a step, evenly spread: short ones, for the time between two pods weighs most with them."""
PATIENCE = 1200.0
START_UP = 1.2
"""Seconds from a Job to its running container on the one-node cluster, with the image there and nothing else at work: 2026-11-24, median of 5."""
EMERGENCIES = 5
CLASSES = Resource("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses")
PRIORITIES = {"stat": (1000, "PreemptLowerPriority"), "next": (1000, "Never"), "daily": (0, "Never"), "night": (-10, "Never")}


@dataclass
class Life:
    """A pod as a watch saw it, in seconds of this process' clock, and its last state."""

    run: str
    made: float
    bound: float | None = None
    ended: float | None = None
    """Its containers have, or it is gone."""
    body: Object | None = None

    @property
    def reserved(self) -> tuple[float, float]:
        """From the scheduler's choice to the last container's end, by the pod's own times."""
        assert self.body is not None
        conditions = {one["type"]: one for one in self.body["status"]["conditions"]}
        ends = [one["state"]["terminated"]["finishedAt"] for one in self.body["status"]["containerStatuses"]]
        begin, end = conditions["PodScheduled"]["lastTransitionTime"], max(ends)
        return parse_timestamp(begin).timestamp(), parse_timestamp(end).timestamp()


class Pods:
    """All pods of a namespace, by name, also those that are gone."""

    def __init__(self, hospital: Hospital) -> None:
        self.lives: dict[str, Life] = {}
        self._api = Api(hospital.plane)
        self._path = f"{PODS.path(hospital.namespace)}?watch=true"
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._over.wait(0.1):  # the server ends a watch whose reader is slow; what was seen stays
            with contextlib.suppress(httpx.HTTPError, ValueError), self._api.http.stream("GET", self._path, timeout=None) as answer:
                for line in answer.iter_lines():
                    if self._over.is_set():
                        return
                    self._seen(json.loads(line), time.monotonic())

    def _seen(self, event: Object, now: float) -> None:
        if event["type"] not in ("ADDED", "MODIFIED", "DELETED"):
            return
        pod = event["object"]
        life = self.lives.setdefault(pod["metadata"]["name"], Life(pod["metadata"]["labels"]["gantry.health/run"], now))
        if life.bound is None and pod["spec"].get("nodeName"):
            life.bound = now
        over = pod["status"].get("phase") in ("Succeeded", "Failed")
        if life.ended is None and (over or event["type"] == "DELETED"):
            life.ended = now
        if life.body is None or over:
            life.body = pod

    def of(self, run: str) -> list[Life]:
        return sorted((one for one in list(self.lives.values()) if one.run == run), key=lambda one: one.made)

    def holding(self) -> list[Life]:
        """Those that have a GPU now."""
        return [one for one in list(self.lives.values()) if one.bound is not None and one.ended is None]

    def close(self) -> None:
        self._over.set()


def a_pipeline(name: str, *, most: int | None = None, takes: tuple[int, int] | None = TAKES) -> Object:
    """Its Runs hold a GPU for that long; None: for ever, by its name `holds`."""
    body = changed(A_PIPELINE, "metadata.name", name)
    if most is not None:
        body = changed(body, "spec.concurrency", {"maxActive": most})
    return changed(body, "spec.template.steps.0.env", _variables(takes)) if takes else body


def _variables(takes: tuple[int, int]) -> list[Object]:
    return [{"name": "TAKES", "value": f"{takes[0]}s"}, {"name": "TAKES_AT_MOST", "value": f"{takes[1]}s"}]


class Bench:
    """One namespace, its pods and the next study."""

    def __init__(self, hospital: Hospital, operator: Operator) -> None:
        self.hospital, self.operator, self.pods = hospital, operator, Pods(hospital)
        self._studies = 0

    def post(self, name: str, *, pipeline: str, priority: str = "Routine", names: str = "daily", takes: tuple[int, int] | None = TAKES) -> float:
        """Makes a Run whose pod has that PriorityClass; gives the time of the answer."""
        self._studies += 1
        body = a_run(name, 0x4000 + self._studies, pipeline=pipeline)
        body = changed(changed(body, "spec.priority", priority), "spec.priorityClassNames", {priority: names})
        if takes:
            body = changed(body, "spec.template.steps.0.env", _variables(takes))
        self.hospital.api.create(RUNS, self.hospital.namespace, body)
        return time.monotonic()

    def bound(self, run: str) -> Life:
        """Its first pod that has a node."""
        def found() -> Life | None:
            return next((one for one in self.pods.of(run) if one.bound is not None), None)

        made = self.waits(found, f"a pod of {run} has a node")
        assert isinstance(made, Life)
        return made

    def waits(self, holds: Callable[[], Any], what: str) -> Any:
        def looked() -> Any:
            answer = holds()
            if not answer:
                time.sleep(0.05)  # looking is the bench's work, not what is measured
            return answer

        return wait(looked, what, limit=PATIENCE, tell=lambda: self.operator.log[-3000:])

    def finished(self, run: str) -> None:
        self.waits(lambda: self.hospital.status(run).get("completionTime"), f"{run} has finished")


def gpus(*, tell: Any = print) -> list[Figure]:
    """All of it, on a plane of its own."""
    with tempfile.TemporaryDirectory() as name, a_plane(Path(name) / "plane", nodes=1, gpus=GPUS) as plane:
        folder = Path(name) / "gpus"
        folder.mkdir()
        hospital = a_hospital(plane.plane, folder, "gpus", bridge=A_BRIDGE, pipeline=a_pipeline("waiting"))
        hospital.apply(a_pipeline("four", most=GPUS), a_pipeline("holds", takes=None))
        for one, (value, policy) in PRIORITIES.items():
            body = {"apiVersion": CLASSES.api_version, "kind": CLASSES.kind, "metadata": {"name": one}, "value": value, "preemptionPolicy": policy}
            hospital.api.call("POST", CLASSES.path(None), body)
        figures: list[Figure] = []
        with hospital.operator(**SETTINGS) as operator:
            bench = Bench(hospital, operator)
            for part in (_begin, lambda b: _waiting(b, "waiting", "as pods"), lambda b: _waiting(b, "four", f"held back by maxActive {GPUS}"), _preempting):
                for figure in part(bench):
                    figures.append(figure)
                    tell(figure.line(), flush=True)
            bench.pods.close()
        return figures


def _begin(bench: Bench) -> list[Figure]:
    """What it takes with a free GPU: operator, Job controller, scheduler."""
    took = []
    for number in range(EMERGENCIES + 1):
        posted = bench.post(f"idle-{number}", pipeline="waiting", takes=(1, 2))
        took.append((bench.bound(f"idle-{number}").bound or 0.0) - posted)
        bench.finished(f"idle-{number}")
    return [Figure("a GPU is free: Run made -> pod has it, median of 5", round(median(took[1:]), 3), "s")]  # the first loads what is used first


def _waiting(bench: Bench, pipeline: str, how: str) -> list[Figure]:
    """A hundred at once; in their midst an emergency that puts nobody out."""
    names = [f"{pipeline}-{number}" for number in range(RUNS_WAITING)]
    with ThreadPoolExecutor(HANDS) as hands:
        list(hands.map(lambda name: bench.post(name, pipeline=pipeline), names))
    mine = set(names)

    def begun() -> int:
        return sum(one.bound is not None for one in list(bench.pods.lives.values()) if one.run in mine)

    bench.waits(lambda: begun() >= RUNS_WAITING // 3, "a third has begun")
    emergency = f"{pipeline}-emergency"
    posted = bench.post(emergency, pipeline=pipeline, priority="Stat", names="next")
    stat = bench.bound(emergency)
    assert stat.bound is not None
    job = min(one.made for one in bench.pods.of(emergency)) if pipeline == "waiting" else posted
    freed = [one.ended for one in list(bench.pods.lives.values()) if one.ended is not None and job <= one.ended <= stat.bound]
    for name in (*names, emergency):
        bench.finished(name)
    lives = [one for one in list(bench.pods.lives.values()) if one.run in {*mine, emergency}]
    assert len(lives) == RUNS_WAITING + 1, "one pod each"
    share, seconds = reserved([one.reserved for one in lives])
    label = f"{RUNS_WAITING} Runs on {GPUS} GPUs, {how}"
    gap = stat.bound - min(freed, default=posted)
    return [
        Figure(f"{label}: reserved until the last starts", round(share, 3), "x", 0.9, "higher", note=f"{seconds:.0f} s, steps of {TAKES[0]} to {TAKES[1]} s"),
        Figure(f"{label}: a GPU is freed -> Stat has it", round(gap, 2), "s", START_UP, note=f"made {stat.bound - posted:.1f} s before"),
    ]


def reserved(spans: list[tuple[float, float]]) -> tuple[float, float]:
    """The share of the GPUs' time from the first start to the last one that pods held, and the length of that time."""
    first, last = min(begin for begin, _ in spans), max(begin for begin, _ in spans)
    held = sum(min(end, last) - begin for begin, end in spans)
    return held / (GPUS * (last - first)), last - first


def _preempting(bench: Bench) -> list[Figure]:
    """Work of the night holds all GPUs; each emergency ends one of them, which comes back."""
    for number in range(GPUS):
        bench.post(f"night-{number}", pipeline="holds", priority="Background", names="night", takes=None)
    whole, after = [], []
    for number in range(EMERGENCIES):
        bench.waits(lambda: len(bench.pods.holding()) == GPUS, "all GPUs are held")
        before = bench.pods.holding()
        posted = bench.post(f"stat-{number}", pipeline="waiting", priority="Stat", names="stat", takes=(1, 2))
        stat = bench.bound(f"stat-{number}")
        bench.waits(lambda: any(one.ended for one in before), "one of the night was put out")  # noqa: B023 - asked at once
        freed = min(one.ended for one in before if one.ended is not None)
        assert stat.bound is not None
        whole.append(stat.bound - posted)
        after.append(stat.bound - freed)
        bench.finished(f"stat-{number}")
    states = [bench.hospital.status(f"night-{number}").get("state") for number in range(GPUS)]
    assert "Failed" not in states, states
    return [
        Figure("Stat preempts: a GPU is freed -> Stat has it, worst of 5", round(max(after), 2), "s", START_UP),
        Figure("Stat preempts: Run made -> pod has the GPU, worst of 5", round(max(whole), 2), "s", note="the victim ends at once; a kubelet gives it 5 s"),
    ]
