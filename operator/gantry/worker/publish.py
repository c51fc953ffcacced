"""The container beside the steps: learns how they end, checks what they leave, builds the report and stores everything in Orthanc.

Nothing is stored before everything has been checked: an output of another patient means that nothing of this Run gets into the archive.
The report goes last, so whoever sees it finds the objects it refers to. It must not decide what a finding means (`report` builds) nor how a
failed attempt goes on (the Job's policy and `runs` do).
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from gantry.api import RunReason
from gantry.api.run import Failure, FindingCounts, Result
from gantry.orthanc import Credentials, Orthanc, Trust
from gantry.runs import MOST_REPORTS, PublishReceipt, Task
from gantry.runs.receipt import StepEnd, room

from .log import peak_memory, tell
from .marking import mark_results
from .outcome import Stop, unexpected
from .outputs import FINDINGS, Limits, Outputs, collect, collect_masks, collect_texts
from .patience import Patience
from .steps import judge, step_end, wait_for_end
from .upload import Object, keep_findings, store
from .workspace import Workspace

if TYPE_CHECKING:
    from pydicom import Dataset

    from gantry.report import BuiltObject, Findings, ReportContext


@dataclass(frozen=True, slots=True)
class Sink:
    """The Orthanc that gets the results, and how long it may be away."""

    url: str
    credentials: Credentials | None
    patience: Patience
    trust: Trust | None = None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What takes time and does not depend on the steps."""

    source: "tuple[Dataset, ...]"


@dataclass(frozen=True, slots=True)
class _Made:
    """What will be stored, in this order."""

    objects: Sequence[Object]
    alternatives: Sequence[Object]
    """For destinations that refuse the class of the reports."""


def publish(task: Task, workspace: Workspace, sink: Sink) -> PublishReceipt:
    """The receipt, of failure too: it holds the end of every step that began."""
    ends: list[StepEnd] = []
    begin = time.monotonic()
    # highdicom takes most of a second to import, headers half a millisecond each: all of it while the first step works.
    threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prepare")
    prepared = threads.submit(_prepare, workspace)
    try:
        for step in task.spec.template.steps:
            wait_for_end(step.name, workspace.barrier(step.name))
            begin = time.monotonic()
            end, record = step_end(step.name, workspace.barrier(step.name), now=datetime.now(UTC))
            ends.append(end)
            tell("step ended", {"step": step.name, "code": end.code, "seconds": end.seconds})
            if stop := judge(step.name, record, timeout=step.timeout):
                raise stop
        results, alternatives, findings, warnings = _publish_outputs(task, workspace, sink, prepared)
    except Stop as stop:
        return PublishReceipt(steps=tuple(ends), failure=_discreet(stop.failure, prepared), seconds=_since(begin))
    except Exception as error:  # noqa: BLE001 - the steps' times must reach the operator also when Gantry itself fails
        return PublishReceipt(steps=tuple(ends), failure=unexpected(RunReason.PUBLISH_FAILED, "publish", error), seconds=_since(begin))
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    tell("published", {"results": len(results), "seconds": _since(begin), "peakBytes": peak_memory()})
    discreet = tuple(_without_identifiers(warning, prepared) for warning in warnings)
    return PublishReceipt(
        results=results, alternatives=alternatives, steps=tuple(ends), findings=findings, warnings=discreet, seconds=_since(begin)
    )


def _prepare(workspace: Workspace) -> _Prepared:
    import gantry.report  # noqa: F401 - for the import itself

    from .headers import read_headers

    begin = time.monotonic()
    prepared = _Prepared(read_headers(workspace))
    tell("prepared", {"images": len(prepared.source), "seconds": _since(begin)})
    return prepared


def _publish_outputs(
    task: Task, workspace: Workspace, sink: Sink, prepared: Future[_Prepared]
) -> tuple[tuple[Result, ...], tuple[Result, ...], FindingCounts | None, tuple[str, ...]]:
    last = task.spec.template.steps[-1].name
    ready = prepared.result()
    outputs = _with_mapping(collect(workspace.output(last), step=last, limits=Limits(objects=_room(task))), task, workspace)
    _require_something(outputs, task)
    made, findings, warnings = _build(task, workspace, outputs, ready)
    for warning in warnings:
        tell("fault against the standard", {"fault": _without_identifiers(warning, prepared)})
    results, alternatives = asyncio.run(_store_all(sink, made, outputs.findings, shadow=task.spec.mode == "Shadow"))
    return results, alternatives, findings, warnings


