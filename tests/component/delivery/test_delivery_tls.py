"""A proxy that ends TLS before a DICOMweb server and before a peer: with an authority Orthanc trusts, with another, and with one that has ended."""

from collections.abc import Iterator

import pytest
from tests.component.certificates import Certificates, certificates
from tests.component.delivering import a_result, content, delivered, same_content
from tests.component.flaky_proxy import flaky_proxy
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.tls_proxy import tls_proxy

from gantry.delivery import Target, ToPeer, ToServer
from gantry.orthanc import DicomWebServer


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory, own: Certificates) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path_factory.mktemp("trusting"), config={"HttpsCACertificates": str(own.authority)}) as started:
        yield started


def web(port: int, pacs: OrthancServer) -> Target:
    return Target(ToServer(f"gantry_web_{port}", DicomWebServer(f"https://127.0.0.1:{port}/dicom-web/", pacs.username, pacs.password)))


def peer(port: int, pacs: OrthancServer, server: OrthancServer) -> Target:
    server.rest("PUT", f"/peers/peer{port}", json={"Url": f"https://127.0.0.1:{port}/", "Username": pacs.username, "Password": pacs.password})
    return Target(ToPeer(f"peer{port}"))


async def test_an_authority_that_orthanc_trusts_is_all_that_is_needed(trusting: OrthancServer, pacs: OrthancServer, own: Certificates) -> None:
    with tls_proxy(pacs.http_port, own) as port:
        for name, target in (("web", web(port, pacs)), ("peer", peer(port, pacs, trusting))):
            result = a_result(trusting, f"tls {name}")
            end = await delivered(trusting, result, target)
            assert (end.state, end.message) == ("Sent", None)
            assert same_content(content(trusting, result), pacs, result)


@pytest.mark.parametrize("days", [2, -1], ids=["of another authority", "that has ended"])
async def test_a_certificate_that_is_not_trusted_is_told(
    pacs: OrthancServer, own: Certificates, days: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of the ended one the authority is trusted: only its date is wrong."""
    bad = certificates(tmp_path_factory.mktemp("bad"), "another", days=days)
    trusted = {"HttpsCACertificates": str(own.authority if days > 0 else bad.authority)}
    with orthanc_server(tmp_path_factory.mktemp("wary"), config=trusted) as server, tls_proxy(pacs.http_port, bad) as port:
        result = a_result(server, f"untrusted {days}")
        by_peer = await delivered(server, result, peer(port, pacs, server), limit=4)
        by_web = await delivered(server, result, web(port, pacs), limit=4)
    assert (by_peer.state, by_peer.reason) == ("Failed", "TLSFailed")
    assert "SSL peer certificate" in (by_peer.message or "")
    assert (by_web.state, by_web.reason) == ("Failed", "Unreachable")
    assert "it answers no query either: no connection, no trust in its certificate" in (by_web.message or "")
    assert result.orthanc_id not in pacs.rest("GET", "/instances")


async def test_a_dicomweb_server_that_refuses_an_object_is_not_taken_for_away(server: OrthancServer, pacs: OrthancServer) -> None:
    """It answers queries: only this Run waits and tries again, others are sent."""
    with flaky_proxy(pacs.url, lambda path, times: "503" if path.endswith("/studies") else None) as proxy:
        place = ToServer("gantry_web_refusing", DicomWebServer(f"{proxy.url}/dicom-web/", pacs.username, pacs.password))
        end = await delivered(server, a_result(server, "stow refused"), Target(place), limit=4)
    assert (end.state, end.reason) == ("Failed", "StowFailed")


async def test_a_peer_that_answers_with_an_error_is_not_taken_for_away(server: OrthancServer, pacs: OrthancServer) -> None:
    with flaky_proxy(pacs.url, lambda path, times: "503") as proxy:
        server.rest("PUT", "/peers/refusing", json={"Url": proxy.url, "Username": pacs.username, "Password": pacs.password})
        end = await delivered(server, a_result(server, "peer refused"), Target(ToPeer("refusing")), limit=4)
    assert (end.state, end.reason, end.message) == ("Failed", "StoreFailed", "it answered with an error; Orthanc's log says with which status")
