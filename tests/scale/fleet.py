"""Ever more pipelines on one bridge, and ever more bridges on one Orthanc: what a study costs, what standing by costs, what beginning costs."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure
from tests.bench.operator_core import SETTINGS, FirstSeen, a_control_plane, cpu, memory, pid_of
from tests.builders import BRIDGE, PIPELINE, changed
from tests.builders_slices import a_ct
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import Hospital, Operator, a_hospital, wait
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.scale.curves import Curve
from tests.scale.index import SECRET

from gantry.kube import BRIDGES, PIPELINES, RUNS

Object = dict[str, Any]
MANY_PIPELINES = (2, 20, 200)
MANY_BRIDGES = (1, 4, 20)
TAKING = 2
"""Pipelines that take a study, of however many."""
STUDIES = 20
IDLE = 10.0
"""Seconds of standing by."""


@dataclass(frozen=True)
class Seen:
    """What one size cost."""

    begin: float
    """CPU seconds from the process's start until everything is ready."""
    memory: float
    idle: float
    """Percent of a core with nothing to do."""
    study: float = 0.0
    """Milliseconds of CPU a study and Run."""
    orthanc: float = 0.0
    """Percent of a core of Orthanc meanwhile."""


def a_bridge(name: str, url: str) -> Object:
    made = changed(changed(BRIDGE, "metadata.name", name), "spec.url", url)
    return changed(changed(made, "spec.destinations", []), "spec.watch", {"pollInterval": "1s"})


def a_pipeline(name: str, bridge: str, *, modality: str) -> Object:
    made = changed(changed(PIPELINE, "metadata.name", name), "spec.bridgeRef.name", bridge)
    made = changed(made, "spec.template.delivery", {"destinations": []})
    made = changed(made, "spec.match.study", [{"tag": "ModalitiesInStudy", "operator": "In", "values": [modality]}])
    return changed(made, "spec.template.input.series.match", [{"tag": "Modality", "operator": "In", "values": [modality]}, {"tag": "BodyPartExamined", "operator": "NotIn", "values": [name]}])


def ready(hospital: Hospital, operator: Operator, number: int) -> None:
    """Bridges and pipelines say so."""

    def yes() -> bool:
        time.sleep(0.2)
        objects = [*hospital.api.list(BRIDGES, hospital.namespace), *hospital.api.list(PIPELINES, hospital.namespace)]
        told = [c for one in objects for c in (one.get("status") or {}).get("conditions", ()) if c["type"] == "Ready"]
        return len(told) == number and all(c["status"] == "True" for c in told)

    wait(yes, f"{number} bridges and pipelines are ready", limit=120, tell=lambda: operator.log[-3000:])


def stands_by(operator: Operator, orthanc: OrthancServer) -> tuple[float, float]:
    """Percent of a core, of the operator and of Orthanc."""
    operator.settled(seconds=3)
    used, theirs, began = cpu(pid_of(operator)), cpu(orthanc.pid), time.monotonic()
    time.sleep(IDLE)
    took = time.monotonic() - began
    return (cpu(pid_of(operator)) - used) / took * 100, (cpu(orthanc.pid) - theirs) / took * 100


def with_pipelines(plane: ControlPlane, folder: Path, number: int) -> Seen:
    """Two of them take every study."""
    hospital = a_hospital(plane, folder, f"pipelines-{number}", bridge=None, pipeline=None)
    with orthanc_server(folder / "orthanc") as orthanc:
        pipelines = [a_pipeline(f"p-{index}", "main", modality="CT" if index < TAKING else "US") for index in range(number)]
        hospital.apply(SECRET, a_bridge("main", orthanc.url), *pipelines)
        with hospital.operator(**SETTINGS) as operator:
            ready(hospital, operator, number + 1)
            begin = cpu(pid_of(operator))
            idle, theirs = stands_by(operator, orthanc)
            runs = FirstSeen(hospital, RUNS, lambda run: str(run["metadata"]["name"]))
            used = cpu(pid_of(operator))
            for study in range(STUDIES):
                orthanc.upload(a_ct(f"{hospital.namespace} {study}"), user="other")
            wait(lambda: len(runs.seen) == TAKING * STUDIES, "every study has its Runs", limit=120)
            operator.settled(seconds=3)
            study_cpu = (cpu(pid_of(operator)) - used) / (TAKING * STUDIES) * 1000
            return Seen(begin, memory(pid_of(operator)), idle, study_cpu, theirs)


def with_bridges(plane: ControlPlane, folder: Path, number: int) -> Seen:
    """Each with a pipeline, all of one Orthanc."""
    hospital = a_hospital(plane, folder, f"bridges-{number}", bridge=None, pipeline=None)
    with orthanc_server(folder / "orthanc") as orthanc:
        for index in range(number):
            hospital.apply(SECRET, a_bridge(f"b-{index}", orthanc.url), a_pipeline(f"p-{index}", f"b-{index}", modality="US"))
        with hospital.operator(**SETTINGS) as operator:
            ready(hospital, operator, 2 * number)
            begin = cpu(pid_of(operator))
            idle, theirs = stands_by(operator, orthanc)
            return Seen(begin, memory(pid_of(operator)), idle, orthanc=theirs)


def fleet(*, pipelines: tuple[int, ...] = MANY_PIPELINES, bridges: tuple[int, ...] = MANY_BRIDGES, tell: Any = print) -> tuple[list[Figure], list[Curve]]:
    """Each size in a namespace of its own, with an operator of its own."""
    found: dict[str, list[tuple[int, Seen]]] = {"pipelines": [], "bridges": []}
    with tempfile.TemporaryDirectory() as name, a_control_plane(Path(name)) as plane:
        for what, sizes, look in (("pipelines", pipelines, with_pipelines), ("bridges", bridges, with_bridges)):
            for size in sizes:
                folder = Path(name) / f"{what}-{size}"
                folder.mkdir()
                found[what].append((size, look(plane, folder, size)))
                tell(f"  {size} {what}: {found[what][-1][1]}", flush=True)

    def curve(text: str, what: str, unit: str, field: str, *, each: bool) -> Curve:
        return Curve(text, what, unit, tuple((size, round(getattr(seen, field), 3)) for size, seen in found[what]), each=each)

    curves = [
        curve("operator CPU a Run from a stored study to its Job", "pipelines", "ms", "study", each=True),
        curve("idle operator", "pipelines", "% core", "idle", each=True),
        curve("CPU of the operator's start", "pipelines", "s", "begin", each=False),
        curve("memory of the operator", "pipelines", "MiB", "memory", each=False),
        curve("idle operator", "bridges", "% core", "idle", each=False),
        curve("CPU of Orthanc, polled by each once a second", "bridges", "% core", "orthanc", each=False),
        curve("CPU of the operator's start", "bridges", "s", "begin", each=False),
        curve("memory of the operator", "bridges", "MiB", "memory", each=False),
    ]
    most, seen = found["bridges"][-1]
    return [Figure(f"idle operator with {most} bridges, a bridge", round(seen.idle / most, 3), "% core", 1)], curves


if __name__ == "__main__":
    for figure in (made := fleet())[0]:
        print(figure.line(), flush=True)
    for one in made[1]:
        print(one.line(), flush=True)
