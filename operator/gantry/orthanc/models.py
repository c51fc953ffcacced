"""What Orthanc answers, as values.

Pure. Parsing is strict about what Gantry decides by (ids, sequence numbers, states) and blind to everything else, so that 1.10 and 1.13
answers both fit. An answer that lacks what is needed raises Refused, naming the field.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from .elements import with_numbers
from .errors import Refused, harmless


@dataclass(frozen=True, slots=True)
class SystemInfo:
    """What the server says of itself."""

    version: str
    name: str
    database_server_identifier: str | None
    features: frozenset[str]
    """ExtendedChanges, ExtendedFind (Orthanc >= 1.12.5, by database), DicomWeb (plugin)."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the change log."""

    seq: int
    type: str
    """NewStudy, StableStudy, … as Orthanc writes it."""
    id: str
    date: datetime | None
    """Orthanc's clock, whole seconds."""


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """Rows after a sequence number."""

    changes: tuple[Change, ...]
    done: bool
    """No further rows when the page was made."""
    last: int
    """Of a page with rows: their last number. Of an empty page: the last number ever given, which is lower than `since` only on another database."""


@dataclass(frozen=True, slots=True)
class StudyResource:
    """One study."""

    id: str
    tags: Mapping[str, str]
    """Patient and study elements Orthanc keeps, by keyword and by number."""
    series: tuple[str, ...]
    last_update: datetime | None
    """When its newest instance came, by Orthanc's clock, whole seconds."""
    is_stable: bool
    """False while Orthanc counts down to the stable event. After a restart True although the event never came."""


@dataclass(frozen=True, slots=True)
class SeriesResource:
    """One series."""

    id: str
    study: str
    tags: Mapping[str, str]
    """Series elements Orthanc keeps, by keyword and by number."""
    instances: tuple[str, ...]
    """Orthanc's ids, in Orthanc's order."""
    last_update: datetime | None
    is_stable: bool
    sender: str | None = None
    """AE title that stored its first image by C-STORE; None when it came otherwise, or was not asked for."""


