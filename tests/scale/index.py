"""What an Orthanc with ever more studies in its index costs a bridge: its polls, its scan at contact, and the restart of the operator.

The index is Orthanc's own SQLite: one study is stored by REST, then its rows are copied under other ids as often as asked (`grown`). The copies'
files do not exist, and nobody reads them: they are a year old, before the bridge's first contact.
"""

import shutil
import sqlite3
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, median
from tests.bench.operator_core import SETTINGS, FirstSeen, a_control_plane, cpu, pid_of
from tests.builders import BRIDGE, PIPELINE, changed
from tests.builders_slices import a_ct
from tests.component.operator_process import Hospital, Operator, a_hospital, wait
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.scale.curves import Curve

from gantry.api import parse_timestamp
from gantry.kube import BRIDGES, RUNS

SIZES = (1_000, 10_000, 100_000)
IDLE = 10.0
"""Seconds of polls that nothing comes with."""
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orthanc"}, "stringData": {"username": "gantry", "password": "secret"}}
OLD = "20250101T000000"
POLL = "1s"

# `n` counts the copies. Ids of resources are 40 hexadecimal digits in five groups, of which the first is replaced by the number.
COPIES = "WITH RECURSIVE copies(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < :copies) INSERT INTO {table} {select} FROM copies, {source} AS o"
UIDS = "(o.tagGroup, o.tagElement) IN (VALUES (8, 24), (32, 13), (32, 14), (8, 80), (16, 32))"
"""SOP Instance, Study Instance and Series Instance UID, accession number, PatientID."""
TABLES = {
    "Resources": "SELECT o.internalId + :ids * n, o.resourceType, printf('%08x', n) || substr(o.publicId, 9), o.parentId + :ids * n",
    "MainDicomTags": f"SELECT o.id + :ids * n, o.tagGroup, o.tagElement, CASE WHEN {UIDS} THEN substr(o.value, 1, 40) || n ELSE o.value END",
    "DicomIdentifiers": f"SELECT o.id + :ids * n, o.tagGroup, o.tagElement, CASE WHEN {UIDS} THEN substr(o.value, 1, 40) || n ELSE o.value END",
    "Metadata": f"SELECT o.id + :ids * n, o.type, CASE WHEN o.type IN (2, 7) THEN '{OLD}' ELSE o.value END",
    "AttachedFiles": "SELECT o.id + :ids * n, o.fileType, printf('%08x', n) || substr(o.uuid, 9), o.compressedSize, o.uncompressedSize, o.compressionType, o.uncompressedMD5, o.compressedMD5",
    "Changes": f"SELECT NULL, o.changeType, o.internalId + :ids * n, o.resourceType, '{OLD}'",
}


def grown(folder: Path, studies: int) -> float:
    """Makes the index of an Orthanc in `folder`; gives the seconds it took."""
    began = time.monotonic()
    with orthanc_server(folder) as orthanc:
        orthanc.upload(a_ct("first"), user="other")
        wait(lambda: any(one["ChangeType"] == "StableStudy" for one in orthanc.rest("GET", "/changes")["Changes"]), "the study is stable")
        orthanc.stop()
    database = sqlite3.connect(folder / "db" / "index")
    database.execute("PRAGMA synchronous = OFF")
    with database:
        numbers = {"copies": studies - 1, "ids": database.execute("SELECT max(internalId) FROM Resources").fetchone()[0]}
        for table in TABLES:
            database.execute(f"CREATE TEMP TABLE old_{table} AS SELECT * FROM {table}")
        for table, select in TABLES.items():
            database.execute(COPIES.format(table=table, select=select, source=f"old_{table}"), numbers)
    database.close()
    return time.monotonic() - began


@dataclass(frozen=True)
class Seen:
    """What one size cost."""

    made: float
    """Seconds to make the index."""
    scan: float
    """Seconds from first contact to the end of the first scan, whole ones."""
    scan_cpu: float
    """Seconds of CPU of Orthanc until then."""
    operator_cpu: float
    poll: float
    """Milliseconds of one poll, seen by the operator."""
    orthanc_idle: float
    """Percent of a core, polled each second."""
    to_run: float
    """Milliseconds from the row in Orthanc's log to the Run, median of five studies."""
    restart: float
    """Seconds from the start of the operator to the Run of a study that came while it was away."""