def _with_mapping(outputs: Outputs, task: Task, workspace: Workspace) -> Outputs:
    """An application that knows nothing of findings.json gets one made of its own files, if the pipeline says how."""
    rules, step = task.spec.template.report.mapping, task.spec.template.steps[-1].name
    if not rules or outputs.findings is not None:
        return outputs
    from gantry.report import ReportError, mapped

    from .context import report_context

    files = collect_texts(workspace.output(step), {rule.file for rule in rules}, step=step)
    try:
        return replace(outputs, findings=mapped(rules, files, report_context(task)))
    except ReportError as error:
        raise Stop(error.reason, str(error), step=step) from error


def _require_something(outputs: Outputs, task: Task) -> None:
    """An application that failed quietly also ends with 0 and leaves nothing. A MAP may leave DICOM objects alone; Gantry then makes no report."""
    step = task.spec.template.steps[-1]
    if outputs.findings is not None or (outputs.objects and step.contract == "MAP"):
        return
    nothing = f"no {FINDINGS} in GANTRY_OUTPUT" if step.contract == "Native" else f"neither DICOM objects nor {FINDINGS} in its output folder"
    raise Stop(RunReason.NO_OUTPUT, f"step {step.name} ended with 0 but left {nothing}", step=step.name)


def _room(task: Task) -> int:
    """Beside what Gantry makes; alternatives take as much again but for the report in space, and their UIDs are short, so that reports always fit."""
    made, settings = 0, task.spec.template.report
    if task.alternatives:
        made = MOST_REPORTS - 1 + settings.key_objects
    return max(0, objects_that_fit(len(task.spec.template.steps)) - settings.key_objects - settings.overview - made)


MOST_OBJECTS = 7
"""Whatever the room: each is a delivery of its own, and a conformance check in memory."""


