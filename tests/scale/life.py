"""The whole life of Runs on fake nodes: how many a second beside bare Jobs, what each costs whom, and what the finished ones cost ever after."""

import base64
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.bench.figures import Figure
from tests.bench.hand_over import hand_over, leads
from tests.bench.operator_core import A_BRIDGE, FINISHED, SETTINGS, cpu, job_times, memory, pid_of
from tests.component.operator_process import LEASE, Hospital, Operator, a_hospital, wait
from tests.scale.curves import Curve, Point
from tests.scale.plane import Plane
from tests.scale.workload import A_PIPELINE, HANDS, HOLDS, Burst, Seen, a_run, a_run_that_holds, bare_jobs, runs_to_the_end

from gantry.api import timestamp
from gantry.kube import JOBS, RUNS, Resource
from gantry.runs import job_name
from gantry.runtime.process import now

SIZES = (100, 1_000, 10_000)
"""Finished Runs."""
LIVE = 1_000
COMPARED = 1_000
"""Runs, and bare Jobs before and after them, whose rates are compared."""
OWN = ("create jobs", "patch inferenceruns/status")
"""Writes of a Run; pipelines and bridges write theirs now and then, whatever the number of Runs."""
PARTS = ("API server", "etcd", "controllers", "scheduler", "kwok", "operator")


@dataclass(frozen=True)
class Restart:
    """What it took to begin anew."""

    first: float
    """Seconds from the start of the process to the Job of a Run that was made just before."""
    counted: float
    """Seconds until all finished Runs are known too."""
    cpu: float
    memory: float
    """MiB, when all is known."""
    touched: int
    """Runs that were there before and were written again."""


def versions(hospital: Hospital, resource: Resource) -> dict[str, str]:
    """Of every object of a kind, without their bodies."""
    found: dict[str, str] = {}
    more = ""
    while True:
        headers = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
        answer = hospital.api.http.get(resource.path(hospital.namespace), params={"limit": "1000", "continue": more}, headers=headers, timeout=60)
        answer.raise_for_status()
        page = answer.json()
        found |= {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in page["items"]}
        if not (more := page["metadata"].get("continue", "")):
            return found


def restarted(hospital: Hospital, operator: Operator, tag: str) -> Restart:
    """Ends the process, makes a Run, and starts it."""
    operator.settled(seconds=3)
    operator.kill()
    before = versions(hospital, RUNS)
    name = f"just-made-{tag}"
    jobs = Seen(hospital, JOBS, labelSelector=f"gantry.health/run={name}")
    hospital.api.create(RUNS, hospital.namespace, a_run_that_holds(name, 0xFFFFFF))
    began = time.monotonic()
    operator.start(ready=False)
    job = job_name(name)
    wait(lambda: job in jobs.seen, "the Run has its Job", limit=180, tell=lambda: operator.log[-3000:])
    first = jobs.seen[job] - began
    wait(lambda: any(line["message"] == "counted" for line in operator.lines()[-50:]), "all Runs are counted", limit=300)
    counted = time.monotonic() - began
    operator.settled(seconds=3)
    jobs.close()
    after = versions(hospital, RUNS)
    touched = [one for one, version in before.items() if after.get(one) != version]
    return Restart(first, counted, cpu(pid_of(operator)), memory(pid_of(operator)), len(touched))


def fill(hospital: Hospital, number: int, *, prefix: str) -> None:
    """Finished Runs that nobody has to carry out, with no Job left; each of a study of its own."""
    done = {"status": {**FINISHED, "completionTime": timestamp(now())}}

    def one(index: int) -> None:
        hospital.api.create(RUNS, hospital.namespace, a_run(f"{prefix}-{index}", 0x100000 + index))
        hospital.api.patch(RUNS, hospital.namespace, f"{prefix}-{index}", done, sub="status")

    with ThreadPoolExecutor(HANDS) as hands:
        list(hands.map(one, range(number)))


