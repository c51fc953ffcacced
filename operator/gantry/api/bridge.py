"""OrthancBridge: one Orthanc server and the places results can go."""

from typing import Annotated, Literal

from pydantic import Field

from .base import (
    LIST_SET,
    AETitle,
    Conditions,
    Duration,
    Name,
    Observed,
    Part,
    Reference,
    Resource,
    SecretKey,
    Timestamp,
    cel,
    list_map,
    rule,
)


class Watch(Part):
    """How the bridge follows Orthanc."""

    level: Literal["Study", "Series"] = "Study"
    """Which stable event triggers. Series: each series is decided by itself as soon as it is stable; a Run has one series."""
    poll_interval: Annotated[
        Duration,
        Field(
            json_schema_extra=cel(
                rule("duration(self) >= duration('200ms') && duration(self) <= duration('60s')", "pollInterval is 200ms to 60s")
            )
        ),
    ] = "1s"
    """Time between two polls of /changes, 200ms to 60s. An idle poll costs Orthanc 0.1 ms of CPU."""
    start_from: Literal["Now", "Beginning"] = "Now"
    """Where a bridge without a cursor begins: with the next change, or with the first one Orthanc still has."""
    reconcile_interval: Annotated[
        Duration,
        Field(json_schema_extra=cel(rule("duration(self) >= duration('10s')", "reconcileInterval is 10s or more"))),
    ] = "10m"
    """Time between two scans that find studies whose stable event was lost (a restart of Orthanc loses them)."""
    lookback: Annotated[
        Duration,
        Field(json_schema_extra=cel(rule("duration(self) >= duration('1m')", "lookback is 1m or more"))),
    ] = "24h"
    """How far back, by LastUpdate, such a scan looks."""


class Limits(Part):
    """What the Runs of this bridge may ask of Orthanc at once."""

    concurrent_fetches: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Runs that fetch their images at once, of all pipelines; further Runs wait in one line, by class, then age. Absent: no limit."""
    connections_per_fetch: Annotated[int, Field(ge=1, le=16)] = 4
    """HTTP connections one fetch container opens. More than 4 is slower on most servers."""


ServiceURL = Annotated[
    str,
    Field(
        min_length=8,
        max_length=512,
        pattern=r"^https?://",
        json_schema_extra=cel(
            rule(
                "isURL(self) && !self.contains('@') && !self.contains('?')",
                "url is http(s)://host[:port][/path] without credentials or query; put credentials into credentialsSecretRef",
            )
        ),
    ),
]
"""Where a service begins; credentials have a secret of their own."""


class Tls(Part):
    """Certificates for an Orthanc that is reached by https. Read again each minute, by a Run's pod when it starts."""

    model_config = {
        "json_schema_extra": cel(
            rule("has(self.caSecretRef) || has(self.clientCertificateSecretRef)", "tls names caSecretRef, clientCertificateSecretRef or both")
        )
    }
    ca_secret_ref: SecretKey | None = None
    """Authorities in PEM, one of which has signed Orthanc's certificate. Absent: those of Gantry's images, which know public ones."""
    client_certificate_secret_ref: Reference | None = None
    """Secret of type kubernetes.io/tls (keys tls.crt, tls.key): what Gantry shows to an Orthanc that verifies its peers (SslVerifyPeers)."""


class DicomNode(Part):
    """A DICOM application entity reached by C-STORE. The operator keeps it in Orthanc's modalities."""

    aet: AETitle
    """Called AE title."""
    host: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:_-]*[A-Za-z0-9])?$")]
    """Host name or address, as Orthanc resolves it."""
    port: Annotated[int, Field(ge=1, le=65535)] = 104
    """TCP port."""
    tls: bool = False
    """True: DICOM TLS. Orthanc must have a certificate (DicomTlsCertificate, DicomTlsPrivateKey, DicomTlsTrustedCertificates)."""


