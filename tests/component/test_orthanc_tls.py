"""spec.tls: a real Orthanc behind TLS with a certificate of an own authority, which asks for a certificate of ours. Bridge, pod and command line
reach it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders import BRIDGE, PIPELINE, changed
from tests.builders_slices import a_ct
from tests.component.certificates import Certificates, certificates
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import Hospital, a_hospital, condition, named, wait
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.tls_proxy import tls_proxy
from tests.component.worker_pod import Pod, a_task, launcher

from gantry.api import RunReason
from gantry.kube import BRIDGES, RUNS
from gantry.orthanc import Credentials
from gantry.runs.jobspec import CA, CERTIFICATE, PRIVATE_KEY
from gantry.worker.certificates import mounted_trust
from gantry.worker.fetch import Source, fetch
from gantry.worker.outcome import Stop
from gantry.worker.patience import Patience
from gantry.worker.workspace import Workspace

FINDINGS = {
    "schemaVersion": "v1alpha1",
    "algorithms": [{"id": "a", "name": "Nodules", "version": "1.0", "manufacturer": "Test"}],
    "evaluatedFor": [{"scheme": "SCT", "value": "427359005", "meaning": "Solitary nodule of lung"}],
    "findings": [],
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of another authority."""
    return certificates(tmp_path_factory.mktemp("strange"), "somebody else")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("orthanc") / "server") as server:
        server.upload(*(a_ct(number=number) for number in (1, 2, 3)))
        yield server


@pytest.fixture(scope="module")
def address(orthanc: OrthancServer, own: Certificates) -> Iterator[str]:
    with tls_proxy(orthanc.http_port, own, asks=True) as port:
        yield f"https://127.0.0.1:{port}"


def mounted(root: Path, authority: Path | None, shown: Certificates | None) -> None:
    """As the kubelet lays the bridge's secrets into the pod."""
    folder = root / "tls"
    folder.mkdir()
    if authority:
        (folder / CA).write_bytes(authority.read_bytes())
    if shown:
        (folder / CERTIFICATE).write_bytes(shown.certificate.read_bytes())
        (folder / PRIVATE_KEY).write_bytes(shown.key.read_bytes())


