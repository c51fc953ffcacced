"""Records how pods really end: `GANTRY_PREPARED=yes cluster/sandbox .venv/bin/python -m tests.record_pods [NAME...]`.

Gantry by its chart in the one-node cluster, a pipeline for each way to end (ways.py), a study for some of them at a time, and a watch that keeps
every version of every pod. What shows the end is written to tests/unit/runs/pods/recorded/ (with GANTRY_CONTAINERD=2 beside it, to
recorded-containerd-2/: the words of a runtime change with its version), without what is this machine's: names and uids become
those of the written pods, moments keep their distances. About ten minutes; at the very end the node is lost.
"""

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from examples.demo.hospital import run
from tests.builders_runs import JOB_UID, NAME, at
from tests.chaos.cluster_world import NAMESPACE, ClusterApi, ClusterWorld, kubelet
from tests.record_pods.looks import Object, at_work
from tests.record_pods.ways import BESIDE, Way, ways

from gantry.api import labels, parse_timestamp
from gantry.kube import JOBS, PODS, RUNS
from gantry.runs import job_name

PODS_OF_TESTS = Path(__file__).parents[1] / "unit" / "runs" / "pods"
AT_ONCE = 6
"""Pods: two cores start more of them too slowly for their own deadlines."""
LIMIT = 120.0
"""Seconds for one pod to come so far; most take 10, one on a lost node 120."""
POD_UID = "33333333-0000-0000-0000-000000000001"


class Versions(threading.Thread):
    """Every version of every pod, by its watch."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.of: dict[str, list[Object]] = {}
        self.stop = threading.Event()

    def run(self) -> None:
        api = ClusterApi()
        while not self.stop.is_set():
            try:
                with api.http.stream("GET", f"{PODS.path(None)}?watch=1", timeout=httpx.Timeout(10, read=None)) as answer:
                    for line in answer.iter_lines():
                        event = json.loads(line)
                        if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                            self.of.setdefault(event["object"]["metadata"]["uid"], []).append(event["object"])
            except httpx.TransportError:
                time.sleep(0.2)

    def pods(self, way: str) -> list[list[Object]]:
        """Those of one way: by its pipeline, or its Job beside Gantry."""
        return [versions for versions in list(self.of.values()) if way in (_label(versions[0], labels.PIPELINE), _label(versions[0], "batch.kubernetes.io/job-name"))]


def _label(pod: Object, name: str) -> str:
    return str((pod["metadata"].get("labels") or {}).get(name, ""))


class Recorder:
    """One world, one way after the other, some of them at a time."""

    def __init__(self, world: ClusterWorld) -> None:
        self.world, self.versions = world, Versions()
        self.versions.start()
        self.source = _versions_of_the_cluster()
        self.folder = PODS_OF_TESTS / ("recorded-containerd-2" if ", containerd 2." in self.source else "recorded")
        self.done: set[str] = set()

    def record(self, chosen: dict[str, Way]) -> set[str]:
        """The names of those that did not come so far."""
        for number in range(0, len(chosen), AT_ONCE):
            some = dict(list(chosen.items())[number : number + AT_ONCE])
            print(f"{', '.join(some)} ...", flush=True)
            self._make(some, number)
            left = self._follow(some)
            self._clear(some)
            for name in left:
                print(f"    not recorded: {name}: {json.dumps([pod[-1]['status'] for pod in self.versions.pods(name)])[:1500]}", flush=True)
        return set(chosen) - self.done

    def lose_the_node(self, chosen: dict[str, Way]) -> set[str]:
        """The kubelet is stopped, the node's pods are told of as lost, at last the Node itself is taken away. Nothing works here afterwards."""
        self._make(chosen, 1000)
        deadline = time.monotonic() + LIMIT
        while not all(any(at_work(pods[-1]) for pods in self.versions.pods(name)) for name in chosen) and time.monotonic() < deadline:
            time.sleep(0.2)
        os.kill(kubelet(), signal.SIGSTOP)
        left = self._follow({name: way for name, way in chosen.items() if name != "node-gone"})
        run("kubectl", "delete", "nodes", "--all", "--wait=false")
        left |= self._follow({name: way for name, way in chosen.items() if name == "node-gone"})
        return left

    def _make(self, some: dict[str, Way], number: int) -> None:
        for name, way in some.items():
            if way.job:
                self.world.api.create(JOBS, BESIDE, way.job(name))
        if made := [way.pipeline(name) for name, way in some.items() if not way.job]:
            self.world.apply(*made)
            self.world.study("recorded", number).send(self.world.orthanc.dicom_port)

    def _follow(self, some: dict[str, Way]) -> set[str]:
        """Acts once on each pod, and writes down what is wanted."""
        left, acted, deadline = set(some), set[str](), time.monotonic() + LIMIT
        while left and time.monotonic() < deadline:
            for name in sorted(left):
                way = some[name]
                for pods in self.versions.pods(name):
                    if way.act and name not in acted and way.when(pods[-1]):
                        acted.add(name)
                        way.act(self.world, pods[-1])
                    kept = next((pod for pod in pods if way.keeps(pod)), None)
                    if kept and name in left:
                        left.discard(name)
                        self._write(name, way, kept)
            time.sleep(0.02)
        return left

    def _clear(self, some: dict[str, Way]) -> None:
        run("kubectl", "delete", "ipl", "-n", NAMESPACE, "--ignore-not-found", *(name for name, way in some.items() if not way.job), "none")
        for one in self.world.api.list(RUNS, NAMESPACE):
            self.world.api.delete(RUNS, NAMESPACE, one["metadata"]["name"])
        run("kubectl", "delete", "jobs,pods", "-n", BESIDE, "--all", "--wait=false", "--grace-period=0", "--force")

    def _write(self, name: str, way: Way, pod: Object) -> None:
        self.done.add(name)
        self.folder.mkdir(parents=True, exist_ok=True)
        written = {"source": f"recorded: {self.source}, {way.how}", "pod": scrubbed(pod)}
        (self.folder / f"{name}.json").write_text(json.dumps(written, indent=1) + "\n")
        print(f"    {name}: {pod['status']['phase']} {pod['status'].get('reason', '')}", flush=True)


