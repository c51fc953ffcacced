"""Whether a pipeline is ready, why not, and its status.

`judge` and `status_of` are pure; `Pipelines` keeps compiled rules, one compilation a generation, and writes the status when it differs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gantry.api import InferencePipeline, PipelineReason, parse_duration, timestamp
from gantry.api.pipeline import PipelineStatus, RunCounts, RunTemplate
from gantry.api.step import Step
from gantry.bridge import Candidate, asks_series_one_by_one, dated
from gantry.kube import PIPELINES, Kube
from gantry.routing import InvalidExpression, InvalidRules, Rules, circle, compile_rules
from gantry.runs import BridgeView, OnNodes, QueueReady, commands_of_images, lacking_command, pinned, relaxed

from .images import Known
from .records import Key, PipelineRecord
from .store import Store
from .tallies import Tally
from .targets import gives_receipt

DICOM_WEB, EXTENDED_FIND = "DicomWeb", "ExtendedFind"
"""Of an Orthanc's features."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether studies that match start Runs."""

    reason: PipelineReason
    message: str
    rules: Rules | None = None
    """Only when they do."""


def judge(
    record: PipelineRecord,
    bridge: BridgeView | None,
    rules: Rules | InvalidRules,
    *,
    find: Callable[[str], PipelineRecord | None],
    features: Sequence[str] | None = None,
    images: Known | None = None,
) -> Judgement:
    """The first that does not hold is the reason; suspension comes last, so that a suspended pipeline still tells what else is wrong.

    `find`: the pipelines of the namespace, by name; `features`: of the bridge's Orthanc (status.orthanc), None while it was never reached;
    `images`: what is known of the pipeline's.
    """
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
    if spec.template.delivery.return_to_sender and not bridge.spec.senders:
        message = "delivery.returnToSender is true and the bridge lists no spec.senders; list the AE titles that store images, with host and port"
        return Judgement(PipelineReason.NO_SENDERS, message)
    if spec.template.delivery.storage_commitment == "Required":
        silent = [one.name for one in bridge.spec.destinations if one.name in spec.template.delivery.destinations and not gives_receipt(one)]
        if silent:
            message = f"delivery.storageCommitment is Required, and {', '.join(silent)} can give no receipt; set verify: Query there, or WhenOffered"
            return Judgement(PipelineReason.NO_RECEIPT, message)
    if isinstance(rules, InvalidRules):
        reason = PipelineReason.INVALID_EXPRESSION if isinstance(rules, InvalidExpression) else PipelineReason.INVALID_REQUIREMENT
        return Judgement(reason, str(rules))
    if parse_duration(spec.history.ttl) < parse_duration(bridge.spec.watch.lookback):
        message = (
            f"spec.history.ttl ({spec.history.ttl}) is shorter than the bridge's watch.lookback ({bridge.spec.watch.lookback}): "
            "a deleted Run's study would be analysed again; make it longer"
        )
        return Judgement(PipelineReason.INVALID_HISTORY, message)
    if wrong := _no_units(spec.template):
        return Judgement(PipelineReason.INVALID_MAPPING, wrong)
    if spec.template.input.content == "Metadata" and features is not None and DICOM_WEB not in features:
        message = (
            f"input.content is Metadata, and the Orthanc of bridge {spec.bridge_ref.name} has no DICOMweb plugin, which it comes through: "
            "install it (Debian: orthanc-dicomweb), name it in Orthanc's Plugins, set DicomWeb.Enable and restart Orthanc"
        )
        return Judgement(PipelineReason.DICOM_WEB_MISSING, message)
    if (lacking := lacking_command(spec.template, images.images if images else ())) is not None:
        return Judgement(PipelineReason.COMMAND_UNKNOWN, _no_command(lacking, images))
    if (misplaced := _misplaced(record, find)) is not None:
        return misplaced
    if spec.suspend:
        return Judgement(PipelineReason.SUSPENDED, "spec.suspend is true: no new Runs; those under way go on")
    words = _ready(record, find)
    if features is not None and not {DICOM_WEB, EXTENDED_FIND} & set(features) and asks_series_one_by_one(rules):
        words += (
            "; the rules ask for elements that Orthanc does not keep in its database, so each series of a study costs a request: "
            "Orthanc's DICOMweb plugin, or Orthanc 1.12.5 or newer, gives them all in one"
        )
    if allowed := relaxed(spec.template):
        words += "; by security, " + " and ".join(f"step {step} has {', '.join(names)}" for step, names in allowed.items())
    return Judgement(PipelineReason.READY, words, rules)


def _no_command(step: Step, images: Known | None) -> str:
    """Why nobody could start the step."""
    image = next((one for one in images.images if one.step == step.name and one.model is None), None) if images else None
    if image is not None and image.digest and not image.reason:
        return f"step {step.name} has no command, and its image {image.image} has neither Entrypoint nor Cmd: write command"
    known = f": {image.message}" if image and image.message else f": {images.message}" if images else ""
    name = image.image if image else step.image
    return f"step {step.name} has no command, and that of its image {name} is not known{known}; write command to be independent of the registry"


