"""Secrets of bridges: read once a minute, what is missing in words, and read again when they are doubted."""

from collections.abc import Mapping
from typing import Any

import pytest

from gantry.api.bridge import Tls
from gantry.kube import NotFound
from gantry.orthanc import Credentials
from gantry.runtime.records import Key
from gantry.runtime.secrets import SecretMissing, Secrets

BRIDGE = Key("bridge", "radiology", "main")
LOGIN = {"username": "gantry", "password": "one"}


class Shelf:
    """Secrets by name, a clock, and how often was asked."""

    def __init__(self, **secrets: Mapping[str, str]) -> None:
        self.now, self.asked = 100.0, 0
        self.held: dict[str, Mapping[str, str]] = dict(secrets)
        kube: Any = self
        self.secrets = Secrets(kube=kube, monotonic=lambda: self.now)

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, str]:
        self.asked += 1
        if name not in self.held:
            raise NotFound("404")
        return self.held[name]


async def missing(shelf: Shelf, tls: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(SecretMissing) as said:
        await shelf.secrets.trust(BRIDGE, Tls.model_validate(tls))
    return said.value.reason, str(said.value)


CA = {"caSecretRef": {"name": "ca", "key": "ca.crt"}}
CLIENT = {"clientCertificateSecretRef": {"name": "client"}}


async def test_a_rotation_is_seen_within_a_minute() -> None:
    shelf = Shelf(orthanc=LOGIN)
    assert await shelf.secrets.credentials(BRIDGE, "orthanc") == Credentials("gantry", "one")
    shelf.held["orthanc"] = {**LOGIN, "password": "two"}
    shelf.now += 58
    assert await shelf.secrets.credentials(BRIDGE, "orthanc") == Credentials("gantry", "one")
    assert shelf.asked == 1
    shelf.now += 1
    assert await shelf.secrets.credentials(BRIDGE, "orthanc") == Credentials("gantry", "two")


async def test_doubted_ones_are_read_again_but_not_at_every_poll() -> None:
    shelf = Shelf(orthanc=LOGIN)
    await shelf.secrets.credentials(BRIDGE, "orthanc")
    assert not shelf.secrets.doubt(BRIDGE)
    shelf.now += 10
    assert not shelf.secrets.doubt(Key("bridge", "radiology", "other"))
    assert shelf.secrets.doubt(BRIDGE)
    await shelf.secrets.credentials(BRIDGE, "orthanc")
    assert shelf.asked == 2


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        (CA, "secret ca does not exist in namespace radiology; create it"),
        (CLIENT, "secret client lacks tls.key; it must be of type kubernetes.io/tls"),
    ],
    ids=["a secret", "a key"],
)
async def test_what_is_missing_is_named(tls: dict[str, Any], words: str) -> None:
    assert await missing(Shelf(client={"tls.crt": "x"}), tls) == ("TlsSecretMissing", words)


async def test_what_is_no_certificate_is_named_and_read_again() -> None:
    shelf = Shelf(ca={"ca.crt": "garbled"})
    assert await missing(shelf, CA) == ("TlsSecretMissing", "the authorities are no certificates in PEM; see secret ca in namespace radiology")
    await missing(shelf, CA)
    assert shelf.asked == 2


async def test_a_secret_that_lacks_something_is_read_again_at_once() -> None:
    shelf = Shelf(orthanc={"username": "gantry"})
    with pytest.raises(SecretMissing, match=r"^secret orthanc lacks password; it must be of type kubernetes\.io/basic-auth$"):
        await shelf.secrets.credentials(BRIDGE, "orthanc")
    shelf.held["orthanc"] = LOGIN
    assert await shelf.secrets.credentials(BRIDGE, "orthanc") == Credentials("gantry", "one")
