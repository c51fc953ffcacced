"""The NetworkPolicies that the chart makes of its values; that they hold, tests/e2e/test_network_policies.py shows on a cluster that enforces them."""

import pytest
from tests.builders_runs import A_BRIDGE, a_run
from tests.component.chart.conftest import CHART, IMAGES, Helm, Render, of_kind

from gantry.runs import BridgeView, Installation, Owner, daemon_set, job

ORTHANC = "networkPolicy.orthanc.to[0].podSelector.matchLabels.app=orthanc"
INSTALLATION = Installation(identity="hospital-a", worker_image="gantry/worker:1")


def test_there_are_none_by_default(render: Render) -> None:
    assert of_kind(render(), "NetworkPolicy") == []


def test_run_pods_of_each_served_namespace_are_fenced_and_the_operator(render: Render) -> None:
    made = of_kind(render("networkPolicy.enabled=true", ORTHANC, "watchNamespaces={ct,mr}"), "NetworkPolicy")
    assert [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in made] == [("ct", "gantry-runs"), ("mr", "gantry-runs"), ("radiology", "gantry")]
    for one in made:
        assert one["spec"]["policyTypes"] == ["Ingress", "Egress"]
    runs, operator = made[0]["spec"], made[2]["spec"]
    assert runs["ingress"] == []
    assert runs["egress"] == [
        {"to": [{"podSelector": {"matchLabels": {"app": "orthanc"}}}], "ports": [{"port": 8042, "protocol": "TCP"}]},
        {
            "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
            "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
        },
    ]
    assert operator["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    assert operator["egress"] == [*runs["egress"], {"ports": [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]}]


def test_the_policy_selects_the_pods_that_gantry_makes(render: Render) -> None:
    (policy, _) = of_kind(render("networkPolicy.enabled=true", ORTHANC), "NetworkPolicy")
    selector = policy["spec"]["podSelector"]
    labels = job(a_run().view(), BridgeView.from_object(A_BRIDGE), INSTALLATION)["spec"]["template"]["metadata"]["labels"]
    assert labels.items() >= selector["matchLabels"].items()
    assert [(one["key"] in labels, one["operator"]) for one in selector["matchExpressions"]] == [(True, "Exists")]


def test_pods_that_bring_images_talk_to_nobody(render: Render) -> None:
    (_, policy, _) = of_kind(render("networkPolicy.enabled=true", ORTHANC, "prePull.enabled=true"), "NetworkPolicy")
    assert (policy["metadata"]["name"], policy["spec"]["ingress"], policy["spec"]["egress"]) == ("gantry-prepull", [], [])
    owner = Owner("ct", "nodules", "uid-1")
    made = daemon_set(owner, a_run().view().parsed.template, INSTALLATION)
    labels = made["spec"]["template"]["metadata"]["labels"]
    selector = policy["spec"]["podSelector"]
    assert labels.items() >= selector["matchLabels"].items()
    assert [(one["key"] in labels, one["operator"]) for one in selector["matchExpressions"]] == [(True, "Exists")]


def test_the_operator_reaches_what_else_is_said(render: Render) -> None:
    settings = ("networkPolicy.enabled=true", ORTHANC, "networkPolicy.operatorEgress[0].to[0].ipBlock.cidr=10.0.0.7/32", "networkPolicy.apiServer.ports={6443}")
    (_, operator) = of_kind(render(*settings), "NetworkPolicy")
    assert operator["spec"]["egress"][2:] == [{"ports": [{"port": 6443, "protocol": "TCP"}]}, {"to": [{"ipBlock": {"cidr": "10.0.0.7/32"}}]}]


@pytest.mark.parametrize(
    ("settings", "words"),
    [((), "networkPolicy.orthanc.to is empty: say where the Orthancs of your bridges are"), ((ORTHANC, "clusterWide=true"), "list the namespaces that have bridges")],
    ids=["no Orthanc", "the whole cluster"],
)  # fmt: skip
def test_what_the_chart_cannot_know_it_asks_for(helm: Helm, settings: tuple[str, ...], words: str) -> None:
    chosen = [part for one in ("networkPolicy.enabled=true", *settings) for part in ("--set", one)]
    done = helm("template", "gantry", str(CHART), "-n", "radiology", "--kube-version", "1.34.0", *IMAGES, *chosen)
    assert done.returncode != 0
    assert words in done.stderr
