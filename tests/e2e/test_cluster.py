"""The cluster itself, before anything of Gantry runs in it: what its tests rely on is true.

Needs KUBECONFIG of a running cluster, kubectl on PATH and build/images.json (cluster/sandbox sets all three).
"""

import itertools
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

IMAGES = json.loads((Path(__file__).parents[2] / "build" / "images.json").read_text())
_numbers = itertools.count(1)

# Speaks to HOST and PORT until it gets the answer that is expected: a policy takes effect a moment after it is written.
UNTIL_CONNECTED = """
import socket, sys, time
host, port, wanted = sys.argv[1], int(sys.argv[2]), sys.argv[3]
end = time.monotonic() + 15
while time.monotonic() < end:
    try:
        socket.create_connection((host, port), timeout=1).close()
        seen = "open"
    except OSError:
        seen = "blocked"
    if seen == wanted:
        break
    time.sleep(0.1)
print(seen)
"""
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def kubectl(*arguments: str, stdin: object = None) -> str:
    done = subprocess.run(
        ["kubectl", *arguments], input=None if stdin is None else json.dumps(stdin), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"cluster-{next(_numbers)}"
    kubectl("create", "namespace", name)
    # Pods are refused until the controller manager has made this account.
    kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=30s")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def pod(name: str, *command: str, labels: dict[str, str] | None = None, limits: dict[str, str] | None = None) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": IMAGES["gantry/worker"],
        "command": ["python3", "-u", *command],
        "resources": {"limits": limits or {}},
        "securityContext": RESTRICTED,
    }
    spec = {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": spec}


def end_of(namespace: str, body: dict[str, Any]) -> str:
    """Runs a pod to its end; its log."""
    name = body["metadata"]["name"]
    kubectl("apply", "-n", namespace, "-f", "-", stdin=body)
    kubectl("wait", "-n", namespace, "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=60s")
    return kubectl("logs", "-n", namespace, name).strip()


def serve(namespace: str, name: str, labels: dict[str, str]) -> str:
    """A pod with an open port 8080; its address."""
    body = pod(name, "-m", "http.server", "8080", labels=labels)
    body["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    kubectl("apply", "-n", namespace, "-f", "-", stdin=body)
    kubectl("wait", "-n", namespace, "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    return kubectl("get", "pod", name, "-n", namespace, "-o", "jsonpath={.status.podIP}")


def reach(namespace: str, pod_name: str, host: str, port: int, *, wanted: str) -> str:
    return kubectl("exec", "-n", namespace, pod_name, "--", "python3", "-c", UNTIL_CONNECTED, host, str(port), wanted).strip()


def policy(name: str, selector: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {"matchLabels": selector}, **spec},
    }


def test_a_pod_pulled_by_digest_runs_as_user_1000(namespace: str) -> None:
    assert end_of(namespace, pod("who", "-c", "import os; print(os.getuid())")) == "1000"
    image_id = kubectl("get", "pod", "who", "-n", namespace, "-o", "jsonpath={.status.containerStatuses[0].imageID}")
    assert image_id.endswith(IMAGES["gantry/worker"].partition("@")[2] or image_id)


def test_services_have_names(namespace: str) -> None:
    serve(namespace, "web", {"app": "web"})
    kubectl("expose", "pod", "web", "-n", namespace, "--port=80", "--target-port=8080")
    code = "import urllib.request as u; print(u.urlopen('http://web', timeout=10).status)"
    assert end_of(namespace, pod("client", "-c", code)) == "200"


def test_a_pod_that_asks_for_a_gpu_gets_one_of_its_own(namespace: str) -> None:
    """On kind, where capacity is patched, no plugin names the device; the pod runs all the same."""
    seen = end_of(namespace, pod("gpu", "-c", "import os; print(os.environ.get('NVIDIA_VISIBLE_DEVICES', ''))", limits={"nvidia.com/gpu": "1"}))
    assert seen == "" or seen.startswith("fake-")


def test_more_gpus_than_there_are_leave_a_pod_waiting(namespace: str) -> None:
    kubectl("apply", "-n", namespace, "-f", "-", stdin=pod("greedy", "-c", "pass", limits={"nvidia.com/gpu": "64"}))
    kubectl("wait", "-n", namespace, "--for=condition=PodScheduled=false", "pod/greedy", "--timeout=30s")
    why = kubectl("get", "pod", "greedy", "-n", namespace, "-o", "jsonpath={.status.conditions[0].message}")
    assert "Insufficient nvidia.com/gpu" in why


def test_a_policy_closes_what_it_does_not_allow(namespace: str) -> None:
    web, other = serve(namespace, "web", {"app": "web"}), serve(namespace, "other", {"app": "other"})
    serve(namespace, "locked", {"locked": "yes"})
    api = kubectl("get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}")
    assert [reach(namespace, "locked", host, port, wanted="open") for host, port in ((web, 8080), (other, 8080), (api, 443))] == ["open"] * 3

    allow_web = {"to": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 8080}]}
    kubectl("apply", "-n", namespace, "-f", "-", stdin=policy("only-web", {"locked": "yes"}, policyTypes=["Egress"], egress=[allow_web]))
    assert [reach(namespace, "locked", host, port, wanted="blocked") for host, port in ((other, 8080), (api, 443))] == ["blocked"] * 2
    assert reach(namespace, "locked", web, 8080, wanted="open") == "open"
    assert reach(namespace, "web", other, 8080, wanted="open") == "open"

    kubectl("delete", "networkpolicy", "only-web", "-n", namespace)
    assert reach(namespace, "locked", other, 8080, wanted="open") == "open"


def test_a_policy_holds_from_a_pods_first_moment(namespace: str) -> None:
    """A policy that takes effect only when the pod's address is known lets the first packets through."""
    web = serve(namespace, "web", {"app": "web"})
    kubectl("apply", "-n", namespace, "-f", "-", stdin=policy("nothing", {"locked": "yes"}, policyTypes=["Egress"], egress=[]))
    code = f"import socket; print(socket.socket().connect_ex(('{web}', 8080)))"
    slow = f"import socket\nsocket.setdefaulttimeout(1)\n{code}"
    for number in range(2):
        assert end_of(namespace, pod(f"locked-{number}", "-S", "-c", slow, labels={"locked": "yes"})) != "0"


def test_the_restricted_pod_security_standard_is_enforced(namespace: str) -> None:
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    body = pod("privileged", "-c", "pass")
    body["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    refused = subprocess.run(["kubectl", "apply", "-n", namespace, "-f", "-"], input=json.dumps(body), capture_output=True, text=True, check=False)
    assert 'violates PodSecurity "restricted' in refused.stderr
    assert end_of(namespace, pod("modest", "-c", "print('runs')")) == "runs"


def test_a_trivial_pod_is_done_within_seconds(namespace: str) -> None:
    """1.2 s measured on two idle cores; the limit only catches what is broken (a pull, a back-off)."""
    end_of(namespace, pod("first", "-c", "pass"))
    began = time.monotonic()
    end_of(namespace, pod("second", "-c", "pass"))
    assert time.monotonic() - began < 15
