"""The operator process on a real API server and nothing else: Run to Job, a burst, memory and restart with many Runs, idling.

`python -m tests.bench.operator_core [--runs 10000]`. No kubelet: pods do not exist, so only the operator's own share is measured.
"""

import argparse
import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from tests.bench.figures import Figure, median, percentile, write
from tests.builders import BRIDGE, PIPELINE, RUN, changed
from tests.builders_slices import a_ct
from tests.component.conftest import CRDS
from tests.component.control_plane import ControlPlane, control_plane
from tests.component.operator_process import Api, Hospital, Operator, a_hospital, named, wait
from tests.component.orthanc_server import OrthancServer, orthanc_server

from gantry.kube import JOBS, RUNS, Resource
from gantry.runs import job_name

A_BRIDGE = changed(changed(BRIDGE, "spec.url", "http://127.0.0.1:9"), "spec.credentialsSecretRef", ...)
LABELS = {"gantry.health/pipeline": "chest-ct-nodules", "gantry.health/bridge": "main", "gantry.health/study": "11111111"}
A_RUN = changed(changed(RUN, "spec.template.delivery", {"destinations": []}), "metadata.labels", LABELS)
SETTINGS = {"GANTRY_API_RATE": "1000"}
"""The throttle is not what is measured."""
TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """Seconds of CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> float:
    """MiB in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4 / 1024


