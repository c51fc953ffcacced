"""Whether a pipeline is ready, and the status it gets."""

from datetime import timedelta
from typing import Any

import pytest
from tests.builders import PIPELINE, changed
from tests.builders_runs import A_BRIDGE, at, told

from gantry.api import InferencePipeline, PipelineReason
from gantry.api.images import ImageStatus
from gantry.routing import InvalidExpression, InvalidRequirement, compile_rules
from gantry.runs import BridgeView
from gantry.runtime.images import Known
from gantry.runtime.pipelines import Judgement, Pipelines, judge, status_of
from gantry.runtime.records import Key, PipelineRecord
from gantry.runtime.store import Store
from gantry.runtime.tallies import Tally

METADATA = {**PIPELINE["metadata"], "uid": "p-uid", "resourceVersion": "5", "generation": 3, "creationTimestamp": "2026-03-01T00:00:00Z"}
RULES: Any = object()
READY = Judgement(PipelineReason.READY, "studies that match start Runs", RULES)


def a_record(**changes: Any) -> PipelineRecord:
    body = changed(PIPELINE, "metadata", METADATA)
    for path, value in changes.items():
        body = changed(body, path.replace("__", "."), value)
    return PipelineRecord.from_object(body)


def after(name: str, first: str, **changes: Any) -> PipelineRecord:
    return a_record(metadata__name=name, spec__after={"pipeline": first}, **changes)


OTHERS = {
    one.name: one
    for one in (
        a_record(metadata__name="triage"),
        a_record(metadata__name="elsewhere", spec__bridgeRef={"name": "mammography"}),
        after("b", "c"), after("c", "a"), after("a", "b"), after("self", "self"), after("late", "b"),
    )
}  # fmt: skip
"""A circle: c starts b, a starts c, b starts a."""
CIRCLE = "a -> c -> b -> a: these pipelines start each other in a circle, so none of them ever starts; take spec.after out of one of them"
BRIDGE = BridgeView.from_object(A_BRIDGE)

