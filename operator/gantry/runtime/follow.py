"""Pipelines that start after a finished Run: each Run is taken up once, its followers decided, and that written on it.

A Run is taken up when it completes, and when a pipeline that starts after its pipeline becomes ready (so after a restart, too), as far back as the
bridge's lookback. Nothing but the condition `Followed` is remembered; killed anywhere, the next pass finds the Runs that were made by their
`spec.after`. It has workers of its own: an Orthanc that does not answer must not hold up Jobs. What a study must be like is `gantry.bridge`'s.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gantry import runs
from gantry.api import parse_duration
from gantry.api.run import RunSpec, RunStatus
from gantry.bridge import CHECK, AfterIntake, First, Outcome, Started, Unsettled, findings_document, findings_refusal
from gantry.kube import RUNS, Kube, KubeError, NotFound
from gantry.orthanc import NotFound as NotInOrthanc
from gantry.orthanc import Orthanc, OrthancError
from gantry.runs import FINDINGS_ATTACHMENT, Answer, RunView, keeper

from .bridges import Bridges
from .pipelines import Judgement, Pipelines
from .records import Key
from .store import Store

LONGEST_PAUSE = 30.0
"""Seconds at most between two tries while Orthanc is away."""
UNSETTLED_PAUSE = 5.0
"""Seconds at most between two looks at series to which images come."""


class NotConnected(Exception):
    """The bridge has no client: it starts, or its secret is missing."""


def longest_pause(error: Exception) -> float:
    """For the queue."""
    return UNSETTLED_PAUSE if isinstance(error, Unsettled) else LONGEST_PAUSE


def expected(error: Exception) -> bool:
    """Whether it is nothing of ours: no traceback is needed."""
    return isinstance(error, Unsettled | NotConnected | OrthancError | KubeError)


@dataclass(frozen=True, slots=True)
class Asked:
    """A finished Run and its findings document; None: Orthanc keeps none."""

    run: RunView
    first: First
    document: Mapping[str, Any] | None


class Follow:
    """`ended` and `look_again` name Runs to `add`; `reconcile` takes one up."""

    def __init__(
        self, *, kube: Kube, store: Store, bridges: Bridges, pipelines: Pipelines, add: Callable[[Key], None], clock: Callable[[], datetime]
    ) -> None:
        self._kube, self._store, self._bridges, self._pipelines = kube, store, bridges, pipelines
        self._add, self._clock = add, clock

    def ended(self, key: Key) -> None:
        """A Run is seen to have finished. Before all Runs are known, `look_again` finds them."""
        run = self._store.runs.get(key)
        if self._store.complete and run is not None and runs.to_be_followed(run) and self._following(run):
            self._add(key)

    def look_again(self, pipeline: Key) -> None:
        """A pipeline has become ready: Runs it should start after may have finished meanwhile."""
        record = self._store.pipelines.get(pipeline)
        bridge = self._store.bridges.get(Key("bridge", pipeline.namespace, record.spec.bridge_ref.name)) if record else None
        if record is None or record.spec.after is None or bridge is None:
            return
        since = max(record.created, self._clock() - parse_duration(bridge.view.spec.watch.lookback))
        name = record.spec.after.pipeline
        for key, run in self._store.finished():
            if (key.namespace, run.pipeline) == (pipeline.namespace, name) and runs.to_be_followed(run) and runs.within_reach(run, since=since):
                self._add(key)

    async def reconcile(self, key: Key) -> None:
        """One finished Run. Raises what can pass: Orthanc or the API server away, images coming."""
        run = self._store.runs.get(key)
        if run is None or not runs.to_be_followed(run) or not self._store.complete or not (following := self._following(run)):
            return
        if self._store.bridge_of(run) is None:
            return  # its pipelines are not ready, and taken up again when they are
        try:
            whole = await self._kube.get(RUNS, key.namespace, key.name)
        except NotFound:
            return
        spec, status = RunSpec.model_validate(whole["spec"]), RunStatus.model_validate(whole["status"])
        intake = self._intake(key.namespace, run.bridge)
        seen = self._clock()
        asked = Asked(run, self._first(run, spec, status), await _document(intake.orthanc, status))
        answers = [await self._answer(one, asked, intake, rerun=spec.trigger == "Rerun", seen=seen) for one in following]
        said = runs.followed(status, answers, self._clock())
        if said == status:
            return
        body = said.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"notifications"})  # theirs
        try:
            meta = whole["metadata"]
            written = await self._kube.apply_status(RUNS, key.namespace, key.name, body, uid=meta["uid"], version=meta["resourceVersion"])
        except NotFound:
            return  # deleted meanwhile
        self._store.observe(RUNS.plural, written, quiet=True)

    async def _answer(self, pipeline: Key, asked: Asked, intake: AfterIntake, *, rerun: bool, seen: datetime) -> Answer:
        candidate = self._pipelines.candidate(pipeline) if pipeline in self._store.pipelines else None
        if candidate is None:
            return Answer(pipeline.name, why="it was deleted meanwhile")
        if isinstance(candidate, Judgement):
            return Answer(pipeline.name, why=f"it is not ready ({candidate.reason}); asked again when it is", open=True)
        kin = self._kin(pipeline, asked.run)
        if (known := next((one for one in kin if one.after == asked.run.name), None)) is not None:
            return Answer(pipeline.name, run=known.name)
        if asked.run.shadow and candidate.spec.mode == "Active":
            return Answer(pipeline.name, why="this Run is in mode Shadow and starts no active pipeline")
        refusal = await asyncio.to_thread(findings_refusal, candidate.rules.after, asked.document)
        if refusal:
            intake.tell(pipeline.name, asked.first, Started(Outcome.NOT_MATCHED, why=refusal), CHECK, seen)
            return Answer(pipeline.name, why=refusal)
        older = self._older(kin, asked.run)
        policy = candidate.spec.on_late_images
        if older and policy == "Ignore" and not rerun:
            return Answer(pipeline.name, why=f"onLateImages is Ignore, and Run {older[-1].name} has followed on fewer images")
        made = await intake.start(candidate, asked.first, seen=seen, supersedes=older[-1].name if older and policy == "Supersede" else None)
        return Answer(pipeline.name, run=made.run, why=made.why)

    def _first(self, run: RunView, spec: RunSpec, status: RunStatus) -> First:
        bridge = self._store.bridge_of(run)
        alone = bridge is not None and bridge.spec.watch.level == "Series"
        return First(
            name=run.name,
            study=spec.study.orthanc_id,
            results=tuple(one.sop_instance_uid for one in status.results or ()),
            priority=spec.priority,
            sender=spec.sender,
            alone=spec.study.series_ids[0] if alone else None,
        )

    def _kin(self, pipeline: Key, run: RunView) -> tuple[RunView, ...]:
        """Runs of the pipeline on the same study, the oldest first."""
        return self._store.earlier_runs(pipeline.namespace, pipeline.name, run.study)

    def _older(self, kin: tuple[RunView, ...], run: RunView) -> list[RunView]:
        """Those that followed a Run whose place this one took, directly or by others; the one to supersede is the last."""
        places: set[str] = set()
        before = run.supersedes
        while before is not None and before not in places:
            places.add(before)
            view = self._store.runs.get(Key("run", run.namespace, before))
            before = view.supersedes if view else None
        return sorted((one for one in kin if one.after in places), key=lambda one: (one.state not in WITHOUT_REPORT, one.created, one.name))

    def _following(self, run: RunView) -> list[Key]:
        return self._pipelines.following(Key("pipeline", run.namespace, run.pipeline), run.bridge) if run.pipeline else []

    def _intake(self, namespace: str, bridge: str) -> AfterIntake:
        key = Key("bridge", namespace, bridge)
        orthanc, host = self._bridges.orthanc(key), self._bridges.host(key)
        if orthanc is None or host is None:
            raise NotConnected(f"bridge {bridge} has no connection to Orthanc yet")
        return AfterIntake(namespace, bridge, orthanc, host, self._clock)


WITHOUT_REPORT = frozenset({"Failed", "Cancelled", "Superseded"})
"""States of Runs that left nothing to supersede: the last choice."""


async def _document(orthanc: Orthanc, status: RunStatus) -> Mapping[str, Any] | None:
    """None: Orthanc keeps none."""
    home = keeper(status.results or ())
    if home is None:
        return None
    try:
        kept = await orthanc.attachment(home.orthanc_id, FINDINGS_ATTACHMENT)
    except NotInOrthanc:
        return None
    return await asyncio.to_thread(findings_document, kept.content)
