"""Turns pods, namespaces and NetworkPolicies, as the API server tells them, into one nftables table.

Pure: takes objects, returns text. It must not ask the API server or run nft; `watch.py` and `__main__.py` do.
Every field that may be absent is read as absent: an object can be deleted, half made or without an address at any time.
Ports by number, range (endPort) or name; ipBlock with except; TCP, UDP, SCTP; IPv4 only, as the cluster is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TABLE = "gantry_netpol"
Labels = Mapping[str, str]
Objects = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Pod:
    """What of a pod matters for policies."""

    namespace: str
    name: str
    uid: str
    address: str
    labels: Labels
    ports: tuple[tuple[str, str, int], ...]  # name, protocol, number

    @classmethod
    def from_object(cls, body: Mapping[str, Any], given: str | None = None) -> "Pod | None":
        """None for a pod that has no address of its own (yet, or any more). `given` is newer than what the status says."""
        spec, status, metadata = body.get("spec") or {}, body.get("status") or {}, body.get("metadata") or {}
        address = given or status.get("podIP")
        if not address or ":" in address or spec.get("hostNetwork") or status.get("phase") not in ("Pending", "Running"):
            return None
        containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
        ports = tuple(
            (port.get("name", ""), port.get("protocol", "TCP"), int(port["containerPort"]))
            for container in containers
            for port in container.get("ports") or []
        )
        return cls(metadata["namespace"], metadata["name"], metadata["uid"], address, metadata.get("labels") or {}, ports)


def matches(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a label selector takes these labels; an empty one takes everything."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or [])


def _holds(expression: Mapping[str, Any], labels: Labels) -> bool:
    value, wanted = labels.get(expression["key"]), expression.get("values") or []
    answers = {"In": value in wanted, "NotIn": value not in wanted, "Exists": value is not None, "DoesNotExist": value is None}
    return answers[expression["operator"]]


@dataclass(frozen=True)
class World:
    """All that decides: pods that have an address, the labels of namespaces, policies."""

    pods: tuple[Pod, ...]
    namespaces: Mapping[str, Labels]
    policies: tuple[Mapping[str, Any], ...]

    @classmethod
    def from_objects(cls, pods: Objects, namespaces: Objects, policies: Objects, given: Mapping[str, str] | None = None) -> "World":
        """`given`: addresses by pod uid that the network plugin has just handed out."""
        seen = (Pod.from_object(pod, (given or {}).get(pod["metadata"]["uid"])) for pod in pods)
        return cls(
            pods=tuple(sorted((pod for pod in seen if pod), key=lambda pod: pod.uid)),
            namespaces={ns["metadata"]["name"]: ns["metadata"].get("labels") or {} for ns in namespaces},
            policies=tuple(sorted(policies, key=lambda policy: str(policy["metadata"].get("uid", "")))),
        )


@dataclass(frozen=True)
class Side:
    """One `from` or `to` entry: the nft match (empty: anybody) and the pods it stands for."""

    match: str
    pods: tuple[Pod, ...]


def sides(world: World, peers: Sequence[Mapping[str, Any]], namespace: str, field: str) -> list[Side]:
    """No peers at all means anybody; a peer that names nobody at present allows nothing."""
    if not peers:
        return [Side("", world.pods)]
    found = []
    for peer in peers:
        if block := peer.get("ipBlock"):
            excepted = block.get("except") or []
            match = f"ip {field} {block['cidr']} " + (f"ip {field} != {{ {', '.join(excepted)} }} " if excepted else "")
            if ":" not in block["cidr"]:
                found.append(Side(match, ()))
            continue
        pods = tuple(pod for pod in world.pods if _is_peer(world, peer, pod, namespace))
        if pods:
            found.append(Side(f"ip {field} {{ {', '.join(sorted({pod.address for pod in pods}))} }} ", pods))
    return found


def _is_peer(world: World, peer: Mapping[str, Any], pod: Pod, namespace: str) -> bool:
    selector = peer.get("namespaceSelector")
    near = pod.namespace == namespace if selector is None else matches(selector, world.namespaces.get(pod.namespace, {}))
    return near and matches(peer.get("podSelector") or {}, pod.labels)


def port_numbers(port: Mapping[str, Any], receivers: Iterable[Pod]) -> list[str]:
    """The numbers a policy's port stands for; a name is looked up in the pods that receive."""
    value, protocol = port.get("port"), port.get("protocol", "TCP")
    if isinstance(value, int):
        return [f"{value}-{port['endPort']}" if "endPort" in port else str(value)]
    return sorted({str(number) for pod in receivers for name, kind, number in pod.ports if name == value and kind == protocol})


