"""The DaemonSet that brings images to the nodes, field by field where the kubelet relies on it, and what is told of the nodes."""

from typing import Any

import pytest
from kubernetes.aio.client.models.v1_daemon_set import V1DaemonSet

from gantry.api import PipelineReason
from gantry.api.pipeline import RunTemplate
from gantry.runs import Installation, OnNodes, Owner, daemon_set, on_each, on_nodes, spec_hash

INSTALLATION = Installation(identity="hospital-a", worker_image="gantry/worker@sha256:1", worker_pull_policy="IfNotPresent")
OWNER = Owner("radiology", "chest", "p-uid")
IMAGE = f"r.example/nodules:1.2@sha256:{'a' * 64}"
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}


def a_step(name: str = "detect", image: str = IMAGE, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": image, "command": ["x"], **more}


def made(*steps: dict[str, Any], **scheduling: Any) -> dict[str, Any]:
    template = RunTemplate.model_validate({"steps": steps or (a_step(),), "scheduling": scheduling})
    return daemon_set(OWNER, template, INSTALLATION)


def pod(*steps: dict[str, Any], **scheduling: Any) -> dict[str, Any]:
    spec = made(*steps, **scheduling)["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def test_kubernetes_own_model_reads_every_field() -> None:
    """What the model does not know it drops: nothing may be lost on the way there and back."""
    body = made(a_step(), a_step("tell", "r.example/tell:1"), nodeSelector={"gpu": "yes"}, runtimeClassName="nvidia", imagePullSecrets=[{"name": "s"}])
    model = V1DaemonSet.from_dict(body)
    assert model is not None
    assert model.model_dump(by_alias=True, exclude_none=True) == body


def test_it_is_the_pipelines_and_no_run_is_made_of_its_pods() -> None:
    metadata = made()["metadata"]
    assert metadata["name"] == "chest-images"
    assert metadata["ownerReferences"] == [
        {"apiVersion": "gantry.health/v1alpha1", "kind": "InferencePipeline", "name": "chest", "uid": "p-uid", "controller": True}
    ]
    labels = {"gantry.health/prepull": "chest", "app.kubernetes.io/managed-by": "gantry", "app.kubernetes.io/part-of": "gantry"}
    assert metadata["labels"] == made()["spec"]["template"]["metadata"]["labels"] == labels
    assert made()["spec"]["selector"] == {"matchLabels": {"gantry.health/prepull": "chest"}}


def test_nothing_of_an_image_is_started_and_each_stays_in_use() -> None:
    spec = pod(a_step("prepare", "r.example/tools:1"), a_step("detect"), a_step("tell", "r.example/tools:1"))
    (install,) = spec["initContainers"]
    assert (install["image"], install["command"]) == (INSTALLATION.worker_image, ["/usr/local/bin/gantry-launcher", "--install", "/gantry/bin/launcher"])
    assert [(one["name"], one["image"], one["command"]) for one in spec["containers"]] == [
        ("prepare", "r.example/tools:1", ["/gantry/bin/launcher", "--wait"]),
        ("detect", IMAGE, ["/gantry/bin/launcher", "--wait"]),
    ]
    for one in spec["containers"]:
        assert one["volumeMounts"] == [{"name": "tools", "mountPath": "/gantry/bin", "readOnly": True}]


def test_it_costs_nothing_and_may_nothing() -> None:
    """Also of a step that has a GPU and root."""
    spec = pod(a_step(resources={"limits": {"nvidia.com/gpu": "2", "memory": "8Gi"}}, security={"runAsUser": 0, "allowNetwork": True}))
    for one in (*spec["initContainers"], *spec["containers"]):
        assert one["resources"] == {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}}
        assert one["securityContext"] == RESTRICTED
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsNonRoot"]) == (1000, True)
    assert spec["automountServiceAccountToken"] is False
    assert spec["containers"][0]["env"] == [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}], "the runtime class nvidia gives none either"