CASES: dict[str, tuple[PipelineRecord, BridgeView | None, Any, PipelineReason, str]] = {
    "all is well": (a_record(), BRIDGE, RULES, PipelineReason.READY, "studies that match start Runs"),
    "no bridge": (
        a_record(), None, RULES, PipelineReason.BRIDGE_MISSING, "no OrthancBridge main in this namespace; create it or change spec.bridgeRef",
    ),
    "a destination the bridge does not have": (
        a_record(spec__template__delivery__destinations=["pacs", "vna"]), BRIDGE, RULES,
        PipelineReason.DESTINATION_UNKNOWN, "the bridge has no destination vna; it has: pacs",
    ),
    "a bridge without destinations": (
        a_record(), BridgeView.from_object(changed(A_BRIDGE, "spec.destinations", [])), RULES,
        PipelineReason.DESTINATION_UNKNOWN, "the bridge has no destination pacs; it has: none",
    ),
    "a mapping with a unit that is none": (
        a_record(spec__template__report={"algorithm": {"name": "A", "version": "1", "manufacturer": "B"}, "mapping": [{
            "file": "volume.json", "type": {"scheme": "SCT", "value": "78961009", "meaning": "Spleen"},
            "measurements": [{"name": {"scheme": "SCT", "value": "118565006", "meaning": "Volume"}, "path": "/v", "unit": "millilitres"}],
        }]}), BRIDGE, RULES,
        PipelineReason.INVALID_MAPPING, 'report.mapping[0].measurements[0].unit: "millilitres" is not a UCUM unit; write "ml"',
    ),
    "a way back to nobody": (
        a_record(spec__template__delivery__returnToSender=True), BRIDGE, RULES,
        PipelineReason.NO_SENDERS,
        "delivery.returnToSender is true and the bridge lists no spec.senders; list the AE titles that store images, with host and port",
    ),
    "a receipt required of a destination that can give none": (
        a_record(spec__template__delivery__storageCommitment="Required"),
        BridgeView.from_object(changed(A_BRIDGE, "spec.destinations", [{"name": "pacs", "orthancPeer": "second"}])), RULES,
        PipelineReason.NO_RECEIPT, "delivery.storageCommitment is Required, and pacs can give no receipt; set verify: Query there, or WhenOffered",
    ),
    "rules that cannot be compiled": (
        a_record(), BRIDGE, InvalidRequirement("spec.match.study: no"), PipelineReason.INVALID_REQUIREMENT, "spec.match.study: no",
    ),
    "an expression that cannot be compiled": (
        a_record(), BRIDGE, InvalidExpression("spec.match.expression, line 1, column 3: no"),
        PipelineReason.INVALID_EXPRESSION, "spec.match.expression, line 1, column 3: no",
    ),
    "a history shorter than the lookback": (
        a_record(spec__history={"ttl": "23h"}), BRIDGE, RULES, PipelineReason.INVALID_HISTORY,
        "spec.history.ttl (23h) is shorter than the bridge's watch.lookback (24h): a deleted Run's study would be analysed again; make it longer",
    ),
    "after a pipeline that is there": (after("p", "triage"), BRIDGE, RULES, PipelineReason.READY, "Runs of triage that complete start Runs"),
    "after a pipeline that is not there": (
        after("p", "triarge"), BRIDGE, RULES, PipelineReason.AFTER_MISSING,
        "spec.after.pipeline: no InferencePipeline triarge in this namespace; create it or change the name",
    ),
    "after a pipeline of another bridge": (
        after("p", "elsewhere"), BRIDGE, RULES, PipelineReason.AFTER_MISSING,
        "spec.after.pipeline: elsewhere is of bridge mammography, this one of main; both must be of one bridge",
    ),
    "the first of a circle": (OTHERS["a"], BRIDGE, RULES, PipelineReason.AFTER_CYCLE, CIRCLE),
    "another of the circle says the same": (OTHERS["b"], BRIDGE, RULES, PipelineReason.AFTER_CYCLE, CIRCLE),
    "after itself": (
        OTHERS["self"], BRIDGE, RULES, PipelineReason.AFTER_CYCLE,
        "self -> self: these pipelines start each other in a circle, so none of them ever starts; take spec.after out of one of them",
    ),
    "after a member of a circle, but no member": (OTHERS["late"], BRIDGE, RULES, PipelineReason.READY, "Runs of b that complete start Runs"),
    "after a circle, and suspended: what is wrong is told first": (
        after("a", "b", spec__suspend=True), BRIDGE, RULES, PipelineReason.AFTER_CYCLE, CIRCLE,
    ),
    "steps that are allowed more say so": (
        a_record(spec__template__steps=[
            {"name": "prepare", "image": "a", "command": ["a"], "security": {"allowNetwork": True, "runAsUser": 0}},
            {"name": "detect", "image": "b", "contract": "MAP", "security": {"readOnlyRootFilesystem": False}},
            {"name": "tell", "image": "b", "command": ["b"], "security": {"readOnlyRootFilesystem": False, "runAsUser": 7}},
        ]), BRIDGE, RULES, PipelineReason.READY,
        "studies that match start Runs; by security, step prepare has root, network and step tell has writable-image",
    ),
    "suspended": (
        a_record(spec__suspend=True), BRIDGE, RULES, PipelineReason.SUSPENDED, "spec.suspend is true: no new Runs; those under way go on",
    ),
}  # fmt: skip


NO_COMMAND = a_record(spec__template__steps=[{"name": "detect", "image": "r.example/nodules:1"}])
DIGEST = f"sha256:{'a' * 64}"


def known(resolved: bool | None, reason: PipelineReason, message: str, /, **image: Any) -> Known:
    images = (ImageStatus(step="detect", image="r.example/nodules:1", **image),) if image else ()
    return Known("p-uid", 3, images, resolved, reason, message)


