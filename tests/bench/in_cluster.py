"""What a radiologist waits for, measured in the one-node cluster: `python -m tests.bench.in_cluster` with KUBECONFIG and build/images.json.

Kubernetes stores container times in whole seconds, so everything here is timed by a watch of our own.
"""

import gzip
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from examples.demo.hospital import ROOT, Hospital, condition, images, run, wait_for
from examples.phantom.make_ct import Options, make_series
from kubernetes import client, config, watch
from pydicom import dcmread
from tests.bench.figures import Figure, median, percentile, write
from tests.e2e.pipelines import NODULE, apply, pipeline, python

ROUNDS = 5
PODS = 15
"""The kubelet looks at its containers once a second, so a pod's time is one of two or three values a second apart. A median of five jumped from 2.1 to
3.9 s within minutes; a mean of enough does not."""
EMPTY = ["python3", "-c", ""]


@dataclass
class PodClock:
    """Local times of what a namespace's pods did, by a watch: (pod, event) -> seconds. Events: created, `<container> running`, `<container> ended`."""

    namespace: str
    times: dict[tuple[str, str], float] = field(default_factory=dict)
    stopping: bool = False

    def look(self) -> None:
        stream = watch.Watch()
        for event in stream.stream(client.CoreV1Api().list_namespaced_pod, self.namespace, timeout_seconds=600):
            if self.stopping:
                return
            now, pod = time.monotonic(), event["object"]
            self.times.setdefault((pod.metadata.name, "created"), now)
            for status in [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]:
                if status.state.running or status.state.terminated:
                    self.times.setdefault((pod.metadata.name, f"{status.name} running"), now)
                if status.state.terminated:
                    self.times.setdefault((pod.metadata.name, f"{status.name} ended"), now)

    def between(self, pod: str, first: str, last: str) -> float:
        return self.times[pod, last] - self.times[pod, first]


@contextmanager
def pod_clock(namespace: str) -> Iterator[PodClock]:
    clock = PodClock(namespace)
    threading.Thread(target=clock.look, daemon=True).start()
    yield clock
    clock.stopping = True


def empty_job(name: str) -> dict[str, Any]:
    """The same containers as a Run's pod, each doing nothing."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    containers = [
        {"name": which, "image": images()[image], "command": ["/bin/true"], "securityContext": security}
        for which, image in (("fetch", "gantry/worker"), ("detect", "gantry/nodules"), ("publish", "gantry/worker"))
    ]
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": containers[:1],
        "containers": containers[1:],
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": {"spec": pod}}}


def pod_of(hospital: Hospital, job: str) -> str:
    found = hospital.get("pods", "-l", f"batch.kubernetes.io/job-name={job}")["items"]
    name: str = found[0]["metadata"]["name"]
    return name


PHASES = (("created", "fetch running"), ("fetch running", "fetch ended"), ("fetch ended", "detect running"), ("detect running", "publish ended"))


def by_phase(clock: PodClock, pods: list[str]) -> str:
    """Where a pod's time goes: the mean of each phase, as the watch saw it."""
    phases = (f"{first} -> {last} {fmean([clock.between(pod, first, last) for pod in pods]):.2f}" for first, last in PHASES)
    return ", ".join(phases)


def empty_pods(hospital: Hospital, clock: PodClock) -> tuple[list[str], list[float]]:
    """Empty Jobs: their pods, and created to the last container's end."""
    pods, seconds = [], []
    for number in range(PODS):
        name = f"empty-{number}"
        hospital.kubectl("create", "-f", "-", stdin=json.dumps(empty_job(name)))
        hospital.kubectl("wait", "--for=condition=Complete", f"job/{name}", "--timeout=60s")
        pod = pod_of(hospital, name)
        ends = [clock.between(pod, "created", f"{which} ended") for which in ("detect", "publish")]
        pods.append(pod)
        seconds.append(max(ends))
    return pods, seconds


@dataclass(frozen=True)
class Journey:
    """One study: seconds from the last C-STORE to the report in the PACS, and the Run."""

    seconds: float
    run: dict[str, Any]


