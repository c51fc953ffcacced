"""Whom an https server is trusted by, and who we are to it: own authorities and a client certificate (OrthancBridge spec.tls).

Values in, an SSL context out, and errors of TLS in words that say what to change. It must not know where the certificates are kept.
"""

import os
import ssl
import tempfile
from dataclasses import dataclass, field

from .errors import Unreachable, Untrusted, harmless

CA_ADVICE = "set spec.tls.caSecretRef of the bridge to the authority that signed the certificate, and spec.url to a name that stands in it"
CLIENT_ADVICE = "set spec.tls.clientCertificateSecretRef of the bridge to a certificate that Orthanc trusts (SslTrustedClientCertificates)"


class UnfitCertificate(ValueError):
    """What is meant as certificate or key is none, or they do not belong together. The message says which."""


@dataclass(frozen=True, slots=True)
class Trust:
    """PEM texts. Equal ones trust the same, so a rotation shows."""

    authorities: str = ""
    """Who may have signed the server's certificate; empty: the system's."""
    certificate: str = field(default="", repr=False)
    """Ours, with what its authority needs to be found; empty: none is shown."""
    key: str = field(default="", repr=False)

    def context(self) -> ssl.SSLContext:
        """Raises UnfitCertificate."""
        try:
            made = ssl.create_default_context(cadata=self.authorities or None)
        except (ssl.SSLError, ValueError) as error:
            raise UnfitCertificate("the authorities are no certificates in PEM") from error
        if self.certificate:
            self._show(made)
        return made

    def _show(self, context: ssl.SSLContext) -> None:
        """OpenSSL reads a certificate of one's own from a file only: one that nobody else may read, for this moment."""
        descriptor, path = tempfile.mkstemp()
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{self.certificate}\n{self.key}\n")
            context.load_cert_chain(path, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            words = "the client certificate and its key are not in PEM, do not belong together, or the key has a password"
            raise UnfitCertificate(words) from error
        finally:
            os.unlink(path)


def context_for(url: str, trust: Trust | None) -> ssl.SSLContext | None:
    """None where there is no TLS: authorities take 10 ms to be read."""
    return (trust or Trust()).context() if url.startswith("https://") else None


def fault_of(error: BaseException) -> Unreachable | None:
    """What TLS has against the connection, if the error is of TLS, whatever it is wrapped into."""
    found = _of_tls(error)
    if found is None or isinstance(found, ssl.SSLEOFError):
        return None
    if isinstance(found, ssl.SSLCertVerificationError):
        return Untrusted(f"the server's certificate does not verify: {harmless(found.verify_message)}; {CA_ADVICE}")
    said = found.reason or ""
    if "CERTIFICATE" in said or said.endswith(("UNKNOWN_CA", "HANDSHAKE_FAILURE")):
        return Untrusted(f"the server refuses our certificate, or wants one ({harmless(said)}); {CLIENT_ADVICE}")
    return Unreachable(f"no TLS with the server ({harmless(said or str(found))}); does it speak https at this port (Orthanc: SslEnabled)?")


def _of_tls(error: BaseException) -> ssl.SSLError | None:
    """The first of its causes that is one; httpx and httpcore wrap."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _no_password() -> str:
    """In place of a prompt."""
    return ""