class DicomWebNode(Part):
    """A DICOMweb server reached by STOW-RS. The operator keeps it in the servers of Orthanc's DICOMweb plugin."""

    url: ServiceURL
    """Root of the service, for example https://vna.example/dicom-web, as Orthanc reaches it."""
    credentials_secret_ref: Reference | None = None
    """Secret of type kubernetes.io/basic-auth (keys username, password). Read again each minute."""


OrthancEntry = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
"""A symbolic name in Orthanc's configuration."""
ResultKind = Literal["SR", "SEG", "SC", "PDF", "PM", "KO"]
"""What a result is."""
RETURN_TO_SENDER = "sender"
"""Name a delivery back to the sender has in a Run's status; no destination may have it."""


class Destination(Part):
    """A place results can go, named by pipelines."""

    model_config = {
        "json_schema_extra": cel(
            rule(
                "[has(self.dicom), has(self.dicomWeb), has(self.orthancPeer), has(self.orthancModality)].filter(x, x).size() == 1",
                "give exactly one of dicom, dicomWeb, orthancPeer and orthancModality",
            ),
            rule(
                "self.srFallback == 'None' || has(self.dicom) || has(self.orthancModality)",
                "only DICOM destinations negotiate what they store; leave srFallback at None and set report.sopClass in the pipeline",
            ),
            rule("!has(self.orthancPeer) || self.verify == 'None'", "a peer cannot be queried; leave verify at None"),
            rule(f"self.name != '{RETURN_TO_SENDER}'", f"{RETURN_TO_SENDER} is the name of delivery.returnToSender; choose another"),
        )
    }
    name: Name
    """Unique within the bridge."""
    dicom: DicomNode | None = None
    """Send by C-STORE from Orthanc."""
    dicom_web: DicomWebNode | None = None
    """Send by STOW-RS from Orthanc, which needs its DICOMweb plugin."""
    orthanc_peer: OrthancEntry | None = None
    """Name of a peer in Orthanc's configuration (OrthancPeers). Gantry never changes it."""
    orthanc_modality: OrthancEntry | None = None
    """Name of a modality in Orthanc's configuration (DicomModalities). Gantry never changes it."""
    accept: Annotated[list[ResultKind], Field(min_length=1, max_length=6, json_schema_extra=LIST_SET)] = ["SR", "SEG", "SC", "PDF", "PM", "KO"]
    """Kinds of results that are sent here. SEG, SC, PDF and PM go before the SR that names them, KO goes last."""
    verify: Literal["None", "Query"] = "None"
    """Query: after the send the destination is asked for the results by C-FIND or QIDO-RS and must list each, or they are sent again. Where it is
    asked for storage commitment, and offers it, that counts instead."""
    sr_fallback: Literal["None", "ComprehensiveSR"] = "None"
    """ComprehensiveSR: when it refuses Comprehensive 3D SR (its association negotiation says so at the first report), it gets Comprehensive SRs
    instead, which are then made beside the reports; status.destinations says what it takes. Only for dicom and orthancModality."""
    max_active: Annotated[int, Field(ge=1, le=32)] = 8
    """Sends to it at once; further ones wait, the most urgent Run first, then the oldest."""
    max_per_minute: Annotated[int, Field(ge=1, le=6000)] | None = None
    """Sends to it begun in a minute, evenly spread. Absent: as many as it takes."""


def destination_place(one: Destination) -> str:
    """Of a DICOM destination: where it is, in one line."""
    return f"{one.dicom.aet}@{one.dicom.host}:{one.dicom.port}" if one.dicom else one.orthanc_modality or ""


class Sender(Part):
    """A DICOM application entity that images come from. The operator keeps it in Orthanc's modalities."""

    aet: AETitle
    """Its AE title, as it calls itself when it stores."""
    host: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:_-]*[A-Za-z0-9])?$")]
    """Host name or address, as Orthanc resolves it."""
    port: Annotated[int, Field(ge=1, le=65535)] = 104
    """TCP port of its query and storage services."""