def journeys(hospital: Hospital, rounds: int, *, slices: int, matrix: int, description: str = "CT Thorax") -> list[Journey]:
    """Studies sent one after another; the next one when the report of the last has arrived."""
    made = []
    for number in range(rounds):
        folder = Path(tempfile.mkdtemp(prefix="gantry-bench-"))
        try:
            accession = f"B{slices}-{number}-{time.time_ns() % 10**6}"[:16]
            make_series(folder, Options(slices=slices, matrix=matrix, spheres=1 if slices > 20 else 0, accession=accession, study_description=description))
            files = sorted(folder.glob("*.dcm"))
            uid = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
            known = {one["metadata"]["name"] for one in hospital.runs()}
            hospital.orthanc.send(files)
            sent = time.monotonic()
            wait_for("the report in the PACS", lambda uid=uid: hospital.pacs.instances(uid, "SR"), seconds=120, pause=0.1)  # type: ignore[misc]
            seconds = time.monotonic() - sent
            wait_for("finished Runs", lambda known=known: all(condition(r, "Complete")["status"] == "True" for r in hospital.runs() if r["metadata"]["name"] not in known), seconds=30)  # type: ignore[misc]
            (new,) = [one for one in hospital.runs() if one["metadata"]["name"] not in known]
            made.append(Journey(seconds, new))
        finally:
            shutil.rmtree(folder)
    return made


