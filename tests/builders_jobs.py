"""The Job that a Run becomes, taken apart: `pod(run)`, `container("fetch", run)`, `mounts("detect", run)`, `environment("publish", run)`."""

from typing import Any

from tests.builders_runs import A_BRIDGE, RunBuilder, a_run

from gantry.runs import BridgeView, Installation, job

INSTALLATION = Installation(identity="hospital-a", worker_image="gantry/worker@sha256:1", worker_pull_policy="IfNotPresent")


def made(run: RunBuilder | None = None, *, bridge: dict[str, Any] | None = None) -> dict[str, Any]:
    return job((run or a_run()).view(), BridgeView.from_object(bridge or A_BRIDGE), INSTALLATION)


def pod(run: RunBuilder | None = None) -> dict[str, Any]:
    spec = made(run)["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def container(name: str, run: RunBuilder | None = None) -> dict[str, Any]:
    spec = pod(run)
    found = next(c for c in (*spec["initContainers"], *spec["containers"]) if c["name"] == name)
    assert isinstance(found, dict)
    return found


def mounts(name: str, run: RunBuilder | None = None) -> dict[str, tuple[str, bool, str]]:
    return {m["mountPath"]: (m["name"], m.get("readOnly", False), m.get("subPath", "")) for m in container(name, run)["volumeMounts"]}


def environment(name: str, run: RunBuilder | None = None) -> dict[str, Any]:
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in container(name, run)["env"]}


WRITES = ("--write=/gantry/output", "--write=/tmp", "--write=/dev/shm")
TWO = a_run().with_steps("prepare", "detect")
