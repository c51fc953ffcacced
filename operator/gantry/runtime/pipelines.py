"""Whether a pipeline is ready, why not, and its status.

`judge` and `status_of` are pure; `Pipelines` keeps compiled rules, one compilation a generation, and writes the status when it differs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from gantry.api import Condition, InferencePipeline, PipelineReason, parse_duration, timestamp
from gantry.api.pipeline import PipelineStatus, RunCounts
from gantry.bridge import Candidate
from gantry.kube import PIPELINES, Kube
from gantry.routing import InvalidExpression, InvalidRules, Rules, compile_rules
from gantry.runs import BridgeView

from .records import Key, PipelineRecord
from .store import Store
from .tallies import Tally


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether studies that match start Runs."""

    reason: PipelineReason
    message: str
    rules: Rules | None = None
    """Only when they do."""


def judge(record: PipelineRecord, bridge: BridgeView | None, rules: Rules | InvalidRules) -> Judgement:
    """The first that does not hold is the reason; suspension comes last, so that a suspended pipeline still tells what else is wrong."""
    spec = record.spec
    if bridge is None:
        name = spec.bridge_ref.name
        return Judgement(PipelineReason.BRIDGE_MISSING, f"no OrthancBridge {name} in this namespace; create it or change spec.bridgeRef")
    known = {one.name for one in bridge.spec.destinations}
    unknown = [name for name in spec.template.delivery.destinations if name not in known]
    if unknown:
        listed = ", ".join(sorted(known)) or "none"
        message = f"the bridge has no destination {', '.join(unknown)}; it has: {listed}"
        return Judgement(PipelineReason.DESTINATION_UNKNOWN, message)
    if isinstance(rules, InvalidRules):
        reason = PipelineReason.INVALID_EXPRESSION if isinstance(rules, InvalidExpression) else PipelineReason.INVALID_REQUIREMENT
        return Judgement(reason, str(rules))
    if parse_duration(spec.history.ttl) < parse_duration(bridge.spec.watch.lookback):
        message = (
            f"spec.history.ttl ({spec.history.ttl}) is shorter than the bridge's watch.lookback ({bridge.spec.watch.lookback}): "
            "a deleted Run's study would be analysed again; make it longer"
        )
        return Judgement(PipelineReason.INVALID_HISTORY, message)
    if spec.suspend:
        return Judgement(PipelineReason.SUSPENDED, "spec.suspend is true: no new Runs; those under way go on")
    return Judgement(PipelineReason.READY, "studies that match start Runs", rules)


def status_of(record: PipelineRecord, judgement: Judgement, tally: Tally, now: datetime) -> PipelineStatus:
    """The whole owned status."""
    active = tally.active > 0
    told = (
        ("Ready", judgement.rules is not None, judgement.reason, judgement.message),
        ("Active", active, PipelineReason.RUNNING if active else PipelineReason.IDLE, ""),
    )
    before = {c.type: c for c in (record.status.conditions if record.status else None) or ()}
    conditions = []
    for kind, holds, reason, message in told:
        old = before.get(kind)
        kept = old.last_transition_time if old is not None and (old.status == "True") == holds else timestamp(now)
        conditions.append(
            Condition(
                type=kind,
                status="True" if holds else "False",
                reason=reason,
                message=message[:1024],
                last_transition_time=kept,
                observed_generation=record.generation,
            )
        )
    newest = timestamp(tally.newest) if tally.newest else record.status.last_run_time if record.status else None
    return PipelineStatus(
        observed_generation=record.generation,
        conditions=conditions,
        runs=RunCounts(active=tally.active, waiting=tally.waiting, succeeded=tally.succeeded, failed=tally.failed),
        last_run_time=newest,
    )


def _candidate(record: PipelineRecord, rules: Rules) -> Candidate:
    return Candidate(record.name, record.uid, record.generation, record.created, rules, record.spec)


class Pipelines:
    """All pipelines, their compiled rules and their statuses."""

    def __init__(self, *, kube: Kube, store: Store, clock: Callable[[], datetime]) -> None:
        self._kube, self._store, self._clock = kube, store, clock
        self._compiled: dict[Key, tuple[str, int, Rules | InvalidRules]] = {}

    def candidates(self, bridge: Key) -> Iterator[Candidate]:
        """Pipelines of a bridge that are ready and not suspended, judged now."""
        record = self._store.bridges.get(bridge)
        for key, pipeline in self._store.pipelines_of_bridge(bridge):
            rules = judge(pipeline, record.view if record else None, self._rules(key, pipeline)).rules
            if rules is not None:
                yield _candidate(pipeline, rules)

    def candidate(self, key: Key) -> Candidate | Judgement:
        """The pipeline as studies are shown to it, or why none are. Its key must be in the store."""
        record = self._store.pipelines[key]
        bridge = self._store.bridges.get(Key("bridge", key.namespace, record.spec.bridge_ref.name))
        judgement = judge(record, bridge.view if bridge else None, self._rules(key, record))
        return judgement if judgement.rules is None else _candidate(record, judgement.rules)

    async def reconcile(self, key: Key) -> None:
        """Writes the status when it differs."""
        record = self._store.pipelines.get(key)
        if record is None:
            self._compiled.pop(key, None)
            return
        if not self._store.complete:
            return  # looked at again when the Runs are counted
        bridge = self._store.bridges.get(Key("bridge", key.namespace, record.spec.bridge_ref.name))
        judgement = judge(record, bridge.view if bridge else None, self._rules(key, record))
        status = status_of(record, judgement, self._store.tallies.pipelines[key], self._clock())
        if status == record.status:
            return
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        written = await self._kube.apply_status(PIPELINES, key.namespace, key.name, body, uid=record.uid)
        self._store.observe(PIPELINES.plural, written, quiet=True)

    def _rules(self, key: Key, record: PipelineRecord) -> Rules | InvalidRules:
        uid, generation, rules = self._compiled.get(key, ("", 0, None))
        if rules is not None and (uid, generation) == (record.uid, record.generation):
            return rules
        try:
            made: Rules | InvalidRules = compile_rules(record.name, InferencePipeline(spec=record.spec))
        except InvalidRules as error:
            made = error
        self._compiled[key] = (record.uid, record.generation, made)
        return made