NO_OP = {"name": "detect", "env": [{"name": "MODE", "value": "no-op"}], "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "256Mi"}}}
CONTRACTS: dict[str, dict[str, Any]] = {
    "Native": {"image": "test/mercure", "contract": "Native", "command": ["python3", "/app/process.py"]},
    "MAP": {"image": "test/map-1.0", "contract": "MAP"},
    "Mercure": {"image": "test/mercure", "contract": "Mercure", "command": ["./docker-entrypoint.sh"]},
}


def no_op(contract: str) -> dict[str, Any]:
    """A pipeline of one no-op step; it takes the studies that are described by the contract's name alone."""
    step = {**NO_OP, **CONTRACTS[contract], "image": images()[CONTRACTS[contract]["image"]]}
    rule = {"file": "result.json", "type": NODULE, "presence": {"path": "/images", "atLeast": 1}}
    report = {"algorithm": {"name": "No-op", "version": "1", "manufacturer": "Example"}, "mapping": [rule]}
    made = pipeline(f"no-op-{contract.lower()}", [], step=step, report=report)
    if "command" not in CONTRACTS[contract]:
        del made["spec"]["template"]["steps"][0]["command"]
    made["spec"]["match"]["study"].append({"tag": "StudyDescription", "operator": "In", "values": [f"No-op {contract}"]})
    return made


def contracts(hospital: Hospital, clock: PodClock) -> Iterator[Figure]:
    """The same application that does nothing, in each contract's package, by turns. By the clocks of fetch, launcher and publish: what the kubelet tells
    of a pod comes in whole seconds, twice what is looked for."""
    apply(hospital, *map(no_op, CONTRACTS))
    pods: dict[str, list[float]] = {name: [] for name in CONTRACTS}
    work: dict[str, list[float]] = {name: [] for name in CONTRACTS}
    for _ in range(ROUNDS):
        for name in CONTRACTS:
            (one,) = journeys(hospital, 1, slices=1, matrix=128, description=f"No-op {name}")
            pods[name].append(clock.between(pod_of(hospital, one.run["status"]["jobRef"]["name"]), "created", "publish ended"))
            stages = {stage["name"]: stage for stage in one.run["status"]["stages"]}
            work[name].append(sum(stages[stage].get("seconds", 0.0) for stage in ("fetch", "step/detect", "publish")))
    for name in ("MAP", "Mercure"):
        over = [one - native for one, native in zip(work[name], work["Native"], strict=True)]
        note = f"{min(over):.2f} to {max(over):.2f}; pods, mean: {fmean(pods[name]):.2f} s, Native {fmean(pods['Native']):.2f}"
        label = f"contract {name} over Native: fetch, step and publish, median"
        yield Figure(label, median(over), "s", 0.5, peer="Native", peer_value=median(work["Native"]), note=note)


def measure(hospital: Hospital) -> Iterator[Figure]:
    apply(hospital, pipeline("zero", python("negative()")))
    with pod_clock(hospital.namespace) as clock:
        empty_ones, lives = empty_pods(hospital, clock)
        empty = fmean(lives)
        single = journeys(hospital, PODS, slices=1, matrix=128)
        pods = [pod_of(hospital, one.run["status"]["jobRef"]["name"]) for one in single]
        took = [clock.between(pod, "created", "publish ended") for pod in pods]
        ended, spread = fmean(took), f"{min(took):.2f} to {max(took):.2f}; empty: {min(lives):.2f} to {max(lives):.2f}"
        yield Figure(f"pod created -> publish ended, step 0 s, 1 instance, mean of {PODS}", ended, "s", 3.5, peer="the same containers empty", peer_value=empty, note=spread)
        yield Figure("  of it: the same containers empty", ended / empty, "x", 1.2, note=f"{by_phase(clock, pods)}; empty: {by_phase(clock, empty_ones)}")
        big = journeys(hospital, ROUNDS, slices=300, matrix=512)
        yield Figure("last C-STORE -> SR in the PACS, 300-slice CT, step 0 s, median", median([one.seconds for one in big]), "s", 10)
        overhead = [platform_overhead(clock, pod_of(hospital, one.run["status"]["jobRef"]["name"]), one) for one in big]
        yield Figure("platform overhead a study (stable -> step, AI exit -> SR), p95", percentile(overhead, 0.95), "s", 5, peer="an empty Job", peer_value=empty)
        hospital.kubectl("delete", "ipl", "zero")
        yield from contracts(hospital, clock)
    unpacked, packed = image_megabytes()
    yield Figure("images of operator and worker together, unpacked", unpacked, "MB", 350, note=f"{packed:.0f} MB to pull")


def platform_overhead(clock: PodClock, pod: str, journey: Journey) -> float:
    """Seen to the pod's creation by the Run's stages, then the pod's life less the application's own time."""
    stages = {stage["name"]: stage for stage in journey.run["status"]["stages"]}
    before = stages["seen"].get("seconds", 0.0) + stages["created"].get("seconds", 0.0)
    return float(before + clock.between(pod, "created", "publish ended") - stages["step/detect"].get("seconds", 0.0))


def image_megabytes() -> tuple[float, float]:
    """Both images, shared layers counted once: megabytes on a node's disk (unpacked), and to pull (as the registry holds them)."""
    packed: dict[str, int] = {}
    unpacked: dict[str, int] = {}
    for name in ("gantry/operator", "gantry/worker"):
        with tempfile.TemporaryDirectory() as folder:
            run("skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{images()[name]}", f"dir:{folder}")
            for layer in json.loads((Path(folder) / "manifest.json").read_text())["layers"]:
                file = Path(folder) / layer["digest"].removeprefix("sha256:")
                packed[layer["digest"]] = file.stat().st_size
                with (gzip.open(file) if layer["mediaType"].endswith("gzip") else file.open("rb")) as content:
                    unpacked[layer["digest"]] = sum(len(piece) for piece in iter(lambda: content.read(1 << 20), b""))
    return sum(unpacked.values()) / 1e6, sum(packed.values()) / 1e6


def main() -> int:
    config.load_kube_config()
    hospital = Hospital("bench")
    run("kubectl", "apply", "--server-side", "-f", str(ROOT / "crds"))
    hospital.create_namespace()
    hospital.start_servers()
    hospital.install_gantry("crds.enabled=false")
    hospital.wait_for_servers()
    hospital.apply(ROOT / "tests" / "e2e" / "bridge.yaml")
    hospital.wait_until_ready("obridge/main")
    figures = []
    for figure in measure(hospital):
        print(figure.line(), flush=True)
        figures.append(figure)
    write(figures, ROOT / "build" / "bench.json")
    hospital.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
