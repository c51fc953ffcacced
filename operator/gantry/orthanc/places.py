"""The places one Orthanc can send to and the sends themselves: modalities, peers, DICOMweb servers, jobs, storage commitment, queries.

The half of the client that `bridge/` (entries) and `delivery/` (sends) use; the rest is `client.py`. Each method is one request unless it says
more. It decides nothing.
"""

import contextlib
from collections.abc import Sequence
from urllib.parse import quote

from . import models
from .errors import NotFound, Refused, ServerFault
from .http import Connection
from .modalities import DicomWebServer, Modality, encode_modality, encode_server, parse_modality, parse_server


class Places:
    """Mixed into `Orthanc`."""

    _http: Connection
    _dicom_web: str | None
    """Where the DICOMweb plugin answered last."""

    async def dicom_web(self) -> str | None:
        """Where the DICOMweb plugin answers; None without it."""
        raise NotImplementedError

    # -- entries -------------------------------------------------------------------------------------------------------

    async def modalities(self) -> dict[str, Modality]:
        raw = await self._http.get_json("/modalities", params={"expand": ""})
        if not isinstance(raw, dict):
            raise Refused("/modalities: a JSON object was expected")
        return {str(name): node for name, one in raw.items() if (node := parse_modality(one))}

    async def put_modality(self, name: str, node: Modality) -> None:
        """Makes or replaces an entry. Without DicomModalitiesInDatabase Orthanc forgets it at its next start."""
        await self._http.send_json("PUT", f"/modalities/{part(name)}", encode_modality(node))

    async def delete_modality(self, name: str) -> None:
        """Raises NotFound when it is not there."""
        await self._http.send_json("DELETE", f"/modalities/{part(name)}")

    async def count_at(self, modality: str, *, study_uid: str, series_uid: str | None, timeout: int) -> int | None:  # noqa: ASYNC109 - Orthanc's, for the association
        """How many instances of a study, or of a series, a modality has, by C-FIND (PS3.4 C.3.4); None when it does not say.

        Three requests. Raises NotFound when Orthanc does not know the modality, ServerFault when the modality does not answer.
        """
        uids = {"StudyInstanceUID": study_uid, **({"SeriesInstanceUID": series_uid} if series_uid else {})}
        level, count = ("Series", "NumberOfSeriesRelatedInstances") if series_uid else ("Study", "NumberOfStudyRelatedInstances")
        rows = await self._find(modality, level, {**uids, count: ""}, timeout)
        return models.parse_count(rows, count)

    async def peers(self) -> frozenset[str]:
        """Names of the Orthanc peers in its configuration."""
        return frozenset(str(one) for one in models.parse_list("/peers", await self._http.get_json("/peers")))

    async def servers(self) -> dict[str, DicomWebServer] | None:
        """DICOMweb servers the plugin knows, without their passwords, which it does not tell; None without the plugin. Two requests."""
        root = await self.dicom_web()
        if root is None:
            return None
        raw = await self._http.get_json(f"{root}/servers", params={"expand": ""})
        if not isinstance(raw, dict):
            raise Refused("DICOMweb servers: a JSON object was expected")
        return {str(name): server for name, one in raw.items() if (server := parse_server(one))}

    async def put_server(self, name: str, server: DicomWebServer) -> None:
        """Makes or replaces a DICOMweb server; forgotten at Orthanc's next start."""
        await self._http.send_json("PUT", f"{await self._web()}/servers/{part(name)}", encode_server(server))

    async def delete_server(self, name: str) -> None:
        """That it is not there is an error 400 of the plugin."""
        await self._http.send_json("DELETE", f"{await self._web()}/servers/{part(name)}")

    # -- sends ---------------------------------------------------------------------------------------------------------

    async def store(self, modality: str, instances: Sequence[str]) -> str:
        """Starts an asynchronous C-STORE job and returns its id. Raises NotFound when Orthanc does not know the modality (or an instance)."""
        return await self._begin(f"/modalities/{part(modality)}/store", instances)

    async def store_at_peer(self, peer: str, instances: Sequence[str]) -> str:
        """The same to another Orthanc, over HTTP."""
        return await self._begin(f"/peers/{part(peer)}/store", instances)

    async def stow(self, server: str, instances: Sequence[str]) -> str:
        """The same by STOW-RS. A server the plugin does not know is said by the job (`Job.unknown_place`); NotFound: there is no plugin."""
        try:
            return await self._begin(f"{await self._web()}/servers/{part(server)}/stow", instances)
        except NotFound:
            self._dicom_web = None  # another Root since a restart, or disabled
            raise

    async def _begin(self, path: str, instances: Sequence[str]) -> str:
        answer = await self._http.send_json("POST", path, {"Resources": list(instances), "Synchronous": False})
        job = models.parse_texts(path, answer.json()).get("ID")
        if not job:
            raise Refused(f"{path}: the answer has no ID")
        return job

    async def _web(self) -> str:
        self._dicom_web = self._dicom_web or await self.dicom_web()
        if not self._dicom_web:
            raise NotFound("Orthanc has no DICOMweb plugin")
        return self._dicom_web

    # -- receipts ------------------------------------------------------------------------------------------------------

    async def ask_commitment(self, modality: str, objects: Sequence[tuple[str, str]]) -> str:
        """Asks for storage commitment of objects (SOP class, SOP instance) and returns the transaction's UID. The answer comes later."""
        path = f"/modalities/{part(modality)}/storage-commitment"
        wanted = [{"SOPClassUID": kind, "SOPInstanceUID": instance} for kind, instance in objects]
        answer = await self._http.send_json("POST", path, {"DicomInstances": wanted})
        transaction = models.parse_texts(path, answer.json()).get("ID")
        if not transaction:
            raise Refused(f"{path}: the answer has no ID")
        return transaction

    async def commitment(self, transaction: str) -> models.Commitment | int:
        """What was answered; a number: so many objects are not committed. Raises NotFound when Orthanc does not know it (any more)."""
        try:
            return models.parse_commitment(await self._http.get_json(f"/storage-commitment/{part(transaction)}"))
        except NotFound:
            raise NotFound("/storage-commitment: Orthanc does not know the transaction") from None

    async def found_at(self, modality: str, *, study_uid: str, series_uid: str, timeout: int) -> frozenset[str]:  # noqa: ASYNC109 - Orthanc's, for the association
        """SOP instances of a series that a modality lists, by C-FIND. Three requests."""
        query = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid, "SOPInstanceUID": ""}
        return models.parse_instances(await self._find(modality, "Instance", query, timeout))

    async def found_by_qido(self, server: str, *, study_uid: str, series_uid: str) -> frozenset[str]:
        """The same of a DICOMweb server, by QIDO-RS through Orthanc's plugin. The UIDs stand in the body, not in a path that errors name."""
        question = {
            "Uri": "/instances",
            "Arguments": {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid},
            "HttpHeaders": {"Accept": "application/dicom+json"},
        }
        answer = await self._http.send_json("POST", f"{await self._web()}/servers/{part(server)}/get", question)
        return models.parse_qido_instances(answer.json() if answer.content else [])

    async def server_answers(self, server: str) -> bool:
        """Whether a DICOMweb server answers a query (QIDO-RS) at all."""
        question = {"Uri": "/studies", "Arguments": {"limit": "1"}, "HttpHeaders": {"Accept": "application/dicom+json"}}
        try:
            await self._http.send_json("POST", f"{await self._web()}/servers/{part(server)}/get", question)
        except ServerFault:
            return False
        return True

    async def study_uid_of(self, instance: str) -> str:
        """StudyInstanceUID of an instance."""
        uid = models.parse_study(await self._http.get_json(f"/instances/{part(instance)}/study")).tags.get("StudyInstanceUID")
        if not uid:
            raise Refused("/instances/…/study: the answer has no StudyInstanceUID")
        return uid

    async def _find(self, modality: str, level: str, query: dict[str, str], timeout: int) -> object:  # noqa: ASYNC109 - Orthanc's, for the association
        path = f"/modalities/{part(modality)}/query"
        answer = await self._http.send_json("POST", path, {"Level": level, "Query": query, "Timeout": timeout})
        made = models.parse_texts(path, answer.json()).get("ID")
        if not made:
            raise Refused(f"{path}: the answer has no ID")
        rows = await self._http.get_json(f"/queries/{part(made)}/answers", params={"expand": "", "simplify": ""})
        with contextlib.suppress(NotFound):  # Orthanc keeps only so many queries; that it dropped this one is what is wanted
            await self._http.send_json("DELETE", f"/queries/{part(made)}")
        return rows

    async def job(self, job: str) -> models.Job | None:
        """None: Orthanc does not know it (any more; JobsHistorySize), which says nothing about its end."""
        try:
            return models.parse_job(await self._http.get_json(f"/jobs/{part(job)}"))
        except NotFound:
            return None


def part(text: str) -> str:
    """One part of a path; ids come from a server or a resource and are never trusted to hold no slash."""
    return quote(text, safe="")
