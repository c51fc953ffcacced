"""Every kind of destination, with the real thing at the other end."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.component.certificates import Certificates, certificates
from tests.component.control_plane import free_port
from tests.component.delivering import NAME, a_result, content, delivered, node_of, same_content
from tests.component.orthanc_server import OrthancServer, orthanc_server

from gantry.api.bridge import Destination
from gantry.bridge.destinations import Keeper, wanted
from gantry.delivery import Target, ToModality, ToPeer, ToServer
from gantry.orthanc import Credentials, DicomWebServer, Modality, Orthanc


def client(server: OrthancServer) -> Orthanc:
    return Orthanc(server.url, credentials=Credentials(server.username, server.password))


def web_of(pacs: OrthancServer, password: str | None = None) -> DicomWebServer:
    return DicomWebServer(f"{pacs.url}/dicom-web/", pacs.username, password or pacs.password)


def tls(own: Certificates, trusted: Path | None = None, *, listens: bool = True) -> dict[str, Any]:
    return {
        "DicomTlsEnabled": listens, "DicomTlsCertificate": str(own.certificate), "DicomTlsPrivateKey": str(own.key),
        "DicomTlsTrustedCertificates": str(trusted or own.authority),
    }  # fmt: skip


async def test_a_result_reaches_a_dicomweb_server_orthanc_did_not_know(server: OrthancServer, pacs: OrthancServer) -> None:
    result = a_result(server, "stow")
    sent = await delivered(server, result, Target(ToServer("gantry_radiology_main_web", web_of(pacs))))
    assert (sent.state, sent.message) == ("Sent", None)
    assert same_content(content(server, result), pacs, result)
    assert "gantry_radiology_main_web" in server.rest("GET", "/dicom-web/servers")


async def test_a_dicomweb_server_that_refuses_the_password_is_told_by_its_words(server: OrthancServer, pacs: OrthancServer) -> None:
    failed = await delivered(server, a_result(server, "unauthorized"), Target(ToServer("gantry_radiology_main_bad", web_of(pacs, "wrong"))), limit=3)
    assert failed.state == "Failed"
    assert "Bad credentials were provided to an HTTP request" in (failed.message or "")


async def test_a_dicomweb_server_that_is_away_is_told(server: OrthancServer) -> None:
    place = ToServer("gantry_radiology_main_away", DicomWebServer(f"http://127.0.0.1:{free_port()}/dicom-web/"))
    failed = await delivered(server, a_result(server, "web away"), Target(place), limit=3)
    assert (failed.state, failed.reason) == ("Failed", "Unreachable")
    assert "it answers no query either" in (failed.message or "")


async def test_a_result_reaches_a_peer_of_orthancs_own_configuration(server: OrthancServer, pacs: OrthancServer) -> None:
    result = a_result(server, "peer")
    missing = await delivered(server, result, Target(ToPeer("second")), limit=0.5)
    assert (missing.state, missing.message) == ("Failed", "Orthanc has no peer second; add it to its OrthancPeers")
    server.rest("PUT", "/peers/second", json={"Url": pacs.url, "Username": pacs.username, "Password": pacs.password})
    assert (await delivered(server, result, Target(ToPeer("second")))).state == "Sent"
    assert same_content(content(server, result), pacs, result)


async def test_a_result_reaches_a_modality_of_orthancs_own_configuration(server: OrthancServer, pacs: OrthancServer) -> None:
    result = a_result(server, "own modality")
    missing = await delivered(server, result, Target(ToModality("OLDPACS", None)), limit=0.5)
    assert (missing.state, missing.message) == ("Failed", "Orthanc has no modality OLDPACS; add it to its DicomModalities")
    entry = {"AET": pacs.aet, "Host": "127.0.0.1", "Port": pacs.dicom_port}
    server.rest("PUT", "/modalities/OLDPACS", json=entry)
    before = server.rest("GET", "/modalities?expand")["OLDPACS"]
    assert (await delivered(server, result, Target(ToModality("OLDPACS", None)))).state == "Sent"
    assert server.rest("GET", "/modalities?expand")["OLDPACS"] == before


async def test_a_result_reaches_a_pacs_over_tls_and_only_over_tls(tmp_path: Path) -> None:
    own = certificates(tmp_path / "ca")
    with (
        orthanc_server(tmp_path / "tls-pacs", name="TLSPACS", config=tls(own)) as pacs,
        orthanc_server(tmp_path / "tls-orthanc", config=tls(own, listens=False)) as server,
    ):
        result = a_result(server, "tls")
        plain = await delivered(server, result, node_of(pacs), limit=2)
        assert plain.state == "Failed"
        assert f'AET "{pacs.aet}"' in (plain.message or "")
        server.rest("DELETE", f"/modalities/{NAME}")
        assert (await delivered(server, result, replace(node_of(pacs), tls=True))).state == "Sent"
        assert same_content(content(server, result), pacs, result)


async def test_a_pacs_whose_certificate_nobody_vouches_for_gets_nothing(tmp_path: Path) -> None:
    own, foreign = certificates(tmp_path / "ca"), certificates(tmp_path / "foreign", "another")
    with (
        orthanc_server(tmp_path / "tls-pacs", name="TLSPACS", config=tls(foreign)) as pacs,
        orthanc_server(tmp_path / "tls-orthanc", config=tls(own, listens=False)) as server,
    ):
        failed = await delivered(server, a_result(server, "foreign"), replace(node_of(pacs), tls=True), limit=2)
        assert failed.state == "Failed"
        assert "TLS" in (failed.message or "")
        assert pacs.studies() == []


async def test_tls_without_a_certificate_in_orthanc_is_told(server: OrthancServer, pacs: OrthancServer) -> None:
    server.rest("PUT", "/modalities/notls", json={"AET": pacs.aet, "Host": "127.0.0.1", "Port": pacs.dicom_port, "UseDicomTls": True})
    failed = await delivered(server, a_result(server, "no certificate"), Target(ToModality("notls", None)), limit=1)
    assert failed.state == "Failed"
    assert "No path to the private key of the local certificate was provided" in (failed.message or "")


async def test_destinations_are_kept_in_a_real_orthanc_and_nothing_else_is_touched(tmp_path: Path, pacs: OrthancServer) -> None:
    mine = {"DicomModalities": {"OLDPACS": ["OLD", "127.0.0.1", 104]}, "OrthancPeers": {"second": [pacs.url]}}
    with orthanc_server(tmp_path / "kept", config={**mine, "DicomWeb": {"Enable": True, "Root": "/web/", "Servers": {"theirs": ["http://x/"]}}}) as server:
        listed = [
            {"name": "pacs", "dicom": {"aet": "PACS", "host": "127.0.0.1", "port": 104, "tls": True}},
            {"name": "archive", "dicomWeb": {"url": f"{pacs.url}/dicom-web", "credentialsSecretRef": {"name": "vna"}}},
            {"name": "old", "orthancModality": "OLDPACS"},
            {"name": "second", "orthancPeer": "second"},
            {"name": "none", "orthancPeer": "none"},
        ]
        destinations = [Destination.model_validate(one) for one in listed]
        async with client(server) as orthanc:
            keeper = Keeper(orthanc)
            want = wanted("radiology", "main", destinations, logins={"archive": Credentials(pacs.username, pacs.password)})
            kept = await keeper.keep(want, ())
            assert kept.missing == ("destination none: Orthanc has no peer none; add it to its OrthancPeers",)
            assert (kept.managed, kept.servers) == (("gantry_radiology_main_pacs",), ("gantry_radiology_main_archive",))
            assert server.rest("GET", "/modalities?expand")["gantry_radiology_main_pacs"]["UseDicomTls"] is True
            assert await orthanc.modalities() == {
                "OLDPACS": Modality("OLD", "127.0.0.1", 104), "gantry_radiology_main_pacs": Modality("PACS", "127.0.0.1", 104, tls=True),
            }  # fmt: skip
            result = a_result(server, "kept")
            target = Target(ToServer("gantry_radiology_main_archive", web_of(pacs)))
            assert (await delivered(server, result, target)).state == "Sent"
            kept = await keeper.keep(wanted("radiology", "main", destinations[2:4]), kept.managed, kept.servers)
            assert (kept.managed, kept.servers, kept.missing) == ((), (), ())
        assert (server.rest("GET", "/modalities"), server.rest("GET", "/web/servers"), server.rest("GET", "/peers")) == (["OLDPACS"], ["theirs"], ["second"])
