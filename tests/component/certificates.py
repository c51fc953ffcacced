"""A certificate authority of the test's own, made by openssl, and certificates for 127.0.0.1 signed by it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM."""

    authority: Path
    certificate: Path
    key: Path


def certificates(folder: Path, name: str = "orthanc", *, days: int = 2) -> Certificates:
    """A new authority and one certificate of it; `days` -1: it ended yesterday."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, authority_key = folder / "ca.pem", folder / "ca.key"
    certificate, key, request = folder / "node.pem", folder / "node.key", folder / "node.csr"
    rsa = ("-newkey", "rsa:2048", "-nodes")
    _openssl("req", "-x509", *rsa, "-keyout", authority_key, "-out", authority, "-subj", f"/CN=Test CA of {name}", "-days", "2")
    _openssl("req", *rsa, "-keyout", key, "-out", request, "-subj", "/CN=127.0.0.1")
    names = folder / "names"
    names.write_text("subjectAltName=IP:127.0.0.1")
    _openssl("x509", "-req", "-extfile", names, "-in", request, "-CA", authority, "-CAkey", authority_key, "-CAcreateserial", "-out", certificate, "-days", days)
    return Certificates(authority, certificate, key)


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
