"""Errors of TLS in words that say what to change, and texts that are no certificates."""

import ssl

import httpx
import pytest

from gantry.orthanc import Trust, UnfitCertificate, Unreachable, Untrusted
from gantry.orthanc.trust import context_for, fault_of


def of_tls(reason: str, kind: type[ssl.SSLError] = ssl.SSLError) -> ssl.SSLError:
    error = kind(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


def unverified(words: str) -> ssl.SSLError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = words
    return error


CA = "; set spec.tls.caSecretRef of the bridge to the authority that signed the certificate, and spec.url to a name that stands in it"
CLIENT = "; set spec.tls.clientCertificateSecretRef of the bridge to a certificate that Orthanc trusts (SslTrustedClientCertificates)"
FAULTS: dict[str, tuple[ssl.SSLError, type[Unreachable] | None, str]] = {
    "an authority nobody knows": (
        unverified("self-signed certificate in certificate chain"), Untrusted,
        f"the server's certificate does not verify: self-signed certificate in certificate chain{CA}",
    ),
    "another name": (
        unverified("Hostname mismatch, certificate is not valid for 'orthanc'."), Untrusted,
        f"the server's certificate does not verify: Hostname mismatch, certificate is not valid for 'orthanc'.{CA}",
    ),
    "it asks for ours": (
        of_tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), Untrusted,
        f"the server refuses our certificate, or wants one (TLSV13_ALERT_CERTIFICATE_REQUIRED){CLIENT}",
    ),
    "it does not know our authority": (
        of_tls("TLSV1_ALERT_UNKNOWN_CA"), Untrusted, f"the server refuses our certificate, or wants one (TLSV1_ALERT_UNKNOWN_CA){CLIENT}",
    ),
    "it does not speak TLS": (
        of_tls("WRONG_VERSION_NUMBER"), Unreachable,
        "no TLS with the server (WRONG_VERSION_NUMBER); does it speak https at this port (Orthanc: SslEnabled)?",
    ),
    "it broke off": (of_tls("UNEXPECTED_EOF_WHILE_READING", ssl.SSLEOFError), None, ""),
}  # fmt: skip


@pytest.mark.parametrize(("error", "kind", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_what_tls_has_against_a_connection(error: ssl.SSLError, kind: type[Unreachable] | None, words: str) -> None:
    wrapped = httpx.ConnectError("all connection attempts failed")
    wrapped.__cause__ = error
    fault = fault_of(wrapped)
    assert (type(fault), str(fault)) == (kind, words) if kind else fault is None


def test_other_errors_are_none_of_tls() -> None:
    assert fault_of(httpx.ConnectError("no such host")) is None


@pytest.mark.parametrize(
    ("trust", "words"),
    [
        (Trust("no certificate"), "the authorities are no certificates in PEM"),
        (Trust("", "no certificate", "no key"), "the client certificate and its key are not in PEM, do not belong together, or the key has a password"),
    ],
    ids=["authorities", "ours"],
)
def test_what_is_no_certificate_is_said_before_anything_is_asked(trust: Trust, words: str) -> None:
    with pytest.raises(UnfitCertificate) as refused:
        trust.context()
    assert str(refused.value) == words


def test_a_private_key_is_not_shown() -> None:
    assert "SECRET" not in repr(Trust("ca", "SECRET", "SECRET"))


def test_without_tls_no_certificate_is_read() -> None:
    assert context_for("http://orthanc:8042", None) is None
    made = context_for("https://orthanc:8042", None)
    assert made is not None
    assert (made.verify_mode, made.check_hostname) == (ssl.CERT_REQUIRED, True)