def most_memory(pid: int) -> float:
    """MiB in RAM at most since it began."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


class FirstSeen:
    """When each object of a kind was first seen by a watch of our own, by `key` of the object. What was there before comes first: of thousands that
    takes seconds, in which nothing new is seen, so a bench that has them narrows it by a `selector` of labels."""

    def __init__(self, hospital: Hospital, resource: Resource, key: Callable[[Any], str], *, selector: str = "") -> None:
        self.seen: dict[str, float] = {}
        self._api, self._key = Api(hospital.plane), key
        self._path = f"{resource.path(hospital.namespace)}?{urlencode({'watch': 'true', 'labelSelector': selector})}"
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        # It ends with the API server, at the end of the bench.
        with contextlib.suppress(httpx.TransportError), self._api.http.stream("GET", self._path, timeout=None) as answer:
            for line in answer.iter_lines():
                self.seen.setdefault(self._key(json.loads(line)["object"]), time.monotonic())


def job_times(hospital: Hospital, *runs: str) -> FirstSeen:
    """Jobs, by their Run; of all Runs, or of those named."""
    selector = f"gantry.health/run in ({','.join(runs)})" if runs else ""
    return FirstSeen(hospital, JOBS, lambda job: str(job["metadata"]["labels"]["gantry.health/run"]), selector=selector)


def pid_of(operator: Operator) -> int:
    assert operator.process is not None
    return operator.process.pid


def at_a_rate(hospital: Hospital, operator: Operator, *, number: int, rate: float) -> list[Figure]:
    """Runs one after another; seconds from the answer to the POST until the Job is seen."""
    jobs, made, before = job_times(hospital), {}, cpu(pid_of(operator))
    for index in range(number):
        due = time.monotonic() + 1 / rate
        name = f"rate{rate:g}-{index}"
        hospital.api.create(RUNS, hospital.namespace, named(A_RUN, name))
        made[name] = time.monotonic()
        time.sleep(max(0.0, due - time.monotonic()))
    wait(lambda: len(jobs.seen) >= number, "all Runs have Jobs", limit=60)
    operator.settled()
    took = [jobs.seen[name] - began for name, began in made.items()]
    used = (cpu(pid_of(operator)) - before) / number * 1000
    label = f"Run exists -> Job exists, {rate:g} a second ({number})"
    return [
        Figure(f"{label}, p50", round(median(took) * 1000, 1), "ms"),
        Figure(f"{label}, p99", round(percentile(took, 0.99) * 1000, 1), "ms", 100 if rate >= 10 else None),
        Figure(f"operator CPU a Run, Job and Queued status, {rate:g} a second", round(used, 1), "ms"),
    ]


def burst(hospital: Hospital, operator: Operator, number: int) -> list[Figure]:
    """All at once from eight hands."""
    jobs, before, began = job_times(hospital), cpu(pid_of(operator)), time.monotonic()
    with ThreadPoolExecutor(8) as hands:
        made = list(hands.map(lambda index: _make(hospital, f"burst-{index}"), range(number)))
    wait(lambda: sum(name in jobs.seen for name, _ in made) == number, "all Runs have Jobs", limit=120)
    took = [jobs.seen[name] - at for name, at in made]
    whole = max(jobs.seen.values()) - began
    operator.settled()
    used = (cpu(pid_of(operator)) - before) / number * 1000
    return [
        Figure(f"burst of {number} Runs: Jobs a second", round(number / whole, 1), "1/s", better="higher"),
        Figure(f"burst of {number} Runs: Run -> Job, p99", round(percentile(took, 0.99), 2), "s"),
        Figure(f"burst of {number} Runs: operator CPU a Run", round(used, 1), "ms"),
        Figure(f"burst of {number} Runs: longest stall of the loop", round(operator.metrics()["gantry_loop_lag_seconds"] * 1000), "ms"),
    ]


def _make(hospital: Hospital, name: str) -> tuple[str, float]:
    hospital.api.create(RUNS, hospital.namespace, named(A_RUN, name))
    return name, time.monotonic()


FINISHED = {
    "observedGeneration": 1,
    "state": "Succeeded",
    "conditions": [
        {"type": kind, "status": "True", "reason": kind, "message": "as it should be", "lastTransitionTime": "2026-03-01T12:00:00Z"}
        for kind in ("Admitted", "Executed", "Reported", "Delivered", "Complete")
    ],
    "attempts": 1,
    "node": "gpu-1",
    "startTime": "2026-03-01T12:00:00Z",
    "findings": {"present": 2, "absent": 1},
    "stages": [{"name": name, "startTime": "2026-03-01T12:00:00Z", "seconds": 1.5} for name in ("created", "started", "fetch", "step/detect", "publish")],
    "usage": {"gpuSeconds": 12.5, "gpuResource": "nvidia.com/gpu", "podSeconds": 20, "inputInstances": 300, "inputBytes": 158000000},
}


def a_job_that_ended(run: Any, ended: str) -> Any:
    """Of a Run; its pod's template is as short as the API server takes it."""
    name, uid = run["metadata"]["name"], run["metadata"]["uid"]
    owner = {"apiVersion": RUNS.api_version, "kind": RUNS.kind, "name": name, "uid": uid, "controller": True}
    said = {"status": "True", "reason": "CompletionsReached", "message": "Reached expected number of succeeded pods", "lastTransitionTime": ended}
    pod = {"restartPolicy": "Never", "containers": [{"name": "publish", "image": "none"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(name), "labels": {"gantry.health/run": name}, "ownerReferences": [owner]},
        "spec": {"template": {"spec": pod}},
        "status": {"succeeded": 1, "startTime": ended, "completionTime": ended, "conditions": [{"type": kind, **said} for kind in ("SuccessCriteriaMet", "Complete")]},
    }


def fill(hospital: Hospital, number: int, *, jobs: int = 0) -> None:
    """Finished Runs, as they are kept for a month; of so many the Job is there still, as it is for an hour."""
    ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    done = {"status": {**FINISHED, "completionTime": ended}}

    def one(index: int) -> None:
        run = hospital.api.create(RUNS, hospital.namespace, named(A_RUN, f"old-{index}"))
        hospital.api.patch(RUNS, hospital.namespace, f"old-{index}", done, sub="status")
        if index < jobs:
            job = a_job_that_ended(run, ended)
            hospital.api.create(JOBS, hospital.namespace, job)
            hospital.api.patch(JOBS, hospital.namespace, job["metadata"]["name"], {"status": job["status"]}, sub="status")

    with ThreadPoolExecutor(8) as hands:
        list(hands.map(one, range(number)))


def with_many(hospital: Hospital, operator: Operator, finished: int, live: int) -> list[Figure]:
    """Restart, and the first Job of a Run that was made just before."""
    operator.kill()
    fill(hospital, finished)
    with ThreadPoolExecutor(8) as hands:
        list(hands.map(lambda index: _make(hospital, f"live-{index}"), range(live)))
    operator.start(ready=False)
    wait(lambda: operator.metrics().get('gantry_runs{state="Queued"}', 0) >= live and operator.probe("readyz") == 200, "all are known", limit=120)
    operator.settled()
    operator.kill()
    jobs = job_times(hospital)
    wait(lambda: len(jobs.seen) >= live, "the watch knows the Jobs there are")
    hospital.api.create(RUNS, hospital.namespace, named(A_RUN, "just-made"))
    began = time.monotonic()
    operator.start(ready=False)
    wait(lambda: "just-made" in jobs.seen, "the Run has its Job", limit=120)
    first = jobs.seen["just-made"] - began
    wait(lambda: operator.probe("readyz") == 200, "ready", limit=120)
    watched = time.monotonic() - began
    hospital.api.create(RUNS, hospital.namespace, named(A_RUN, "then"))
    wait(lambda: "then" in jobs.seen, "a Run made while the watches begin has its Job", limit=120)
    then = jobs.seen["then"] - began
    wait(lambda: operator.metrics().get('gantry_runs{state="Succeeded"}', 0) >= finished, "all Runs are counted", limit=120)
    counted = time.monotonic() - began
    operator.settled(seconds=1)
    writes = {call: n for call, n in operator.calls().items() if call[0] in ("create", "patch", "delete") and call[1] != "orthancbridges/status"}
    own = 2 * (1 + 1) + 2  # Job and status of two Runs, the pipeline's counts
    label = f"{finished} finished and {live} live Runs"
    return [
        Figure(f"{label}: memory of the operator", round(memory(pid_of(operator)), 1), "MiB", 128),
        Figure(f"{label}: restart -> first new Job", round(first, 2), "s", 8),
        Figure(f"{label}: restart -> ready", round(watched, 2), "s"),
        Figure(f"{label}: restart -> all counted", round(counted, 2), "s"),
        Figure(f"{label}: restart -> Job of a Run made once ready", round(then, 2), "s"),
        Figure(f"{label}: redundant writes at restart", max(0.0, sum(writes.values()) - own), "", 0),
        Figure(f"{label}: CPU of the restart", round(cpu(pid_of(operator)), 1), "s"),
    ]


def idle(hospital: Hospital, operator: Operator, folder: Path, seconds: float = 20) -> list[Figure]:
    """One bridge polled each second, nothing to do."""
    with orthanc_server(folder) as orthanc:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orthanc"}, "stringData": {"username": "gantry", "password": "secret"}}
        hospital.apply(secret, changed(BRIDGE, "spec.url", orthanc.url))
        wait(lambda: operator.metrics().get('gantry_bridge_poll_seconds_count{bridge="main"}', 0) >= 3, "the bridge is polled")
        before, began = cpu(pid_of(operator)), time.monotonic()
        time.sleep(seconds)
        share = (cpu(pid_of(operator)) - before) / (time.monotonic() - began)
        return [Figure("idle operator with one bridge", round(share * 100, 2), "% core", 1)]


class StableTimes:
    """When Orthanc's log first said that a study is stable, by Orthanc's id of it."""

    def __init__(self, orthanc: OrthancServer) -> None:
        self.seen: dict[str, float] = {}
        self._orthanc = orthanc
        self._last = 0

    def look(self) -> None:
        page = self._orthanc.rest("GET", f"/changes?since={self._last}&limit=1000")
        for change in page["Changes"]:
            self._last = change["Seq"]
            if change["ChangeType"] == "StableStudy":
                self.seen.setdefault(change["ID"], time.monotonic())


def event_to_run(hospital: Hospital, folder: Path, interval: str, studies: int = 20) -> list[Figure]:
    """Studies a third of a second apart; from the row in Orthanc's log to the Run in the API."""
    with orthanc_server(folder) as orthanc, hospital.operator(**SETTINGS) as operator:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orthanc"}, "stringData": {"username": "gantry", "password": "secret"}}
        bridge = changed(changed(BRIDGE, "spec.url", orthanc.url), "spec.watch", {"pollInterval": interval})
        hospital.apply(secret, bridge)
        wait(lambda: operator.metrics().get('gantry_bridge_poll_seconds_count{bridge="main"}', 0) >= 3, "the bridge is polled")
        stable, runs = StableTimes(orthanc), FirstSeen(hospital, RUNS, lambda run: str(run["spec"]["study"]["orthancID"]))
        for number in range(studies):
            orthanc.upload(*(a_ct(f"{hospital.namespace}-{number}", number=slice_) for slice_ in (1, 2, 3)), user="other")
            until = time.monotonic() + 1 / 3
            while time.monotonic() < until:
                stable.look()
                time.sleep(0.01)  # Orthanc has others to answer
        wait(lambda: stable.look() or len(runs.seen) == studies == len(stable.seen), "every study has its Run", limit=60)
    took = [runs.seen[study] - at for study, at in stable.seen.items()]
    goal = 300 if interval == "200ms" else None
    label = f"stable event -> InferenceRun exists, polled every {interval} ({studies})"
    return [
        Figure(f"{label}, p50", round(median(took) * 1000), "ms"),
        Figure(f"{label}, p95", round(percentile(took, 0.95) * 1000), "ms", goal),
    ]


@contextlib.contextmanager
def a_control_plane(folder: Path) -> Iterator[ControlPlane]:
    with control_plane(folder) as plane:
        assert plane.kubectl("apply", "--server-side", "-f", str(CRDS)).returncode == 0
        names = ("orthancbridges", "inferencepipelines", "inferenceruns")
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}.gantry.health" for name in names))
        yield plane


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000, help="finished Runs of the restart (the goal is for 10000)")
    arguments.add_argument("--live", type=int, default=100, help="unfinished Runs beside them (the goal is for 1000)")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name, a_control_plane(Path(name)) as plane:
        folder = Path(name)
        figures = []
        hospital = a_hospital(plane, folder, "rate", bridge=A_BRIDGE, pipeline=PIPELINE)
        with hospital.operator(**SETTINGS) as operator:
            figures.append(Figure("memory of the operator without Runs", round(memory(pid_of(operator)), 1), "MiB"))
            figures += idle(hospital, operator, folder / "orthanc")
            figures += at_a_rate(hospital, operator, number=20, rate=1)
            figures += at_a_rate(hospital, operator, number=150, rate=10)
            figures += burst(hospital, operator, 500)
        for interval in ("200ms", "1s"):
            (folder / interval).mkdir()
            followed = a_hospital(plane, folder / interval, f"polled-{interval}", bridge=None, pipeline=PIPELINE)
            figures += event_to_run(followed, folder / f"orthanc-{interval}", interval)
        (folder / "many").mkdir()
        crowded = a_hospital(plane, folder / "many", "many", bridge=A_BRIDGE, pipeline=PIPELINE)
        with crowded.operator(**SETTINGS) as operator:
            figures += with_many(crowded, operator, chosen.runs, chosen.live)
        for figure in figures:
            print(figure.line(), flush=True)
        write(figures, Path("build/bench.json"))


if __name__ == "__main__":
    main()
