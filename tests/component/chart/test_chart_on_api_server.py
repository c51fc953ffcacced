"""The chart on a real API server (no nodes): what it takes, what an upgrade and an uninstall keep, what the operator may then do."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from tests.component.chart.conftest import CHART, IMAGES, Helm, Manifest, Render, of_kind
from tests.component.control_plane import ControlPlane

from gantry.kube.permissions import PERMISSIONS

Release = Callable[..., None]


@pytest.fixture
def namespace(api_server: ControlPlane, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own that takes restricted pods only."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[5:60].strip("-")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    made = api_server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    assert made.returncode == 0, made.stderr
    return name


@pytest.fixture
def release(helm: Helm, api_server: ControlPlane, namespace: str) -> Release:
    """Installs or upgrades the release `gantry` in the namespace; the CRDs are there already."""

    def upgrade(*settings: str, crds: bool = False) -> None:
        chosen = [x for setting in (f"crds.enabled={str(crds).lower()}", *settings) for x in ("--set", setting)]
        taken = ["--take-ownership"] if crds else []
        arguments = ("upgrade", "--install", "gantry", str(CHART), "-n", namespace, "--kubeconfig", str(api_server.kubeconfig), *taken, *IMAGES, *chosen)
        done = helm(*arguments)
        assert done.returncode == 0, done.stderr

    return upgrade


def get(api_server: ControlPlane, *what: str) -> dict[str, Any]:
    done = api_server.kubectl("get", *what, "-o", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_upgrades_and_uninstalls_keep_the_installations_id(helm: Helm, api_server: ControlPlane, namespace: str, release: Release) -> None:
    """A second id would make the PACS show every report twice."""

    def identity() -> str:
        found = get(api_server, "-n", namespace, "configmap/gantry-installation")["data"]["id"]
        assert isinstance(found, str)
        return found

    release()
    first = identity()
    release("logLevel=debug")
    assert identity() == first
    gone = helm("uninstall", "gantry", "-n", namespace, "--kubeconfig", str(api_server.kubeconfig))
    assert gone.returncode == 0, gone.stderr
    assert get(api_server, "-n", namespace, "deployments")["items"] == []
    assert identity() == first
    release()
    assert identity() == first


def test_what_only_renders_the_chart_cannot_change_the_id(render: Render, api_server: ControlPlane, namespace: str, release: Release) -> None:
    """Argo CD and Flux render without asking the cluster: each time with another id."""
    release()
    (rendered,) = of_kind(render("crds.enabled=false"), "ConfigMap")
    rendered["metadata"]["namespace"] = namespace
    refused = api_server.kubectl("apply", "-f", "-", stdin=json.dumps(rendered))
    assert refused.returncode != 0
    assert "field is immutable when `immutable` is set" in refused.stderr


def test_crds_are_upgraded_with_the_release_and_outlive_it(helm: Helm, api_server: ControlPlane, namespace: str, release: Release) -> None:
    release(crds=True)
    names = {crd["metadata"]["name"] for crd in get(api_server, "crds")["items"] if crd["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"}
    assert names == {"orthancbridges.gantry.health", "inferencepipelines.gantry.health", "inferenceruns.gantry.health", "inferencebackfills.gantry.health"}
    gone = helm("uninstall", "gantry", "-n", namespace, "--kubeconfig", str(api_server.kubeconfig))
    assert gone.returncode == 0, gone.stderr
    assert names <= {crd["metadata"]["name"] for crd in get(api_server, "crds")["items"]}


@pytest.mark.parametrize("kind", ["Deployment", "Pod"], ids=["operator", "helm-test"])
def test_a_restricted_namespace_admits(render: Render, api_server: ControlPlane, namespace: str, release: Release, kind: str) -> None:
    release()
    (manifest,) = of_kind(render(), kind)
    pod: Manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": namespace}}
    pod["spec"] = manifest["spec"]["template"]["spec"] if kind == "Deployment" else manifest["spec"] | {"serviceAccountName": "gantry"}
    admitted = api_server.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    assert admitted.returncode == 0, admitted.stderr


def test_the_operator_may_do_its_work_here_and_nothing_elsewhere(api_server: ControlPlane, namespace: str, release: Release) -> None:
    release()
    operator = f"--as=system:serviceaccount:{namespace}:gantry"

    def may(verb: str, resource: str, place: str) -> bool:
        main, _, sub = resource.partition("/")
        return api_server.kubectl("auth", "can-i", verb, main, *([f"--subresource={sub}"] if sub else []), "-n", place, operator, "-q").returncode == 0

    assert all(may(verb, f"{one.resource.plural}.{one.resource.group}".rstrip(".") + f"/{one.subresource}".rstrip("/"), namespace) for one in PERMISSIONS for verb in one.verbs)
    assert not may("list", "secrets", namespace)
    assert not may("create", "pods", namespace)
    assert not may("list", "inferenceruns.gantry.health", "default")


def test_examples_are_taken_by_the_api_server(api_server: ControlPlane, namespace: str) -> None:
    for path in sorted((CHART.parents[1] / "examples" / "pipelines").glob("*.yaml")):
        text = path.read_text(encoding="utf-8").replace("$nodules_image", f"registry.example/nodules@sha256:{'a' * 64}").replace("$dose_image", f"registry.example/dose@sha256:{'a' * 64}")
        assert list(yaml.safe_load_all(text))
        taken = api_server.kubectl("apply", "-n", namespace, "--dry-run=server", "-f", "-", stdin=text)
        assert taken.returncode == 0, f"{path.name}: {taken.stderr}"


def test_examples_of_values_render(helm: Helm) -> None:
    for path in sorted((CHART.parents[1] / "examples" / "values").glob("*.yaml")):
        done = helm("template", "gantry", str(CHART), "--kube-version", "1.34.0", *IMAGES, "-f", str(path))
        assert done.returncode == 0, f"{path.name}: {done.stderr}"
