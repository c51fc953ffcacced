"""Plays the nodes: binds the pods of Jobs, runs their containers as processes, and tells the API server what the kubelet would tell.

The Job controller, the garbage collectors and the controllers of nodes are Kubernetes' own; only scheduler and kubelet are played. Faults reach in
by `observers` (told of each container's start and end), `evict`, `full` and `lose`.
"""

import base64
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.chaos.containers import Application, Container, Zygote
from tests.chaos.two_nodes import TwoNodes
from tests.component.operator_process import Api

from gantry.api import labels, timestamp
from gantry.kube import PODS, SECRETS
from gantry.runs.task import VARIABLE
from gantry.runtime.process import now

Object = dict[str, Any]
Observer = Callable[[str, "Slot", str], None]
"""Told `started` or `ended`, of which pod, and the container's name."""
PERIOD = 0.05  # seconds between two looks; a kubelet learns of a pod by its watch as fast
AT_ONCE = 3  # pods
GRACE = 1.0  # seconds from SIGTERM to SIGKILL; 30 in a cluster


@dataclass
class Slot:
    """One pod on the node."""

    name: str
    uid: str
    run: str
    node: str
    spec: Object
    root: Path
    containers: dict[str, Container] = field(default_factory=dict)
    times: dict[str, str] = field(default_factory=dict)
    announced: set[str] = field(default_factory=set)
    evicted: str = ""
    disrupted: bool = False
    ended: bool = False
    told: Object = field(default_factory=dict)
    terminating_since: float = 0.0

    @property
    def names(self) -> list[str]:
        return [one["name"] for one in self.spec["containers"]]

    @property
    def fetches(self) -> bool:
        return bool(self.spec.get("initContainers"))

    def code(self, name: str) -> int | None:
        return self.containers[name].code if name in self.containers else None


