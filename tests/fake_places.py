"""The sending half of the Orthanc in memory: modalities, peers and DICOMweb servers, their answers, and the jobs that send to them.

What it holds is `fake_orthanc.py`.
"""

import json
from collections.abc import Callable
from typing import Any

import httpx


class Places:
    """What an Orthanc sends to, and what becomes of it."""

    def __init__(self, plugins: tuple[str, ...]) -> None:
        self.plugins = plugins
        self.modalities: dict[str, dict[str, Any]] = {}
        self.peers: set[str] = set()
        self.servers: dict[str, dict[str, Any]] = {}
        """Of the DICOMweb plugin, with their passwords, which it does not tell."""
        self.listed: set[str] = set()
        """SOP instances that modalities and DICOMweb servers list."""
        self.commits: Callable[[list[str]], dict[str, Any] | httpx.Response] = lambda uids: {"Status": "Success", "Success": uids, "Failures": []}
        """What modalities answer to a request for storage commitment of SOP instances."""
        self.transactions: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.job_end = "Success"
        self.job_details = ""
        self.sent: list[tuple[str, list[str]]] = []
        self.counts: dict[str, int | None] = {}
        """What modalities say of any study or series, by AE title; None: no answer. One that is not here refuses the connection."""
        self.queries: dict[str, list[dict[str, str]]] = {}

    def route(self, request: httpx.Request, parts: list[str]) -> Any:
        """The answer, as JSON or whole. Raises KeyError for what is not there."""
        match (request.method, *parts):
            case ("GET", "modalities"):
                return self.modalities
            case (method, "modalities", name) if method in ("PUT", "DELETE"):
                return self._modality(method, name, request.content)
            case ("POST", "modalities", name, "query"):
                return self._query(self.modalities[name], json.loads(request.content))
            case ("GET", "queries", query, "answers"):
                return self.queries[query]
            case ("DELETE", "queries", query):
                return self.queries.pop(query)
            case ("POST", "modalities", name, "storage-commitment"):
                return self._commit(self.modalities[name] and [one["SOPInstanceUID"] for one in json.loads(request.content)["DicomInstances"]])
            case ("GET", "storage-commitment", transaction):
                return self.transactions[transaction]
            case ("POST", "dicom-web", "servers", name, "get"):
                return [{"00080018": {"vr": "UI", "Value": [uid]}} for uid in sorted(self.listed)] if self.servers[name] is not None else []
            case ("GET", "peers"):
                return sorted(self.peers)
            case ("POST", "peers", name, "store"):
                return self._store({one: one for one in self.peers}[name], json.loads(request.content)["Resources"])
            case ("GET", "dicom-web", "servers") if "dicom-web" in self.plugins:
                return {name: {"Url": one["Url"], "Username": one.get("Username", ""), "Password": None} for name, one in self.servers.items()}
            case (method, "dicom-web", "servers", name) if method in ("PUT", "DELETE"):
                return self._server(method, name, request.content)
            case ("POST", "dicom-web", "servers", name, "stow"):
                return self._stow(name, json.loads(request.content)["Resources"])
            case ("POST", "modalities", name, "store"):
                return self._store(self.modalities[name] and name, json.loads(request.content)["Resources"])
            case ("GET", "jobs", job):
                return self.jobs[job]
            case _:
                raise KeyError(request.url.path)

    def _query(self, modality: dict[str, Any], question: dict[str, Any]) -> Any:
        if modality["AET"] not in self.counts:
            details = f"DicomAssociation - connecting to AET \"{modality['AET']}\": Connection refused"
            return httpx.Response(500, json={"Message": "Error in the network protocol", "Details": details})
        if question["Level"] == "Instance":
            self.queries["query"] = [{"SOPInstanceUID": uid} for uid in sorted(self.listed)]
            return {"ID": "query", "Path": "/queries/query"}
        count = self.counts[modality["AET"]]
        name = f"NumberOf{question['Level']}RelatedInstances"
        self.queries["query"] = [{name: str(count)}] if count is not None else []
        return {"ID": "query", "Path": "/queries/query"}

    def _modality(self, method: str, name: str, body: bytes) -> httpx.Response:
        if method == "PUT":
            self.modalities[name] = json.loads(body)
        else:
            del self.modalities[name]
        return httpx.Response(200)

    def _commit(self, uids: list[str]) -> Any:
        answer = self.commits(uids)
        if isinstance(answer, httpx.Response):
            return answer
        self.transactions[transaction := f"2.25.{len(self.transactions) + 1}"] = answer
        return {"ID": transaction, "Path": f"/storage-commitment/{transaction}"}

    def _server(self, method: str, name: str, body: bytes) -> httpx.Response:
        if method == "DELETE" and name not in self.servers:
            return httpx.Response(400, json={"Message": "Parameter out of range", "Details": f"Unknown DICOMweb server: {name}"})
        if method == "PUT":
            self.servers[name] = json.loads(body)
        else:
            del self.servers[name]
        return httpx.Response(200, json={})

    def _stow(self, name: str, resources: list[str]) -> dict[str, str]:
        begun = self._store(name, resources)
        if name not in self.servers:
            self.jobs[begun["ID"]] |= {
                "State": "Failure", "ErrorCode": 1, "ErrorDescription": "Error encountered within the plugin engine",
                "Content": {"FunctionErrorCode": 7, "FunctionErrorDescription": "Accessing an inexistent item", "FunctionErrorDetails": f"Inexistent server: {name}"},
            }  # fmt: skip
        return begun

    def _store(self, name: str, resources: list[str]) -> dict[str, str]:
        job = f"job-{len(self.sent) + 1}"
        self.sent.append((name, resources))
        code = 0 if self.job_end != "Failure" else 9
        self.jobs[job] = {"ID": job, "State": self.job_end, "Progress": 0, "ErrorCode": code, "ErrorDescription": "Error in the network protocol" if code else "Success", "ErrorDetails": self.job_details, "Content": {"FailedInstancesCount": 0}}
        return {"ID": job, "Path": f"/jobs/{job}"}