class Etcd:
    """The database's own words, by its HTTP gateway."""

    def __init__(self, plane: Plane) -> None:
        words = [str(word) for word in plane.processes["etcd"].args]  # type: ignore[union-attr]  # a list: control_plane.started
        self._http = httpx.Client(base_url=words[words.index("--listen-client-urls") + 1], timeout=120, trust_env=False)
        self._compacted = ""

    def in_use(self) -> int:
        """Bytes of the newest version of everything: history is dropped first, as the API server does every five minutes."""
        key = base64.b64encode(b"/").decode()
        revision = self._ask("/v3/kv/range", {"key": key, "limit": "1", "keys_only": True})["header"]["revision"]
        if revision != self._compacted:  # twice is an error
            self._ask("/v3/kv/compaction", {"revision": revision, "physical": True})
            self._ask("/v3/maintenance/defragment", {})
            self._compacted = revision
        return int(self._ask("/v3/maintenance/status", {})["dbSizeInUse"])

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._http.post(path, content=json.dumps(body))
        answer.raise_for_status()
        made = answer.json()
        assert isinstance(made, dict)
        return made


def compared(runs: Burst, bare: list[Burst], plane_cores: int) -> list[Figure]:
    """A burst of Runs beside the same Jobs without an operator."""
    number, without = runs.number, sum(one.number for one in bare) / sum(one.seconds for one in bare)
    own = sum(runs.writes[name] for name in OWN)
    label = f"burst of {number} Runs"
    whole = sum(runs.cpu.values())
    split = ", ".join(f"{name} {runs.cpu[name]:.1f}" for name in PARTS)
    theirs = sum(sum(one.cpu.values()) for one in bare) / sum(one.number for one in bare)
    return [
        Figure(f"{label}: Runs a second, to Complete", round(runs.rate, 2), "1/s", better="higher", peer="bare Jobs by a loop", peer_value=without),
        Figure(f"{label}: of the rate of bare Jobs", round(runs.rate / without, 3), "x", 0.85, "higher"),
        Figure(f"{label}: CPU of everything a Run", round(whole / number * 1000, 1), "ms", peer="bare Jobs", peer_value=theirs * 1000),
        *cost(runs),
        Figure(f"{label}: writes of the operator a Run", round(own / number, 2), "", 6, note=f"{round(sum(runs.writes.values()) / number, 2)} with pipelines' and bridges'"),
        Figure(f"{label}: share of the operator in all CPU", round(runs.cpu["operator"] / whole, 3), "x", note=f"s: {split}; {plane_cores} cores"),
    ]


def cost(runs: Burst) -> list[Figure]:
    """Of the operator alone."""
    label = f"burst of {runs.number} Runs"
    return [
        Figure(f"{label}: operator CPU a Run, whole life", round(runs.cpu["operator"] / runs.number * 1000, 2), "ms", 12),
        Figure(f"{label}: deepest queue", runs.deepest, "keys"),
        Figure(f"{label}: most memory of the operator until its end", round(runs.most, 1), "MiB"),
        Figure(f"{label}: longest stall of the loop", round(runs.stall * 1000), "ms"),
    ]