def test_a_pod_fetches_and_publishes_over_tls(
    orthanc: OrthancServer, address: str, own: Certificates, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pod = Pod(tmp_path, a_task(orthanc, url=address), launcher(tmp_path_factory.mktemp("launcher")))
    mounted(tmp_path, own.authority, own)
    code, fetched = pod.fetch()
    assert (code, fetched.instances) == (0, 3), pod.log
    (pod.output("detect") / "findings.json").write_text(json.dumps(FINDINGS))
    assert pod.step("detect") == 0
    code, told = pod.publish()
    assert code == 0, pod.log
    (report,) = told.results
    assert orthanc.rest("GET", f"/instances/{report.orthanc_id}")["MainDicomTags"]["SOPInstanceUID"] == report.sop_instance_uid


REFUSED = {
    "an authority that did not sign it": ("strange", "own", "the server's certificate does not verify: "),
    "no authority: the public ones did not sign it either": (None, "own", "the server's certificate does not verify: "),
    "a certificate of ours that Orthanc's authority did not sign": ("own", "strange", "the server refuses our certificate, or wants one"),
    "no certificate of ours": ("own", None, "the server refuses our certificate, or wants one"),
}


@pytest.mark.parametrize(("trusted", "shown", "want"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_trusted_says_on_which_side(
    orthanc: OrthancServer, address: str, own: Certificates, strange: Certificates, tmp_path: Path, trusted: str | None, shown: str | None, want: str
) -> None:
    known: dict[str | None, Certificates | None] = {"own": own, "strange": strange, None: None}
    authority = known[trusted]
    mounted(tmp_path, authority.authority if authority else None, known[shown])
    task = a_task(orthanc, url=address)
    trust = mounted_trust(tmp_path / "tls", reason=RunReason.FETCH_FAILED, role="fetch")
    source = Source(task.orthanc_url, Credentials("gantry", "secret"), 1, Patience(0.1), trust)
    with pytest.raises(Stop) as stop:
        fetch(task, Workspace(tmp_path), source, launcher=Path(sys.executable))
    assert stop.value.failure.reason == "FetchFailed"
    assert want in stop.value.failure.message


@pytest.fixture
def hospital(api_server: ControlPlane, tmp_path: Path) -> Iterator[Hospital]:
    made = a_hospital(api_server, tmp_path, "tls", bridge=None, pipeline=None)
    yield made
    made.api.http.close()


def a_secret(name: str, **files: Path) -> dict[str, Any]:
    """Keys with _ for dots."""
    data = {key.replace("_", "."): path.read_text() for key, path in files.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def a_bridge(address: str, name: str, *, authority: str, key: str = "ca.crt", client: str = "client") -> dict[str, Any]:
    spec = {
        "url": address,
        "credentialsSecretRef": {"name": "orthanc"},
        "watch": {"pollInterval": "200ms", "startFrom": "Beginning"},
        "tls": {"caSecretRef": {"name": authority, "key": key}, "clientCertificateSecretRef": {"name": client}},
        "destinations": [{"name": "pacs", "orthancPeer": "somewhere"}],
    }
    return named({**BRIDGE, "spec": spec}, name)


def says(hospital: Hospital, bridge: str, words: str, message: str = "") -> None:
    def status() -> dict[str, Any]:
        return (hospital.api.get(BRIDGES, hospital.namespace, bridge) or {}).get("status") or {}

    wait(lambda: condition(status(), "Reachable") == words, f"bridge {bridge} says {words}", tell=status)
    assert message in next(c["message"] for c in status()["conditions"] if c["type"] == "Reachable")


def test_a_bridge_says_what_is_wrong_and_follows_when_it_is_mended_without_a_restart(
    address: str, own: Certificates, strange: Certificates, hospital: Hospital
) -> None:
    login = {"username": "gantry", "password": "secret"}
    credentials = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orthanc"}, "type": "kubernetes.io/basic-auth", "stringData": login}
    client = a_secret("client", tls_crt=own.certificate, tls_key=own.key)
    hospital.apply(credentials, client, a_secret("ca", ca_crt=strange.authority), a_secret("key", ca_crt=strange.key))
    with hospital.operator() as operator:
        hospital.apply(
            a_bridge(address, "main", authority="ca"),
            a_bridge(address, "missing", authority="no-such-secret"),
            a_bridge(address, "lacking", authority="ca", key="other.crt"),
            a_bridge(address, "garbled", authority="key"),
        )
        says(hospital, "main", "False/CertificateUntrusted", "the server's certificate does not verify: ")
        place = f"in namespace {hospital.namespace}"
        says(hospital, "missing", "False/TlsSecretMissing", f"secret no-such-secret does not exist {place}; create it")
        says(hospital, "lacking", "False/TlsSecretMissing", "secret ca lacks other.crt; see spec.tls.caSecretRef")
        says(hospital, "garbled", "False/TlsSecretMissing", f"the authorities are no certificates in PEM; see secret key and client {place}")
        hospital.apply(changed(PIPELINE, "spec.template.delivery", {"destinations": []}))
        hospital.apply(a_secret("ca", ca_crt=own.authority))
        says(hospital, "main", "True/Reachable")
        (run,) = wait(lambda: hospital.api.list(RUNS, hospital.namespace), "the study of before has a Run", tell=lambda: operator.log[-2000:])
        pod = hospital.has_job(run["metadata"]["name"])["spec"]["template"]["spec"]
        assert [c["name"] for c in (*pod["initContainers"], *pod["containers"]) if "tls" in str(c["volumeMounts"])] == ["fetch", "publish"]
        assert "BEGIN" not in json.dumps(pod), "no certificate travels through the operator"
        assert "BEGIN" not in operator.log

        program = Path(sys.executable).parent / "gantry"
        environment = {"PATH": os.environ["PATH"], "HOME": str(hospital.folder), "KUBECONFIG": str(hospital.plane.kubeconfig)}
        ask = [program, "explain", run["spec"]["study"]["orthancID"], "-n", hospital.namespace, "-o", "json"]
        done = subprocess.run(ask, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        hospital.apply(a_secret("ca", ca_crt=strange.authority))
        done = subprocess.run(ask, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "the server's certificate does not verify" in done.stderr
