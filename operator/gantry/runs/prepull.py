"""The DaemonSet that brings a pipeline's images to the nodes before a Run needs them, and what its pods say of the nodes.

Pure: a dictionary comes out, the same for the same template. Nothing of an image is started: an init container of Gantry's own image installs the
launcher in a volume, and each image has a container in which the launcher waits. It stays, so the kubelet's clean-up leaves the image on the node.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gantry.api import API_VERSION, InferencePipeline, PipelineReason, labels
from gantry.api.pipeline import RunTemplate

from .jobspec import UNPRIVILEGED, Installation
from .placing import with_gpu_memory

Object = dict[str, Any]
LAUNCHER = "/usr/local/bin/gantry-launcher"
"""In Gantry's own image (operator/Dockerfile)."""
TOOLS = "/gantry/bin"
RESOURCES = {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}}
"""A waiting launcher has 2 MiB and no CPU time; limits, for namespaces whose quota asks for them."""
TOOLS_SIZE = "16Mi"
NO_DEVICES = {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}
"""Images of CUDA say `all`, and with runtimeClassName nvidia each such container would get every GPU of its node (NVIDIA container toolkit)."""
NAMED = 4
"""Nodes a message names."""
WORDS = 200
"""Characters of what a kubelet says."""
_PULLS = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError"})
_BEGINS = frozenset({"ContainerCreating", "PodInitializing"})


@dataclass(frozen=True, slots=True)
class Owner:
    """The pipeline."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class OnNodes:
    """What the condition ImagesReady says."""

    holds: Literal["True", "False", "Unknown"]
    reason: PipelineReason
    message: str


def prepull_name(pipeline: str) -> str:
    """Of the pipeline's DaemonSet."""
    return f"{pipeline}-images"


def daemon_set(owner: Owner, template: RunTemplate, installation: Installation) -> Object:
    """`template`: with digests, as new Runs carry it. The annotation `labels.IMAGES` is a hash of all that is asked for: another one, another pod."""
    marks = {labels.PREPULL: owner.name, labels.MANAGED_BY: "gantry", labels.PART_OF: "gantry"}
    pod_template: Object = {"metadata": {"labels": marks}, "spec": _pod(template, installation)}
    spec = {
        "selector": {"matchLabels": {labels.PREPULL: owner.name}},
        # All at once, as when it is made: a node that cannot pull must not keep the others from it.
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}},
        "revisionHistoryLimit": 0,
        "template": pod_template,
    }
    told = {labels.IMAGES: hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]}
    pod_template["metadata"]["annotations"] = told
    # No blockOwnerDeletion: where OwnerReferencesPermissionEnforcement is on (OpenShift) it would ask for inferencepipelines/finalizers.
    reference = {"apiVersion": API_VERSION, "kind": InferencePipeline.kind, "name": owner.name, "uid": owner.uid, "controller": True}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": prepull_name(owner.name),
            "namespace": owner.namespace,
            "labels": marks,
            "annotations": told,
            "ownerReferences": [reference],
        },
        "spec": spec,
    }


def _pod(template: RunTemplate, installation: Installation) -> Object:
    scheduling = template.scheduling
    volumes, mounts = _models(template)
    names = {step.image: step.name for step in reversed(template.steps)}  # an image of several steps has the first one's
    tools = {"name": "tools", "mountPath": TOOLS}
    install = {
        "image": installation.worker_image,
        "imagePullPolicy": installation.worker_pull_policy,
        "command": [LAUNCHER, "--install", f"{TOOLS}/launcher"],
    }
    optional = {
        "nodeSelector": scheduling.node_selector,
        "tolerations": [*scheduling.tolerations, *_for_devices(template)],
        "affinity": _of_nodes(template),
        "runtimeClassName": scheduling.runtime_class_name,
        "imagePullSecrets": [{"name": secret.name} for secret in scheduling.image_pull_secrets],
    }
    return {
        **UNPRIVILEGED,
        "initContainers": [_container("fetch", install, [tools])],
        "containers": [
            _container(
                names[image],
                {"image": image, "command": [f"{TOOLS}/launcher", "--wait"], "env": [NO_DEVICES]},
                [tools | {"readOnly": True}, *(mounts if place == 0 else ())],
            )
            for place, image in enumerate(dict.fromkeys(step.image for step in template.steps))
        ],
        "volumes": [{"name": "tools", "emptyDir": {"sizeLimit": TOOLS_SIZE}}, *volumes],
        **{name: value for name, value in optional.items() if value},
    }


def _container(name: str, what: Object, mounts: Sequence[Object]) -> Object:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    return {"name": name, **what, "resources": RESOURCES, "securityContext": security, "volumeMounts": list(mounts)}


def _models(template: RunTemplate) -> tuple[list[Object], list[Object]]:
    """Image volumes: the kubelet pulls them before any container starts."""
    references = dict.fromkeys(model.image.reference for step in template.steps for model in step.models if model.image)
    volumes = [{"name": f"model-{n}", "image": {"reference": one, "pullPolicy": "IfNotPresent"}} for n, one in enumerate(references)]
    return volumes, [{"name": one["name"], "mountPath": f"/gantry/models/{n}", "readOnly": True} for n, one in enumerate(volumes)]