def allowed(world: World, pod: Pod, direction: str) -> list[str] | None:
    """The rules that let traffic of one pod through; None if no policy isolates it in this direction."""
    egress = direction == "Egress"
    rules: list[str] = []
    isolated = False
    for policy in world.policies:
        spec = policy.get("spec") or {}
        if policy["metadata"].get("namespace") != pod.namespace or not matches(spec.get("podSelector") or {}, pod.labels):
            continue
        if direction not in (spec.get("policyTypes") or ["Ingress"] + (["Egress"] if "egress" in spec else [])):
            continue
        isolated = True
        for rule in spec.get(direction.lower()) or []:
            for side in sides(world, rule.get("to" if egress else "from") or [], pod.namespace, "daddr" if egress else "saddr"):
                rules += _ports(side, rule.get("ports") or [], side.pods if egress else (pod,))
    return list(dict.fromkeys(rules)) if isolated else None


def _ports(side: Side, ports: Sequence[Mapping[str, Any]], receivers: Sequence[Pod]) -> list[str]:
    if not ports:
        return [f"{side.match}return"]
    rules = []
    for port in ports:
        protocol = port.get("protocol", "TCP").lower()
        if "port" not in port:
            rules.append(f"{side.match}meta l4proto {protocol} return")
        elif numbers := port_numbers(port, receivers):
            rules.append(f"{side.match}{protocol} dport {{ {', '.join(numbers)} }} return")
    return rules


def table(world: World) -> str:
    """The whole table, to be loaded in one transaction in place of the one before.

    Hooks: forward (pod to pod over the bridge, by br_netfilter, and pod to elsewhere) and input (pod to the node itself,
    which is where the API server is once kube-proxy has rewritten the service address). What the node sends is never
    filtered, so that probes work.
    """
    chains: list[str] = []
    jumps: dict[str, dict[str, str]] = {"Egress": {}, "Ingress": {}}
    for pod in world.pods:
        for direction, addresses in jumps.items():
            rules = allowed(world, pod, direction)
            if rules is not None:
                name = f"{direction.lower()}_{pod.uid.replace('-', '')}"
                chains.append(f"chain {name} {{ # {pod.namespace}/{pod.name}\n  " + "\n  ".join([*rules, "counter drop"]) + "\n}")
                addresses[pod.address] = name  # one entry an address: a pod that is going may still hold a new one's

    def look_up(direction: str, field: str) -> str:
        entries = [f"{address} : jump {name}" for address, name in sorted(jumps[direction].items())]
        return f"ip {field} vmap {{ {', '.join(entries)} }}" if entries else ""

    forward, into_node = [look_up("Egress", "saddr"), look_up("Ingress", "daddr")], [look_up("Egress", "saddr")]
    return "\n".join(
        [
            *(f"table ip {TABLE}", f"delete table ip {TABLE}", f"table ip {TABLE} {{"),
            *chains,
            *("chain forward { type filter hook forward priority 10; policy accept;", "ct state established,related accept", *forward, "}"),
            *("chain input { type filter hook input priority 10; policy accept;", "ct state established,related accept", *into_node, "}"),
            "}\n",
        ]
    )
