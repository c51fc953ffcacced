"""Who is told by a webhook that a pipeline's Run has ended, and of what."""

from typing import Annotated, Literal

from pydantic import Field

from .base import LIST_SET, Duration, Name, Part, Reference, cel, rule

NotificationEvent = Literal["Finished", "FindingPresent", "DeliveryFailed"]


class CertificateAuthority(Part):
    """A key of a secret that holds certificates in PEM."""

    name: Name
    """Name of the secret."""
    key: Annotated[str, Field(min_length=1, max_length=253)] = "ca.crt"
    """Key within it."""


class NotificationTLS(Part):
    """Whose certificate the receiver must have."""

    ca_secret_ref: CertificateAuthority
    """Only certificates of this authority are trusted, in place of the well-known ones."""


class Notification(Part):
    """A receiver of events, as CloudEvents over HTTP. No event holds an identifier of patient or study."""

    url: Annotated[
        str,
        Field(
            min_length=8,
            max_length=512,
            pattern=r"^https?://",
            json_schema_extra=cel(
                rule(
                    "isURL(self) && !self.contains('@') && !self.contains('#')",
                    "url is http(s)://host[:port]/path, without credentials: the signature tells the receiver who asks",
                )
            ),
        ),
    ]
    """Where events are POSTed. The operator must reach it; loopback and link-local addresses are refused, redirects are not followed."""
    secret_ref: Reference
    """Secret whose key `key` signs each event (HMAC-SHA256; at least 16 bytes). Read again each minute."""
    events: Annotated[list[NotificationEvent], Field(min_length=1, max_length=3, json_schema_extra=LIST_SET)]
    """Finished: the Run has ended, well or not. FindingPresent: its report is in Orthanc and has a finding that is present. DeliveryFailed: a
    destination did not take the results until the deadline."""
    tls: NotificationTLS | None = None
    """Absent: the well-known authorities are trusted."""
    deadline: Annotated[Duration, Field(json_schema_extra=cel(rule("duration(self) >= duration('1m')", "deadline is 1m or more")))] = "24h"
    """How long after the Run's end a receiver that is away is tried."""
