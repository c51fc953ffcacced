"""A real API server with etcd on free loopback ports, for one test session. No network set-up, no root, gone with the session."""

import contextlib
import json
import random
import secrets
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
START_LIMIT = 90.0  # seconds; 4 on idle 2 cores, more while Go builds run beside it


@dataclass(frozen=True)
class ControlPlane:
    """Where the API server is and how to speak to it as cluster admin."""

    url: str
    ca: Path
    token: str
    kubeconfig: Path
    kubectl_path: Path

    def kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(self.kubectl_path), "--kubeconfig", str(self.kubeconfig), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)

    def apply(self, *objects: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        return self.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def binaries() -> Path:
    """The folder with etcd, kube-apiserver and kubectl; built once into the user's cache."""
    done = subprocess.run([ROOT / "cluster" / "build-onenode"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


PORTS = range(20000, 32768)  # below the ports Linux gives to outgoing connections, one of which may otherwise take a port between choice and use
CLAIMS: list[socket.socket] = []


def free_port() -> int:
    """A TCP port of the loopback that no other test process gets: its UDP twin, held until this process ends, is the claim."""
    for port in random.sample(PORTS, len(PORTS)):
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with socket.socket() as probe:
            try:
                claim.bind(("127.0.0.1", port))
                probe.bind(("127.0.0.1", port))
            except OSError:
                claim.close()
                continue
        CLAIMS.append(claim)
        return port
    raise RuntimeError(f"no free port from {PORTS.start} to {PORTS.stop - 1}")


def begun(name: str, command: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)


def end(processes: "list[subprocess.Popen[bytes]]") -> None:
    """The last one first, each given 10 s."""
    for process in reversed(processes):
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_ready(url: str, ca: Path, token: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if ca.exists():
            request = urllib.request.Request(f"{url}/readyz", headers={"Authorization": f"Bearer {token}"})
            with contextlib.suppress(urllib.error.URLError, OSError):  # not listening or not ready yet: what is waited for
                context = ssl.create_default_context(cafile=str(ca))
                with urllib.request.urlopen(request, timeout=2, context=context) as answer:
                    if answer.status == 200:
                        return
        time.sleep(0.1)
    raise RuntimeError(f"the API server did not become ready; the end of {log}:\n" + log.read_text(errors="replace")[-3000:])


@contextlib.contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """Starts etcd and kube-apiserver in `folder` and ends them. Raises RuntimeError with the log when the server does not come up."""
    plane, processes = started(folder)
    try:
        yield plane
    finally:
        end(processes)


def started(folder: Path) -> "tuple[ControlPlane, list[subprocess.Popen[bytes]]]":
    """The same for whoever ends them otherwise."""
    bin_folder = binaries()
    client, peer, port = free_port(), free_port(), free_port()
    token = secrets.token_hex(16)
    (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
    key = folder / "service-account.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    etcd = [
        str(bin_folder / "etcd"), "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync", "--log-level", "warn",
        "--listen-client-urls", f"http://127.0.0.1:{client}", "--advertise-client-urls", f"http://127.0.0.1:{client}",
        "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
        "--initial-cluster", f"default=http://127.0.0.1:{peer}",
    ]  # fmt: skip
    server = [
        str(bin_folder / "kube-apiserver"), "--etcd-servers", f"http://127.0.0.1:{client}",
        "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", str(port),
        "--cert-dir", str(folder / "certs"), "--token-auth-file", str(folder / "tokens.csv"), "--authorization-mode", "RBAC",
        "--service-cluster-ip-range", "10.96.0.0/16", "--service-account-issuer", "https://kubernetes.default.svc",
        "--service-account-key-file", str(key), "--service-account-signing-key-file", str(key),
        "--disable-admission-plugins", "ServiceAccount",
    ]  # fmt: skip
    url, ca = f"https://127.0.0.1:{port}", folder / "certs" / "apiserver.crt"
    processes = [begun("etcd", etcd, folder), begun("kube-apiserver", server, folder)]
    try:
        wait_ready(url, ca, token, processes[1], folder / "kube-apiserver.log")
    except BaseException:
        end(processes)
        raise
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(ca)}}],
                "users": [{"name": "admin", "user": {"token": token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            }
        )
    )
    return ControlPlane(url, ca, token, kubeconfig, bin_folder / "kubectl"), processes
