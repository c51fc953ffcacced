"""What a Run that no node takes says of what the nodes offer."""

from typing import Any

import pytest
from tests.builders_runs import a_run

from gantry.api import RunReason
from gantry.runs import FindOffers, Node, plan
from gantry.runs.offers import what_nodes_offer

WORDS = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
AMD, MIG, ONE, TWO = {"amd.com/gpu": 2}, {"nvidia.com/mig-1g.10gb": 7}, {"nvidia.com/gpu": 1}, {"nvidia.com/gpu": 2}
OTHERS = [{"a.example/x": 1}, {"b.example/x": 1}, {"c.example/x": 1}, {"d.example/x": 1}, {"e.example/x": 1}]

CASES: dict[str, tuple[dict[str, int], list[dict[str, int]], str]] = {
    "others, of two kinds": (
        ONE, [AMD, AMD, AMD, MIG], "no node offers nvidia.com/gpu; 3 nodes offer amd.com/gpu (2 each), 1 node offers nvidia.com/mig-1g.10gb (7)",
    ),
    "others, not alike": (ONE, [AMD, {"amd.com/gpu": 8}], "no node offers nvidia.com/gpu; 2 nodes offer amd.com/gpu (up to 8)"),
    "nodes without any device": (ONE, [{}, {}], "no node offers nvidia.com/gpu; nor any other device"),
    "more kinds than are named": (
        ONE, OTHERS, "no node offers nvidia.com/gpu; 1 node offers a.example/x (1), 1 node offers b.example/x (1), 1 node offers c.example/x (1), "
        "1 node offers d.example/x (1), and 1 more resources",
    ),
    "too few on one node": (TWO, [ONE, ONE, {}], "2 nvidia.com/gpu are needed on one node, the largest has 1"),
    "enough, and taken": (ONE, [ONE, TWO, AMD], "2 nodes offer 3 nvidia.com/gpu in all, taken or closed to this pod"),
    "of two that are asked for only the one that lacks": (ONE | MIG, [ONE, ONE], "no node offers nvidia.com/mig-1g.10gb; 2 nodes offer nvidia.com/gpu (1 each)"),
    "no node at all: the scheduler's words are enough": (ONE, [], ""),
    "no device asked for": ({}, [AMD], ""),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "nodes", "want"), CASES.values(), ids=CASES)
def test_beside_what_is_asked_for(asked: dict[str, int], nodes: list[dict[str, int]], want: str) -> None:
    run = a_run().with_step(resources={"limits": {**asked, "memory": "8Gi"}})
    assert what_nodes_offer(run.view().parsed.template, [Node({}, devices) for devices in nodes]) == want


def test_only_nodes_that_the_selector_admits_count() -> None:
    run = a_run().with_step(resources={"limits": TWO}).with_template(scheduling={"nodeSelector": {"gpu": "a100"}})
    template = run.view().parsed.template
    assert what_nodes_offer(template, [Node({}, TWO), Node({"gpu": "t4"}, TWO)]) == "none of 2 nodes has the labels of scheduling.nodeSelector (gpu: a100)"
    assert what_nodes_offer(template, [Node({}, TWO), Node({"gpu": "a100"}, ONE)]) == (
        "2 nvidia.com/gpu are needed on one node, the largest with the labels of scheduling.nodeSelector has 1"
    )


def test_steps_are_added_up() -> None:
    run = a_run().with_template(steps=[{"name": name, "image": "x", "command": ["x"], "resources": {"limits": ONE}} for name in ("a", "b")])
    assert what_nodes_offer(run.view().parsed.template, [Node({}, ONE)]) == "2 nvidia.com/gpu are needed on one node, the largest has 1"


def test_of_a_node_only_devices_are_kept_that_it_can_give() -> None:
    given: dict[str, Any] = {"cpu": "8", "memory": "32Gi", "hugepages-2Mi": "0", "attachable-volumes.kubernetes.io/x": "3", "nvidia.com/gpu": "2", "amd.com/gpu": "0"}
    node = Node.from_object({"metadata": {"name": "n", "labels": {"gpu": "a100"}}, "status": {"allocatable": given}})
    assert node == Node({"gpu": "a100"}, {"nvidia.com/gpu": 2})
    assert Node.from_object({"metadata": {"name": "n"}}) == Node({}, {})


def test_the_nodes_are_looked_at_once_a_pass_and_only_for_devices() -> None:
    waits = a_run().with_step(resources={"limits": ONE}).with_job().unschedulable(WORDS)
    assert plan(waits.observed()).actions == (FindOffers(),)
    told = plan(waits.with_offers(Node({}, AMD)).observed())
    assert told.status is not None
    (executed,) = [one for one in told.status.conditions or () if one.type == "Executed"]
    assert executed.reason == RunReason.UNSCHEDULABLE
    assert executed.message == (
        "the pod asks for 1 nvidia.com/gpu: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu; no node offers nvidia.com/gpu; "
        "1 node offers amd.com/gpu (2); waits 24h at most (template.scheduling.deadline)"
    )
    assert told.again_after is not None
    unread = plan(waits.with_offers().observed())
    assert (unread.actions, unread.again_after) == ((), None)
    assert plan(a_run().with_job().unschedulable(WORDS).observed()).actions == ()
