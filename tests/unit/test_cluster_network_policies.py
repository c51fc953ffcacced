"""What the one-node cluster's enforcer makes of NetworkPolicies: the nftables rules, and when a pod may start."""

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from cluster.netpol.arrivals import Arrivals
from cluster.netpol.rules import Pod, World, allowed, matches, table


def a_pod(
    name: str, address: str | None, *, namespace: str = "ward", phase: str = "Running", host_network: bool = False, **labels: str
) -> dict[str, Any]:
    ports = [{"name": "web", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]
    return {
        "metadata": {"namespace": namespace, "name": name, "uid": f"uid-{name}", "labels": labels},
        "spec": {"containers": [{"name": "main", "ports": ports}], "hostNetwork": host_network},
        "status": {"phase": phase, **({"podIP": address} if address else {})},
    }


def a_namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "labels": labels}}


def a_policy(namespace: str = "ward", selector: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": namespace, "uid": "uid-p"}, "spec": {"podSelector": selector or {}, **spec}}


PODS = (
    a_pod("step", "10.0.0.2", app="step"),
    a_pod("web", "10.0.0.3", app="web"),
    a_pod("other", "10.0.0.4", namespace="lab", app="web"),
)
NAMESPACES = (a_namespace("ward", kind="clinic"), a_namespace("lab"))


def a_world(*policies: dict[str, Any], pods: tuple[dict[str, Any], ...] = PODS, given: dict[str, str] | None = None) -> World:
    return World.from_objects(pods, NAMESPACES, policies, given)


def rules_of(world: World, name: str, direction: str) -> list[str] | None:
    return allowed(world, next(pod for pod in world.pods if pod.name == name), direction)


@dataclass(frozen=True)
class Case:
    policy: dict[str, Any]
    want: list[str] | None
    direction: str = "Egress"
    given: dict[str, str] = field(default_factory=dict)


STEP = {"matchLabels": {"app": "step"}}
WEB = {"podSelector": {"matchLabels": {"app": "web"}}}
CASES = {
    "a pod that no policy selects is not isolated": Case(a_policy(selector={"matchLabels": {"app": "gone"}}, policyTypes=["Egress"]), None),
    "a policy of another namespace does not count": Case(a_policy("lab", STEP, policyTypes=["Egress"]), None),
    "a policy for ingress alone leaves egress open": Case(a_policy(selector=STEP), None),
    "a policy without rules lets nothing through": Case(a_policy(selector=STEP, policyTypes=["Egress"]), []),
    "egress named in the policy isolates without policyTypes": Case(a_policy(selector=STEP, egress=[]), []),
    "an empty rule lets everything through": Case(a_policy(selector=STEP, egress=[{}]), ["return"]),
    "a peer by label is a pod of the same namespace": Case(a_policy(selector=STEP, egress=[{"to": [WEB]}]), ["ip daddr { 10.0.0.3 } return"]),
    "a peer by namespace and label is a pod of that namespace": Case(
        a_policy(selector=STEP, egress=[{"to": [{"namespaceSelector": {}, **WEB}]}]), ["ip daddr { 10.0.0.3, 10.0.0.4 } return"]
    ),
    "a peer that no pod matches at present lets nothing through": Case(
        a_policy(selector=STEP, egress=[{"to": [{"podSelector": {"matchLabels": {"app": "gone"}}}]}]), []
    ),
    "a port by number": Case(a_policy(selector=STEP, egress=[{"ports": [{"port": 53, "protocol": "UDP"}]}]), ["udp dport { 53 } return"]),
    "a range of ports": Case(a_policy(selector=STEP, egress=[{"ports": [{"port": 8000, "endPort": 8100}]}]), ["tcp dport { 8000-8100 } return"]),
    "a port by name is looked up in the pods that receive": Case(
        a_policy(selector=STEP, egress=[{"to": [WEB], "ports": [{"port": "web"}]}]), ["ip daddr { 10.0.0.3 } tcp dport { 8080 } return"]
    ),
    "a port by a name that nobody has lets nothing through": Case(a_policy(selector=STEP, egress=[{"to": [WEB], "ports": [{"port": "gone"}]}]), []),
    "a protocol without a port": Case(a_policy(selector=STEP, egress=[{"ports": [{"protocol": "SCTP"}]}]), ["meta l4proto sctp return"]),
    "a block of addresses with an exception": Case(
        a_policy(selector=STEP, egress=[{"to": [{"ipBlock": {"cidr": "10.9.0.0/16", "except": ["10.9.9.0/24"]}}]}]),
        ["ip daddr 10.9.0.0/16 ip daddr != { 10.9.9.0/24 } return"],
    ),
    "a block of IPv6 addresses is nobody here": Case(a_policy(selector=STEP, egress=[{"to": [{"ipBlock": {"cidr": "fd00::/8"}}]}]), []),
    "ingress looks at where a packet comes from": Case(
        a_policy(selector=STEP, ingress=[{"from": [WEB], "ports": [{"port": "web"}]}]), ["ip saddr { 10.0.0.3 } tcp dport { 8080 } return"], "Ingress"
    ),
    "the address just handed out is newer than the status": Case(
        a_policy(selector=STEP, egress=[{"to": [WEB]}]), ["ip daddr { 10.0.0.9 } return"], given={"uid-web": "10.0.0.9"}
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_a_policy_lets_through(case: Case) -> None:
    assert rules_of(a_world(case.policy, given=case.given), "step", case.direction) == case.want


def test_rules_of_several_policies_add_up_and_are_written_once() -> None:
    world = a_world(a_policy(selector=STEP, egress=[{"to": [WEB]}]), a_policy(selector=STEP, egress=[{"to": [WEB]}, {"ports": [{"port": 53}]}]))
    assert rules_of(world, "step", "Egress") == ["ip daddr { 10.0.0.3 } return", "tcp dport { 53 } return"]


EXPRESSIONS = {
    "In takes a value of the list": ({"key": "app", "operator": "In", "values": ["web", "step"]}, True),
    "NotIn takes an absent label": ({"key": "gone", "operator": "NotIn", "values": ["web"]}, True),
    "NotIn refuses a value of the list": ({"key": "app", "operator": "NotIn", "values": ["step"]}, False),
    "Exists refuses an absent label": ({"key": "gone", "operator": "Exists"}, False),
    "DoesNotExist takes an absent label": ({"key": "gone", "operator": "DoesNotExist"}, True),
}


@pytest.mark.parametrize(("expression", "want"), EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_expressions_of_a_selector(expression: dict[str, Any], want: bool) -> None:
    assert matches({"matchExpressions": [expression]}, {"app": "step"}) is want


NOT_THERE = {
    "a pod without an address yet": a_pod("p", None),
    "a pod that has ended": a_pod("p", "10.0.0.9", phase="Succeeded"),
    "a pod on the host's network": a_pod("p", "10.0.0.1", host_network=True),
    "a pod with an IPv6 address": a_pod("p", "fd00::9"),
    "a pod that has lost its status and its spec": {"metadata": {"namespace": "ward", "name": "p", "uid": "u"}},
}


@pytest.mark.parametrize("body", NOT_THERE.values(), ids=NOT_THERE.keys())
def test_pods_that_no_rule_is_made_for(body: dict[str, Any]) -> None:
    assert Pod.from_object(body) is None


def test_the_table_replaces_the_one_before_and_closes_an_isolated_pod_both_to_pods_and_to_the_node() -> None:
    text = table(a_world(a_policy(selector=STEP, policyTypes=["Egress"], egress=[{"to": [WEB]}])))
    assert text.startswith("table ip gantry_netpol\ndelete table ip gantry_netpol\ntable ip gantry_netpol {")
    assert "chain egress_uidstep { # ward/step\n  ip daddr { 10.0.0.3 } return\n  counter drop\n}" in text
    assert text.count("ip saddr vmap { 10.0.0.2 : jump egress_uidstep }") == 2
    assert "vmap" not in table(a_world())


def test_two_pods_that_hold_one_address_for_a_moment_make_one_entry() -> None:
    """nft refuses a map with an address twice; the table before would stay for good."""
    twins = (*PODS, a_pod("step-again", "10.0.0.2", app="step"))
    assert table(a_world(a_policy(selector=STEP, policyTypes=["Egress"]), pods=twins)).count("10.0.0.2 : jump") == 2  # forward and input


def test_the_same_world_in_another_order_makes_the_same_table() -> None:
    policy = a_policy(selector=STEP, egress=[{"to": [{"namespaceSelector": {}}]}])
    assert table(a_world(policy, pods=PODS)) == table(a_world(policy, pods=PODS[::-1]))


def test_a_pod_starts_when_a_table_that_knows_its_object_and_its_address_is_loaded() -> None:
    changed = threading.Event()
    arrivals = Arrivals(changed)
    answers: list[bool] = []
    plugin = threading.Thread(target=lambda: answers.append(arrivals.add("u", "box", "10.0.0.9")))
    plugin.start()
    changed.wait(5)
    arrivals.covered({}, {"u"})  # made before the pod came
    arrivals.covered(arrivals.addresses(), set())  # made before the pod's object was seen
    assert plugin.is_alive()
    arrivals.covered(arrivals.addresses(), {"u"})
    plugin.join(5)
    assert answers == [True]


def test_the_end_of_an_old_sandbox_does_not_take_the_new_ones_address() -> None:
    arrivals = Arrivals(threading.Event())
    for container, address in (("old", "10.0.0.8"), ("new", "10.0.0.9")):
        arrivals.covered({"u": address}, {"u"})
        arrivals.add("u", container, address)
    arrivals.delete("u", "old")
    assert arrivals.addresses() == {"u": "10.0.0.9"}
    arrivals.delete("u", "new")
    assert arrivals.addresses() == {}
