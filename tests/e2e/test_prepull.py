"""Images come to the node before any Run needs them: a real DaemonSet controller, a real kubelet, Pod Security `restricted`."""

import json

from examples.demo.hospital import Hospital, condition, images, wait_for
from tests.e2e.conftest import BESIDE_OTHERS
from tests.e2e.pipelines import apply, detector, pipeline

MISSING = f"{images()['gantry/nodules'].partition('@')[0]}@sha256:{'0' * 64}"


def test_the_node_has_the_images_and_nothing_of_them_runs(hospital: Hospital) -> None:
    hospital.install_gantry(*BESIDE_OTHERS, "prePull.enabled=true")
    made = pipeline("early", detector())
    made["spec"]["prePull"] = True
    apply(hospital, made)
    hospital.kubectl("wait", "--for=condition=ImagesReady", "--timeout=120s", "ipl/early", seconds=140)
    nodes = len(hospital.get("nodes")["items"])
    (pod, *others) = hospital.get("pods", "-l", "gantry.health/prepull=early")["items"]
    assert len(others) == nodes - 1
    (container,) = pod["spec"]["containers"]
    assert container["image"].endswith(images()["gantry/nodules"].partition("@")[2])
    assert hospital.kubectl("logs", pod["metadata"]["name"]) == "launcher: the image is here; this container keeps it on the node\n"
    assert condition(hospital.get("ipl", "early"), "ImagesReady")["message"].startswith(f"{nodes} of {nodes} node")

    made["spec"]["template"]["steps"][0]["image"] = MISSING
    hospital.kubectl("apply", "-f", "-", stdin=json.dumps(made))

    def failed() -> str | None:
        seen = condition(hospital.get("ipl", "early"), "ImagesReady")
        return str(seen["message"]) if seen["reason"] == "PullFailed" else None

    told = wait_for("the node's failure is told", failed, seconds=60, explain=lambda: json.dumps(hospital.get("ipl", "early")["status"]))
    assert f"{pod['spec']['nodeName']}: {MISSING}: " in told

    made["spec"]["prePull"] = False
    hospital.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    hospital.kubectl("wait", "--for=delete", "--timeout=60s", "daemonset/early-images")
    wait_for("the condition is gone", lambda: not condition(hospital.get("ipl", "early"), "ImagesReady")["reason"], seconds=30)
