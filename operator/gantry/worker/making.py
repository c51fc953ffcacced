"""What the last step's output becomes: DICOM objects that were checked, the reports about them, and what a person should be told.

Everything or nothing: Stop says why there is nothing. It must not wait for steps nor store anything (`publish` does), so that
`gantry contract check` can ask the same of an application that runs nowhere near a cluster.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from gantry.api import RunReason
from gantry.api.run import FindingCounts
from gantry.runs import MOST_REPORTS, Task
from gantry.runs.receipt import room

from .log import tell
from .module_results import RESULT, Forwarded, warnings_of
from .outcome import Stop
from .outputs import FINDINGS, Limits, Outputs, collect, collect_masks, collect_texts
from .upload import Object
from .workspace import Workspace

if TYPE_CHECKING:
    from pydicom import Dataset

    from gantry.report import BuiltObject, Findings, ReportContext


@dataclass(frozen=True, slots=True)
class Made:
    """What will be stored, in this order."""

    objects: Sequence[Object]
    alternatives: Sequence[Object]
    """For destinations that refuse the class of the reports."""
    findings: bytes | None
    """findings.json, of the application or by report.mapping."""
    counts: FindingCounts | None
    warnings: tuple[str, ...]
    """Faults against the standard. They may hold identifiers, as all words that come from an application."""
    said: tuple[str, ...] = ()
    """What a module says in result.json, and what of it is not followed. Free text, and so nothing for a log."""


def make(task: Task, workspace: Workspace, source: "Sequence[Dataset]") -> Made:
    """Of what the last step left. `source`: headers of the input. Raises Stop."""
    last = task.spec.template.steps[-1]
    module = last.contract == "Mercure"
    is_input = Forwarded(workspace.input).holds if module else None
    outputs = collect(workspace.output(last.name), step=last.name, limits=Limits(objects=_room(task)), is_input=is_input)
    outputs = _with_mapping(outputs, task, workspace)
    _require_something(outputs, task)
    made = _build(task, workspace, outputs, source)
    if not module:
        return made
    said = warnings_of(collect_texts(workspace.output(last.name), {RESULT}, step=last.name, anywhere=False).get(RESULT, []))
    return replace(made, said=said)


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
    """An application that failed quietly also ends with 0 and leaves nothing. Packages may leave DICOM objects alone; Gantry then makes no report."""
    step = task.spec.template.steps[-1]
    if outputs.findings is not None or (outputs.objects and step.contract != "Native"):
        return
    nothing = f"no {FINDINGS} in GANTRY_OUTPUT" if step.contract == "Native" else f"neither DICOM objects nor {FINDINGS} in its output folder"
    if step.contract == "Mercure":
        nothing += " (images of the input do not count; report.mapping makes findings of result.json)"
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


def _build(task: Task, workspace: Workspace, outputs: Outputs, source: "Sequence[Dataset]") -> Made:
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
        accepted = accept(outputs.objects, task=task, step=step, source=source, findings=findings, context=context)
        _require_room(len(accepted) + len(findings.masks), task)
        files = collect_masks(workspace.output(step), {mask.file for mask in findings.masks}, step=step) if findings.masks else {}
        findings, drawn = build_masks(findings, source, context, files)
        objects = {one.name: one.dataset for one in accepted} | drawn
        for dataset in objects.values() if context.shadow else ():
            mark(dataset)
        overview = build_overview(findings, source, context, objects, shown_from(workspace)) if settings.overview and reported else None
        built = build_report(findings, source, context, objects, overview) if reported else ()
        require_valid(built, source, objects.values(), overview)
        built = (overview, *built) if overview else built
        if settings.key_objects and len(objects) + len(built) > 1:
            built = (*built, build_key_objects(findings, built, tuple(objects.values()), source, context))
        others = _alternatives(task, findings, source, context, objects, overview, key_objects=built[-1].kind == "KO") if reported else ()
        counts = count_findings(findings, context) if reported else None
    except ReportError as error:
        raise Stop(error.reason, str(error), step=step) from error
    tell("built", {"reports": len(built), "objects": len(accepted), "masks": len(drawn), "otherFiles": outputs.other})
    passed = [_object(one.kind, one.dataset, encoder(one.dataset)) for one in accepted]
    passed += [_object("SEG", dataset, encoder(dataset)) for dataset in drawn.values()]
    warnings = (*(fault for one in accepted for fault in one.faults), *_in_other_characters((*built, *others), task))
    return Made([*passed, *map(_built, built)], [_built(one) for one in others], outputs.findings, counts, warnings)


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