def objects_that_fit(steps: int) -> int:
    """DICOM files of an application that a receipt has room for, beside the reports: 7 with up to four steps, 3 with eight.

    In bytes of a packed receipt: 350 for its frame and the first two results, 115 each further one (the most of 25 receipts made at random;
    Gantry's UIDs have 44 letters at most). The times of the steps give way where they must.
    """
    return min(MOST_OBJECTS, (room(steps + 2) - 350) // 115 + 2 - MOST_REPORTS)


def _build(task: Task, workspace: Workspace, outputs: Outputs, ready: _Prepared) -> tuple[_Made, FindingCounts | None, tuple[str, ...]]:
    """Everything that will be stored, or nothing."""
    from gantry.report import (
        ReportError,
        build_key_objects,
        build_masks,
        build_overview,
        build_report,
        count_findings,
        mark,
        parse_findings,
        require_valid,
        without_findings,
    )

    from .context import report_context
    from .objects import accept, encoder
    from .pixels import shown_from

    context, step, settings = report_context(task), task.spec.template.steps[-1].name, task.spec.template.report
    try:
        reported = outputs.findings is not None
        findings = parse_findings(outputs.findings) if outputs.findings is not None else without_findings(context)
        accepted = accept(outputs.objects, task=task, step=step, source=ready.source, findings=findings, context=context)
        _require_room(len(accepted) + len(findings.masks), task)
        files = collect_masks(workspace.output(step), {mask.file for mask in findings.masks}, step=step) if findings.masks else {}
        findings, drawn = build_masks(findings, ready.source, context, files)
        objects = {one.name: one.dataset for one in accepted} | drawn
        for dataset in objects.values() if context.shadow else ():
            mark(dataset)
        overview = build_overview(findings, ready.source, context, objects, shown_from(workspace)) if settings.overview and reported else None
        built = build_report(findings, ready.source, context, objects, overview) if reported else ()
        require_valid(built, ready.source, objects.values(), overview)
        built = (overview, *built) if overview else built
        if settings.key_objects and len(objects) + len(built) > 1:
            built = (*built, build_key_objects(findings, built, tuple(objects.values()), ready.source, context))
        others = _alternatives(task, findings, ready.source, context, objects, overview, key_objects=built[-1].kind == "KO") if reported else ()
        counts = count_findings(findings, context) if reported else None
    except ReportError as error:
        raise Stop(error.reason, str(error), step=step) from error
    tell("built", {"reports": len(built), "objects": len(accepted), "masks": len(drawn), "otherFiles": outputs.other})
    passed = [_object(one.kind, one.dataset, encoder(one.dataset)) for one in accepted]
    passed += [_object("SEG", dataset, encoder(dataset)) for dataset in drawn.values()]
    made = _Made([*passed, *map(_built, built)], [_built(one) for one in others])
    return made, counts, (*(fault for one in accepted for fault in one.faults), *_in_other_characters((*built, *others), task))


def _in_other_characters(built: "Sequence[BuiltObject]", task: Task) -> list[str]:
    wanted = task.spec.template.report.character_set
    return [
        f"{one.kind} made by Gantry: report.characterSet {wanted} does not hold all of its characters; it is written in {one.character_set}"
        for one in built
        if one.character_set != wanted
    ]


def _alternatives(
    task: Task,
    findings: "Findings",
    source: "Sequence[Dataset]",
    context: "ReportContext",
    objects: "dict[str, Dataset]",
    overview: "BuiltObject | None",
    *,
    key_objects: bool,
) -> "tuple[BuiltObject, ...]":
    """What stands for the reports, when a destination may refuse those."""
    from gantry.report import build_alternatives, require_valid

    from .context import alternative_context

    if not task.alternatives:
        return ()
    built = build_alternatives(findings, source, alternative_context(task, context), objects, overview, key_objects=key_objects)
    require_valid([one for one in built if one.kind == "SR"], source, objects.values(), overview)
    return built


def _built(one: "BuiltObject") -> Object:
    return Object(one.kind, one.sop_class_uid, one.sop_instance_uid, one.series_instance_uid, partial(bytes, one.dicom))


def _require_room(count: int, task: Task) -> None:
    last = task.spec.template.steps[-1].name
    if count > _room(task):
        words = f"output of step {last}: {count} DICOM files and masks; at most {_room(task)} fit into a Run's results"
        raise Stop(RunReason.UNACCEPTED_OBJECT, words, step=last)


def _object(kind: str, dataset: "Dataset", encode: Callable[[], bytes]) -> Object:
    return Object(kind, str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), str(dataset.SeriesInstanceUID), encode)


async def _store_all(sink: Sink, made: _Made, findings: bytes | None, *, shadow: bool) -> tuple[tuple[Result, ...], tuple[Result, ...]]:
    """Results first: findings.json is kept with one of them, for Runs that follow, and Orthanc is told which are shadow."""
    async with Orthanc(sink.url, credentials=sink.credentials, trust=sink.trust, connections=1) as orthanc:
        username = sink.credentials.username if sink.credentials else None
        results = await store(orthanc, made.objects, sink.patience, username=username)
        if findings is not None:
            await keep_findings(orthanc, results, findings, sink.patience)
        if shadow:
            await mark_results(orthanc, results, sink.patience)
        return results, await store(orthanc, made.alternatives, sink.patience, username=username)


_UID = re.compile(r"\b\d+(?:\.\d+){4,}\b")


def _discreet(failure: Failure, prepared: Future[_Prepared]) -> Failure:
    """The failure, its message without what identifies."""
    return failure.model_copy(update={"message": _without_identifiers(failure.message, prepared)})


def _without_identifiers(words: str, prepared: Future[_Prepared]) -> str:
    """Names of files and values of an application may hold what identifies."""
    words = _UID.sub("(UID)", words)
    if prepared.done() and not prepared.cancelled() and prepared.exception() is None:
        from .headers import identifiers

        for value in sorted(identifiers(prepared.result().source), key=len, reverse=True):
            whole = rf"(?<![^\W_]){re.escape(value)}(?![^\W_])"  # a patient called Sam must not make nonsense of "same"
            words = re.sub(whole, "(identifier)", words, flags=re.IGNORECASE)
    return words


def _since(begin: float) -> float:
    return round(time.monotonic() - begin, 3)