def _no_units(template: RunTemplate) -> str:
    """Which units of report.mapping are none; each Run would fail on them."""
    used = [
        (f"report.mapping[{place}].measurements[{number}].unit", one.unit)
        for place, rule in enumerate(template.report.mapping)
        for number, one in enumerate(rule.measurements)
    ]
    if not used:
        return ""
    from gantry.findings.units import advice, is_ucum  # loads the whole schema of findings, which few operators need

    wrong = [(f'{where}: "{unit}" is not a UCUM unit', advice(unit)) for where, unit in used if not is_ucum(unit)]
    return "; ".join(words + (f'; write "{better}"' if better else ", see https://ucum.org") for words, better in wrong)


def _ready(record: PipelineRecord, find: Callable[[str], PipelineRecord | None]) -> str:
    after = record.spec.after
    if after is None:
        return "studies that match start Runs"
    first = find(after.pipeline)
    if first is not None and first.spec.mode == "Shadow" and record.spec.mode == "Active":
        return f"{after.pipeline} is in mode Shadow, so its Runs start none of this pipeline until it is Active"
    return f"Runs of {after.pipeline} that complete start Runs"


def _misplaced(record: PipelineRecord, find: Callable[[str], PipelineRecord | None]) -> Judgement | None:
    """What is wrong with the pipeline it starts after. Judged anew when any other pipeline of the namespace changes."""
    after = record.spec.after
    if after is None:
        return None
    first, bridge = find(after.pipeline), record.spec.bridge_ref.name
    if first is None:
        words = f"spec.after.pipeline: no InferencePipeline {after.pipeline} in this namespace; create it or change the name"
        return Judgement(PipelineReason.AFTER_MISSING, words)
    if first.spec.bridge_ref.name != bridge:
        words = f"spec.after.pipeline: {after.pipeline} is of bridge {first.spec.bridge_ref.name}, this one of {bridge}; both must be of one bridge"
        return Judgement(PipelineReason.AFTER_MISSING, words)

    def starts_after(name: str) -> str | None:
        other = find(name)
        return other.spec.after.pipeline if other is not None and other.spec.after else None

    if members := circle(record.name, starts_after):
        way = " -> ".join((*members, members[0]))
        words = f"{way}: these pipelines start each other in a circle, so none of them ever starts; take spec.after out of one of them"
        return Judgement(PipelineReason.AFTER_CYCLE, words)
    return None


def status_of(
    record: PipelineRecord,
    judgement: Judgement,
    tally: Tally,
    now: datetime,
    images: Known | None = None,
    on_nodes: OnNodes | None = None,
    queue: QueueReady | None = None,
) -> PipelineStatus:
    """The whole owned status."""
    active = tally.active > 0
    told = (
        ("Ready", _truth(judgement.rules is not None), judgement.reason, judgement.message),
        ("Active", _truth(active), PipelineReason.RUNNING if active else PipelineReason.IDLE, ""),
        *((("ImagesResolved", _truth(images.resolved), images.reason, images.message),) if images else ()),
        *((("ImagesReady", on_nodes.holds, on_nodes.reason, on_nodes.message),) if on_nodes else ()),
        *((("QueueReady", queue.holds, queue.reason, queue.message),) if queue else ()),
    )
    before = record.status.conditions if record.status else None
    conditions = [
        dated(kind, holds, reason, message, before=before, generation=record.generation, now=now)
        for kind, holds, reason, message in told
    ]
    allowed = {one for names in relaxed(record.spec.template).values() for one in names}
    newest = timestamp(tally.newest) if tally.newest else record.status.last_run_time if record.status else None
    return PipelineStatus(
        observed_generation=record.generation,
        conditions=conditions,
        images=list(images.images) if images and images.images else None,
        runs=RunCounts(active=tally.active, waiting=tally.waiting, succeeded=tally.succeeded, failed=tally.failed),
        last_run_time=newest,
        relaxed=", ".join(sorted(allowed)) or None,
    )


def _truth(holds: bool | None) -> Literal["True", "False", "Unknown"]:
    return "Unknown" if holds is None else "True" if holds else "False"


def relaxations(store: Store) -> Mapping[tuple[str, ...], float]:
    """By pipeline and what its steps are allowed beyond the default."""
    return {(key.name, one): 1 for key, record in store.pipelines.items() for names in relaxed(record.spec.template).values() for one in names}


def _candidate(record: PipelineRecord, rules: Rules, images: Known | None) -> Candidate:
    """Its Runs carry the digests that are known now."""
    template = pinned(record.spec.template, images.images if images else ())
    spec = record.spec if template is record.spec.template else record.spec.model_copy(update={"template": template})
    commands = commands_of_images(record.spec.template, template)
    return Candidate(record.name, record.uid, record.generation, record.created, rules, spec, commands)


