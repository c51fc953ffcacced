"""The ways to end that are recorded: who makes the pod, what is done to it, and which version of it is kept.

Most are Runs of Gantry with its own fetch, launcher and publish. What Gantry would not make itself (a receipt that is cut, a container put in by
others, a pod bound by hand) is a Job of the same shape in a namespace beside it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from examples.demo.hospital import images, run
from tests.chaos.cluster_world import NAMESPACE, ClusterWorld
from tests.chaos.two_nodes import ON_A_LOST_NODE
from tests.e2e.pipelines import pipeline, python
from tests.record_pods.looks import Look, Object, at_work, being_deleted, both, bound, disrupted, ended, has, over, unschedulable

from gantry.kube import JOBS, PODS

BESIDE = "beside"
"""The namespace without Gantry."""
WORKS = python("import time; time.sleep(900); negative()")
EATS = python("x = bytearray(2 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1\nnegative()")
FILLS = python("(OUT / 'x.bin').write_bytes(bytes(64 << 20)); import time; time.sleep(900)")
SECURE = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
ALL_GPUS = {"limits": {"nvidia.com/gpu": "4", "memory": "512Mi"}}
SECRET = [{"name": "LICENCE", "valueFrom": {"secretKeyRef": {"name": "licence", "key": "key"}}}]
Act = Callable[[ClusterWorld, Object], None]


@dataclass(frozen=True)
class Way:
    """`how` goes into the file; `made`: the steps of a pipeline, or a Job beside Gantry."""

    how: str
    keeps: Look
    """The first version of the pod of which this holds is written down."""
    command: list[str] | None = None
    template: Object | None = None
    job: Callable[[str], Object] | None = None
    act: Act | None = None
    when: Look = at_work
    """When `act` is done, once."""
    at_the_end: bool = False
    """Of a node that is lost: after all others."""

    @property
    def namespace(self) -> str:
        return BESIDE if self.job else NAMESPACE

    def pipeline(self, name: str) -> Object:
        assert self.command is not None
        return pipeline(name, self.command, **(self.template or {}))


# ---- what is done to a pod ----


def evict(world: ClusterWorld, pod: Object) -> None:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    world.api.call("POST", PODS.path(namespace, name, "eviction"), body)


def delete(world: ClusterWorld, pod: Object) -> None:
    world.api.call("DELETE", PODS.path(pod["metadata"]["namespace"], pod["metadata"]["name"]))


def give_a_deadline(world: ClusterWorld, pod: Object) -> None:
    world.api.patch(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"], {"spec": {"activeDeadlineSeconds": 1}})


def give_its_job_a_deadline(world: ClusterWorld, pod: Object) -> None:
    """That has passed by now."""
    job = pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]
    world.api.patch(JOBS, pod["metadata"]["namespace"], job, {"spec": {"activeDeadlineSeconds": 1}})


def killing(*words: str) -> Act:
    def kill(world: ClusterWorld, pod: Object) -> None:
        assert world.kill(*words, pod=pod["metadata"]["name"]), f"no process with {words}"

    return kill


def want_the_gpus(world: ClusterWorld, pod: Object) -> None:
    """A pod of a higher priority does."""
    first = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "first"}, "value": 1000}
    spec = beside()("pushes")["spec"]["template"]["spec"] | {"priorityClassName": "first"}
    spec["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "4"}}
    for one in (first, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pushes", "namespace": BESIDE}, "spec": spec}):
        run("kubectl", "apply", "-f", "-", stdin=json.dumps(one))


# ---- Jobs beside Gantry ----


def a_container(name: str, text: str, **more: Any) -> Object:
    return {"name": name, "image": images()["gantry/nodules"], "command": ["python3", "-c", text], "securityContext": SECURE, **more}


def beside(*, steps: int = 1, receipt: str = "", code: int = 0, proxy: bool = False, user: int | None = None, asks: Object | None = None, bind: bool = False) -> Callable[[str], Object]:
    """The containers of a Run's pod, all of them Python's; publish leaves that `receipt` and ends with that code."""

    def made(name: str) -> Object:
        says = f"import pathlib, sys, time; time.sleep(1); pathlib.Path('/dev/termination-log').write_text({receipt!r}); sys.exit({code})"
        first = {"resources": {"limits": asks}} if asks else {}
        if user is not None:
            first["securityContext"] = SECURE | {"runAsUser": user}
        names = ["detect", *(f"step-{number}" for number in range(2, steps + 1))]
        containers = [a_container(one, "pass", **(first if one == "detect" else {})) for one in names]
        pod: Object = {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "initContainers": [a_container("fetch", "pass")],
            "containers": [*containers, a_container("publish", says), *([a_container("proxy", "import time; time.sleep(900)")] if proxy else [])],
        }
        if bind:
            pod["nodeName"] = json.loads(run("kubectl", "get", "nodes", "-o", "json"))["items"][0]["metadata"]["name"]
        spec = {"backoffLimit": 0, "template": {"spec": pod}}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": BESIDE}, "spec": spec}

    return made


def ways() -> dict[str, Way]:
    """By the name of the file. A pipeline bears the same name."""
    registry = images()["gantry/nodules"].partition("/")[0]

    def pulling(image: str) -> Object:
        return {"step": {"image": image}}

    long = json.dumps({"warnings": ["x" * 6000]})
    return {
        "succeeded": Way("an application that finds nothing", over, python("negative()")),
        "step-exit-1": Way("an application that ends with 1", over, python("raise SystemExit(1)")),
        "step-exit-65": Way("an application that ends with 65", over, python("raise SystemExit(65)")),
        "step-signal-11": Way("an application that gets signal 11", over, python("os.kill(os.getpid(), 11)")),
        "step-timeout-124": Way("an application that hangs, with a timeout of 5s", over, WORKS, {"step": {"timeout": "5s"}}),
        "step-oom": Way("an application that touches 2 GiB, with a limit of 512Mi", over, EATS),
        "step-killed": Way("kill -9 of a step's first process, the launcher, on the node", over, WORKS, act=killing("/gantry/bin/launcher")),
        "step-memory-limit-too-small": Way("a memory limit of 1Mi", ended("detect"), WORKS, {"step": {"resources": {"limits": {"memory": "1Mi"}}}}),
        "fetch-killed": Way("kill -9 of fetch on the node", over, WORKS, act=killing("gantry.worker", "fetch"), when=bound),
        "publish-killed": Way("kill -9 of publish on the node, while its step works", ended("publish"), WORKS, act=killing("gantry.worker", "publish")),
        "err-image-pull": Way("a name that the registry does not know", has("waiting", "ErrImagePull"), WORKS, pulling(f"{registry}/no-such-image:1")),
        "err-image-pull-no-registry": Way("a registry that does not answer", has("waiting", "ErrImagePull"), WORKS, pulling("127.0.0.1:9/x:1")),
        "image-pull-back-off": Way("the same, a moment later", has("waiting", "ImagePullBackOff"), WORKS, pulling(f"{registry}/none:1")),
        "invalid-image-name": Way("an image with capitals in its name", has("waiting", "InvalidImageName"), WORKS, pulling("localhost/UPPER:1")),
        "create-container-config-error": Way("a secret that does not exist", has("waiting", "CreateContainerConfigError"), WORKS, {"step": {"env": SECRET}}),
        "create-container-config-error-user": Way("user 0 where the pod says runAsNonRoot", has("waiting", "CreateContainerConfigError"), job=beside(user=0)),
        "unschedulable": Way("99 GPUs where the node has 4", unschedulable, WORKS, {"step": {"resources": {"limits": {"nvidia.com/gpu": "99"}}}}),
        "not-admitted": Way("bound by hand to a node with 4 GPUs, asking for 99", over, job=beside(asks={"nvidia.com/gpu": "99"}, bind=True)),
        "evicted-disk": Way("64 MiB in an emptyDir with a limit of 16Mi", over, FILLS, {"scheduling": {"workspace": {"sizeLimit": "16Mi"}}}),
        "drained": Way("the eviction API", both(over, disrupted("EvictionByEvictionAPI")), WORKS, act=evict),
        "preempted": Way(
            "a pod of a higher priority wants the GPUs", both(over, disrupted("PreemptionByScheduler")), WORKS, {"step": {"resources": ALL_GPUS}}, act=want_the_gpus
        ),
        "deleted-by-hand": Way("kubectl delete pod: its containers still run", both(being_deleted, at_work), WORKS, act=delete),
        "deleted-by-hand-over": Way("kubectl delete pod: its containers have ended", both(being_deleted, over), WORKS, act=delete),
        "pod-deadline": Way("activeDeadlineSeconds of the pod", over, WORKS, act=give_a_deadline),
        "job-deadline": Way("activeDeadlineSeconds of the Job", both(being_deleted, over), WORKS, act=give_its_job_a_deadline),
        "publish-message-missing": Way("a publish that writes no receipt", over, job=beside()),
        "publish-message-cut": Way("a publish that writes 6,017 bytes: the kubelet keeps the last 4,096", over, job=beside(receipt=long)),
        "publish-message-cut-ten-containers": Way(
            "a publish that writes 4,000 bytes beside eight steps: the kubelet keeps 12,288 / 10", over, job=beside(steps=8, receipt=json.dumps({"warnings": ["x" * 3983]}))
        ),
        "publish-message-not-json": Way("a publish that writes no JSON", over, job=beside(receipt="Traceback", code=1)),
        "sidecar-left-failure": Way("a container beside ours that does not end", both(ended("publish"), ended("detect")), job=beside(proxy=True, code=1)),
        "node-lost": Way(
            "its kubelet stopped (SIGSTOP)", disrupted("DeletionByTaintManager"), WORKS, {"scheduling": {"tolerations": ON_A_LOST_NODE}}, at_the_end=True
        ),
        "node-gone": Way("its kubelet stopped, the Node object deleted", disrupted("DeletionByPodGC"), WORKS, at_the_end=True),
    }  # fmt: skip
