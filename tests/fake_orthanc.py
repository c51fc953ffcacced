"""An Orthanc in memory, spoken to through httpx.MockTransport: quick, countable, and able to fail where a test wants it.

It answers what Gantry asks, in the words of 1.10.1, or of 1.13 with `extended=True`. Time is the test's. What a real server does is proven
in tests/component; this one only has to be like it where the unit tests look.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from tests.fake_places import Places

from gantry.orthanc import Credentials, Orthanc
from gantry.orthanc.elements import READABLE
from gantry.runs import result_uid

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
USERNAME = "gantry"
Answer = Callable[[httpx.Request], httpx.Response]


class Clock:
    """A clock that stands until it is told, and a sleep that only moves it."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_by(seconds)

    def pass_by(self, seconds: float) -> None:
        self.now = datetime.fromtimestamp(self.now.timestamp() + seconds, tz=UTC)


def identifier(*names: object) -> str:
    """An id of Orthanc's form."""
    digest = hashlib.sha1("/".join(map(str, names)).encode()).hexdigest()
    return "-".join(digest[i : i + 8] for i in range(0, 40, 8))


def study_uid(name: str) -> str:
    """The StudyInstanceUID of a study."""
    return f"1.2.3.{int(identifier(name)[:8], 16)}"


@dataclass
class Series:
    name: str
    study: str
    tags: dict[str, str]
    elements: dict[str, Any]
    sender: str
    last_update: datetime
    syntax: str = "1.2.840.10008.1.2.1"
    stable: bool = False
    instances: list[str] = field(default_factory=list)


@dataclass
class Study:
    name: str
    tags: dict[str, str]
    last_update: datetime
    stable: bool = False
    series: list[str] = field(default_factory=list)