def _for_devices(template: RunTemplate) -> list[Object]:
    """No device is asked for, so the admission plugin ExtendedResourceToleration does not do what it does for a Run's pod."""
    devices = {name for step in template.steps for name in (step.resources.limits or {}) if "/" in name}
    return [{"key": name, "operator": "Exists", "effect": "NoSchedule"} for name in sorted(devices)]


def _of_nodes(template: RunTemplate) -> Object:
    """Rules about other pods are a Run's own: one image a node is wanted wherever a Run may come to."""
    affinity = with_gpu_memory(template).get("nodeAffinity")
    return {"nodeAffinity": affinity} if affinity else {}


def spec_hash(obj: Mapping[str, Any]) -> str:
    """What a DaemonSet, or a pod of one, was made for; empty when nobody of us made it."""
    return str((obj["metadata"].get("annotations") or {}).get(labels.IMAGES, ""))


def on_nodes(daemon: Mapping[str, Any]) -> OnNodes | None:
    """What the status of a DaemonSet tells by itself. None: its pods are needed, see `on_each`."""
    status = daemon.get("status") or {}
    nodes = _nodes(daemon)
    if int(status.get("observedGeneration", 0)) < int(daemon["metadata"].get("generation", 1)):
        return OnNodes("False", PipelineReason.PULLING, "the cluster's controller has not begun to bring the images to the nodes")
    if nodes == 0:
        words = "no node is one that template.scheduling (nodeSelector, affinity, tolerations) lets Runs come to"
        return OnNodes("False", PipelineReason.NO_NODES, words)
    if int(status.get("numberReady", 0)) == int(status.get("updatedNumberScheduled", 0)) == nodes:
        return OnNodes("True", PipelineReason.IMAGES_PRESENT, _count(nodes, nodes))
    return None


def on_each(daemon: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> OnNodes:
    """The same by its pods: which nodes lack what, and why."""
    wanted, nodes, ready = spec_hash(daemon), _nodes(daemon), 0
    lacking = []
    for pod in pods:
        if spec_hash(pod) != wanted or pod["metadata"].get("deletionTimestamp"):
            continue
        if _is_ready(pod):
            ready += 1
        else:
            lacking.append((_node(pod), *_why(pod)))
    lacking.sort(key=lambda one: (not one[1], one[0]))  # what is wrong first
    reason = PipelineReason.PULL_FAILED if any(wrong for _, wrong, _ in lacking) else PipelineReason.PULLING
    told = [f"{node}: {words}" for node, _, words in lacking[:NAMED]]
    more = [f"and {len(lacking) - NAMED} more nodes"] if len(lacking) > NAMED else []
    return OnNodes("False", reason, "; ".join([_count(min(ready, nodes), nodes), *told, *more]))


def _nodes(daemon: Mapping[str, Any]) -> int:
    return int((daemon.get("status") or {}).get("desiredNumberScheduled", 0))


def _count(ready: int, nodes: int) -> str:
    return f"{ready} of {nodes} node{'s' if nodes != 1 else ''} {'have' if nodes != 1 else 'has'} all images"


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _node(pod: Mapping[str, Any]) -> str:
    """Of a pod without a node yet, the one it is meant for (the DaemonSet controller pins it by metadata.name)."""
    spec = pod.get("spec") or {}
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    fields = [field for term in required.get("nodeSelectorTerms") or () for field in term.get("matchFields") or ()]
    return next((str(one["values"][0]) for one in fields if one.get("key") == "metadata.name" and one.get("values")), "a node")


def _why(pod: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether something is wrong, and words about the containers that do not run, or about the pod."""
    status = pod.get("status") or {}
    images = {one["name"]: one["image"] for kind in ("initContainers", "containers") for one in (pod.get("spec") or {}).get(kind) or ()}
    states = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    waiting = [(images.get(one["name"], one["name"]), one["state"]["waiting"]) for one in states if (one.get("state") or {}).get("waiting")]
    faults = [
        f"{'' if state.get('reason') in _PULLS else 'cannot start '}{image}: {_said(state)}"
        for image, state in waiting
        if state.get("reason") and state["reason"] not in _BEGINS
    ]
    if faults:
        return True, ", ".join(faults)
    unplaced = next((one for one in status.get("conditions") or () if one["type"] == "PodScheduled" and one["status"] == "False"), None)
    if unplaced is not None:
        return True, f"no room for the pod that pulls: {unplaced.get('message', '')[:WORDS]}"
    if status.get("phase") == "Failed":
        return True, f"refused by the kubelet: {_said(status)}"
    return False, f"pulls {', '.join(image for image, _ in waiting)}" if waiting else "not begun"


def _said(state: Mapping[str, Any]) -> str:
    return ", ".join(filter(None, (str(state.get("reason") or ""), str(state.get("message") or "")[:WORDS])))