def scrubbed(pod: Object) -> Object:
    """The pod of the written files' Run, with the same things said of it."""
    meta = pod["metadata"]
    shift = at(2) - parse_timestamp(meta["creationTimestamp"])
    kept: Object = {
        "name": f"{job_name(NAME)}-pod1",
        "namespace": "default",
        "uid": POD_UID,
        "resourceVersion": "31",
        "creationTimestamp": meta["creationTimestamp"],
        "labels": {labels.RUN: NAME, "batch.kubernetes.io/job-name": job_name(NAME)},
        "ownerReferences": [{**meta["ownerReferences"][0], "name": job_name(NAME), "uid": JOB_UID}],
    }
    kept |= {name: meta[name] for name in ("finalizers", "deletionTimestamp", "deletionGracePeriodSeconds") if name in meta}
    status = {name: value for name, value in pod["status"].items() if name not in ("hostIP", "hostIPs", "podIP", "podIPs", "resources", "observedGeneration")}
    for told in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        told.update(image="localhost/x:1", imageID="")
        for word in ("volumeMounts", "resources", "allocatedResources", "user", "containerID"):
            told.pop(word, None)
        for state in told["state"].values():
            state.pop("containerID", None)
    text = json.dumps(status)
    for mine, theirs in _words(pod):
        text = re.sub(rf"(?<![A-Za-z0-9.-]){re.escape(mine)}(?![A-Za-z0-9.-])", theirs, text)
    spec = {"nodeName": "gpu-1"} if pod["spec"].get("nodeName") else {}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": kept, "spec": spec, "status": json.loads(text)}
    again: Object = json.loads(_moved(json.dumps(made), shift))
    return again


def _words(pod: Object) -> Iterator[tuple[str, str]]:
    """This machine's, and what stands for them. The longest first."""
    meta = pod["metadata"]
    yield meta["name"], f"{job_name(NAME)}-pod1"
    yield meta["ownerReferences"][0]["name"], job_name(NAME)
    yield meta["uid"], POD_UID
    if node := pod["spec"].get("nodeName"):
        yield node, "gpu-1"
    for container in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]):
        registry = container["image"].partition("/")[0]
        if registry not in ("localhost", "127.0.0.1:9"):
            yield registry, "registry.example"


def _moved(text: str, shift: timedelta) -> str:
    """Every moment in it, those in receipts too, so that the pod is made when the written ones are."""

    def moved(found: re.Match[str]) -> str:
        moment = datetime.fromisoformat(found[1]).replace(tzinfo=UTC) + shift
        return f"{moment:%Y-%m-%dT%H:%M:%S}{found[2] or ''}Z"

    return re.sub(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z", moved, text)


def _versions_of_the_cluster() -> str:
    info = json.loads(run("kubectl", "get", "nodes", "-o", "json"))["items"][0]["status"]["nodeInfo"]
    return f"{datetime.now(UTC):%Y-%m-%d}, Kubernetes {info['kubeletVersion']}, {info['containerRuntimeVersion'].replace('://v', ' ').replace('://', ' ').split('~')[0]}"


def main(arguments: list[str]) -> int:
    """The exit code: 1 when one was not recorded."""
    parser = argparse.ArgumentParser(prog="python -m tests.record_pods")
    parser.add_argument("names", nargs="*", help="all without")
    names = parser.parse_args(arguments).names
    chosen = {name: way for name, way in ways().items() if not names or name in names}
    with tempfile.TemporaryDirectory() as folder:
        world = ClusterWorld(Path(folder))
        world.start()
        run("kubectl", "create", "namespace", BESIDE)
        run("kubectl", "delete", "ipl", "-n", NAMESPACE, "--all")
        recorder = Recorder(world)
        missing = recorder.record({name: way for name, way in chosen.items() if not way.at_the_end})
        if last := {name: way for name, way in chosen.items() if way.at_the_end}:
            missing |= recorder.lose_the_node(last)
        print(f"recorded {len(chosen) - len(missing)} of {len(chosen)}" + (f"; missing: {', '.join(sorted(missing))}" if missing else ""))
    os._exit(1 if missing else 0)  # threads of the world still read what is going


if __name__ == "__main__":
    main(sys.argv[1:])
