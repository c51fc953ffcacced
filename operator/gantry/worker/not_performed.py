"""The one container of the Job that reports that a Run's analysis was not performed.

It needs an image's header for patient, study and reference, and nothing else of the Run: no input folder, no step, no output. It must not decide
whether there is to be a report (`runs.notice` does) nor what it says (`report.build_not_performed`).
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pydicom

from gantry.api import RunReason
from gantry.api.run import Result
from gantry.orthanc import InstanceFiles, InstanceResource, NotFound, Orthanc, OrthancError, Permanent
from gantry.report import BuiltObject, Predecessor, ReportContext, ReportError, build_not_performed, require_valid
from gantry.report.context import SOP_CLASS_UIDS
from gantry.runs import MOST_REPORTS, NOT_PERFORMED, PublishReceipt, Task, alternative_role

from .context import alternative_context, report_context
from .log import tell
from .marking import mark_results
from .outcome import Stop
from .patience import persistently
from .publish import Sink
from .reading import read_header
from .upload import Object, store

SERIES = 5
"""One would do, were it not that a series may hold objects of a private class, which no report can be about."""
INSTANCES = 3
"""Of a series, of which the first that can be read is taken."""
IDLE_LIMIT = 60.0
"""Seconds without a byte after which a download counts as broken off."""


def report_not_performed(task: Task, sink: Sink) -> PublishReceipt:
    """The receipt. Raises Stop with the reason when no report can be made or stored."""
    begin = time.monotonic()
    if task.not_performed is None:
        raise Stop(RunReason.PUBLISH_FAILED, "the task does not say why the Run failed: operator and worker image are of different releases")
    try:
        context = report_context(task)
        headers, left = asyncio.run(_seen(task, context, sink))
        reports = [build_not_performed(task.not_performed, headers, replace(context, predecessors=left))]
        if task.alternatives:
            other = alternative_context(task, replace(context, predecessors=()))
            reports.append(build_not_performed(task.not_performed, headers, other, role=alternative_role(NOT_PERFORMED)))
        require_valid(reports, headers)
    except NotFound as error:
        raise Stop(RunReason.STUDY_GONE, "the study is no longer in Orthanc", step="publish") from error
    except OrthancError as error:
        raise Stop(RunReason.UPLOAD_FAILED, str(error), step="publish") from error
    except ReportError as error:
        raise Stop(error.reason, str(error), step="publish") from error
    results = asyncio.run(_store(reports, sink, shadow=task.spec.mode == "Shadow"))
    seconds = round(time.monotonic() - begin, 3)
    tell("reported that the analysis was not performed", {"reason": task.not_performed, "seconds": seconds})
    return PublishReceipt(results=results[:1], alternatives=results[1:], seconds=seconds)


async def _seen(task: Task, context: ReportContext, sink: Sink) -> tuple[list[pydicom.Dataset], tuple[Predecessor, ...]]:
    async with Orthanc(sink.url, credentials=sink.credentials, trust=sink.trust, connections=1) as orthanc:
        return await _headers(orthanc, task, sink), await _left_behind(orthanc, context, sink)


async def _headers(orthanc: Orthanc, task: Task, sink: Sink) -> list[pydicom.Dataset]:
    """Of a small instance of each of the first series that are still there. Raises NotFound when none is, Stop when none can be read."""
    headers: list[pydicom.Dataset] = []
    damaged: Stop | None = None
    for series in task.spec.study.series_ids:
        with contextlib.suppress(NotFound):
            for one in _smallest(await persistently(partial(orthanc.instances_of_series, series), sink.patience)):
                try:
                    headers.append(await _downloaded(one, sink))
                    break
                except Stop as stop:  # the Run may have failed for that; a part of an image is smaller than a whole one
                    damaged = stop
        if len(headers) == SERIES:
            break
    if not headers:
        raise damaged or NotFound("none of the Run's series is in Orthanc")
    return headers


async def _left_behind(orthanc: Orthanc, context: ReportContext, sink: Sink) -> tuple[Predecessor, ...]:
    """Reports that an attempt of this Run stored before it failed. Nobody was told of them, but who looks into Orthanc may see them."""
    found = []
    for place in range(MOST_REPORTS):
        uid = context.uid("sr", place)
        with contextlib.suppress(Permanent):  # a proxy that lets only some paths through: it is told without
            if await persistently(partial(orthanc.holds, uid), sink.patience):
                found.append(Predecessor(SOP_CLASS_UIDS[context.sop_class], uid, context.uid("sr-series", place)))
    return tuple(found)


def _smallest(instances: Sequence[InstanceResource]) -> Sequence[InstanceResource]:
    """The same ones each time, so that a second attempt makes the same report."""
    return sorted(instances, key=lambda one: (one.size or 0, one.number or 0, one.sop_instance_uid, one.id))[:INSTANCES]


async def _downloaded(one: InstanceResource, sink: Sink) -> pydicom.Dataset:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "image.dcm"

        async def once() -> None:
            access = InstanceFiles(sink.url, credentials=sink.credentials, trust=sink.trust, timeout=IDLE_LIMIT)
            with access as files, path.open("wb", buffering=0) as file:
                files.download(one.id, file)

        await persistently(once, sink.patience)
        return read_header(path)[0]


async def _store(reports: Sequence[BuiltObject], sink: Sink, *, shadow: bool) -> tuple[Result, ...]:
    objects = [
        Object(one.kind, one.sop_class_uid, one.sop_instance_uid, one.series_instance_uid, partial(bytes, one.dicom)) for one in reports
    ]
    async with Orthanc(sink.url, credentials=sink.credentials, trust=sink.trust, connections=1) as orthanc:
        username = sink.credentials.username if sink.credentials else None
        results = await store(orthanc, objects, sink.patience, username=username)
        if shadow:
            await mark_results(orthanc, results, sink.patience)
        return results