class FakeOrthanc(Places):
    """The server. `faults` maps the start of a path (or `METHOD path`) to what is answered instead."""

    def __init__(
        self, clock: Clock | None = None, *, extended: bool = False, identity: str | None = None, plugins: tuple[str, ...] = ("dicom-web",)
    ) -> None:
        super().__init__(plugins)
        self.dicom_web = "/dicom-web"
        self.clock = clock or Clock()
        self.extended = extended
        self.identity = identity
        self.calls: list[str] = []
        self.faults: dict[str, Answer] = {}
        self.studies: dict[str, Study] = {}
        self.series: dict[str, Series] = {}
        self.owner: dict[str, str] = {}
        self.rows: list[dict[str, Any]] = []
        self.last = 0
        self.clock_ahead = 0.0
        self.find_limit = 1_000_000
        """LimitFindResults."""

    def client(self) -> Orthanc:
        return Orthanc(
            "http://orthanc.test:8042", credentials=Credentials(USERNAME, "secret"), transport=httpx.MockTransport(self.answer), sleep=self.clock.sleep
        )

    # -- arranging -----------------------------------------------------------------------------------------------------

    def images(
        self, study: str = "a", series: str = "1", *, count: int = 2, modality: str = "CT", own: bool = False, sender: str = "",
        study_tags: dict[str, str] | None = None, tags: dict[str, str] | None = None, elements: dict[str, str] | None = None,
    ) -> str:  # fmt: skip
        """Images arrive; `own`: as results of Gantry. Returns Orthanc's id of the study."""
        study_id, series_id = identifier(study), identifier(study, series)
        known_study, known_series = study_id in self.studies, series_id in self.series
        if not known_study:
            self.studies[study_id] = Study(study, {"StudyDescription": "CT Thorax", "PatientID": "SECRET-ID", "StudyInstanceUID": study_uid(study), **(study_tags or {})}, self._now())
        if not known_series:
            uid = result_uid("here", "radiology", "run", f"{study}-{series}") if own else f"2.25.{int(series_id[:8], 16)}"
            known = {"Modality": modality, "SeriesInstanceUID": uid, **(tags or {})}
            self.series[series_id] = Series(series, study_id, known, dict(elements or {}), sender, self._now())
            self.studies[study_id].series.append(series_id)
        for _ in range(count):
            instance = identifier(study, series, len(self.series[series_id].instances))
            self.series[series_id].instances.append(instance)
            self.owner[instance] = series_id
            self._row("NewInstance", instance, "Instance")
        if not known_series:
            self._row("NewSeries", series_id, "Series")
        if not known_study:
            self._row("NewStudy", study_id, "Study")
        self.studies[study_id].last_update = self._now()
        self.studies[study_id].stable = False
        self.series[series_id].last_update, self.series[series_id].stable = self._now(), False
        return study_id

    def stable_series(self, series_id: str) -> None:
        """The stable event of a series."""
        self.series[series_id].stable = True
        self._row("StableSeries", series_id, "Series")

    def stable(self, study_id: str) -> None:
        """The stable event."""
        self.studies[study_id].stable = True
        for series in self.studies[study_id].series:
            self.stable_series(series)
        self._row("StableStudy", study_id, "Study")

    def arrived(self, study: str = "a", **more: Any) -> str:
        """A study that came and became stable."""
        study_id = self.images(study, **more)
        self.stable(study_id)
        return study_id

    def restarted(self) -> None:
        """The countdowns are forgotten, and the modalities that came over REST."""
        for study in self.studies.values():
            study.stable = True
        for series in self.series.values():
            series.stable = True
        self.modalities.clear()

    def delete(self, study_id: str) -> None:
        gone = {study_id, *self.studies[study_id].series}
        for series_id in self.studies.pop(study_id).series:
            gone.update(self.series.pop(series_id).instances)
        self.rows = [row for row in self.rows if row["ID"] not in gone]

    def replaced(self, *, identity: str | None = None) -> None:
        """An empty database."""
        self.studies.clear()
        self.series.clear()
        self.owner.clear()
        self.rows.clear()
        self.last = 0
        self.identity = identity

    def fails(self, path: str, status: int = 500, body: Any = None) -> None:
        self.faults[path] = lambda request: httpx.Response(status, json=body or {"Message": "Database error"})

    def down(self, path: str = "") -> None:
        def refuse(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("Connection refused", request=request)

        self.faults[path] = refuse

    def hangs(self, path: str = "") -> None:
        def wait(request: httpx.Request) -> httpx.Response:
            raise httpx.ReadTimeout("", request=request)

        self.faults[path] = wait

    def up(self) -> None:
        self.faults.clear()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self.clock().timestamp() + self.clock_ahead), tz=UTC)

    def _row(self, kind: str, resource: str, level: str) -> None:
        self.last += 1
        self.rows.append({"Seq": self.last, "ChangeType": kind, "ID": resource, "ResourceType": level, "Date": _written(self._now()), "Path": ""})

    # -- answering -----------------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.calls.append(f"{request.method} {path}")
        for start, fault in self.faults.items():
            if path.startswith(start) or f"{request.method} {path}".startswith(start):
                return fault(request)
        parts = path.strip("/").split("/")
        try:
            found = self._route(request, parts)
        except KeyError:
            return httpx.Response(404)
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

    def _route(self, request: httpx.Request, parts: list[str]) -> Any:
        match (request.method, *parts):
            case ("GET", "system"):
                more = {"DatabaseServerIdentifier": self.identity} if self.identity else {}
                if self.extended:
                    more = {**more, "Capabilities": {"HasExtendedChanges": True, "HasExtendedFind": True}}
                return {"Version": "1.13.0" if self.extended else "1.10.1", "Name": "FAKE", **more}
            case ("GET", "plugins"):
                return ["explorer.js", *self.plugins]
            case ("GET", "plugins", "dicom-web") if "dicom-web" in self.plugins:
                return {"RootUri": f"..{self.dicom_web}/app/client/index.html"}
            case ("GET", "tools", "now"):
                return httpx.Response(200, text=_written(self._now()))
            case ("GET", "changes"):
                return self._changes(request.url.params)
            case ("GET", "studies"):
                return self._page(sorted(self.studies), int(request.url.params["since"]), int(request.url.params["limit"]))
            case ("POST", "tools", "find"):
                return self._find(json.loads(request.content))
            case ("POST", "tools", "lookup"):
                return self._lookup(request.content.decode())
            case ("POST", "tools", "bulk-content"):
                return self._bulk(json.loads(request.content))
            case ("GET", root, "series") if "dicom-web" in self.plugins and f"/{root}" == self.dicom_web:
                return self._qido(request.url.params)
            case ("GET", "studies", study, "instances"):
                return [self._instance(one) for series in self.studies[study].series for one in self.series[series].instances]
            case ("GET", "studies", study):
                return self._study(study)
            case ("GET", "series", series):
                return self._series(series)
            case ("GET", "series", series, "instances"):
                return [self._instance(one) for one in self.series[series].instances]
            case ("GET", "instances", instance, "metadata"):
                return {"RemoteAET": self.series[self.owner[instance]].sender}
            case ("GET", "instances", instance, "tags"):
                return self._tags(self.series[self.owner[instance]])
            case ("GET", "instances", instance, "study"):
                return self._study(self.series[self.owner[instance]].study)
            case _:
                return self.route(request, parts)

    def _changes(self, params: httpx.QueryParams) -> dict[str, Any]:
        if "last" in params:
            return {"Changes": self.rows[-1:], "Done": True, "Last": self.rows[-1]["Seq"] if self.rows else 0}
        wanted = params["type"].split(";") if self.extended and "type" in params else None
        rows = [row for row in self.rows if row["Seq"] > int(params["since"]) and (wanted is None or row["ChangeType"] in wanted)]
        page = rows[: int(params["limit"])]
        return {"Changes": page, "Done": len(page) == len(rows), "Last": page[-1]["Seq"] if page else self.last}

    def _page(self, ids: list[str], since: int, limit: int) -> list[dict[str, Any]]:
        return [self._study(one) for one in ids[since : since + limit]]

    def _find(self, question: dict[str, Any]) -> list[Any]:
        if question["Level"] == "Series":
            found = [self._elements(one) for one in self.studies[question["ParentStudy"]].series]
            return [{"ID": identifier, "RequestedTags": {tag: known.get(tag) for tag in question["RequestedTags"]}} for identifier, known in found]
        if day := question["Query"].get("StudyDate"):
            ids = sorted(one for one, study in self.studies.items() if study.tags.get("StudyDate") == day)
            return ids[question["Since"] : question["Since"] + min(question["Limit"], self.find_limit)]
        if "OrderBy" not in question:
            wanted = question["Query"].items()
            return [self._study(one) for one, study in self.studies.items() if all(study.tags.get(name) == value for name, value in wanted)]
        assert question["OrderBy"] == [{"Type": "Metadata", "Key": "LastUpdate", "Direction": "DESC"}]
        ids = sorted(self.studies, key=lambda one: self.studies[one].last_update, reverse=True)
        return self._page(ids, question["Since"], question["Limit"])

    def _lookup(self, identifier: str) -> list[dict[str, str]]:
        known = {one: study.tags for one, study in self.studies.items()}
        ids = [one for one, tags in known.items() if tags.get("StudyInstanceUID") == identifier]
        series = [one for one, found in self.series.items() if found.tags.get("SeriesInstanceUID") == identifier]
        if series:
            return [{"ID": one, "Path": f"/series/{one}", "Type": "Series"} for one in series]
        patients = [identifier] if any(tags.get("PatientID") == identifier for tags in known.values()) else []
        return [{"ID": one, "Path": f"/studies/{one}", "Type": "Study"} for one in ids] + [{"ID": one, "Path": "/patients/…", "Type": "Patient"} for one in patients]

    def _study(self, study_id: str) -> dict[str, Any]:
        study = self.studies[study_id]
        return {
            "ID": study_id, "MainDicomTags": study.tags, "PatientMainDicomTags": {}, "Series": study.series, "IsStable": study.stable,
            "LastUpdate": _written(study.last_update), "Type": "Study",
        }  # fmt: skip

    def _series(self, series_id: str) -> dict[str, Any]:
        one = self.series[series_id]
        return {
            "ID": series_id, "ParentStudy": one.study, "MainDicomTags": one.tags, "Instances": one.instances, "IsStable": one.stable,
            "LastUpdate": _written(one.last_update),
            "ExpectedNumberOfInstances": None, "Status": "Unknown", "Type": "Series",
        }  # fmt: skip

    def _instance(self, instance: str) -> dict[str, Any]:
        number = self.series[self.owner[instance]].instances.index(instance) + 1
        return {"ID": instance, "MainDicomTags": {"SOPInstanceUID": f"2.25.{int(instance[:8], 16)}", "InstanceNumber": str(number)}, "FileSize": 1000, "ParentSeries": self.owner[instance]}

    def _bulk(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        if question["Level"] == "Series":
            return [
                {**self._series(series), "Metadata": {"RemoteAET": self.series[series].sender}}
                for study in question["Resources"] if study in self.studies for series in self.studies[study].series
            ]  # fmt: skip
        return [
            {"ID": one, "Metadata": {"RemoteAET": self.series[self.owner[one]].sender, "TransferSyntax": self.series[self.owner[one]].syntax}}
            for one in question["Resources"]
        ]

    def _elements(self, series_id: str) -> tuple[str, dict[str, Any]]:
        return series_id, {**self.studies[self.series[series_id].study].tags, **self.series[series_id].tags, **self.series[series_id].elements}

    def _qido(self, params: httpx.QueryParams) -> list[dict[str, Any]]:
        (study,) = [one for one in self.studies.values() if one.tags["StudyInstanceUID"] == params["StudyInstanceUID"]]
        known = [self._elements(one)[1] for one in study.series]
        wanted = {**{one: READABLE[one] for one in params.get_list("includefield")}, "SeriesInstanceUID": "0020,000E"}
        return [
            {number.replace(",", "").upper(): {"Value": one[keyword].split("\\")} for keyword, number in wanted.items() if one.get(keyword)}
            for one in known
        ]

    def _tags(self, series: Series) -> dict[str, Any]:
        known = {**self.studies[series.study].tags, **series.tags, **series.elements}
        return {f"0011,{number:04x}": {"Name": name, "Type": "String", "Value": value} for number, (name, value) in enumerate(known.items())} | {
            READABLE.get(name, f"0010,{number:04x}"): {"Name": name, "Type": "String", "Value": value}
            for number, (name, value) in enumerate(known.items())
        }

def _written(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%S")
