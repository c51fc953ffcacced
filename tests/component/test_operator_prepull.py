"""The operator on a real API server brings images to nodes: the server takes the DaemonSet as it is, and its controller's words become a condition.

The test plays the DaemonSet controller and the kubelets.
"""

from collections.abc import Iterator

import pytest
from tests.builders import BRIDGE, PIPELINE, changed
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import Hospital, Object, a_hospital, condition, named, wait

from gantry.kube import DAEMON_SETS, PIPELINES, PODS, PREPULL_PERMISSIONS, Resource

A_BRIDGE = changed(changed(BRIDGE, "spec.url", "http://127.0.0.1:9"), "spec.credentialsSecretRef", ...)
ON = {"GANTRY_PRE_PULL": "yes"}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, api_server: ControlPlane) -> Iterator[Hospital]:
    made = a_hospital(api_server, tmp_path_factory.mktemp("prepull"), "prepull", bridge=A_BRIDGE, pipeline=None)
    yield made
    made.api.http.close()


def may_make_daemon_sets(hospital: Hospital) -> None:
    """The chart's prePull.enabled."""
    roles = Resource("rbac.authorization.k8s.io/v1", "Role", "roles")
    bindings = Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
    name = {"metadata": {"name": "prepull"}}
    rules = [one.rule() for one in PREPULL_PERMISSIONS]
    hospital.api.create(roles, hospital.namespace, {"apiVersion": roles.api_version, "kind": "Role", **name, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": hospital.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "prepull"}
    body = {"apiVersion": bindings.api_version, "kind": "RoleBinding", **name, "subjects": [subject], "roleRef": reference}
    hospital.api.create(bindings, hospital.namespace, body)


def a_pipeline(name: str, *, pre_pull: bool = True, image: str = "registry.example/nodules:1", **scheduling: object) -> Object:
    body = changed(named(PIPELINE, name), "spec.prePull", pre_pull)
    body = changed(body, "spec.template.steps.0", {"name": "detect", "image": image, "command": ["detect"]})
    return changed(body, "spec.template.scheduling", scheduling)


def status(hospital: Hospital, name: str) -> Object:
    found = (hospital.api.get(PIPELINES, hospital.namespace, name) or {}).get("status") or {}
    assert isinstance(found, dict)
    return found


def says(hospital: Hospital, name: str, ready: str) -> str:
    """Waits for the condition; gives its message."""
    wait(lambda: condition(status(hospital, name), "ImagesReady") == ready, f"ImagesReady of {name} is {ready}", tell=lambda: status(hospital, name))
    return next(str(one["message"]) for one in status(hospital, name)["conditions"] if one["type"] == "ImagesReady")


def daemon_set(hospital: Hospital, name: str) -> Object | None:
    return hospital.api.get(DAEMON_SETS, hospital.namespace, f"{name}-images")


def controller_says(hospital: Hospital, name: str, *, nodes: int, ready: int) -> None:
    """The DaemonSet controller has seen the newest generation."""
    daemon = daemon_set(hospital, name)
    assert daemon is not None
    counts = {"desiredNumberScheduled": nodes, "currentNumberScheduled": nodes, "updatedNumberScheduled": nodes, "numberReady": ready, "numberMisscheduled": 0}
    change = {"status": {**counts, "observedGeneration": daemon["metadata"]["generation"]}}
    hospital.api.patch(DAEMON_SETS, hospital.namespace, f"{name}-images", change, sub="status")


def pod_on(hospital: Hospital, name: str, node: str, *, waiting: Object | None) -> None:
    """A pod of the DaemonSet's template, taken by Pod Security `restricted`, and its kubelet's words."""
    daemon = daemon_set(hospital, name)
    assert daemon is not None
    template = daemon["spec"]["template"]
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": f"{name}-{node}"}, "spec": {**template["spec"], "nodeName": node}}
    hospital.api.create(PODS, hospital.namespace, body)
    state = {"waiting": waiting} if waiting else {"running": {"startedAt": "2026-03-01T00:00:00Z"}}
    seen = {"name": "detect", "image": "x", "imageID": "", "ready": not waiting, "restartCount": 0, "state": state}
    told = {"containerStatuses": [seen], "conditions": [{"type": "Ready", "status": "False" if waiting else "True"}]}
    hospital.api.patch(PODS, hospital.namespace, f"{name}-{node}", {"status": told}, sub="status")


def test_without_rights_the_condition_says_which_value_of_the_chart_gives_them(hospital: Hospital) -> None:
    hospital.apply(a_pipeline("early"))
    with hospital.operator():
        words = says(hospital, "early", "False/PrePullDisabled")
        assert words == "spec.prePull is true, and the operator makes no DaemonSets: set prePull.enabled of the chart; until then the first Run on a node pulls"
    with hospital.operator(**ON):
        wait(lambda: "its Role lacks what prePull.enabled of the chart grants" in says(hospital, "early", "False/PrePullDisabled"), "the Role is named")
    assert daemon_set(hospital, "early") is None
    hospital.api.delete(PIPELINES, hospital.namespace, "early")


def test_nodes_get_the_images_and_the_condition_counts_and_names_them(hospital: Hospital) -> None:
    may_make_daemon_sets(hospital)
    with hospital.operator(**ON) as operator:
        hospital.apply(a_pipeline("chest", nodeSelector={"gpu": "yes"}))
        made = wait(lambda: daemon_set(hospital, "chest"), "there is a DaemonSet", tell=lambda: status(hospital, "chest"))
        (owner,) = made["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("InferencePipeline", "chest")
        assert made["spec"]["template"]["spec"]["nodeSelector"] == {"gpu": "yes"}

        controller_says(hospital, "chest", nodes=2, ready=1)
        pod_on(hospital, "chest", "gpu-1", waiting=None)
        pod_on(hospital, "chest", "gpu-2", waiting={"reason": "ErrImagePull", "message": "not found"})
        assert says(hospital, "chest", "False/PullFailed") == "1 of 2 nodes have all images; gpu-2: registry.example/nodules:1: ErrImagePull, not found"

        controller_says(hospital, "chest", nodes=2, ready=2)
        assert says(hospital, "chest", "True/ImagesPresent") == "2 of 2 nodes have all images"

        hospital.apply(a_pipeline("chest", image="registry.example/nodules:2", nodeSelector={"gpu": "yes"}))
        wait(lambda: image(hospital, "chest") == "registry.example/nodules:2", "the new image is pulled")
        says(hospital, "chest", "False/Pulling")

        operator.kill()
        hospital.apply(a_pipeline("chest", pre_pull=False))
        operator.start()
        wait(lambda: daemon_set(hospital, "chest") is None, "nobody pulls any more")
        wait(lambda: not condition(status(hospital, "chest"), "ImagesReady").startswith(("True", "False", "Unknown")), "the condition is gone")


def image(hospital: Hospital, name: str) -> str:
    daemon = daemon_set(hospital, name)
    assert daemon is not None
    return str(daemon["spec"]["template"]["spec"]["containers"][0]["image"])


def test_a_scheduling_that_the_server_refuses_is_told_in_its_words(hospital: Hospital) -> None:
    with hospital.operator(**ON):
        hospital.apply(a_pipeline("refused", tolerations=[{"key": "a", "operator": "Perhaps"}]))
        words = says(hospital, "refused", "False/PrePullRefused")
        assert words.startswith('the API server does not take the DaemonSet: DaemonSet.apps "refused-images" is invalid: spec.template.spec.tolerations[0].operator')
