"""Where a Run's pod may go: on nodes whose GPU has the memory that its steps ask for, and what people read while no node offers it. Pure."""

import copy
from datetime import timedelta
from math import ceil
from typing import Any

from gantry.api import RunReason
from gantry.api.pipeline import PodClaim, RunTemplate
from gantry.api.quantities import number_of

from . import status as words
from .actions import FindOffers, Plan
from .observed import Observed
from .offers import devices_of, what_nodes_offer

GPU_MEMORY = "nvidia.com/gpu.memory"
"""Label in MiB of NVIDIA's GPU feature discovery (https://github.com/NVIDIA/k8s-device-plugin/tree/main/docs/gpu-feature-discovery)."""
MIB = 2**20
OFFERS_CHANGE = timedelta(minutes=2)
"""Until the nodes are looked at again for a Run that waits: no watch tells of them, and the scheduler only writes what changes its words."""
Object = dict[str, Any]


def with_gpu_memory(template: RunTemplate) -> Object:
    """The pod's affinity. One pod has one node, so the step that asks for most decides. Nodes that do not say what they have are taken: without GPU
    feature discovery no node says it, and nothing would run. Terms of the template's own are alternatives, each of which gets the condition."""
    asked = [number_of(step.resources.gpu_memory) for step in template.steps if step.resources.gpu_memory is not None]
    affinity: Object = template.scheduling.affinity
    if not asked:
        return affinity
    silent = {"key": GPU_MEMORY, "operator": "DoesNotExist"}
    enough = {"key": GPU_MEMORY, "operator": "Gt", "values": [str(ceil(max(asked) / MIB) - 1)]}
    made = copy.deepcopy(affinity)
    required = made.setdefault("nodeAffinity", {}).setdefault("requiredDuringSchedulingIgnoredDuringExecution", {})
    terms = required.get("nodeSelectorTerms") or [{}]
    required["nodeSelectorTerms"] = [
        {**term, "matchExpressions": [*term.get("matchExpressions", ()), condition]} for term in terms for condition in (enough, silent)
    ]
    return made


def waits_for_node(template: RunTemplate) -> str:
    """How long; a duration. A day's burst may take that long on few GPUs."""
    return template.scheduling.deadline or "24h"


def asks_for(template: RunTemplate) -> str:
    """What of its needs no node may have: the beginning of a sentence that the scheduler's words end."""
    words = [f"{number} {name}" for name, number in devices_of(template).items()]
    if claims := [claim.name for claim in template.scheduling.resource_claims]:
        words.append(f"devices by claim ({', '.join(claims)})")
    memory = [step.resources.gpu_memory for step in template.steps if step.resources.gpu_memory is not None]
    most = f" of GPUs with {max(memory, key=number_of)} of memory" if memory else ""
    return f"the pod asks for {', '.join(words)}{most}: " if words else ""


def cannot_be_scheduled(seen: Observed) -> Plan | None:
    """No node offers what the pod asks for: one may come, so it waits until template.scheduling.deadline."""
    if seen.pod is None or not seen.pod.unschedulable:
        return None
    template = seen.run.parsed.template
    if seen.offers is None and devices_of(template):
        return Plan(actions=(FindOffers(),))
    offered = what_nodes_offer(template, seen.offers or ())
    patience = f"waits {waits_for_node(template)} at most (template.scheduling.deadline)"
    told = (f"{asks_for(template)}{seen.pod.unschedulable.rstrip('.')}", offered, patience)
    status = words.executing(seen, "Queued", RunReason.UNSCHEDULABLE, "; ".join(filter(None, told)))
    return Plan(status=status, again_after=OFFERS_CHANGE if offered else None)


def has_no_claims(seen: Observed) -> Plan | None:
    """The scheduler does not look at a pod before its claims are there: it has no words then, and only an Event tells which is missing."""
    pod, claims = seen.pod, seen.run.parsed.template.scheduling.resource_claims
    if pod is None or not claims or pod.node or pod.scheduled or pod.over:
        return None
    left = pod.created + seen.limits.container_config - seen.now
    if left > timedelta():
        return Plan(status=words.executing(seen, "Queued", RunReason.PENDING, "the pod has not started yet"), again_after=left)
    named = ", ".join(_claimed(claim) for claim in claims)
    patience = waits_for_node(seen.run.parsed.template)
    look = f"`kubectl describe pod -n {seen.run.namespace} {pod.name}` says; it goes on once it is made"
    said = f"the pod has no devices by claim yet: is {named} there? {look}; waits {patience} at most"
    return Plan(status=words.executing(seen, "Queued", RunReason.UNSCHEDULABLE, said))


def _claimed(claim: PodClaim) -> str:
    if claim.resource_claim_template_name:
        return f"ResourceClaimTemplate {claim.resource_claim_template_name}"
    return f"ResourceClaim {claim.resource_claim_name}"