def life(plane: Plane, folder: Path, *, runs: int, cores: int, tell: Any = print) -> tuple[list[Figure], list[Curve]]:
    """Everything about Runs. Up to `runs` of the finished ones have really run, the rest is written down as if they had."""
    (folder / "bare").mkdir(parents=True)
    (folder / "radiology").mkdir()
    bare = a_hospital(plane.plane, folder / "bare", "bare", bridge=None, pipeline=None)
    hospital = a_hospital(plane.plane, folder / "radiology", "radiology", bridge=A_BRIDGE, pipeline=A_PIPELINE)
    hospital.apply(HOLDS)
    figures: list[Figure] = []
    points: dict[str, list[Point]] = {name: [] for name in ("cpu", "first", "counted", "restart", "memory")}
    etcd, done = Etcd(plane), 0

    def say(*some: Figure) -> None:
        figures.extend(some)
        for one in some:
            tell(one.line(), flush=True)

    with hospital.operator(**SETTINGS) as operator:
        runs_to_the_end(plane, hospital, operator, 20, prefix="first")  # whatever is loaded on first use
        for size in SIZES:
            empty = etcd.in_use()
            if size <= runs:
                beside = [bare_jobs(plane, bare, min(size, COMPARED), prefix=f"before-{size}")] if size == COMPARED else []
                number = size if size <= COMPARED else size - done
                burst = runs_to_the_end(plane, hospital, operator, number, prefix=f"run-{size}")
                beside += [bare_jobs(plane, bare, min(size, COMPARED), prefix=f"after-{size}")] if size == COMPARED else []
                say(*(compared(burst, beside, cores) if beside else cost(burst)))
                points["cpu"].append((size, round(burst.cpu["operator"] / burst.number * 1000, 2)))
                done += number
                if size == COMPARED:
                    say(Figure("etcd: bytes a finished Run, its Job and its pod", round((etcd.in_use() - empty) / (burst.number + sum(b.number for b in beside))), "B", note="with bare Jobs, which have no Run"))
            if size == SIZES[-1]:
                before_live = etcd.in_use()
                with ThreadPoolExecutor(HANDS) as hands:
                    list(hands.map(lambda index: hospital.api.create(RUNS, hospital.namespace, a_run_that_holds(f"live-{index}", index)), range(LIVE)))
                wait(lambda: operator.metrics().get('gantry_runs{state="Running"}', 0) >= LIVE, f"{LIVE} Runs run", limit=600)
                operator.settled(seconds=3)
                say(Figure("etcd: bytes a live Run, its Job and its pod", round((etcd.in_use() - before_live) / LIVE), "B"))
            if done < size:
                before_fill = etcd.in_use()
                fill(hospital, size - done, prefix=f"old-{size}")
                say(Figure("etcd: bytes a finished Run alone", round((etcd.in_use() - before_fill) / (size - done)), "B"))
                done = size
            one = restarted(hospital, operator, str(size))
            for name, value in (("first", one.first), ("counted", one.counted), ("restart", one.cpu), ("memory", one.memory)):
                points[name].append((size, round(value, 2)))
            tell(f"  {size} finished: {one}", flush=True)
        label = f"{done} finished and {LIVE} live Runs"
        say(
            Figure(f"{label}: memory of the operator", round(one.memory, 1), "MiB", 128),
            Figure(f"{label}: restart -> first new Job", round(one.first, 2), "s", 8),
            Figure(f"{label}: restart -> all counted", round(one.counted, 2), "s"),
            Figure(f"{label}: CPU of the restart", round(one.cpu, 2), "s"),
            Figure(f"{label}: Runs written again at restart", one.touched, "", 0),
        )
    say(*handed_over(hospital, label, done))
    made = [
        Curve("operator CPU a Run, whole life", "Runs in a burst", "ms", tuple(points["cpu"])),
        Curve("restart -> first new Job", "finished Runs", "s", tuple(points["first"]), each=False),
        Curve("restart -> all counted", "finished Runs", "s", tuple(points["counted"]), each=False),
        Curve("CPU of a restart", "finished Runs", "s", tuple(points["restart"]), each=False),
        Curve("memory of the operator", "finished Runs", "MiB", tuple(points["memory"]), each=False),
    ]
    return figures, [one for one in made if len(one.points) > 1]


def handed_over(hospital: Hospital, label: str, finished: int) -> list[Figure]:
    """Two replicas, once by SIGTERM and once by kill -9."""
    lease = f"{hospital.namespace}/{LEASE}"
    made = []
    with (
        hospital.operator(**SETTINGS, GANTRY_LEASE=lease, GANTRY_IDENTITY="one") as leader,
        hospital.operator(**SETTINGS, GANTRY_LEASE=lease, GANTRY_IDENTITY="two") as standby,
    ):
        wait(lambda: leads(leader) and leader.metrics().get('gantry_runs{state="Succeeded"}', 0) >= finished, "all are counted", limit=300)
        for number, goal in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 12.0)):
            name = f"over-{number.name.lower()}"
            jobs = job_times(hospital, name)
            leader.settled()  # not for longer: it writes its Lease every two seconds
            whole, after = hand_over(hospital, jobs, leader, standby, number, name)
            made += [
                Figure(f"{label}: hand-over after {number.name} -> first Job", round(whole, 2), "s", goal),
                Figure(f"{label}:   of it from the Lease on", round(after, 2), "s", note=number.name),
            ]
            leader, standby = standby, leader
            standby.start()
    return made


