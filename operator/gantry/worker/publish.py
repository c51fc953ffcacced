"""The container beside the steps: learns how they end, checks what they leave, builds the report and stores everything in Orthanc.

Nothing is stored before everything has been checked: an output of another patient means that nothing of this Run gets into the archive.
The report goes last, so whoever sees it finds the objects it refers to. It must not decide what a finding means (`report` builds) nor how a
failed attempt goes on (the Job's policy and `runs` do).
"""

import asyncio
import json
import re
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gantry.api import RunReason
from gantry.api.run import Failure
from gantry.orthanc import Credentials, Orthanc, Trust
from gantry.runs import PublishReceipt, Task, to_be_kept
from gantry.runs.receipt import StepEnd

from .log import peak_memory, tell
from .making import Made, make
from .marking import mark_results
from .outcome import Stop, unexpected
from .patience import Patience
from .steps import judge, step_end, wait_for_end
from .upload import keep_findings, keep_receipt, store
from .workspace import Workspace

if TYPE_CHECKING:
    from pydicom import Dataset


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
            if stop := judge(step, record, of_image=step.name in task.commands_of_images):
                raise stop
        receipt = _publish_outputs(task, workspace, sink, prepared, tuple(ends), begin)
    except Stop as stop:
        return PublishReceipt(steps=tuple(ends), failure=_discreet(stop.failure, prepared), seconds=_since(begin))
    except Exception as error:  # noqa: BLE001 - the steps' times must reach the operator also when Gantry itself fails
        return PublishReceipt(steps=tuple(ends), failure=unexpected(RunReason.PUBLISH_FAILED, "publish", error), seconds=_since(begin))
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    tell("published", {"results": len(receipt.results), "seconds": _since(begin), "peakBytes": peak_memory()})
    return receipt.model_copy(update={"seconds": _since(begin)})


def _prepare(workspace: Workspace) -> _Prepared:
    import gantry.report  # noqa: F401 - for the import itself

    from .headers import read_headers

    begin = time.monotonic()
    prepared = _Prepared(read_headers(workspace))
    tell("prepared", {"images": len(prepared.source), "seconds": _since(begin)})
    return prepared


def _publish_outputs(
    task: Task, workspace: Workspace, sink: Sink, prepared: Future[_Prepared], ends: tuple[StepEnd, ...], begin: float
) -> PublishReceipt:
    made = make(task, workspace, prepared.result().source)
    for warning in made.warnings:
        tell("fault against the standard", {"fault": _without_identifiers(warning, prepared)})
    told = PublishReceipt(
        steps=ends,
        findings=made.counts,
        warnings=tuple(_without_identifiers(warning, prepared) for warning in (*made.said, *made.warnings)),
        vendor=_vendor(made.findings),
        department=_department(prepared),
    )
    return asyncio.run(_store_all(sink, made, task, told, begin))


def _vendor(findings: bytes | None) -> str | None:
    """Of the first algorithm the findings name; they have been checked."""
    algorithms = json.loads(findings).get("algorithms") if findings else None
    return str(algorithms[0].get("manufacturer") or "")[:64] or None if algorithms else None


def _department(prepared: Future[_Prepared]) -> str | None:
    """None too when it holds what identifies: somebody has typed the patient's name into the wrong field."""
    from .headers import department

    found = department(prepared.result().source)
    return found if found and _without_identifiers(found, prepared) == found else None


async def _store_all(sink: Sink, made: Made, task: Task, told: PublishReceipt, begin: float) -> PublishReceipt:
    """Results first: findings.json is kept with one of them, for Runs that follow, and Orthanc is told which are shadow. The receipt, which is `told`
    with the results, comes last: where it is, everything is."""
    async with Orthanc(sink.url, credentials=sink.credentials, trust=sink.trust, connections=1) as orthanc:
        username = sink.credentials.username if sink.credentials else None
        results = await store(orthanc, made.objects, sink.patience, username=username)
        if made.findings is not None:
            await keep_findings(orthanc, results, made.findings, sink.patience)
        if task.spec.mode == "Shadow":
            await mark_results(orthanc, results, sink.patience)
        alternatives = await store(orthanc, made.alternatives, sink.patience, username=username)
        receipt = told.model_copy(update={"results": results, "alternatives": alternatives, "seconds": _since(begin)})
        await keep_receipt(orthanc, results, to_be_kept(task.uid, receipt))
        return receipt


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