COMMANDS: dict[str, tuple[Known | None, PipelineReason, str]] = {
    "nobody asks registries": (
        known(None, PipelineReason.NOT_ASKED, "registries are not asked"), PipelineReason.COMMAND_UNKNOWN,
        "step detect has no command, and that of its image r.example/nodules:1 is not known: registries are not asked; write command to be independent of the registry",
    ),
    "the registry is away": (
        known(False, PipelineReason.REGISTRY_AWAY, "all", reason="RegistryAway", message="no connection to registry r.example"), PipelineReason.COMMAND_UNKNOWN,
        "step detect has no command, and that of its image r.example/nodules:1 is not known: no connection to registry r.example; "
        "write command to be independent of the registry",
    ),
    "the image has none": (
        known(True, PipelineReason.RESOLVED, "", digest=DIGEST), PipelineReason.COMMAND_UNKNOWN,
        "step detect has no command, and its image r.example/nodules:1 has neither Entrypoint nor Cmd: write command",
    ),
    "the image has one": (known(True, PipelineReason.RESOLVED, "", digest=DIGEST, arguments=["run"]), PipelineReason.READY, "studies that match start Runs"),
    "the image had one when its registry last answered": (
        known(False, PipelineReason.REGISTRY_AWAY, "", digest=DIGEST, arguments=["run"], reason="RegistryAway", message="away"),
        PipelineReason.READY, "studies that match start Runs",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("images", "reason", "message"), COMMANDS.values(), ids=COMMANDS.keys())
def test_a_step_without_command_needs_its_image_to_be_known(images: Known | None, reason: PipelineReason, message: str) -> None:
    judgement = judge(NO_COMMAND, BRIDGE, RULES, find=OTHERS.get, images=images)
    assert (judgement.reason, judgement.message) == (reason, message)


async def test_new_runs_carry_the_digest_that_is_known_now() -> None:
    store = Store(changed=lambda _: None, counted=lambda _: None, clock=lambda: at(0))
    store.observe("orthancbridges", changed(A_BRIDGE, "metadata", {**A_BRIDGE["metadata"], "namespace": "default", "resourceVersion": "4"}))
    body = changed(changed(PIPELINE, "metadata", METADATA), "spec.template.steps.0", {"name": "detect", "image": "r.example/nodules:1"})
    store.observe("inferencepipelines", body)
    now_known = [known(None, PipelineReason.RESOLVING, "")]
    pipelines = Pipelines(kube=None, store=store, clock=lambda: at(0), images=lambda *_: now_known[0])  # type: ignore[arg-type]
    bridge = Key("bridge", "default", "main")
    assert pipelines.candidates(bridge) == (), "nobody could start it"
    now_known[0] = known(True, PipelineReason.RESOLVED, "", digest=DIGEST, entrypoint=["/app/run"])
    (candidate,) = pipelines.candidates(bridge)
    (step,) = candidate.spec.template.steps
    assert (step.image, step.command) == (f"r.example/nodules:1@{DIGEST}", ["/app/run"])


NO_PLUGIN = (
    "input.content is Metadata, and the Orthanc of bridge main has no DICOMweb plugin, which it comes through: "
    "install it (Debian: orthanc-dicomweb), name it in Orthanc's Plugins, set DicomWeb.Enable and restart Orthanc"
)
COSTLY = (
    "studies that match start Runs; the rules ask for elements that Orthanc does not keep in its database, so each series of a study costs a request: "
    "Orthanc's DICOMweb plugin, or Orthanc 1.12.5 or newer, gives them all in one"
)
METADATA_ONLY = a_record(spec__template__input={"content": "Metadata", "series": {}})
KVP = a_record(spec__template__input={"series": {"match": [{"tag": "KVP", "operator": "Gt", "values": ["100"]}]}})
MODALITY = a_record(spec__template__input={"series": {"match": [{"tag": "Modality", "operator": "In", "values": ["CT"]}]}})
WITH_FEATURES: dict[str, tuple[PipelineRecord, list[str] | None, PipelineReason, str]] = {
    "metadata without the plugin": (METADATA_ONLY, ["ExtendedFind"], PipelineReason.DICOM_WEB_MISSING, NO_PLUGIN),
    "metadata with the plugin": (METADATA_ONLY, ["DicomWeb"], PipelineReason.READY, "studies that match start Runs"),
    "metadata, and the server was never reached": (METADATA_ONLY, None, PipelineReason.READY, "studies that match start Runs"),
    "elements that are asked for one by one": (KVP, [], PipelineReason.READY, COSTLY),
    "the same with the plugin": (KVP, ["DicomWeb"], PipelineReason.READY, "studies that match start Runs"),
    "the same with a newer Orthanc": (KVP, ["ExtendedFind"], PipelineReason.READY, "studies that match start Runs"),
    "elements that Orthanc keeps": (MODALITY, [], PipelineReason.READY, "studies that match start Runs"),
}


@pytest.mark.parametrize(("record", "features", "reason", "message"), WITH_FEATURES.values(), ids=WITH_FEATURES.keys())
def test_what_the_bridges_orthanc_must_have(record: PipelineRecord, features: list[str] | None, reason: PipelineReason, message: str) -> None:
    rules = compile_rules(record.name, InferencePipeline(spec=record.spec))
    judgement = judge(record, BRIDGE, rules, find=OTHERS.get, features=features)
    assert (judgement.reason, judgement.message) == (reason, message)
    assert (judgement.rules is None) == (reason is not PipelineReason.READY)


def test_pipelines_are_judged_anew_when_their_orthanc_has_got_the_plugin() -> None:
    """The bridge's status says so, written by this very process."""
    woken: list[Key] = []
    store = Store(changed=woken.append, counted=lambda _: None, clock=lambda: at(0))
    pipelines = Pipelines(kube=None, store=store, clock=lambda: at(0))  # type: ignore[arg-type]
    bridge, key = Key("bridge", "default", "main"), Key("pipeline", "default", METADATA["name"])
    for version, features in (("5", ["ExtendedFind"]), ("6", ["DicomWeb"])):
        seen = changed(changed(A_BRIDGE, "metadata.resourceVersion", version), "status", {"orthanc": {"features": features}})
        store.observe("orthancbridges", seen, quiet=True)
        if version == "5":
            body = changed(changed(PIPELINE, "metadata", METADATA), "spec.template.input.content", "Metadata")
            store.observe("inferencepipelines", body)
            assert pipelines.candidates(bridge) == ()
            woken.clear()
    assert woken == [key]
    assert [one.name for one in pipelines.candidates(bridge)] == [key.name]


@pytest.mark.parametrize(("record", "bridge", "rules", "reason", "message"), CASES.values(), ids=CASES.keys())
def test_the_first_that_does_not_hold_is_the_reason(
    record: PipelineRecord, bridge: BridgeView | None, rules: Any, reason: PipelineReason, message: str
) -> None:
    judgement = judge(record, bridge, rules, find=OTHERS.get)
    assert (judgement.reason, judgement.message) == (reason, message)
    assert (judgement.rules is not None) == (reason is PipelineReason.READY)


def test_what_steps_are_allowed_beyond_the_default_is_a_column() -> None:
    steps = [{"name": "detect", "image": "a", "command": ["a"], "security": {"allowNetwork": True, "runAsUser": 0}}]
    assert status_of(a_record(spec__template__steps=steps), READY, Tally(), at(60)).relaxed == "network, root"
    assert status_of(a_record(), READY, Tally(), at(60)).relaxed is None


def test_a_pipelines_status_counts_and_names_its_newest_run() -> None:
    status = status_of(a_record(), READY, Tally(active=2, succeeded=3, failed=1, newest=at(5)), at(60))
    assert status.runs is not None
    assert (status.runs.active, status.runs.succeeded, status.runs.failed, status.last_run_time) == (2, 3, 1, told(5))
    conditions = {c.type: (c.status, c.reason, c.last_transition_time, c.observed_generation) for c in status.conditions or ()}
    assert conditions == {"Ready": ("True", "Ready", told(60), 3), "Active": ("True", "Running", told(60), 3)}


def test_nothing_changes_without_a_change() -> None:
    first = status_of(a_record(), READY, Tally(), at(60))
    later = status_of(a_record(status=first.model_dump(by_alias=True, exclude_none=True)), READY, Tally(), at(60) + timedelta(hours=1))
    assert later == first


def test_the_newest_runs_time_outlives_the_run() -> None:
    record = a_record(status={"lastRunTime": told(5)})
    assert status_of(record, READY, Tally(), at(60)).last_run_time == told(5)


def test_a_pipeline_with_a_mistake_leaves_the_others_working() -> None:
    store = Store(changed=lambda _: None, counted=lambda _: None, clock=lambda: at(0))
    store.observe("orthancbridges", changed(A_BRIDGE, "metadata.resourceVersion", "1"))
    mistakes = {"good": "study.instances > 0", "number": "study.instances + 1", "typo": "study.instnaces > 1"}
    for name, expression in mistakes.items():
        body = changed(changed(PIPELINE, "metadata", {**METADATA, "name": name, "uid": name}), "spec.match.expression", expression)
        store.observe("inferencepipelines", body)
    kube: Any = None  # nothing is written here
    pipelines = Pipelines(kube=kube, store=store, clock=lambda: at(0))
    bridge = Key("bridge", A_BRIDGE["metadata"]["namespace"], "main")
    assert [one.name for one in pipelines.candidates(bridge)] == ["good"]
    judged = pipelines.candidate(Key("pipeline", bridge.namespace, "typo"))
    assert isinstance(judged, Judgement)
    assert judged.reason is PipelineReason.INVALID_EXPRESSION
    assert judged.message == "spec.match.expression, line 1, column 6: study has no instnaces; did you mean instances?"