@dataclass(frozen=True, slots=True)
class InstanceResource:
    """One instance."""

    id: str
    sop_instance_uid: str
    size: int | None
    number: int | None
    """Instance Number (0020,0013)."""
    series: str = ""
    """Orthanc's id of its series."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer to an upload."""

    id: str
    study: str
    series: str
    status: Literal["Success", "AlreadyStored"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file kept with an instance."""

    content: bytes
    etag: str
    """Orthanc's word for this revision of it; empty when there is none."""


class JobState(StrEnum):
    """States of an Orthanc job (OrthancEnumerations.h, JobState)."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCESS = "Success"
    FAILURE = "Failure"
    PAUSED = "Paused"
    RETRY = "Retry"


@dataclass(frozen=True, slots=True)
class Job:
    """One asynchronous job. Success is said by `state` alone: FailedInstancesCount is 0 even when nothing was sent."""

    id: str
    state: JobState
    progress: int
    """Percent."""
    error_code: int
    error_description: str
    error_details: str
    unknown_place: bool = False
    """It failed because Orthanc does not know the DICOMweb server (any more)."""


class Commitment(StrEnum):
    """How a request for storage commitment stands."""

    PENDING = "Pending"
    SUCCESS = "Success"


_INEXISTENT_ITEM = 7
"""OrthancPluginErrorCode_InexistentItem. The DICOMweb plugin's job is only said to have failed in the plugin; its own words stand in Content."""


def parse_system(raw: Any, plugins: Sequence[str]) -> SystemInfo:
    document = _document("/system", raw)
    capabilities = document.get("Capabilities") or {}
    features = {name for name in ("ExtendedChanges", "ExtendedFind") if capabilities.get(f"Has{name}") is True}
    if document.get("HasLabels") is True:
        features.add("Labels")
    if "dicom-web" in plugins:
        features.add("DicomWeb")
    identifier = document.get("DatabaseServerIdentifier")
    return SystemInfo(
        version=_text("/system", document, "Version"),
        name=str(document.get("Name") or ""),
        database_server_identifier=str(identifier) if identifier else None,
        features=frozenset(features),
    )


def parse_dicom_web_root(raw: Any) -> str:
    """Of /plugins/dicom-web. RootUri is the plugin's own page, `../dicom-web/app/client/index.html`, relative to /app/; without it, the default."""
    page = str(_document("/plugins/dicom-web", raw).get("RootUri") or "")
    root, mark, _ = page.removeprefix("..").partition("/app/")
    return root if mark and root.startswith("/") else "/dicom-web"


def parse_changes(raw: Any) -> ChangesPage:
    document = _document("/changes", raw)
    rows = document.get("Changes")
    if not isinstance(rows, list):
        raise Refused("/changes: the answer has no list Changes; is spec.url the address of Orthanc's REST API?")
    changes = tuple(
        Change(
            seq=_number("/changes", row, "Seq"),
            type=_text("/changes", row, "ChangeType"),
            id=_text("/changes", row, "ID"),
            date=moment(row.get("Date")),
        )
        for row in rows
    )
    return ChangesPage(changes, done=document.get("Done") is True, last=_number("/changes", document, "Last"))


def parse_last(raw: Any) -> int:
    return _number("/changes?last", _document("/changes?last", raw), "Last")


def parse_study(raw: Any) -> StudyResource:
    document = _document("study", raw)
    return StudyResource(
        id=_text("study", document, "ID"),
        tags=with_numbers({**_tags(document, "PatientMainDicomTags"), **_tags(document, "MainDicomTags")}),
        series=_ids(document, "Series"),
        last_update=moment(document.get("LastUpdate")),
        is_stable=document.get("IsStable") is not False,
    )


def parse_series(raw: Any) -> SeriesResource:
    document = _document("series", raw)
    return SeriesResource(
        id=_text("series", document, "ID"),
        study=_text("series", document, "ParentStudy"),
        tags=with_numbers(_tags(document, "MainDicomTags")),
        instances=_ids(document, "Instances"),
        last_update=moment(document.get("LastUpdate")),
        is_stable=document.get("IsStable") is not False,
        sender=_sender(document.get("Metadata")),
    )


def parse_instance(raw: Any) -> InstanceResource:
    document = _document("instance", raw)
    tags = _tags(document, "MainDicomTags")
    size = document.get("FileSize")
    number = tags.get("InstanceNumber", "").strip()
    return InstanceResource(
        id=_text("instance", document, "ID"),
        sop_instance_uid=_text("instance", tags, "SOPInstanceUID").strip(" \0"),
        size=size if isinstance(size, int) else None,
        number=int(number) if number.lstrip("+-").isdecimal() else None,
        series=str(document.get("ParentSeries") or ""),
    )


def parse_stored(raw: Any) -> Stored:
    document = _document("/instances", raw)
    status = document.get("Status")
    if status not in ("Success", "AlreadyStored"):
        raise Refused(f"/instances: Orthanc did not store the object; its Status is {harmless(str(status))!r}")
    return Stored(
        id=_text("/instances", document, "ID"),
        study=_text("/instances", document, "ParentStudy"),
        series=_text("/instances", document, "ParentSeries"),
        status=status,
    )


def parse_job(raw: Any) -> Job:
    document = _document("job", raw)
    state = _text("job", document, "State")
    if state not in set(JobState):
        raise Refused(f"job: unknown State {harmless(state)!r}")
    content = document.get("Content")
    within = content if isinstance(content, Mapping) and content.get("FunctionErrorCode") else {}
    return Job(
        id=_text("job", document, "ID"),
        state=JobState(state),
        progress=int(document.get("Progress") or 0),
        error_code=int(document.get("ErrorCode") or 0),
        error_description=str(within.get("FunctionErrorDescription") or document.get("ErrorDescription") or ""),
        error_details=str(within.get("FunctionErrorDetails") or document.get("ErrorDetails") or ""),
        unknown_place=within.get("FunctionErrorCode") == _INEXISTENT_ITEM,
    )


def parse_commitment(raw: Any) -> Commitment | int:
    """Of /storage-commitment/{uid}; a number: so many objects are not committed."""
    document = _document("/storage-commitment", raw)
    status = _text("/storage-commitment", document, "Status")
    if status in set(Commitment):
        return Commitment(status)
    return max(1, len(parse_list("/storage-commitment", document.get("Failures") or [])))


def parse_instances(raw: Any) -> frozenset[str]:
    """SOP instances in the simplified answers of a query."""
    rows = (_document("/queries/…/answers", row) for row in parse_list("/queries/…/answers", raw))
    return frozenset(str(row["SOPInstanceUID"]).strip(" \0") for row in rows if row.get("SOPInstanceUID"))


def parse_qido_instances(raw: Any) -> frozenset[str]:
    """SOP instances in DICOM JSON (PS3.18 F.2)."""
    elements = [_document("DICOMweb instances", row).get("00080018") for row in parse_list("DICOMweb instances", raw)]
    return frozenset(str(one["Value"][0]) for one in elements if isinstance(one, Mapping) and one.get("Value"))


def parse_list(what: str, raw: Any) -> list[Any]:
    if not isinstance(raw, list):
        raise Refused(f"{what}: a list was expected")
    return raw


def parse_texts(what: str, raw: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in _document(what, raw).items() if value is not None}


def parse_series_elements(raw: Any) -> dict[str, dict[str, Any]]:
    """Of /tools/find at level Series: the elements asked for, by Orthanc's id of the series."""
    rows = [_document("/tools/find", row) for row in parse_list("/tools/find", raw)]
    return {_text("/tools/find", row, "ID"): dict(row.get("RequestedTags") or {}) for row in rows}


def parse_qido(raw: Any) -> dict[str, dict[str, str]]:
    """DICOM JSON (PS3.18 F.2) of series: values by number, multi-valued joined by a backslash, by the UID of the series."""
    found: dict[str, dict[str, str]] = {}
    for row in parse_list("/dicom-web/series", raw):
        values = {
            f"{number[:4]},{number[4:]}".lower(): "\\".join("" if one is None else str(one) for one in element["Value"])
            for number, element in _document("/dicom-web/series", row).items()
            if isinstance(element, dict) and isinstance(element.get("Value"), list)
        }
        found[_text("/dicom-web/series", values, "0020,000e").strip(" \0")] = values
    return found


def parse_metadata(raw: Any) -> dict[str, dict[str, str]]:
    """Of /tools/bulk-content with Metadata, by Orthanc's id."""
    rows = [_document("/tools/bulk-content", row) for row in parse_list("/tools/bulk-content", raw)]
    return {_text("/tools/bulk-content", row, "ID"): parse_texts("/tools/bulk-content", row.get("Metadata") or {}) for row in rows}


def parse_count(raw: Any, count: str) -> int | None:
    """The largest number among the answers of a C-FIND; None when there is no answer or none says it."""
    rows = [_document("/queries/…/answers", row) for row in parse_list("/queries/…/answers", raw)]
    texts = [str(row.get(count) or "").strip() for row in rows]
    return max((int(text) for text in texts if text.isascii() and text.isdecimal()), default=None)


def _sender(metadata: Any) -> str | None:
    aet = metadata.get("RemoteAET") if isinstance(metadata, dict) else None
    return (str(aet).strip() or None) if aet else None


def moment(text: Any) -> datetime | None:
    """`20261124T202901` or `20261124T202901.123456`, always UTC; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.strptime(text.partition(".")[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _document(what: str, raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise Refused(f"{what}: a JSON object was expected; is spec.url the address of Orthanc's REST API?")
    return raw


def _text(what: str, document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise Refused(f"{what}: the answer has no {key}")
    return value


def _number(what: str, document: Mapping[str, Any], key: str) -> int:
    value = document.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(f"{what}: the answer has no number {key}")
    return value


def _ids(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(str(one) for one in document.get(key) or ())


def _tags(document: Mapping[str, Any], key: str) -> dict[str, str]:
    return {str(name): value for name, value in (document.get(key) or {}).items() if isinstance(value, str)}
