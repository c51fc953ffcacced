"""Runs whose GPU comes by a resource claim (dynamic resource allocation): real scheduler, controllers and kubelet, and a driver whose GPUs do not exist.

One test holds all devices of the cluster, so it is one story; the other needs none of them before it has made its point.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from examples.demo.hospital import Hospital, HospitalError, condition, run, wait_for
from examples.phantom.make_ct import Options, make_series
from tests.e2e.conftest import BESIDE_OTHERS
from tests.e2e.pipelines import apply, pipeline, python

DRIVER = "gpu.example.com"
MODEL = "Fake 40G"
CLASS = {
    "apiVersion": "resource.k8s.io/v1",
    "kind": "DeviceClass",
    "metadata": {"name": DRIVER},
    "spec": {"selectors": [{"cel": {"expression": f"device.driver == '{DRIVER}'"}}]},
}
UNTIL_TOLD = python("import time\nwhile not os.path.exists('/tmp/go'): time.sleep(0.2)\nnegative()")


@pytest.fixture(autouse=True)
def device_class() -> None:
    """Of the whole cluster; skips where nobody drives claims."""
    try:
        driven = run("kubectl", "get", "resourceslices", "-o", "jsonpath={.items[*].spec.driver}")
    except HospitalError as error:
        pytest.skip(f"this cluster has no resource claims: {error}")
    if DRIVER not in driven:
        pytest.skip("this cluster has no driver of fake resource claims")
    run("kubectl", "apply", "--server-side", "-f", "-", stdin=json.dumps(CLASS))


def template(name: str, *, count: int) -> dict[str, Any]:
    """Claims of so many GPUs of one model with enough memory."""
    wanted = f"device.attributes['{DRIVER}'].productName == '{MODEL}' && device.capacity['{DRIVER}'].memory.compareTo(quantity('20Gi')) >= 0"
    exactly = {"deviceClassName": DRIVER, "count": count, "selectors": [{"cel": {"expression": wanted}}]}
    request = {"name": "gpu", "exactly": exactly}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": name},
        "spec": {"spec": {"devices": {"requests": [request]}}},
    }


def by_claim(name: str, template_name: str, command: list[str]) -> dict[str, Any]:
    """A pipeline whose step gets what the claim template says."""
    resources = {"requests": {"cpu": "50m"}, "limits": {"memory": "512Mi"}, "claims": [{"name": "gpu"}]}
    scheduling = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": template_name}]}
    return pipeline(name, command, step={"resources": resources}, scheduling=scheduling)


def executed(hospital: Hospital, reason: str, *, saying: str = "", seconds: float = 90) -> dict[str, Any]:
    """The Run of the namespace whose condition Executed has this reason and these words, once there is one."""

    def look() -> dict[str, Any] | None:
        told = ((one, condition(one, "Executed")) for one in hospital.runs())
        return next((one for one, said in told if said["reason"] == reason and saying in said["message"]), None)

    return wait_for(f"a Run with reason {reason}", look, seconds=seconds, explain=lambda: json.dumps([one.get("status") for one in hospital.runs()]))


def test_a_run_holds_its_devices_until_its_pod_ends_and_another_waits_for_them(hospital: Hospital, study: list[Path], tmp_path: Path) -> None:
    hospital.install_gantry(*BESIDE_OTHERS, "resourceClaims.enabled=true")
    hospital.kubectl("apply", "-f", "-", stdin=json.dumps(template("both", count=2)))
    apply(hospital, by_claim("claims", "both", UNTIL_TOLD))
    hospital.orthanc.send(study)
    first = executed(hospital, "Running")
    (claim,) = hospital.get("resourceclaims")["items"]
    given = claim["status"]["allocation"]["devices"]["results"]
    assert sorted(one["device"] for one in given) == ["gpu-0", "gpu-1"]
    assert [user["name"] for user in claim["status"]["reservedFor"]] == [pod_of(hospital, first)]

    make_series(tmp_path / "other", Options(slices=4, matrix=64, spheres=0, accession="CLAIM2", patient_id="CLAIM2"))
    hospital.orthanc.send(sorted((tmp_path / "other").glob("*.dcm")))
    # Beside the tests of another worker the node may lack CPU, too, which the scheduler says first.
    second = executed(hospital, "Unschedulable", saying="cannot allocate all claims", seconds=240)
    told = condition(second, "Executed")["message"]
    assert told.startswith("the pod asks for devices by claim (gpu): 0/"), told

    go_on(hospital, first)
    wait_for("the second Run to run", lambda: reason_of(hospital, second) == "Running", seconds=240, explain=lambda: json.dumps(hospital.runs()))
    jobs = hospital.get("jobs")["items"]
    assert first["metadata"]["name"] in {job["metadata"]["labels"]["gantry.health/run"] for job in jobs}, "it is kept for its logs, and holds no device"
    (claim,) = hospital.get("resourceclaims")["items"]
    assert [user["name"] for user in claim["status"]["reservedFor"]] == [pod_of(hospital, second)]
    go_on(hospital, second)
    finished = hospital.wait_for_finished_runs(2)
    pods = {pod["metadata"]["labels"]["gantry.health/run"]: pod for pod in hospital.get("pods", "-l", "gantry.health/run")["items"]}
    for one in finished:
        assert one["status"]["state"] == "Succeeded", one["status"]
        assert one["status"]["results"]
        used = one["status"]["usage"]
        assert used["gpuResource"] == DRIVER, "by the name of the DeviceClass, which here is the driver's, too"
        assert used["reservedGpuSeconds"] == pytest.approx(2 * held(pods[one["metadata"]["name"]]), abs=0.01), "both are from the same whole seconds"
        assert used["gpuSeconds"] > 0
    wait_for("all claims to be gone", lambda: not hospital.get("resourceclaims")["items"], seconds=60)


def test_a_claim_template_that_is_missing_is_asked_about_and_a_late_one_taken(hospital: Hospital, study: list[Path]) -> None:
    hospital.install_gantry(*BESIDE_OTHERS, "resourceClaims.enabled=true")
    apply(hospital, by_claim("late", "one", python("negative()")))
    hospital.orthanc.send(study)
    waiting = executed(hospital, "Unschedulable", seconds=120)
    told = condition(waiting, "Executed")["message"]
    assert told.startswith("the pod has no devices by claim yet: is ResourceClaimTemplate one there? `kubectl describe pod "), told
    assert 'resource claim template "one": resourceclaimtemplate.resource.k8s.io "one" not found' in hospital.kubectl("describe", "pod", pod_of(hospital, waiting))

    hospital.kubectl("apply", "-f", "-", stdin=json.dumps(template("one", count=1)))
    (done,) = hospital.wait_for_finished_runs(1, seconds=180)  # the other test may hold the devices, and the controller tries again ever more rarely
    assert done["status"]["state"] == "Succeeded", done["status"]
    assert done["status"]["usage"]["gpuResource"] == DRIVER
    assert done["status"]["usage"]["reservedGpuSeconds"] > 0


def held(pod: dict[str, Any]) -> float:
    """Seconds from the scheduler's choice of a node to the end of the last container."""
    (bound,) = [one["lastTransitionTime"] for one in pod["status"]["conditions"] if one["type"] == "PodScheduled"]
    ends = [one["state"]["terminated"]["finishedAt"] for one in pod["status"]["containerStatuses"]]
    return (datetime.fromisoformat(max(ends)) - datetime.fromisoformat(bound)).total_seconds()


def reason_of(hospital: Hospital, one: dict[str, Any]) -> str:
    return str(condition(hospital.get("irun", one["metadata"]["name"]), "Executed")["reason"])


def pod_of(hospital: Hospital, one: dict[str, Any]) -> str:
    (pod,) = hospital.get("pods", "-l", f"gantry.health/run={one['metadata']['name']}")["items"]
    return str(pod["metadata"]["name"])


def go_on(hospital: Hospital, one: dict[str, Any]) -> None:
    """Tells the application of this Run to write its findings."""
    pod = pod_of(hospital, one)

    def works() -> bool:
        states = {c["name"]: c["state"] for c in hospital.get("pod", pod)["status"].get("containerStatuses", [])}
        return "running" in states.get("detect", {})

    wait_for("the step to run", works, seconds=60)
    hospital.kubectl("exec", pod, "-c", "detect", "--", "python3", "-c", "open('/tmp/go', 'w').close()")
