"""The chart's admission policies on a real API server: each rule refuses with words that tell what to write, and what keeps them passes."""

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from examples.demo.hospital import wait_for
from tests.builders import PIPELINE, RUN, changed
from tests.builders_runs import A_BRIDGE, a_run
from tests.component.chart.conftest import Render, of_kind
from tests.component.control_plane import ControlPlane

from gantry.api.images import ImageStatus
from gantry.api.pipeline import RunTemplate
from gantry.runs import BridgeView, Installation, job, pinned

PINNED = f"registry.example/ai/nodules@sha256:{'a' * 64}"
ELSEWHERE = f"ghcr.io/somebody/nodules@sha256:{'a' * 64}"
INSTALLATION = Installation(identity="hospital-a", worker_image="gantry/worker@sha256:1")
STEP, POD = "spec.template.steps.0", "spec.template.spec"
Try = Callable[[dict[str, Any]], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def attempt(render: Render, api_server: ControlPlane) -> Try:
    """Asks the API server to take an object of namespace `radiology`, for show. The policies are enforced when the first refusal comes."""
    for labels in ({"name": "radiology"}, {"name": "network", "labels": {"gantry.health/allow-network": "true"}}):
        assert api_server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": labels}).returncode == 0
    made = render("admissionPolicy.enabled=true", "admissionPolicy.registries={registry.example/ai/}", "watchNamespaces={radiology,network}")
    for kind in ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"):
        assert len(of_kind(made, kind)) == 2
        for one in of_kind(made, kind):
            done = api_server.apply(one)
            assert done.returncode == 0, done.stderr

    def ask(body: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        return api_server.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(body))

    wait_for("the policy of templates", lambda: ask(pipeline(image="nodules:latest")).returncode, seconds=60)
    wait_for("the policy of jobs", lambda: ask(changed(a_job(), f"{POD}.hostNetwork", True)).returncode, seconds=60)
    return ask


def pipeline(**step: Any) -> dict[str, Any]:
    body = changed(PIPELINE, "metadata", {"name": "nodules", "namespace": "radiology"})
    for name, value in {"image": PINNED, **step}.items():
        body = changed(body, f"{STEP}.{name}", value)
    return body


def a_job() -> dict[str, Any]:
    made = job(a_run().with_step(image=PINNED).view(), BridgeView.from_object(A_BRIDGE), INSTALLATION)
    return changed(made, "metadata.namespace", "radiology")


TEMPLATES = {
    "a tag": ({"image": "registry.example/ai/nodules:1"}, "step detect: image registry.example/ai/nodules:1 is not pinned, so what it is can change: write repository@sha256:…"),
    "a tag named like a digest": ({"image": "registry.example/ai/nodules:sha256-aa"}, "is not pinned"),
    "another registry": ({"image": ELSEWHERE}, f"step detect: image {ELSEWHERE} is of no allowed registry: copy it to one that begins with registry.example/ai/"),
    "a registry whose name only begins so": ({"image": f"registry.example/ai-x/n@sha256:{'a' * 64}"}, "is of no allowed registry"),
    "root": ({"security": {"runAsUser": 0}}, "step detect: security.runAsUser is 0: leave it out for user 1000, or name the user of the image"),
    "network": ({"security": {"allowNetwork": True}}, "security.allowNetwork is true, and namespace radiology does not allow it: leave it out, or let who owns the namespace label it gantry.health/allow-network=true"),
}  # fmt: skip


@pytest.mark.parametrize("case", TEMPLATES.values(), ids=TEMPLATES)
def test_a_pipeline_that_asks_for_more_is_told_what_to_write(attempt: Try, case: tuple[dict[str, Any], str]) -> None:
    step, words = case
    refused = attempt(pipeline(**step))
    assert refused.returncode != 0
    assert words in plain(refused.stderr)


def test_a_run_by_hand_keeps_the_same_rules(attempt: Try) -> None:
    run = changed(RUN, f"{STEP}.image", "registry.example/ai/nodules:1")
    refused = attempt(changed(run, "metadata", {"name": "by-hand", "namespace": "radiology"}))
    assert refused.returncode != 0
    assert "is not pinned" in plain(refused.stderr)


@pytest.mark.parametrize("tag", ["registry.example/ai/nodules:1", "registry.example/ai/nodules"])
def test_a_run_that_the_operator_has_pinned_passes_and_so_does_its_job(attempt: Try, tag: str) -> None:
    """Of a pipeline that names a tag since before there was a policy: its Runs carry what the registry said it is."""
    found = ImageStatus(step="detect", image=tag, digest=f"sha256:{'b' * 64}")
    template = RunTemplate.model_validate(a_run().with_step(image=tag).run["spec"]["template"])
    body = pinned(template, (found,)).model_dump(mode="json", by_alias=True, exclude_none=True)
    run = a_run().with_template(**body)
    made = attempt(changed(changed(RUN, "spec.template", body), "metadata", {"name": "pinned", "namespace": "radiology"}))
    assert made.returncode == 0, made.stderr
    own = job(run.view(), BridgeView.from_object(A_BRIDGE), INSTALLATION)
    done = attempt(changed(own, "metadata.namespace", "radiology"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "step", [{}, {"security": {"runAsUser": 1001}}, {"security": {"readOnlyRootFilesystem": False}}, {"security": {"allowNetwork": False}}],
    ids=["plain", "another user", "writable root", "no network"],
)  # fmt: skip
def test_a_pipeline_that_keeps_the_rules_passes(attempt: Try, step: dict[str, Any]) -> None:
    done = attempt(pipeline(**step))
    assert done.returncode == 0, done.stderr


def test_a_namespace_may_allow_the_network(attempt: Try) -> None:
    done = attempt(changed(pipeline(security={"allowNetwork": True}), "metadata.namespace", "network"))
    assert done.returncode == 0, done.stderr


CONTAINER = f"{POD}.containers.0"
JOBS = {
    "a folder of the node": (f"{POD}.volumes.0", {"name": "input", "hostPath": {"path": "/"}}, "may have no hostPath volume: put models into the image"),
    "the node's network": (f"{POD}.hostNetwork", True, "may not share the node's network"),
    "the node's processes": (f"{POD}.hostPID", True, "may not share the node's network, processes or IPC"),
    "a container that may gain privileges": (f"{CONTAINER}.securityContext.allowPrivilegeEscalation", True, "may be privileged, gain privileges or add capabilities"),
    "a capability": (f"{CONTAINER}.securityContext.capabilities", {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "add capabilities"),
    "a service account's token": (f"{POD}.automountServiceAccountToken", True, "gets no service account token"),
    "a step as root": (f"{CONTAINER}.securityContext.runAsUser", 0, "may run as root: name another runAsUser"),
    "an image by tag": (f"{CONTAINER}.image", "registry.example/ai/nodules:1", "not pinned by digest: registry.example/ai/nodules:1; write repository@sha256:…"),
    "another registry": (f"{CONTAINER}.image", ELSEWHERE, f"of no allowed registry: {ELSEWHERE}; allowed: registry.example/ai/"),
}  # fmt: skip


@pytest.mark.parametrize("case", JOBS.values(), ids=JOBS)
def test_no_job_of_a_run_gets_more(attempt: Try, case: tuple[str, Any, str]) -> None:
    path, value, words = case
    refused = attempt(changed(a_job(), path, value))
    assert refused.returncode != 0
    assert words in plain(refused.stderr)


def test_gantrys_own_job_passes(attempt: Try) -> None:
    done = attempt(a_job())
    assert done.returncode == 0, done.stderr


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)
