"""What the chart makes of its values, rendered by a real helm."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from tests.component.chart.conftest import CHART, IMAGES, ROOT, Helm, Manifest, Render, of_kind
from tests.queries import problems

from gantry.api.crdgen import RESOURCES
from gantry.kube.permissions import CLAIM_PERMISSIONS, NODE_PERMISSIONS, PERMISSIONS, PREPULL_PERMISSIONS, QUEUE_PERMISSIONS, lease_permissions
from gantry.runtime.measures import LABELS
from gantry.runtime.settings import Settings


def verbs(rules: list[Manifest]) -> dict[tuple[str, str], frozenset[str]]:
    """(group, resource) -> verbs."""
    return {(group, resource): frozenset(rule["verbs"]) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"]}


def roles(manifests: list[Manifest], kind: str) -> list[Manifest]:
    """All of a kind but the Role of the Lease and its binding."""
    return [manifest for manifest in of_kind(manifests, kind) if not manifest.get("metadata", {}).get("name", "").endswith("-lease")]


def one(manifests: list[Manifest], kind: str) -> Manifest:
    """The only one, those of the Lease aside."""
    (found,) = roles(manifests, kind)
    return found


def test_helm_finds_nothing_to_complain_about(helm: Helm) -> None:
    done = helm("lint", str(CHART), "--strict", *IMAGES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize(("keep", "annotations"), [(True, {"helm.sh/resource-policy": "keep"}), (False, None)], ids=["kept by default", "let go if asked"])
def test_rendered_crds_equal_the_files_in_crds(render: Render, keep: bool, annotations: dict[str, str] | None) -> None:
    rendered = of_kind(render(f"crds.keep={str(keep).lower()}"), "CustomResourceDefinition")
    assert len(rendered) == len(RESOURCES)
    for crd in rendered:
        assert crd["metadata"].pop("annotations", None) == annotations
        assert crd == yaml.safe_load((ROOT / "crds" / f"{crd['spec']['names']['plural']}.yaml").read_text(encoding="utf-8"))


def test_crds_can_be_left_out(render: Render) -> None:
    assert of_kind(render("crds.enabled=false"), "CustomResourceDefinition") == []


def test_by_default_the_operator_serves_and_may_touch_only_its_own_namespace(render: Render) -> None:
    manifests = render("rbac.aggregateRoles=false")
    assert not of_kind(manifests, "ClusterRole")
    assert not of_kind(manifests, "ClusterRoleBinding")
    assert one(manifests, "Role")["metadata"]["namespace"] == "radiology"
    binding = one(manifests, "RoleBinding")
    assert binding["metadata"]["namespace"] == "radiology"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "gantry", "namespace": "radiology"}]
    assert environment(manifests)["GANTRY_NAMESPACES"] == {"value": "radiology"}


def test_each_watched_namespace_gets_a_role_and_a_binding(render: Render) -> None:
    manifests = render("watchNamespaces={ct,mr}")
    for kind in ("Role", "RoleBinding"):
        assert [manifest["metadata"]["namespace"] for manifest in roles(manifests, kind)] == ["ct", "mr"]
    assert {subject["namespace"] for binding in of_kind(manifests, "RoleBinding") for subject in binding["subjects"]} == {"radiology"}
    assert environment(manifests)["GANTRY_NAMESPACES"] == {"value": "ct,mr"}


def test_cluster_wide_mode_has_one_cluster_role_and_names_no_namespace(render: Render) -> None:
    manifests = render("clusterWide=true", "rbac.aggregateRoles=false")
    assert not roles(manifests, "Role")
    role, binding = one(manifests, "ClusterRole"), one(manifests, "ClusterRoleBinding")
    assert "namespace" not in role["metadata"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"] == "radiology-gantry"
    assert verbs(role["rules"]) == verbs(one(render(), "Role")["rules"])
    assert environment(manifests)["GANTRY_NAMESPACES"] == {"value": ""}


def test_the_role_grants_what_the_operator_uses_and_no_more(render: Render) -> None:
    used = {(permission.resource.group, permission.name): frozenset(permission.verbs) for permission in PERMISSIONS}
    assert verbs(one(render(), "Role")["rules"]) == used
    with_queues = used | {(one.resource.group, one.name): frozenset(one.verbs) for one in QUEUE_PERMISSIONS}
    assert verbs(one(render("kueue.enabled=true"), "Role")["rules"]) == with_queues
    with_claims = used | {(one.resource.group, one.name): frozenset(one.verbs) for one in CLAIM_PERMISSIONS}
    assert verbs(one(render("resourceClaims.enabled=true"), "Role")["rules"]) == with_claims
    with_pulls = used | {(one.resource.group, one.name): frozenset(one.verbs) for one in PREPULL_PERMISSIONS}
    manifests = render("prePull.enabled=true")
    assert verbs(one(manifests, "Role")["rules"]) == with_pulls
    assert environment(manifests)["GANTRY_PRE_PULL"] == {"value": "yes"}


@pytest.mark.parametrize("mode", ["clusterWide=true", "watchNamespaces={ct,mr}"], ids=["of all namespaces", "of some"])
def test_the_lease_is_written_in_the_releases_own_namespace_only(render: Render, mode: str) -> None:
    manifests = render(mode)
    (role,) = [manifest for manifest in of_kind(manifests, "Role") if manifest["metadata"]["name"] == "gantry-lease"]
    (binding,) = [manifest for manifest in of_kind(manifests, "RoleBinding") if manifest["metadata"]["name"] == "gantry-lease"]
    assert role["rules"] == [permission.rule() for permission in lease_permissions("gantry")]
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "radiology"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "gantry", "namespace": "radiology"}]
    assert environment(manifests)["GANTRY_LEASE"] == {"value": "radiology/gantry"}


def test_nodes_are_listed_only_when_asked(render: Render) -> None:
    assert not [role for role in of_kind(render(), "ClusterRole") if role["metadata"]["name"].endswith("-nodes")]
    manifests = render("registries.readNodes=true")
    (role,) = [role for role in of_kind(manifests, "ClusterRole") if role["metadata"]["name"] == "radiology-gantry-nodes"]
    (binding,) = [one for one in of_kind(manifests, "ClusterRoleBinding") if one["metadata"]["name"] == "radiology-gantry-nodes"]
    assert role["rules"] == [permission.rule() for permission in NODE_PERMISSIONS]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "gantry", "namespace": "radiology"}]
    assert environment(manifests)["GANTRY_READ_NODES"] == {"value": "yes"}


def test_authorities_of_private_registries_are_mounted_from_a_config_map(render: Render) -> None:
    assert "GANTRY_REGISTRY_CA" not in environment(render())
    manifests = render("registries.caConfigMap=hospital-ca", "registries.insecure={r.local:5000}")
    seen = environment(manifests)
    assert (seen["GANTRY_REGISTRY_CA"], seen["GANTRY_INSECURE_REGISTRIES"]) == ({"value": "/etc/gantry/registries/ca.crt"}, {"value": "r.local:5000"})
    pod = one(manifests, "Deployment")["spec"]["template"]["spec"]
    assert {"name": "registries", "configMap": {"name": "hospital-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}} in pod["volumes"]
    assert {"name": "registries", "mountPath": "/etc/gantry/registries", "readOnly": True} in pod["containers"][0]["volumeMounts"]


def test_secrets_can_be_narrowed_to_names(render: Render) -> None:
    role = one(render("rbac.secretNames={orthanc}"), "Role")
    assert [rule["resourceNames"] for rule in role["rules"] if rule["resources"] == ["secrets"]] == [["orthanc"]]


def test_no_permissions_are_made_when_asked(render: Render) -> None:
    manifests = render("rbac.create=false", "rbac.aggregateRoles=false")
    assert not [m["kind"] for m in manifests if "Role" in m["kind"]]


def test_people_who_view_and_edit_get_their_share_of_gantrys_kinds(render: Render) -> None:
    roles = {role["metadata"]["name"]: role for role in of_kind(render(), "ClusterRole")}
    assert set(roles) == {"radiology-gantry-view", "radiology-gantry-edit"}
    assert roles["radiology-gantry-view"]["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert "rbac.authorization.k8s.io/aggregate-to-view" not in roles["radiology-gantry-edit"]["metadata"]["labels"]
    kinds = {("gantry.health", model.plural) for model in RESOURCES}
    assert set(verbs(roles["radiology-gantry-edit"]["rules"])) == kinds
    assert all(not verb & {"create", "patch", "delete"} for verb in verbs(roles["radiology-gantry-view"]["rules"]).values())


def test_the_installations_id_is_kept_and_cannot_be_changed_by_accident(render: Render) -> None:
    made = one(render(), "ConfigMap")
    assert made["immutable"] is True
    assert made["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made["data"]["id"])
    assert one(render("installationId=hospital-7"), "ConfigMap")["data"] == {"id": "hospital-7"}


def test_the_deployment_hands_over_its_settings_as_environment(render: Render) -> None:
    manifests = render("logLevel=debug", "image.pullPolicy=Always", "image.worker=r.example/w@sha256:" + "a" * 64)
    assert environment(manifests) == {
        "GANTRY_NAMESPACES": {"value": "radiology"},
        "GANTRY_INSTALLATION": {"valueFrom": {"configMapKeyRef": {"name": "gantry-installation", "key": "id"}}},
        "GANTRY_WORKER_IMAGE": {"value": "r.example/w@sha256:" + "a" * 64},
        "GANTRY_WORKER_PULL_POLICY": {"value": "Always"},
        "GANTRY_PORT": {"value": "8080"},
        "GANTRY_LOG_LEVEL": {"value": "DEBUG"},
        "GANTRY_API_RATE": {"value": "100"},
        "GANTRY_WORKERS": {"value": "16"},
        "GANTRY_IMAGE_PULL_LIMIT": {"value": "300"},
        "GANTRY_LEASE": {"value": "radiology/gantry"},
        "GANTRY_IDENTITY": {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        "GANTRY_NOTIFY_HOSTS": {"value": ""},
        "GANTRY_REGISTRIES": {"value": "yes"},
        "GANTRY_INSECURE_REGISTRIES": {"value": ""},
        "GANTRY_IMAGES_INTERVAL": {"value": "600"},
        "GANTRY_PRE_PULL": {"value": "no"},
        "GANTRY_READ_NODES": {"value": "no"},
        "HOME": {"value": "/tmp"},
    }


def test_the_operator_takes_the_settings_that_the_chart_gives(render: Render) -> None:
    given = environment(render("logLevel=warning", "watchNamespaces={mr,ct}", "apiRate=20", "workers=4", "imagePullLimitSeconds=20"))
    settings = Settings.from_environment({name: variable.get("value", "an-id") for name, variable in given.items()})
    assert (settings.namespaces, settings.log_level, settings.api_rate, settings.workers) == (("ct", "mr"), "WARNING", 20.0, 4)
    assert settings.image_pull_limit == 20.0
    assert settings.lease == ("radiology", "gantry")
    assert (settings.installation, settings.worker_image, settings.port) == ("an-id", "registry.example/gantry/worker:1", 8080)


def test_alerts_are_about_this_release_and_lead_to_their_pages(render: Render) -> None:
    assert of_kind(render(), "PrometheusRule") == []
    made = one(render("prometheusRule.enabled=true", "prometheusRule.labels.release=prometheus"), "PrometheusRule")
    assert made["metadata"]["labels"]["release"] == "prometheus"
    rules = [rule for group in made["spec"]["groups"] for rule in group["rules"]]
    assert len(rules) == 10
    for rule in rules:
        assert problems(rule["expr"]) == []
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert (ROOT / rule["annotations"]["runbook"]).read_text(encoding="utf-8").startswith(f"# {rule['alert']}: ")
        words = rule["annotations"]["summary"] + rule["annotations"]["description"]
        assert set(re.findall(r"\{\{.*?\}\}", words)) <= {"{{ $value }}", "{{ $value | humanizeDuration }}", *(f"{{{{ $labels.{label} }}}}" for label in LABELS)}
    assert 'namespace="radiology"' in rules[0]["expr"]


def test_alerts_lead_to_where_the_pages_are_read(render: Render) -> None:
    made = one(render("prometheusRule.enabled=true", "prometheusRule.runbooks=https://wiki.example/gantry/"), "PrometheusRule")
    (urls,) = {frozenset(rule["annotations"]["runbook_url"] for rule in group["rules"]) for group in made["spec"]["groups"] if group["name"] == "gantry-operator"}
    assert urls == {f"https://wiki.example/gantry/{page}.md" for page in ("operator-down", "watch-stale", "queue-old")}


def test_each_pod_is_scraped_where_it_listens(render: Render) -> None:
    manifests = render("podMonitor.enabled=true", "podMonitor.labels.release=prometheus")
    assert of_kind(render(), "PodMonitor") == []
    monitor, pod = one(manifests, "PodMonitor"), one(manifests, "Deployment")["spec"]["template"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    (container,) = pod["spec"]["containers"]
    assert endpoint == {"port": "http", "path": "/metrics", "interval": "30s"}
    assert endpoint["port"] in [port["name"] for port in container["ports"]]


def test_the_dashboard_comes_as_grafanas_sidecar_looks_for_it(render: Render) -> None:
    assert not [made for made in of_kind(render(), "ConfigMap") if made["metadata"]["name"].endswith("-dashboard")]
    manifests = render("dashboards.enabled=true", "dashboards.namespace=monitoring")
    (made,) = [made for made in of_kind(manifests, "ConfigMap") if made["metadata"]["name"] == "gantry-dashboard"]
    assert made["metadata"]["namespace"] == "monitoring"
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(made["data"]["gantry.json"]) == json.loads((CHART / "dashboards" / "gantry.json").read_text(encoding="utf-8"))


def test_traces_go_where_they_are_to_go(render: Render) -> None:
    assert not [name for name in environment(render()) if name.startswith("OTEL_")]
    assert not [name for name in environment(render("tracing.headersSecret=otlp")) if name.startswith("OTEL_")], "without an endpoint there are none"
    made = environment(render("tracing.endpoint=http://collector:4318", "tracing.headersSecret=otlp", "tracing.env.OTEL_TRACES_SAMPLER=always_off"))
    assert {name: value for name, value in made.items() if name.startswith("OTEL_")} == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": {"value": "http://collector:4318"},
        "OTEL_EXPORTER_OTLP_HEADERS": {"valueFrom": {"secretKeyRef": {"name": "otlp", "key": "headers"}}},
        "OTEL_TRACES_SAMPLER": {"value": "always_off"},
    }


@pytest.mark.parametrize(
    "setting", ["tracing.endpoint=collector:4318", "tracing.env.GANTRY_PORT=1", "podMonitor.interval=often", "prometheusRule.runbooks=docs"]
)
def test_what_cannot_be_meant_is_refused(helm: Helm, setting: str) -> None:
    done = helm("template", "gantry", str(CHART), *IMAGES, "--set", setting)
    assert done.returncode != 0
    assert setting.partition("=")[0].split(".")[0] in done.stderr


def test_a_new_pod_stands_by_before_an_old_one_ends(render: Render) -> None:
    spec = one(render(), "Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] <= 10


def test_a_drain_takes_one_of_several_pods_at_a_time(render: Render) -> None:
    manifests = render()
    budget = one(manifests, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == one(manifests, "Deployment")["spec"]["selector"]
    assert not of_kind(render("replicas=1"), "PodDisruptionBudget"), "it would protect nobody, and a drain must not wait for it"
    assert not of_kind(render("podDisruptionBudget.enabled=false"), "PodDisruptionBudget")


def test_replicas_prefer_different_nodes_and_zones(render: Render) -> None:
    def spread(*settings: str) -> list[Manifest]:
        found: list[Manifest] = one(render(*settings), "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"]
        return found

    own = {"matchLabels": {"app.kubernetes.io/name": "gantry", "app.kubernetes.io/instance": "gantry"}}
    assert [(one["topologyKey"], one["whenUnsatisfiable"], one["labelSelector"]) for one in spread()] == [
        ("kubernetes.io/hostname", "ScheduleAnyway", own),
        ("topology.kubernetes.io/zone", "ScheduleAnyway", own),
    ]
    chosen = [f"topologySpreadConstraints[0].{setting}" for setting in ("maxSkew=1", "topologyKey=rack", "whenUnsatisfiable=DoNotSchedule")]
    assert spread(*chosen) == [{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": own}]


@pytest.mark.parametrize("kind", ["Deployment", "Pod"], ids=["the operator", "the pod of helm test"])
def test_a_namespace_that_enforces_restricted_pods_takes(render: Render, kind: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    manifest = one(render(), kind)
    spec = manifest["spec"]["template"]["spec"] if kind == "Deployment" else manifest["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def test_probes_and_the_service_meet_the_operators_port(render: Render) -> None:
    manifests = render("service.port=9000")
    (container,) = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    assert {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")} == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    service = one(manifests, "Service")["spec"]
    assert service["ports"] == [{"name": "http", "port": 9000, "targetPort": "http"}]
    labels = one(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    assert not service["selector"].items() <= one(manifests, "Pod")["metadata"]["labels"].items(), "the test pod must not serve as operator"


def test_placement_and_pull_secrets_reach_the_pod(render: Render) -> None:
    manifests = render("imagePullSecrets[0].name=registry", "nodeSelector.role=system", "tolerations[0].key=system", "priorityClassName=high", "podLabels.team=pacs")
    template = one(manifests, "Deployment")["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "pacs"
    spec = template["spec"]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert (spec["nodeSelector"], spec["tolerations"], spec["priorityClassName"]) == ({"role": "system"}, [{"key": "system"}], "high")


MISTAKES = {
    "an unknown key": ("replica=2", "additional properties 'replica' not allowed"),
    "no replicas": ("replicas=0", "minimum: got 0, want 1"),
    "a budget that lets nothing be drained": ("podDisruptionBudget.maxUnavailable=0", "'oneOf' failed"),
    "an unknown key deeper down": ("image.tag=1", "additional properties 'tag' not allowed"),
    "a word where true or false belongs": ("crds.enabled=maybe", "got string, want boolean"),
    "a string where a list belongs": ("watchNamespaces=ct", "got string, want array"),
    "a namespace that cannot exist": ("watchNamespaces={CT}", "does not match pattern"),
    "an unknown log level": ("logLevel=loud", "value must be one of 'debug', 'info', 'warning', 'error'"),
    "an image with a space": ("image.worker=a b", "does not match pattern"),
    "a digest that is cut off": ("image.worker=r/w@sha256:abc", "does not match pattern"),
    "an installation id with a slash": ("installationId=a/b", "does not match pattern"),
    "no operator image": ("image.operator=", "image.operator is not set: give the full reference"),
    "no worker image": ("image.worker=", "image.worker is not set: give the full reference"),
    "cluster-wide and named namespaces": ("clusterWide=true,watchNamespaces={ct}", "exclude each other"),
}


@pytest.mark.parametrize(("setting", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_helm_refuses(helm: Helm, setting: str, message: str) -> None:
    done = helm("template", "gantry", str(CHART), "--kube-version", "1.34.0", *IMAGES, "--set", setting)
    assert done.returncode != 0
    assert message in done.stderr


def test_the_notes_say_what_to_do_next(helm: Helm, tmp_path: Path) -> None:
    """Helm shows notes only on a cluster; so a copy of the chart renders them into a manifest."""
    chart = shutil.copytree(CHART, tmp_path / "gantry")
    shutil.copy(chart / "templates" / "NOTES.txt", chart / "notes.txt")
    (chart / "templates" / "notes.yaml").write_text('kind: Notes\ntext: {{ tpl (.Files.Get "notes.txt") . | quote }}\n', encoding="utf-8")
    done = helm("template", "gantry", str(chart), "-n", "radiology", "--kube-version", "1.34.0", *IMAGES, "--set", "watchNamespaces={ct,mr}")
    assert done.returncode == 0, done.stderr
    notes = one([manifest for manifest in yaml.safe_load_all(done.stdout) if manifest], "Notes")["text"]
    assert "serves ct, mr." in notes
    assert "kubectl -n ct wait --for=condition=Ready orthancbridge/main" in notes
    assert "image.worker is not given by digest" in notes


def environment(manifests: list[Manifest]) -> dict[str, Manifest]:
    (container,) = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    return {variable.pop("name"): variable for variable in container["env"]}


def test_prices_reach_the_operator(render: Render) -> None:
    assert "GANTRY_PRICES" not in environment(render())
    variables = environment(render(r"prices.perGpuHour.nvidia\.com/gpu=2.5", r"prices.perGpuHour.nvidia\.com/mig-1g\.10gb=1", "prices.currency=CHF"))
    assert variables["GANTRY_PRICES"] == {"value": "nvidia.com/gpu=2.5,nvidia.com/mig-1g.10gb=1"}
    assert variables["GANTRY_CURRENCY"] == {"value": "CHF"}


def test_prices_can_be_read_where_the_runs_are(render: Render) -> None:
    """By `gantry usage`, with its user's rights: in each served namespace, or in the release's own."""
    def found(*values: str) -> dict[str, dict[str, str]]:
        maps = [one for one in of_kind(render(*values), "ConfigMap") if "gantry.health/prices" in one["metadata"]["labels"]]
        return {one["metadata"]["namespace"]: one["data"] for one in maps}

    price, want = r"prices.perGpuHour.nvidia\.com/gpu=2.5", {"perGpuHour": "nvidia.com/gpu=2.5", "currency": "EUR"}
    assert found() == {}
    assert found(price) == {"radiology": want}
    assert found(price, "watchNamespaces={ct,mr}") == {"ct": want, "mr": want}
    assert found(price, "clusterWide=true") == {"radiology": want}
