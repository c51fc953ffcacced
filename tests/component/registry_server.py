"""A real registry (Debian's docker-registry) on loopback, with TLS and users or tokens, and images of a few lines of tar."""

import base64
import gzip
import hashlib
import io
import json
import socket
import ssl
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from tests.component.certificates import Certificates, certificates

USER, PASSWORD = "robot", "correct horse"
HASHED = "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2"
"""The password by bcrypt, which the registry takes alone and Python's library does not have."""
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def layer(files: Mapping[str, bytes | str]) -> bytes:
    """A tar of these files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True)
class Server:
    """The registry and what a client needs to know of it."""

    address: str
    certificates: Certificates | None
    process: "subprocess.Popen[bytes]"
    users: bool

    @property
    def url(self) -> str:
        return f"{'https' if self.certificates else 'http'}://{self.address}"

    @property
    def authorities(self) -> str:
        return self.certificates.authority.read_text() if self.certificates else ""

    def secret(self, *, password: str = PASSWORD, place: str = "") -> dict[str, str]:
        """A pull secret's data, as `kubectl create secret docker-registry` makes it."""
        auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
        return {".dockerconfigjson": json.dumps({"auths": {place or self.address: {"auth": auth}}})}

    def push(
        self, name: str, tag: str, *, layers: tuple[bytes, ...] = (), config: Mapping[str, Any] | None = None, architecture: str = "amd64",
        kind: str = LAYER, raw_config: bytes | None = None, packed: bool = True,
    ) -> str:  # fmt: skip
        """An image; gives its digest."""
        with self._client() as client:
            return push_image(client, name, tag, layers=layers, config=config, architecture=architecture, kind=kind, raw_config=raw_config, packed=packed)

    def push_index(self, name: str, tag: str, images: Mapping[str, str]) -> str:
        """An index of images that are there: architecture -> digest. An attestation stands in it, as BuildKit puts one."""
        with self._client() as client:
            size = {digest: len(client.get(f"/v2/{name}/manifests/{digest}", headers={"Accept": MANIFEST}).content) for digest in images.values()}
            listed = [
                {"mediaType": MANIFEST, "digest": digest, "size": size[digest], "platform": {"architecture": architecture, "os": "linux"}}
                for architecture, digest in images.items()
            ]
            first = next(iter(images.values()))
            listed.append({"mediaType": MANIFEST, "digest": first, "size": size[first], "platform": {"architecture": "unknown", "os": "unknown"}})
            return _push_manifest(client, name, tag, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode(), INDEX)

    def _client(self) -> httpx.Client:
        verify: Any = ssl.create_default_context(cadata=self.authorities) if self.certificates else False
        return httpx.Client(base_url=self.url, verify=verify, auth=(USER, PASSWORD) if self.users else None, timeout=20)


@contextmanager
def registry(folder: Path, *, tls: bool = False, users: bool = False, token_realm: str = "", issuer: Certificates | None = None) -> Iterator[Server]:
    """Until the block ends. `users`: Basic; `token_realm`: tokens of that server, signed with `issuer`'s key."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    made = certificates(folder / "tls", "registry") if tls else None
    settings: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "store")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"} | ({"tls": {"certificate": str(made.certificate), "key": str(made.key)}} if made else {}),
    }
    if users:
        (folder / "users").write_text(f"{USER}:{HASHED}\n")
        settings["auth"] = {"htpasswd": {"realm": "registry", "path": str(folder / "users")}}
    if token_realm and issuer:
        bundle = {"realm": token_realm, "service": "registry", "issuer": "tests", "rootcertbundle": str(issuer.certificate)}
        settings["auth"] = {"token": bundle}
    (folder / "registry.json").write_text(json.dumps(settings))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(folder / "registry.json")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while not _listens(port, process):
            assert time.monotonic() < deadline, f"the registry does not listen; see {folder / 'log'}"
            time.sleep(0.02)
        yield Server(f"127.0.0.1:{port}", made, process, users)
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class TokenServer:
    """Gives tokens to one user, as https://distribution.github.io/distribution/spec/auth/jwt/ has them; anybody may read what begins with `open/`."""

    def __init__(self, folder: Path) -> None:
        self.certificates = certificates(folder, "tokens")
        self.asked: list[str] = []
        """Authorization of each request."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificates.certificate, self.certificates.key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.realm = f"https://127.0.0.1:{self._server.server_address[1]}/token"

    def __enter__(self) -> "TokenServer":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.headers.get("Authorization", ""))
                query = dict(httpx.URL(f"https://x{self.path}").params)
                login = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
                repository = query.get("scope", "").split(":")[1]
                good = outer.asked[-1] == login or (not outer.asked[-1] and repository.startswith("open/"))
                body = json.dumps({"token": outer.token(repository)} if good else {}).encode()
                self.send_response(200 if good else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Not into the test's output."""

        return Handler

    def token(self, repository: str, *actions: str) -> str:
        """Signed by openssl."""
        der = subprocess.run(["openssl", "x509", "-in", self.certificates.certificate, "-outform", "DER"], check=True, capture_output=True).stdout
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        now = int(time.time())
        access = [{"type": "repository", "name": repository, "actions": list(actions or ("pull",))}]
        claims = {"iss": "tests", "sub": USER, "aud": "registry", "exp": now + 300, "nbf": now - 60, "iat": now, "jti": "1", "access": access}
        text = b".".join(_url64(json.dumps(one).encode()) for one in (header, claims))
        command = ["openssl", "dgst", "-sha256", "-sign", self.certificates.key]
        return b".".join((text, _url64(subprocess.run(command, input=text, check=True, capture_output=True).stdout))).decode()


def _url64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def push_image(
    client: httpx.Client, name: str, tag: str, *, layers: tuple[bytes, ...] = (), config: Mapping[str, Any] | None = None, architecture: str = "amd64",
    kind: str = LAYER, raw_config: bytes | None = None, packed: bool = True,
) -> str:  # fmt: skip
    """An image of these tars; gives its digest."""
    blobs = [gzip.compress(one, mtime=0) if packed else one for one in layers]
    known = {"architecture": architecture, "os": "linux", "config": config or {}, "rootfs": {"type": "layers", "diff_ids": [digest_of(one) for one in layers]}}
    described = raw_config if raw_config is not None else json.dumps(known).encode()
    for blob in (*blobs, described):
        _push_blob(client, name, blob)
    body = {
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(described), "size": len(described)},
        "layers": [{"mediaType": kind, "digest": digest_of(blob), "size": len(blob)} for blob in blobs],
    }  # fmt: skip
    return _push_manifest(client, name, tag, json.dumps(body).encode(), MANIFEST)


def _push_blob(client: httpx.Client, name: str, data: bytes) -> None:
    begun = client.post(f"/v2/{name}/blobs/uploads/")
    assert begun.status_code == 202, begun.text
    place = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": digest_of(data)})
    done = client.put(place, content=data, headers={"Content-Type": "application/octet-stream"})
    assert done.status_code == 201, done.text


def _push_manifest(client: httpx.Client, name: str, tag: str, data: bytes, kind: str) -> str:
    done = client.put(f"/v2/{name}/manifests/{tag}", content=data, headers={"Content-Type": kind})
    assert done.status_code == 201, done.text
    return str(done.headers["Docker-Content-Digest"])


def _listens(port: int, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "the registry ended"
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