class Kubelet:
    """A thread that looks at all pods of a namespace again and again."""

    def __init__(self, api: Api, namespace: str, folder: Path, launcher: Path) -> None:
        self.api, self.namespace, self.folder, self.launcher = api, namespace, folder, launcher
        self.zygote, self.nodes = Zygote(), TwoNodes(api)
        self.slots: dict[str, Slot] = {}
        self.observers: list[Observer] = []
        self.errors: list[str] = []
        self.stillborn = 0
        """How many of the next steps are killed before their launcher has the barrier."""
        self.full = False
        """No pod gets a node (its disk is full)."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        for slot in self.slots.values():
            self._signal(slot, signal.SIGKILL)
        self.zygote.close()

    def evict(self, slot: Slot, words: str, *, disrupted: bool) -> None:
        """As the kubelet does it by itself: the pod ends as Evicted. `disrupted`: for want of something on the node, for which the pod is not to blame."""
        slot.disrupted, slot.evicted = disrupted, words
        self._signal(slot, signal.SIGKILL)

    def working(self) -> list[Slot]:
        """On nodes that live."""
        return [slot for slot in list(self.slots.values()) if not slot.ended and slot.containers and slot.node not in self.nodes.lost]

    def lose(self, *, power: bool) -> tuple[str, int]:
        """The node that has the pods: no word of it any more, and what happens to pods does not reach it. Its name, and how many pods were at work.

        Without `power` its processes end; else only the kubelet is lost, and they go on and reach Orthanc.
        """
        name, victims = self.nodes.first, self.working()
        self.nodes.lose(name)
        for slot in victims if not power else ():
            self._signal(slot, signal.SIGKILL)
        return name, len(victims)

    def find(self, node: str) -> None:
        """A lost one is back, and learns what has become of its pods."""
        self.nodes.find(node)

    # ---- the loop ----

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            try:
                self.nodes.beat()
                self._look(self.api.list(PODS, self.namespace))
            except (httpx.HTTPError, AssertionError, KeyError, ValueError):
                continue  # the API server is away or refuses: the next look asks again, as a kubelet does
            except Exception:  # noqa: BLE001 - a defect of this file must be seen, and must not end the node
                self.errors.append(traceback.format_exc())

    def _look(self, pods: list[Object]) -> None:
        seen = {pod["metadata"]["uid"]: pod for pod in pods if labels.RUN in pod["metadata"].get("labels", {})}
        lost = set(self.nodes.lost)
        for uid in [uid for uid, slot in self.slots.items() if uid not in seen and slot.node not in lost]:
            self._signal(self.slots.pop(uid), signal.SIGKILL)
        for uid, pod in seen.items():
            slot = self.slots.get(uid)
            if slot is None and self._may_take(pod):
                slot = self._take(pod)
            if slot is not None:
                if slot.node not in lost:
                    self._sync(slot, pod)
            elif pod["metadata"].get("deletionTimestamp"):
                self._remove(pod)

    def _may_take(self, pod: Object) -> bool:
        if self.full:
            return False
        busy = sum(not slot.ended and slot.node not in self.nodes.lost for slot in self.slots.values())
        return not pod["metadata"].get("deletionTimestamp") and pod["status"].get("phase") == "Pending" and busy < AT_ONCE

    def _take(self, pod: Object) -> Slot:
        meta, node = pod["metadata"], self.nodes.first
        if not pod["spec"].get("nodeName"):
            body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"]}, "target": {"apiVersion": "v1", "kind": "Node", "name": node}}
            self.api.call("POST", PODS.path(self.namespace, meta["name"], "binding"), body)
        root = self.folder / meta["uid"]
        root.mkdir(parents=True)
        slot = Slot(meta["name"], meta["uid"], meta["labels"][labels.RUN], node, pod["spec"], root)
        self.slots[meta["uid"]] = slot
        return slot

    def _sync(self, slot: Slot, pod: Object) -> None:
        if not slot.ended:
            self._advance(slot, deleting=bool(pod["metadata"].get("deletionTimestamp")))
            self._notice(slot)
        self._tell(slot)
        if slot.ended and pod["metadata"].get("deletionTimestamp"):
            self._remove(pod)

    def _remove(self, pod: Object) -> None:
        self.api.call("DELETE", PODS.path(self.namespace, pod["metadata"]["name"]), {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}, ok=False)

    # ---- one pod's life ----

    def _advance(self, slot: Slot, *, deleting: bool) -> None:
        alive = [one for one in slot.containers.values() if one.code is None]
        if slot.evicted:
            self._signal(slot, signal.SIGKILL)  # also what has started since
            slot.ended = not alive
            return
        if deleting:
            if not slot.terminating_since:
                slot.terminating_since = time.monotonic()
                self._signal(slot, signal.SIGTERM)
            elif time.monotonic() - slot.terminating_since > GRACE:
                self._signal(slot, signal.SIGKILL)
            slot.ended = not alive
            return
        if slot.fetches and "fetch" not in slot.containers:
            self._begin(slot, slot.spec["initContainers"][0])
        elif slot.fetches and slot.code("fetch") != 0:
            slot.ended = slot.code("fetch") is not None
        elif not any(name in slot.containers for name in slot.names):
            for container in slot.spec["containers"]:
                self._begin(slot, container)
        else:
            slot.ended = not alive
        if slot.ended:
            shutil.rmtree(slot.root / "input", ignore_errors=True)

    def _begin(self, slot: Slot, container: Object) -> None:
        name, log = container["name"], slot.root / f"{container['name']}.log"
        environment = {one["name"]: self._value(slot, name, one) for one in container.get("env", [])}
        if VARIABLE in environment:
            role = container["command"][-1]
            receipt = slot.root / f"{name}.receipt"
            receipt.unlink(missing_ok=True)
            environment |= {"PATH": os.environ["PATH"], "GANTRY_ROOT": str(slot.root), "GANTRY_LAUNCHER": str(self.launcher), "TERMINATION_LOG": str(receipt)}
            slot.containers[name] = self.zygote.start(role, environment, log)
        else:
            command = self._command(slot, container)
            if self.stillborn:
                self.stillborn, command = self.stillborn - 1, ["sh", "-c", "kill -9 $$"]
            slot.containers[name] = Application(command, {"PATH": os.environ["PATH"], **environment}, log)
        slot.times[name] = timestamp(now())
        self._notice(slot)

    def _value(self, slot: Slot, container: str, variable: Object) -> str:
        source = variable.get("valueFrom", {}).get("secretKeyRef")
        if source:
            secret = self.api.get(SECRETS, self.namespace, source["name"]) or {}
            return base64.b64decode(secret["data"][source["key"]]).decode()
        value = str(variable.get("value", "")).replace("$$", "$")
        places = {"/gantry/input": slot.root / "input", "/gantry/output": slot.root / "outputs" / container, "/tmp": slot.root}
        return str(places.get(value, value))

    def _command(self, slot: Slot, container: Object) -> list[str]:
        """The launcher's command line, with the places of the volumes on this machine."""
        name = container["name"]
        places = {"/gantry/bin/launcher": str(self.launcher), "/gantry/barrier": str(slot.root / "barriers" / name)}
        for folder in ("barriers", "outputs"):
            (slot.root / folder / name).mkdir(parents=True, exist_ok=True)
        return [places.get(word, word) for word in container["command"]]

    def _notice(self, slot: Slot) -> None:
        for name, container in slot.containers.items():
            for what in (["started"] if container.pid else []) + (["ended"] if container.code is not None else []):
                if f"{what} {name}" not in slot.announced:
                    slot.announced.add(f"{what} {name}")
                    for observer in list(self.observers):
                        observer(what, slot, name)

    def _signal(self, slot: Slot, number: int) -> None:
        for container in slot.containers.values():
            with contextlib.suppress(PermissionError):
                container.send(number)

    # ---- what is told ----

    def _tell(self, slot: Slot) -> None:
        status = self._status(slot)
        if status == slot.told or not slot.containers:
            return
        path = PODS.path(self.namespace, slot.name, "status")
        self.api.call("PATCH", path, {"metadata": {"uid": slot.uid}, "status": status}, content="application/strategic-merge-patch+json")
        slot.told = status

    def _status(self, slot: Slot) -> Object:
        phase = "Running" if any(name in slot.containers for name in slot.names) else "Pending"
        if slot.ended:
            clean = not slot.evicted and all(slot.code(name) == 0 for name in slot.names)
            phase = "Succeeded" if clean else "Failed"
        status: Object = {
            "phase": phase,
            "startTime": min(slot.times.values(), default=None),
            "initContainerStatuses": [self._container(slot, "fetch")] if slot.fetches else [],
            "containerStatuses": [self._container(slot, name) for name in slot.names],
        }
        if slot.evicted and slot.ended:
            status |= {"reason": "Evicted", "message": slot.evicted}
        if slot.evicted and slot.ended and slot.disrupted:
            moment = slot.times.setdefault("evicted", timestamp(now()))
            condition = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": slot.evicted, "lastTransitionTime": moment}
            status["conditions"] = [condition]
        return status

    def _container(self, slot: Slot, name: str) -> Object:
        made: Object = {"name": name, "image": "x", "imageID": "", "ready": False, "restartCount": 0}
        container = slot.containers.get(name)
        if container is None:
            return made | {"state": {"waiting": {"reason": "PodInitializing"}}}
        if container.code is None:
            return made | {"ready": True, "state": {"running": {"startedAt": slot.times[name]}}}
        receipt = slot.root / f"{name}.receipt"
        share = 12288 // (len(slot.names) + slot.fetches)  # as the kubelet cuts: its end first, then to the pod's equal share
        message = receipt.read_text(errors="replace")[-4096:][:share] if receipt.exists() else ""
        moment = slot.times.setdefault(f"end of {name}", timestamp(now()))
        end = {"exitCode": container.code, "reason": "Completed" if container.code == 0 else "Error", "message": message, "startedAt": slot.times[name], "finishedAt": moment}
        return made | {"state": {"terminated": end}}


def build_launcher(folder: Path) -> Path:
    """The launcher, by Go."""
    target = folder / "gantry-launcher"
    source = Path(__file__).parents[2] / "launcher"
    subprocess.run(["go", "build", "-trimpath", "-o", target, "."], cwd=source, env={**os.environ, "CGO_ENABLED": "0"}, check=True, stdout=sys.stderr)
    return target