class BridgeSpec(Part):
    """What the bridge follows and where results can go."""

    model_config = {"json_schema_extra": cel(rule("!has(self.tls) || self.url.startsWith('https://')", "tls needs a url that begins with https://"))}
    url: ServiceURL
    """Base address of Orthanc's REST API, for example http://orthanc:8042."""
    credentials_secret_ref: Reference | None = None
    """Secret of type kubernetes.io/basic-auth (keys username, password) for Orthanc. Strongly advised."""
    tls: Tls | None = None
    """For an Orthanc whose certificate is of an own authority, or that asks for one of us."""
    watch: Watch = Watch()
    """How Orthanc is followed."""
    limits: Limits = Limits()
    """What Runs may ask of Orthanc at once."""
    destinations: Annotated[list[Destination], Field(max_length=32, json_schema_extra=list_map("name"))] = []
    """Places results can go; pipelines name them in delivery.destinations."""
    senders: Annotated[list[Sender], Field(max_length=64, json_schema_extra=list_map("aet"))] = []
    """Where images come from; asked by C-FIND for the size of a study when a pipeline's completeness says so, and given the results when
    delivery.returnToSender says so."""
    suspend: bool = False
    """True stops watching and keeps the cursor."""


class OrthancInfo(Observed):
    """What the server says of itself."""

    version: Annotated[str, Field(max_length=64)] | None = None
    """Orthanc's version."""
    name: Annotated[str, Field(max_length=256)] | None = None
    """The Name of its configuration."""
    database_server_identifier: Annotated[str, Field(max_length=128)] | None = None
    """Identifier of its database, from Orthanc 1.12."""
    features: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=32)] | None = None
    """Capabilities that were found: ExtendedChanges, ExtendedFind, DicomWeb."""


Int64 = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]


ReportClass = Literal["Comprehensive3DSR", "ComprehensiveSR"]
"""SOP class of a report."""


class DestinationStatus(Observed):
    """What a destination with srFallback was found to take."""

    name: Name
    """Name of the destination."""
    place: Annotated[str, Field(max_length=320)]
    """Whom was asked: AE title, host and port, or the modality's name. Another place is asked anew."""
    reports: ReportClass
    """The class of reports it accepted, or is given because it refused the other."""
    time: Timestamp
    """When it was found."""


class BridgeStatus(Observed):
    """What the bridge has seen."""

    observed_generation: Int64 | None = None
    """Generation of the spec this status belongs to."""
    conditions: Conditions | None = None
    """Reachable, Authenticated, CaughtUp, Ready."""
    orthanc: OrthancInfo | None = None
    """The server."""
    cursor: Int64 | None = None
    """Highest change sequence number whose work is durably recorded."""
    first_contact_time: Timestamp | None = None
    """When the bridge first followed this server; the scan never reaches behind it unless startFrom is Beginning."""
    last_reconcile_time: Timestamp | None = None
    """When the last scan for lost events ended."""
    lag: Int64 | None = None
    """Changes behind at the last poll."""
    last_change_time: Timestamp | None = None
    """When the newest change handled was logged by Orthanc."""
    managed_modalities: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=128)] | None = None
    """Entries of Orthanc's modalities that this bridge made and will remove."""
    managed_servers: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=64)] | None = None
    """DICOMweb servers of Orthanc's plugin that this bridge made and will remove."""
    destinations: Annotated[list[DestinationStatus], Field(max_length=32, json_schema_extra=list_map("name"))] | None = None
    """Which class of reports each destination with srFallback takes, once it was asked. Remove an entry to have it asked again."""


class OrthancBridge(Resource):
    """One Orthanc server that is followed, and the places its results can go."""

    kind = "OrthancBridge"
    plural = "orthancbridges"
    short = "obridge"
    columns = (
        ("Ready", "string", ".status.conditions[?(@.type=='Ready')].status"),
        ("Version", "string", ".status.orthanc.version"),
        ("Lag", "integer", ".status.lag"),
    )
    wide_columns = (("Reason", "string", ".status.conditions[?(@.type=='Ready')].reason"), ("URL", "string", ".spec.url"))
    spec: BridgeSpec
    """What is wanted."""
    status: BridgeStatus | None = None
    """What is observed."""
