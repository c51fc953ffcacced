"""The operator as a real process with exactly the rights of `gantry.kube.PERMISSIONS`, and hands that play the Job controller and the kubelet."""

import contextlib
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.builders import changed
from tests.component.control_plane import ControlPlane, free_port

from gantry.api import timestamp
from gantry.kube import BACKFILLS, BRIDGES, JOBS, PERMISSIONS, PIPELINES, PODS, RUNS, SECRETS, Resource, lease_permissions
from gantry.runs import FetchReceipt, PublishReceipt, job_name
from gantry.runtime.process import now

Object = dict[str, Any]
LIMIT = 30.0
"""Seconds a condition may take on a busy machine; 0.01 to 2 on an idle one."""


LEASE = "gantry"
"""For replicas: `operator(GANTRY_LEASE=f"{namespace}/{LEASE}")`; without, each process works by itself."""


class Api:
    """The API server, as an administrator sees it."""

    def __init__(self, plane: ControlPlane) -> None:
        context = ssl.create_default_context(cafile=str(plane.ca))
        headers = {"Authorization": f"Bearer {plane.token}"}
        self.http = httpx.Client(base_url=plane.url, verify=context, headers=headers, timeout=10, trust_env=False)

    def call(self, method: str, path: str, body: Object | None = None, *, content: str = "application/json", ok: bool = True) -> Object:
        """One request; `ok`: anything but 2xx is an error."""
        answer = self.http.request(method, path, content=json.dumps(body) if body is not None else None, headers={"Content-Type": content})
        assert not ok or answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
        made = answer.json()
        assert isinstance(made, dict)
        return made

    def create(self, resource: Resource, namespace: str, body: Object, *, query: str = "") -> Object:
        body = {**body, "metadata": {**body["metadata"], "namespace": namespace}}
        return self.call("POST", resource.path(namespace) + query, body)

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        made = self.call("GET", resource.path(namespace, name), ok=False)
        return None if made.get("code") == 404 else made

    def list(self, resource: Resource, namespace: str) -> "list[Object]":
        items = self.call("GET", resource.path(namespace))["items"]
        assert isinstance(items, list)
        return items

    def patch(self, resource: Resource, namespace: str, name: str, change: Object, *, sub: str = "") -> Object:
        return self.call("PATCH", resource.path(namespace, name, sub), change, content="application/merge-patch+json")

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        self.call("DELETE", resource.path(namespace, name), {"propagationPolicy": "Background", "gracePeriodSeconds": 0}, ok=False)


def wait(holds: Callable[[], Any], what: str, *, limit: float = LIMIT, tell: Callable[[], object] = lambda: "") -> Any:
    """The first truthy answer."""
    deadline = time.monotonic() + limit
    while not (answer := holds()):
        assert time.monotonic() < deadline, f"not within {limit:g} s: {what}. {tell()}"
        time.sleep(0.01)
    return answer