def test_it_goes_where_runs_may_go() -> None:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]}}
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname"}]}}
    taint = {"key": "ai", "operator": "Exists"}
    spec = pod(
        a_step(resources={"limits": {"nvidia.com/gpu": "1"}}),
        nodeSelector={"gpu": "yes"}, tolerations=[taint], affinity={"nodeAffinity": required, **apart}, runtimeClassName="nvidia",
        imagePullSecrets=[{"name": "pull"}], priorityClassName="radiology-stat",
    )  # fmt: skip
    assert (spec["nodeSelector"], spec["runtimeClassName"], spec["imagePullSecrets"]) == ({"gpu": "yes"}, "nvidia", [{"name": "pull"}])
    assert spec["affinity"] == {"nodeAffinity": required}, "what Runs want of other pods is theirs alone"
    assert spec["tolerations"] == [taint, {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert "priorityClassName" not in spec, "it displaces nobody"


def test_gpu_memory_chooses_the_same_nodes() -> None:
    terms = pod(a_step(resources={"gpuMemory": "6Gi"}))["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert {"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["6143"]} in [one for term in terms for one in term["matchExpressions"]]


def test_models_in_images_come_too_and_others_do_not() -> None:
    weights = {"name": "w", "mountPath": "/models", "image": {"reference": "r.example/w:7"}}
    claim = {"name": "c", "mountPath": "/claim", "persistentVolumeClaim": {"claimName": "c"}}
    spec = pod(a_step(models=[weights, claim]), a_step("tell", "r.example/tell:1", models=[weights]))
    assert [one for one in spec["volumes"] if one["name"] != "tools"] == [
        {"name": "model-0", "image": {"reference": "r.example/w:7", "pullPolicy": "IfNotPresent"}}
    ]
    assert {"name": "model-0", "mountPath": "/gantry/models/0", "readOnly": True} in spec["containers"][0]["volumeMounts"]


def test_its_hash_changes_with_what_is_pulled_and_with_nothing_else() -> None:
    first = made()
    assert spec_hash(first) == first["spec"]["template"]["metadata"]["annotations"]["gantry.health/images"] != ""
    assert spec_hash(first) == spec_hash(made(a_step(args=["--fast"], timeout="20m", env=[{"name": "A", "value": "b"}])))
    assert spec_hash(first) != spec_hash(made(a_step(image="r.example/nodules:1.3")))
    assert spec_hash(first) != spec_hash(made(nodeSelector={"gpu": "yes"}))


def seen(nodes: int = 4, ready: int = 0, updated: int | None = None, *, observed: int = 2) -> dict[str, Any]:
    """As the DaemonSet controller left it."""
    told = {"desiredNumberScheduled": nodes, "numberReady": ready, "updatedNumberScheduled": nodes if updated is None else updated}
    body = made()
    return {**body, "metadata": {**body["metadata"], "generation": 2}, "status": {**told, "observedGeneration": observed}}


def a_pod(node: str, *, ready: bool = False, waiting: dict[str, Any] | None = None, old: bool = False, **status: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    states = [{"name": "detect", "state": {"waiting": waiting}}] if waiting else []
    template = made(a_step(image="r.example/older:1") if old else a_step())["spec"]["template"]
    spec = {**template["spec"], "nodeName": node}
    return {"metadata": template["metadata"], "spec": spec, "status": {"conditions": conditions, "containerStatuses": states, **status}}


def pinned_to(node: str) -> dict[str, Any]:
    """A pod without a node yet, as the DaemonSet controller makes it."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    body = a_pod("", conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/4 nodes: Too many pods."}])
    body["spec"] |= {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}}
    return body


CREATING = {"reason": "ContainerCreating"}
BACK_OFF = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x": not found'}
WHOLE = {
    "all have all": (seen(4, 4), OnNodes("True", PipelineReason.IMAGES_PRESENT, "4 of 4 nodes have all images")),
    "the only node has all": (seen(1, 1), OnNodes("True", PipelineReason.IMAGES_PRESENT, "1 of 1 node has all images")),
    "changed, and the controller has not seen it": (
        seen(4, 4, observed=1),
        OnNodes("False", PipelineReason.PULLING, "the cluster's controller has not begun to bring the images to the nodes"),
    ),
    "no node is meant": (
        seen(0),
        OnNodes("False", PipelineReason.NO_NODES, "no node is one that template.scheduling (nodeSelector, affinity, tolerations) lets Runs come to"),
    ),
    "all ready, some with the images of before": (seen(4, 4, updated=3), None),
    "some not ready": (seen(4, 3), None),
}


@pytest.mark.parametrize(("daemon", "want"), WHOLE.values(), ids=WHOLE.keys())
def test_what_the_status_tells_by_itself(daemon: dict[str, Any], want: OnNodes | None) -> None:
    assert on_nodes(daemon) == want


READY = [a_pod(f"gpu-{number}", ready=True) for number in (1, 2, 3)]
EACH: dict[str, tuple[list[dict[str, Any]], PipelineReason, str]] = {
    "one node pulls": ([*READY, a_pod("gpu-4", waiting=CREATING)], PipelineReason.PULLING, f"3 of 4 nodes have all images; gpu-4: pulls {IMAGE}"),
    "one node has not begun": ([*READY, a_pod("gpu-4")], PipelineReason.PULLING, "3 of 4 nodes have all images; gpu-4: not begun"),
    "one node cannot pull": (
        [*READY, a_pod("gpu-4", waiting=BACK_OFF)], PipelineReason.PULL_FAILED,
        f'3 of 4 nodes have all images; gpu-4: {IMAGE}: ImagePullBackOff, Back-off pulling image "x": not found',
    ),
    "what is wrong comes first": (
        [*READY[:2], a_pod("gpu-3", waiting=CREATING), a_pod("gpu-4", waiting={"reason": "InvalidImageName"})], PipelineReason.PULL_FAILED,
        f"2 of 4 nodes have all images; gpu-4: {IMAGE}: InvalidImageName; gpu-3: pulls {IMAGE}",
    ),
    "the image is there and the launcher cannot start in it": (
        [*READY, a_pod("gpu-4", waiting={"reason": "CrashLoopBackOff", "message": "back-off 10s"})], PipelineReason.PULL_FAILED,
        f"3 of 4 nodes have all images; gpu-4: cannot start {IMAGE}: CrashLoopBackOff, back-off 10s",
    ),
    "a full node": (
        [*READY, pinned_to("gpu-4")], PipelineReason.PULL_FAILED,
        "3 of 4 nodes have all images; gpu-4: no room for the pod that pulls: 0/4 nodes: Too many pods.",
    ),
    "a kubelet that refuses": (
        [*READY, a_pod("gpu-4", phase="Failed", reason="NodeAffinity", message="the node has other labels now")], PipelineReason.PULL_FAILED,
        "3 of 4 nodes have all images; gpu-4: refused by the kubelet: NodeAffinity, the node has other labels now",
    ),
    "pods of the images of before do not count": (
        [*READY[:3], a_pod("gpu-4", ready=True, old=True)], PipelineReason.PULLING, "3 of 4 nodes have all images",
    ),
    "many nodes are not all named": (
        [a_pod(f"n{number}", waiting=CREATING) for number in range(6)], PipelineReason.PULLING,
        "; ".join(["0 of 4 nodes have all images", *(f"n{number}: pulls {IMAGE}" for number in range(4)), "and 2 more nodes"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("pods", "reason", "message"), EACH.values(), ids=EACH.keys())
def test_what_the_pods_tell_of_each_node(pods: list[dict[str, Any]], reason: PipelineReason, message: str) -> None:
    assert on_each(seen(4, 3), pods) == OnNodes("False", reason, message)