class Pipelines:
    """All pipelines, their compiled rules and their statuses."""

    def __init__(
        self,
        *,
        kube: Kube,
        store: Store,
        clock: Callable[[], datetime],
        images: Callable[[Key, PipelineRecord], Known] | None = None,
        on_nodes: Callable[[Key, PipelineRecord], OnNodes | None] | None = None,
        queue: Callable[[Key, PipelineRecord], QueueReady | None] | None = None,
    ) -> None:
        """`images`: what is known of a pipeline's; None where nobody asks registries. `on_nodes`: which nodes have them, if that is asked for.
        `queue`: what is known of the queue it names."""
        self._images, self._on_nodes, self._queue = images, on_nodes, queue
        self._kube, self._store, self._clock = kube, store, clock
        self._compiled: dict[Key, tuple[str, int, Rules | InvalidRules]] = {}
        self._ready: dict[Key, tuple[str, int]] = {}
        self._candidates: dict[Key, tuple[object, tuple[Candidate, ...]]] = {}
        self.became_ready: Callable[[Key], None] = _nobody
        """Told of a pipeline, or a generation of it, that was not ready before."""

    def candidates(self, bridge: Key) -> tuple[Candidate, ...]:
        """Pipelines of a bridge that studies start: ready, not suspended, not after another one. Judging 200 takes 8 ms and every study asks, so they
        are judged when a pipeline of the namespace or the bridge has changed."""
        record, namespace = self._store.bridges.get(bridge), bridge.namespace
        state = (
            record and (record.uid, record.generation, record.features),
            [(key, one.uid, one.generation, self._known(key, one)) for key, one in self._store.pipelines.items() if key.namespace == namespace],
        )
        known = self._candidates.get(bridge)
        if known is None or known[0] != state:
            known = self._candidates[bridge] = (state, tuple(self._judge_candidates(bridge)))
        return known[1]

    def _judge_candidates(self, bridge: Key) -> Iterator[Candidate]:
        for key, pipeline in self._store.pipelines_of_bridge(bridge):
            if pipeline.spec.after is None and (rules := self._judged(key, pipeline).rules) is not None:
                yield _candidate(pipeline, rules, self._known(key, pipeline))

    def following(self, pipeline: Key, bridge: str) -> list[Key]:
        """Pipelines that start after it, by name, ready or not."""
        return sorted(
            key
            for key, one in self._store.pipelines.items()
            if one.spec.after is not None and one.spec.after.pipeline == pipeline.name
            if key.namespace == pipeline.namespace and one.spec.bridge_ref.name == bridge
        )

    def candidate(self, key: Key) -> Candidate | Judgement:
        """The pipeline as studies are shown to it, or why none are. Its key must be in the store."""
        record = self._store.pipelines[key]
        judgement = self._judged(key, record)
        return judgement if judgement.rules is None else _candidate(record, judgement.rules, self._known(key, record))

    async def reconcile(self, key: Key) -> None:
        """Writes the status when it differs."""
        record = self._store.pipelines.get(key)
        if record is None:
            self._compiled.pop(key, None)
            self._ready.pop(key, None)
            return
        if not self._store.complete:
            return  # looked at again when the Runs are counted
        judgement = self._judged(key, record)
        self._watch_readiness(key, record, ready=judgement.rules is not None)
        on_nodes = self._on_nodes(key, record) if self._on_nodes else None
        queue = self._queue(key, record) if self._queue else None
        status = status_of(record, judgement, self._store.tallies.pipelines[key], self._clock(), self._known(key, record), on_nodes, queue)
        if status == record.status:
            return
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        written = await self._kube.apply_status(PIPELINES, key.namespace, key.name, body, uid=record.uid)
        self._store.observe(PIPELINES.plural, written, quiet=True)

    def _judged(self, key: Key, record: PipelineRecord) -> Judgement:
        bridge = self._store.bridges.get(Key("bridge", key.namespace, record.spec.bridge_ref.name))

        def find(name: str) -> PipelineRecord | None:
            return self._store.pipelines.get(Key("pipeline", key.namespace, name))

        features, images = bridge.features if bridge else None, self._known(key, record)
        return judge(record, bridge.view if bridge else None, self._rules(key, record), find=find, features=features, images=images)

    def _known(self, key: Key, record: PipelineRecord) -> Known | None:
        return self._images(key, record) if self._images else None

    def _watch_readiness(self, key: Key, record: PipelineRecord, *, ready: bool) -> None:
        if not ready:
            self._ready.pop(key, None)
        elif self._ready.get(key) != (record.uid, record.generation):
            self._ready[key] = (record.uid, record.generation)
            self.became_ready(key)

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


def _nobody(pipeline: Key) -> None:
    """Nobody waits for it."""