@dataclass
class Hospital:
    """One namespace with a bridge and a pipeline, and everything a test does there."""

    api: Api
    plane: ControlPlane
    namespace: str
    folder: Path

    def apply(self, *objects: Object) -> None:
        for one in objects:
            resource = {r.kind: r for r in (BRIDGES, PIPELINES, RUNS, BACKFILLS, SECRETS)}[one["kind"]]
            path = f"{resource.path(self.namespace, one['metadata']['name'])}?fieldManager=test&force=true"
            body = {**one, "metadata": {**one["metadata"], "namespace": self.namespace}}
            self.api.call("PATCH", path, body, content="application/apply-patch+yaml")

    def run(self, name: str) -> Object:
        made = self.api.get(RUNS, self.namespace, name)
        assert made is not None, f"Run {name} is gone"
        return made

    def status(self, name: str) -> Object:
        status = self.run(name).get("status") or {}
        assert isinstance(status, dict)
        return status

    def condition(self, name: str, kind: str) -> str:
        return condition(self.status(name), kind)

    def job(self, run: str) -> Object | None:
        return self.api.get(JOBS, self.namespace, job_name(run))

    def has_job(self, run: str) -> Object:
        made = wait(lambda: self.job(run), f"Run {run} has a Job", tell=lambda: self.run(run))
        assert isinstance(made, dict)
        return made

    def says(self, run: str, kind: str, words: str) -> Object:
        wait(lambda: self.condition(run, kind) == words, f"{kind} of {run} is {words}", tell=lambda: self.status(run))
        return self.status(run)

    # ---- the Job controller and the kubelet ----

    def pod(self, run: str, *, attempt: int = 1) -> str:
        """Makes the Job's pod as the Job controller does; gives its name."""
        job = self.has_job(run)
        template = job["spec"]["template"]
        name = f"{job_name(run)}-pod{attempt}"
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"], "controller": True}
        metadata = {"name": name, "labels": template["metadata"]["labels"], "ownerReferences": [owner]}
        spec = {**template["spec"], "nodeName": "gpu-1"}
        self.api.create(PODS, self.namespace, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        return name

    def container_states(self, pod: str, *, phase: str = "Running", reason: str = "", conditions: "list[Object] | None" = None, **states: Object) -> None:
        """What the kubelet says."""
        def told(names: "list[str]") -> "list[Object]":
            static = {"image": "x", "imageID": "", "ready": False, "restartCount": 0}
            return [{"name": name, "state": states[name], **static} for name in names]

        status = {
            "phase": phase,
            "reason": reason,
            "startTime": timestamp(now()),
            "conditions": conditions or [],
            "initContainerStatuses": told([n for n in states if n == "fetch"]),
            "containerStatuses": told([n for n in states if n != "fetch"]),
        }
        self.api.patch(PODS, self.namespace, pod, {"status": status}, sub="status")

    def runs_on(self, pod: str) -> None:
        running = {"running": {"startedAt": timestamp(now())}}
        self.container_states(pod, fetch=ended(0, FetchReceipt(instances=20, bytes=1000, seconds=0.1).encode()), detect=running, publish=running)

    def publishes(self, pod: str, receipt: PublishReceipt, *, code: int = 0, step: int = 0) -> None:
        fetched = ended(0, FetchReceipt(instances=20, bytes=1000, seconds=0.1).encode())
        phase = "Succeeded" if code == 0 else "Failed"
        self.container_states(pod, phase=phase, fetch=fetched, detect=ended(step), publish=ended(code, receipt.encode()))

    def job_ends(self, run: str, kind: str, reason: str) -> None:
        """Complete or Failed, with the condition that comes before it, as the API server demands."""
        moment = timestamp(now())
        before = "SuccessCriteriaMet" if kind == "Complete" else "FailureTarget"
        conditions = [{"type": t, "status": "True", "reason": reason, "message": "", "lastTransitionTime": moment} for t in (before, kind)]
        status: Object = {"conditions": conditions, "startTime": moment, "active": 0, "ready": 0, "uncountedTerminatedPods": {}}
        status |= {"completionTime": moment, "succeeded": 1} if kind == "Complete" else {"failed": 1}
        self.api.patch(JOBS, self.namespace, job_name(run), {"status": status}, sub="status")

    def ends_well(self, run: str) -> None:
        """In place of a pod's whole life: the Run's last status."""
        moment = timestamp(now())
        done = {"type": "Complete", "status": "True", "reason": "Complete", "message": "", "lastTransitionTime": moment}
        self.api.patch(RUNS, self.namespace, run, {"status": {"state": "Succeeded", "conditions": [done], "completionTime": moment}}, sub="status")

    # ---- the operator ----

    @contextlib.contextmanager
    def operator(self, **environment: str) -> Iterator["Operator"]:
        """The process, for the block."""
        one = Operator(self, environment)
        one.start()
        try:
            yield one
        finally:
            one.kill()
            one.http.close()


def ended(code: int, message: str = "") -> Object:
    """A terminated container."""
    moment = timestamp(now())
    body = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "message": message, "startedAt": moment, "finishedAt": moment}
    return {"terminated": body}


def condition(status: Object, kind: str) -> str:
    """`True/Reason` of a condition; empty when it is not there."""
    found = next((c for c in status.get("conditions") or () if c["type"] == kind), None)
    return f"{found['status']}/{found['reason']}" if found else ""