def look(hospital: Hospital, folder: Path, studies: int) -> Seen:
    """One Orthanc, one bridge."""
    made = grown(folder, studies)
    with orthanc_server(folder) as orthanc, hospital.operator(**SETTINGS) as operator:
        held = orthanc.rest("GET", "/statistics")["CountStudies"]
        assert held == studies, f"Orthanc counts {held} studies"
        wait(lambda: operator.probe("readyz") == 200, "the operator is ready")
        orthanc_before, operator_before = cpu(orthanc.pid), cpu(pid_of(operator))
        hospital.apply(SECRET, changed(changed(BRIDGE, "spec.url", orthanc.url), "spec.watch", {"pollInterval": POLL}))
        wait(lambda: _scanned(hospital) is not None, "the first scan is over", limit=900, tell=lambda: operator.log[-3000:])
        scan, scan_cpu = _scanned(hospital) or 0.0, cpu(orthanc.pid) - orthanc_before
        operator_cpu = cpu(pid_of(operator)) - operator_before
        poll, idle = _idle(operator, orthanc)
        runs = FirstSeen(hospital, RUNS, lambda run: str(run["spec"]["study"]["orthancID"]))
        took = [_arrives(orthanc, runs, f"{studies} {number}") for number in range(5)]
        operator.kill()
        study = _stored(orthanc, f"{studies} while away")
        wait(lambda: study in _stable(orthanc), "it is stable")
        began = time.monotonic()
        operator.start(ready=False)
        wait(lambda: study in runs.seen, "the study has its Run", limit=300, tell=lambda: operator.log[-3000:])
        restart = runs.seen[study] - began
    return Seen(made, scan, scan_cpu, operator_cpu, poll, idle, median(took) * 1000, restart)


def _scanned(hospital: Hospital) -> float | None:
    """Seconds the first scan took, by its bridge's status, which is written up to five later. Not asked often, for Orthanc is what works here."""
    time.sleep(0.05)
    status = (hospital.api.get(BRIDGES, hospital.namespace, "main") or {}).get("status") or {}
    if "lastReconcileTime" not in status:
        return None
    took = parse_timestamp(status["lastReconcileTime"]) - parse_timestamp(status["firstContactTime"])
    return max(0.5, took.total_seconds())  # both in whole seconds


def _idle(operator: Operator, orthanc: OrthancServer) -> tuple[float, float]:
    def polls() -> tuple[float, float]:
        told = operator.metrics()
        return told['gantry_bridge_poll_seconds_count{bridge="main"}'], told['gantry_bridge_poll_seconds_sum{bridge="main"}']

    (number, seconds), used, began = polls(), cpu(orthanc.pid), time.monotonic()
    time.sleep(IDLE)
    more, longer = polls()
    return (longer - seconds) / (more - number) * 1000, (cpu(orthanc.pid) - used) / (time.monotonic() - began) * 100


def _stored(orthanc: OrthancServer, name: str) -> str:
    return str(orthanc.upload(a_ct(name), user="other")[0]["ParentStudy"])


def _stable(orthanc: OrthancServer) -> set[str]:
    last = orthanc.rest("GET", "/changes?last")["Last"]
    page: list[dict[str, Any]] = orthanc.rest("GET", f"/changes?since={max(0, last - 20)}&limit=20")["Changes"]
    return {one["ID"] for one in page if one["ChangeType"] == "StableStudy"}


def _arrives(orthanc: OrthancServer, runs: FirstSeen, name: str) -> float:
    study = _stored(orthanc, name)

    def stable() -> bool:
        time.sleep(0.01)  # Orthanc has others to answer
        return study in _stable(orthanc)

    wait(stable, "the study is stable")
    began = time.monotonic()
    wait(lambda: study in runs.seen, "the study has its Run")
    return max(0.0, runs.seen[study] - began)


ROWS = {
    "scan": ("bridge: first scan", "s", False),
    "scan_cpu": ("bridge: CPU of Orthanc for it", "s", False),
    "operator_cpu": ("bridge: CPU of the operator for it", "s", False),
    "poll": ("bridge: a poll with nothing new", "ms", True),
    "orthanc_idle": ("bridge: CPU of Orthanc, polled each second", "% core", True),
    "to_run": ("bridge: stable event -> Run", "ms", True),
    "restart": ("bridge: operator's start -> Run of a study that came meanwhile", "s", True),
}


def index(sizes: tuple[int, ...] = SIZES, *, tell: Any = print) -> tuple[list[Figure], list[Curve]]:
    """Each size with an Orthanc, a namespace and an operator of its own, on one API server."""
    found: list[tuple[int, Seen]] = []
    with tempfile.TemporaryDirectory() as name, a_control_plane(Path(name)) as plane:
        for size in sizes:
            folder = Path(name) / str(size)
            folder.mkdir()
            pipeline = changed(PIPELINE, "spec.template.delivery", {"destinations": []})
            hospital = a_hospital(plane, folder, f"index-{size}", bridge=None, pipeline=pipeline)
            found.append((size, look(hospital, folder / "orthanc", size)))
            tell(f"  {size} studies: {found[-1][1]}", flush=True)
            shutil.rmtree(folder / "orthanc")
    curves = [
        Curve(text, "studies in Orthanc's index", unit, tuple((size, round(getattr(seen, field), 3)) for size, seen in found), each=each)
        for field, (text, unit, each) in ROWS.items()
    ]
    return [], curves


if __name__ == "__main__":
    for curve in index()[1]:
        print(curve.line(), flush=True)
