"""Pipelines as a Follower sees them, and a host that keeps what it is given."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from tests.builders import PIPELINE, changed
from tests.fake_orthanc import START

from gantry.api import InferencePipeline
from gantry.api.bridge import BridgeStatus
from gantry.bridge import Candidate, EarlierRun, Observation
from gantry.routing import compile_rules

BEFORE = START - timedelta(days=1)


def requirement(tag: str, operator: str, *values: str) -> dict[str, Any]:
    return {"tag": tag, "operator": operator, **({"values": list(values)} if values else {})}


def a_candidate(
    name: str = "nodules",
    *,
    study: Sequence[dict[str, Any]] = (),
    series: Sequence[dict[str, Any]] = (),
    created: datetime = BEFORE,
    generation: int = 1,
    late: str = "Supersede",
    completeness: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    **selection: int,
) -> Candidate:
    """`spec`: further fields of it, by name."""
    match = {"study": list(study), **({"completeness": completeness} if completeness else {})}
    raw = changed(changed(PIPELINE, "spec.match", match), "spec.onLateImages", late)
    raw = changed(raw, "spec.template.input.series", {"match": list(series), **selection})
    for path, value in (spec or {}).items():
        raw = changed(raw, f"spec.{path}", value)
    pipeline = InferencePipeline.model_validate({"spec": raw["spec"]})
    return Candidate(name, f"uid-{name}", generation, created, compile_rules(name, pipeline), pipeline.spec)


class FakeHost:
    """A host in memory. `fault` is raised by every call to the API server."""

    def __init__(self, *candidates: Candidate) -> None:
        self.candidates = list(candidates) or [a_candidate(series=[requirement("Modality", "In", "CT")])]
        self.runs: dict[str, dict[str, Any]] = {}
        self.posts = 0
        self.statuses: list[BridgeStatus] = []
        self.observed: list[Observation] = []
        self.fault: Exception | None = None
        self.list_fault: Exception | None = None
        self.ended: dict[str, str] = {}

    def pipelines(self) -> Sequence[Candidate]:
        return self.candidates

    def run_exists(self, name: str) -> bool:
        return name in self.runs

    async def earlier_runs(self, pipeline: str, study: str) -> tuple[EarlierRun, ...]:
        """All are unfinished, the one made first the oldest; `ended` gives states to some."""
        if self.list_fault:
            raise self.list_fault
        return tuple(
            EarlierRun(name, BEFORE + timedelta(seconds=number), name in self.ended, self.ended.get(name), tuple(run["spec"]["study"]["seriesIDs"]))
            for number, (name, run) in enumerate(self.runs.items())
            if (run["spec"]["pipelineRef"]["name"], run["spec"]["study"]["orthancID"]) == (pipeline, study)
        )

    async def create_run(self, body: dict[str, Any]) -> bool:
        self.posts += 1
        if self.fault:
            raise self.fault
        name = body["metadata"]["name"]
        if name in self.runs:
            return False
        self.runs[name] = body
        return True

    async def write_status(self, status: BridgeStatus) -> None:
        if self.fault:
            raise self.fault
        self.statuses.append(status)

    def record(self, observation: Observation) -> None:
        self.observed.append(observation)

    def seen(self, kind: type[Any]) -> list[Any]:
        return [one for one in self.observed if isinstance(one, kind)]

    def condition(self, kind: str) -> tuple[str, str]:
        """Status and reason of a condition as it was written last."""
        found = {one.type: one for one in self.statuses[-1].conditions or ()}
        return found[kind].status, found[kind].reason
