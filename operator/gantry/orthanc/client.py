"""One Orthanc server, asynchronously: the vocabulary Gantry needs of its REST API, and nothing else.

Each method is one request (`system` two, `count_at` three) and raises only errors of `errors.py`. No policy lives here: what to follow is `bridge/`,
what to send `delivery/`, what to fetch and store `worker/`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime
from types import TracebackType
from typing import Self

import httpx

from . import models
from .calls import CallObserver
from .elements import READABLE, flat, readable
from .errors import NotFound, Permanent, Refused, Unauthorized
from .http import Connection, Credentials, Params
from .places import Places, part
from .trust import Trust


class Orthanc(Places):
    """One server. Use it with `async with`, or call `aclose`. `connections` bounds what it opens at once."""

    def __init__(
        self,
        url: str,
        *,
        credentials: Credentials | None = None,
        trust: Trust | None = None,
        connections: int = 4,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        observe: CallObserver | None = None,
    ) -> None:
        self._dicom_web: str | None = None
        self.features: frozenset[str] = frozenset()
        """What the server said it can do when it was last asked by `system`; nothing before."""
        self._http = Connection(url, credentials=credentials, trust=trust, connections=connections, transport=transport, sleep=sleep, observe=observe)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the kept-alive connections."""
        await self._http.aclose()

    # -- the server ----------------------------------------------------------------------------------------------------

    async def system(self) -> models.SystemInfo:
        """Version, identity of the database, and features."""
        raw = await self._http.get_json("/system")
        try:
            plugins = models.parse_list("/plugins", await self._http.get_json("/plugins"))
        except Unauthorized:
            raise
        except Permanent:  # a proxy that lets only some paths through: no plugin is known, everything else works
            plugins = []
        found = models.parse_system(raw, plugins)
        self.features = found.features
        return found

    async def now(self) -> datetime | None:
        """The server's clock (whole seconds, UTC), by which LastUpdate is written. None when it does not say."""
        try:
            return models.moment((await self._http.get_text("/tools/now")).strip())
        except NotFound:
            return None

    async def dicom_web(self) -> str | None:
        """The path at which the DICOMweb plugin answers (its setting `Root`), without a slash at the end; None without the plugin."""
        try:
            return models.parse_dicom_web_root(await self._http.get_json("/plugins/dicom-web"))
        except NotFound:
            return None

    async def changes(self, *, since: int, limit: int = 1000, types: Sequence[str] = ()) -> models.ChangesPage:
        """Rows of the change log with a number above `since`. `types` only with ExtendedChanges: older servers ignore it silently."""
        params: dict[str, str | int] = {"since": since, "limit": limit}
        if types:
            params["type"] = ";".join(types)
        return models.parse_changes(await self._http.get_json("/changes", params=params))

    async def last_change(self) -> int:
        """Number of the newest row that still exists; deleting studies makes it smaller."""
        return models.parse_last(await self._http.get_json("/changes", params={"last": ""}))

    # -- what it holds -------------------------------------------------------------------------------------------------

    async def study(self, study: str) -> models.StudyResource:
        return models.parse_study(await self._http.get_json(f"/studies/{part(study)}"))

    async def series(self, series: str) -> models.SeriesResource:
        return models.parse_series(await self._http.get_json(f"/series/{part(series)}"))

    async def series_of_study(self, study: str) -> tuple[models.SeriesResource, ...]:
        """With their senders, which /studies/{id}/series does not tell. Raises NotFound when the study has no series (any more)."""
        raw = await self._http.ask_json("/tools/bulk-content", {"Resources": [study], "Level": "Series", "Metadata": True})
        if not (found := models.parse_list("/tools/bulk-content", raw)):
            raise NotFound("/tools/bulk-content: the study is not there")
        return tuple(models.parse_series(one) for one in found)

    async def elements_by_find(self, study: str, keywords: Sequence[str]) -> dict[str, dict[str, str]]:
        """Elements of one instance of each series of a study, by Orthanc's id of the series. Needs ExtendedFind."""
        question = {
            "Level": "Series", "Query": {}, "ParentStudy": study, "RequestedTags": list(keywords), "ResponseContent": ["RequestedTags"],
        }  # fmt: skip
        found = models.parse_series_elements(await self._http.ask_json("/tools/find", question))
        return {series: readable(values) for series, values in found.items()}

    async def elements_by_qido(self, study_uid: str, keywords: Sequence[str]) -> dict[str, dict[str, str]]:
        """Elements of the first instance of each series of a study, by the series' UID. Needs DICOMweb, whose place is asked for once."""
        if self._dicom_web is None:
            self._dicom_web = await self.dicom_web() or ""
        params: Params = {"StudyInstanceUID": study_uid, "includefield": list(keywords)}  # not in the path, which errors name
        try:
            found = models.parse_qido(await self._http.get_json(f"{self._dicom_web}/series", params=params))
        except NotFound:
            self._dicom_web = None  # another Root since a restart, or disabled
            raise
        return {series: readable({one: values.get(READABLE[one]) for one in keywords}) for series, values in found.items()}

    async def instances_of_series(self, series: str) -> tuple[models.InstanceResource, ...]:
        raw = await self._http.get_json(f"/series/{part(series)}/instances")
        return tuple(models.parse_instance(one) for one in models.parse_list("/series/…/instances", raw))

    async def instances_of_study(self, study: str) -> tuple[models.InstanceResource, ...]:
        """50 to 80 ms for 2000 instances."""
        raw = await self._http.get_json(f"/studies/{part(study)}/instances")
        return tuple(models.parse_instance(one) for one in models.parse_list("/studies/…/instances", raw))

    async def instance_tags(self, instance: str) -> dict[str, str]:
        """Elements with text values by keyword, by `gggg,eeee` and, private, by `gggg,"CREATOR",ee`; values joined by a backslash."""
        raw = await self._http.get_json(f"/instances/{part(instance)}/tags")
        if not isinstance(raw, dict):
            raise Refused("/instances/…/tags: a JSON object was expected")
        return flat(raw)

    async def instance_metadata(self, instance: str) -> dict[str, str]:
        """HttpUsername, RemoteAET, Origin, ReceptionDate, …"""
        return models.parse_texts("/instances/…/metadata", await self._http.get_json(f"/instances/{part(instance)}/metadata?expand"))

    async def metadata_of(self, instances: Sequence[str]) -> dict[str, dict[str, str]]:
        """The same of several at once; one that is gone is left out."""
        raw = await self._http.ask_json("/tools/bulk-content", {"Resources": list(instances), "Level": "Instance", "Metadata": True})
        return models.parse_metadata(raw)

    async def studies(self, *, since: int, limit: int, newest_first: bool) -> tuple[models.StudyResource, ...]:
        """A page of all studies, `since` of them skipped; an empty page is the end, a short one is not (LimitFindResults cuts silently).

        `newest_first` orders by LastUpdate and needs ExtendedFind; otherwise the order is Orthanc's own.
        """
        if newest_first:
            question = {
                "Level": "Study",
                "Query": {},
                "Expand": True,
                "Since": since,
                "Limit": limit,
                "OrderBy": [{"Type": "Metadata", "Key": "LastUpdate", "Direction": "DESC"}],
            }
            raw = await self._http.ask_json("/tools/find", question)
        else:
            raw = await self._http.get_json("/studies", params={"since": since, "limit": limit, "expand": ""})
        return tuple(models.parse_study(one) for one in models.parse_list("/studies", raw))

    async def studies_with(self, keyword: str, value: str) -> tuple[models.StudyResource, ...]:
        """Studies whose StudyInstanceUID or AccessionNumber is exactly `value`. (/tools/lookup of 1.10 does not know accession numbers.)"""
        if set(value) & set("*?\\"):
            return ()  # in a query these are wildcards and a list of values (PS3.4 C.2.2.2)
        raw = await self._http.ask_json("/tools/find", {"Level": "Study", "Query": {keyword: value}, "CaseSensitive": True, "Expand": True})
        found = (models.parse_study(one) for one in models.parse_list("/tools/find", raw))
        return tuple(one for one in found if one.tags.get(keyword, "").strip(" \0") == value)

    async def studies_of_day(self, day: date, *, since: int, limit: int) -> tuple[str, ...]:
        """Orthanc's ids of studies with that StudyDate, `since` of them skipped; an empty page is the end (LimitFindResults cuts silently)."""
        question = {"Level": "Study", "Query": {"StudyDate": day.strftime("%Y%m%d")}, "Since": since, "Limit": limit}
        return tuple(str(one) for one in models.parse_list("/tools/find", await self._http.ask_json("/tools/find", question)))

    async def holds(self, uid: str) -> bool:
        """Whether anything of that UID is stored."""
        return bool(await self._lookup(uid))

    async def instance_of(self, uid: str) -> str | None:
        """Orthanc's id of the instance with that SOP Instance UID; None: it has none. Of several (in two studies) the first."""
        found = [models.parse_texts("/tools/lookup", one) for one in await self._lookup(uid)]
        return next((one["ID"] for one in found if one.get("Type") == "Instance" and "ID" in one), None)

    async def _lookup(self, uid: str) -> list[object]:
        return models.parse_list("/tools/lookup", await self._http.ask_json("/tools/lookup", uid))

    # -- bytes ---------------------------------------------------------------------------------------------------------

    async def upload(self, dicom: bytes) -> models.Stored:
        """Stores one DICOM file. Repeated on transient faults: the same file again is AlreadyStored and changes nothing.

        AlreadyStored does not mean equal: other content under the same UIDs is dropped silently. Compare `md5`.
        """
        return models.parse_stored(await self._http.upload("/instances", dicom))

    async def delete_instance(self, instance: str) -> None:
        """That it is not there is success."""
        with contextlib.suppress(NotFound):
            await self._http.send_json("DELETE", f"/instances/{part(instance)}")

    async def md5(self, instance: str) -> str:
        """MD5 of the stored file, lower-case hexadecimal."""
        return (await self._http.get_text(f"/instances/{part(instance)}/attachments/dicom/md5")).strip().lower()

    async def file(self, instance: str) -> bytes:
        """A whole DICOM file in memory: for reports. Images come by `InstanceFiles`."""
        return (await self._http.get(f"/instances/{part(instance)}/file")).content

    async def put_label(self, instance: str, label: str) -> None:
        """Needs Labels. One that is there stays."""
        await self._http.put(f"/instances/{part(instance)}/labels/{part(label)}", b"")

    async def user_metadata(self, instance: str, number: int) -> str | None:
        """Metadata of an instance by its number (users' own: 1024 to 65535)."""
        try:
            return await self._http.get_text(f"/instances/{part(instance)}/metadata/{number}")
        except NotFound:
            return None

    async def put_user_metadata(self, instance: str, number: int, value: str) -> None:
        """Where there is none yet. Orthanc answers 200 for an instance it does not have."""
        await self._http.put(f"/instances/{part(instance)}/metadata/{number}", value.encode())

    async def attachment(self, instance: str, number: int) -> models.Attachment:
        """A file kept with an instance, by its number (users' own: 1024 to 65535). Raises NotFound when instance or file is not there."""
        answer = await self._http.get(f"/instances/{part(instance)}/attachments/{number}/data")
        return models.Attachment(answer.content, answer.headers.get("ETag", ""))

    async def put_attachment(self, instance: str, number: int, content: bytes, *, replacing: models.Attachment | None = None) -> None:
        """Keeps a file with an instance. `replacing`: what is there; with CheckRevisions Orthanc refuses (409) a write that does not know it.

        Orthanc answers 200 for an instance it does not have, and keeps nothing: read it back.
        """
        await self._http.put(f"/instances/{part(instance)}/attachments/{number}", content, etag=replacing.etag if replacing else "")
