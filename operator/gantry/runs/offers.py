"""What the cluster's nodes offer, beside what a pod asks for: the words that the scheduler does not say. Pure.

The scheduler counts nodes that lack something ("3 Insufficient nvidia.com/gpu"); it does not tell that no node has such a thing at all, that the
largest has too few, or that there are other GPUs. Only devices are compared (extended resources): of CPU and memory its own words are enough.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gantry.api.pipeline import RunTemplate

MOST_NAMED = 4
"""Resources that are named in one message; a cluster with more has a `kubectl describe nodes`."""


@dataclass(frozen=True, slots=True)
class Node:
    """What one node has for pods, taken or not."""

    labels: Mapping[str, str]
    devices: Mapping[str, int]
    """Extended resources it can give (status.allocatable), by name; none of which it has zero."""

    @classmethod
    def from_object(cls, obj: Mapping[str, Any]) -> "Node":
        """Reads what the API server sent."""
        given = (obj.get("status") or {}).get("allocatable") or {}
        devices = {name: int(number) for name, number in given.items() if is_device(name) and str(number).isdigit() and int(number)}
        return cls(obj["metadata"].get("labels") or {}, devices)


def is_device(name: str) -> bool:
    """An extended resource: with a domain of its own, which Kubernetes' own do not have, and neither have huge pages."""
    domain, slash, _ = name.partition("/")
    return bool(slash) and domain != "kubernetes.io" and not domain.endswith(".kubernetes.io")


def devices_of(template: RunTemplate) -> dict[str, int]:
    """What the pod asks for, all steps together: they are there at once."""
    asked: dict[str, int] = {}
    for step in template.steps:
        for name, number in (step.resources.limits or {}).items():
            if is_device(name) and str(number).isdigit():
                asked[name] = asked.get(name, 0) + int(number)
    return asked


def what_nodes_offer(template: RunTemplate, nodes: Sequence[Node]) -> str:
    """A sentence for each resource that no node can give, however idle; if there is none, how many there are of what is asked for. Empty: no device
    is asked for, or there are no nodes at all."""
    asked, selector = devices_of(template), template.scheduling.node_selector
    fit = [node for node in nodes if selector.items() <= node.labels.items()]
    if not asked or not nodes:
        return ""
    if not fit:
        labels = ", ".join(f"{name}: {value}" for name, value in sorted(selector.items()))
        return f"none of {_nodes(len(nodes))} has the labels of scheduling.nodeSelector ({labels})"
    among = " with the labels of scheduling.nodeSelector" if selector else ""
    lacking = [words for name, number in asked.items() if (words := _lacking(name, number, fit, among))]
    return "; ".join(lacking or [_in_all(name, fit, among) for name in asked])


def _lacking(name: str, number: int, nodes: Sequence[Node], among: str) -> str:
    most = max(node.devices.get(name, 0) for node in nodes)
    if most >= number:
        return ""
    if most:
        return f"{number} {name} are needed on one node, the largest{among} has {most}"
    return f"no node{among} offers {name}; {_others(nodes)}"


def _others(nodes: Iterable[Node]) -> str:
    """`3 nodes offer amd.com/gpu (2 each), 1 node offers nvidia.com/mig-1g.10gb (up to 7)`."""
    offers: dict[str, Counter[int]] = {}
    for node in nodes:
        for name, number in node.devices.items():
            offers.setdefault(name, Counter())[number] += 1
    told = []
    for name, counts in sorted(offers.items(), key=lambda one: (-one[1].total(), one[0]))[:MOST_NAMED]:
        how_many = f"{max(counts)}{' each' if counts.total() > 1 else ''}" if len(counts) == 1 else f"up to {max(counts)}"
        told.append(f"{_nodes(counts.total())} offer{'s' if counts.total() == 1 else ''} {name} ({how_many})")
    more = len(offers) - len(told)
    return ", ".join([*told, *([f"and {more} more resources"] if more > 0 else [])]) or "nor any other device"


def _in_all(name: str, nodes: Sequence[Node], among: str) -> str:
    having = [node.devices[name] for node in nodes if name in node.devices]
    return f"{_nodes(len(having))}{among} offer{'s' if len(having) == 1 else ''} {sum(having)} {name} in all, taken or closed to this pod"


def _nodes(number: int) -> str:
    return "1 node" if number == 1 else f"{number} nodes"