@dataclass
class Operator:
    """One process; may be killed and started again."""

    hospital: Hospital
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    module: str = "gantry.runtime"
    process: "subprocess.Popen[bytes] | None" = None
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=5, trust_env=False))

    def start(self, *, ready: bool = True) -> None:
        assert self.process is None
        folder = self.hospital.folder
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GANTRY_", "KUBE"))},
            "KUBECONFIG": str(service_account(self.hospital)),
            "GANTRY_NAMESPACES": self.hospital.namespace,
            "GANTRY_INSTALLATION": "test",
            "GANTRY_WORKER_IMAGE": "localhost/gantry/worker:test",
            "GANTRY_PORT": str(self.port),
            "GANTRY_REGISTRIES": "no",  # the images' names here lead nowhere
            **self.environment,
        }
        with (folder / f"operator-{self.port}.log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-W", "error", "-m", self.module], stdout=log, stderr=log, env=environment)
        if ready:
            wait(lambda: self.probe("readyz") == 200, "the operator is ready", tell=lambda: self.log[-5000:])

    def kill(self, number: int = signal.SIGKILL) -> float:
        """Gives the seconds it took to end."""
        if self.process is None:
            return 0.0
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        self.process = None
        return time.monotonic() - began

    @property
    def log(self) -> str:
        return (self.hospital.folder / f"operator-{self.port}.log").read_text(errors="replace")

    def lines(self) -> "list[Object]":
        """The log, one object a line; a line that is none fails the test."""
        return [json.loads(line) for line in self.log.splitlines()]

    def probe(self, path: str) -> int:
        try:
            return self.http.get(f"http://127.0.0.1:{self.port}/{path}").status_code
        except httpx.TransportError:
            return 0

    def metrics(self) -> dict[str, float]:
        """Samples by name with labels; none while it does not listen."""
        try:
            text = self.http.get(f"http://127.0.0.1:{self.port}/metrics").text
        except httpx.TransportError:
            return {}
        return {name: float(value) for name, value in re.findall(r"^(gantry_\S+?(?:\{.*?\})?) (\S+)$", text, re.MULTILINE)}

    def calls(self) -> dict[tuple[str, str, str], float]:
        """Requests to the API server by verb, resource and code."""
        pattern = re.compile(r'gantry_api_calls_total\{code="(.*?)",resource="(.*?)",verb="(.*?)"\}')
        found = {pattern.fullmatch(name): value for name, value in self.metrics().items()}
        return {(m[3], m[2], m[1]): value for m, value in found.items() if m}

    def writes(self) -> float:
        return sum(number for (verb, _, _), number in self.calls().items() if verb in ("create", "patch", "delete"))

    def settled(self, *, seconds: float = 0.3) -> None:
        """No pass and no write for a while: what is to be shown is that nothing happens."""
        def quiet() -> bool:
            before = self.writes()
            time.sleep(seconds)
            return self.writes() == before and self.metrics()["gantry_queue_depth"] == 0
        wait(quiet, "the operator has nothing to do", tell=lambda: self.log[-3000:])


def service_account(hospital: Hospital) -> Path:
    """A kubeconfig whose user may do what `PERMISSIONS` says in the namespace, and nothing else."""
    kubeconfig = hospital.folder / "operator.kubeconfig"
    if kubeconfig.exists():
        return kubeconfig
    api, namespace = hospital.api, hospital.namespace
    rbac = Resource("rbac.authorization.k8s.io/v1", "Role", "roles")
    bindings = Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
    accounts = Resource("v1", "ServiceAccount", "serviceaccounts")
    name = {"metadata": {"name": "operator"}}
    rules = [one.rule() for one in (*PERMISSIONS, *lease_permissions(LEASE))]
    api.create(accounts, namespace, {"apiVersion": "v1", "kind": "ServiceAccount", **name})
    api.create(rbac, namespace, {"apiVersion": rbac.api_version, "kind": "Role", **name, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
    api.create(bindings, namespace, {"apiVersion": rbac.api_version, "kind": "RoleBinding", **name, "subjects": [subject], "roleRef": reference})
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 6 * 3600}}
    token = api.call("POST", accounts.path(namespace, "operator", "token"), asked)["status"]["token"]
    made = json.loads(hospital.plane.kubeconfig.read_text())
    made["users"] = [{"name": "admin", "user": {"token": token}}]
    kubeconfig.write_text(json.dumps(made))
    return kubeconfig


def a_hospital(plane: ControlPlane, folder: Path, namespace: str, *, bridge: Object | None, pipeline: Object | None) -> Hospital:
    """A fresh namespace that enforces Pod Security `restricted`."""
    api = Api(plane)
    marks = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest"}
    namespaces = Resource("v1", "Namespace", "namespaces")
    api.call("POST", namespaces.path(None), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": marks}})
    made = Hospital(api, plane, namespace, folder)
    for one in (bridge, pipeline):
        if one is not None:
            made.apply(one)
    return made


def named(run: Object, name: str) -> Object:
    """The same Run under another name."""
    return changed(run, "metadata.name", name)
