"""The first container of a Run: lays the images out for the application and puts the launcher and the settings beside them.

With content Metadata the images' pixels never leave Orthanc: DICOM JSON lies in their place.
It checks that Orthanc still holds exactly the images the Run was made for; what else is in the study is not looked at. Memory does not depend
on the study's size. It must not look into the images nor decide which series are analysed (`routing` has).
"""

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gantry.api import RunReason
from gantry.orthanc import (
    Credentials,
    InstanceFiles,
    InstanceResource,
    NotFound,
    Orthanc,
    OrthancError,
    SeriesResource,
    StudyResource,
    Trust,
    Unreachable,
)
from gantry.runs import Earlier, FetchReceipt, Task, fingerprint

from .after import fetch_findings, fetch_results
from .dicom_json import IDENTITY, PATIENT_ID, NotDicomJson, encoded, parsed, text_of
from .layout import Layout, PlannedFile, describe, lay_out
from .log import peak_memory, tell
from .mercure import hand_to_modules
from .outcome import Stop
from .patience import Patience, downloaded, persistently
from .workspace import FILE_MODE, PROGRAM_MODE, Workspace, emptied, made, written

LAUNCHER = Path("/usr/local/bin/gantry-launcher")
"""Where the worker image has it."""
PAGE = 4
"""Lists of instances asked for at once; each takes 50 to 80 ms (facts on Orthanc 1.10 and 1.13)."""
ONE_AT_A_TIME = threading.Lock()
"""Metadata is read one after the other: it is Python's work, so threads win nothing, and several large ones would not fit into fetch's memory."""


@dataclass(frozen=True, slots=True)
class Source:
    """The Orthanc of the Run, and how long it may be away."""

    url: str
    credentials: Credentials | None
    connections: int
    patience: Patience
    trust: Trust | None = None
    idle_limit: float = 60.0
    """Seconds without a byte after which a download counts as broken off."""


def fetch(task: Task, workspace: Workspace, source: Source, *, launcher: Path = LAUNCHER) -> FetchReceipt:
    """Raises Stop with the reason when the input cannot be laid out."""
    begin = time.monotonic()
    for folder in (workspace.input, workspace.private, workspace.tools):
        emptied(folder)
    try:
        put_tools(task, workspace, launcher)
        layout, root = asyncio.run(_selected(task, source))
        sizes = _download_all(layout, workspace.input, source, root)
        instances = len(sizes)
        if task.after and layout.after:
            with InstanceFiles(source.url, credentials=source.credentials, trust=source.trust, timeout=source.idle_limit) as files:
                sizes |= fetch_results(layout.after, workspace.input, files, source.patience)
            sizes[layout.after.findings] = asyncio.run(_findings(task.after, workspace.input / layout.after.findings, source))
        written(workspace.study, describe(layout, run=task.run, sizes=sizes))
        hand_to_modules(task, layout, workspace)
    except NotFound as error:
        raise Stop(RunReason.STUDY_GONE, "the study or one of its series was deleted from Orthanc before it was fetched", step="fetch") from error
    except OrthancError as error:
        raise Stop(RunReason.FETCH_FAILED, str(error), step="fetch") from error
    except OSError as error:  # a full or missing volume; its words may hold a path, never an element's value
        raise Stop(RunReason.FETCH_FAILED, f"the workspace cannot be written: {error.strerror}; see scheduling.workspace", step="fetch") from error
    receipt = FetchReceipt(instances=instances, bytes=sum(sizes.values()), seconds=round(time.monotonic() - begin, 3))
    tell("fetched", {"instances": receipt.instances, "bytes": receipt.bytes, "seconds": receipt.seconds, "peakBytes": peak_memory()})
    return receipt


def put_tools(task: Task, workspace: Workspace, launcher: Path) -> None:
    """The launcher and each step's settings, for the mounts of the steps."""
    if not launcher.is_file():
        raise Stop(RunReason.FETCH_FAILED, f"the worker image has no launcher at {launcher}; use the image of this release", step="fetch")
    target = made(workspace.tools / "bin") / "launcher"
    shutil.copyfile(launcher, target)
    target.chmod(PROGRAM_MODE)
    for step in task.spec.template.steps:
        written(workspace.tools / "settings" / f"{step.name}.json", json.dumps(step.settings, ensure_ascii=False).encode())


async def _selected(task: Task, source: Source) -> tuple[Layout, str]:
    """The layout, and where the DICOMweb plugin answers if it is needed."""
    spec = task.spec
    root = ""
    async with Orthanc(source.url, credentials=source.credentials, trust=source.trust, connections=source.connections) as orthanc:
        if spec.template.input.content == "Metadata":
            found = await persistently(orthanc.dicom_web, source.patience)
            if found is None:
                words = "input.content Metadata needs Orthanc's DICOMweb plugin, which is not loaded; add it to Plugins in Orthanc's configuration"
                raise Stop(RunReason.FETCH_FAILED, words, step="fetch")
            root = found
        study = await persistently(lambda: orthanc.study(spec.study.orthanc_id), source.patience)
        present = {one.id: one for one in await persistently(lambda: orthanc.series_of_study(spec.study.orthanc_id), source.patience)}
        gone = [one for one in spec.study.series_ids if one not in present]
        if gone:
            raise Stop(RunReason.STUDY_GONE, f"{len(gone)} of {len(spec.study.series_ids)} series are no longer in Orthanc", step="fetch")
        chosen = [present[one] for one in spec.study.series_ids]
        places = asyncio.Semaphore(PAGE)

        async def instances(one: SeriesResource) -> tuple[InstanceResource, ...]:
            async with places:
                return await persistently(lambda: orthanc.instances_of_series(one.id), source.patience)

        listed = await asyncio.gather(*(instances(one) for one in chosen))
    return _checked(task, study, list(zip(chosen, listed, strict=True))), root


async def _findings(after: Earlier, path: Path, source: Source) -> int:
    async with Orthanc(source.url, credentials=source.credentials, trust=source.trust, connections=1) as orthanc:
        return await fetch_findings(after, path, orthanc, source.patience)


def _checked(task: Task, study: StudyResource, series: Sequence[tuple[SeriesResource, Sequence[InstanceResource]]]) -> Layout:
    """The Run's images and no others: one more or one fewer is another piece of work, with a Run of its own."""
    spec = task.spec
    uids = [one.sop_instance_uid for _, instances in series for one in instances]
    pipeline = spec.pipeline_ref.name if spec.pipeline_ref else ""
    if len(uids) != spec.study.instances:
        message = f"the Run is for {spec.study.instances} instances, Orthanc holds {len(uids)} in its series now"
        raise Stop(RunReason.INPUT_MISMATCH, message, step="fetch")
    built_on = [one.sop_instance_uid for one in task.after.results] if task.after else []
    if fingerprint(task.namespace, pipeline, spec.study.orthanc_id, [*uids, *built_on]) != spec.study.fingerprint:
        message = f"the Run is for {spec.study.instances} instances; Orthanc holds {len(uids)} in its series now, but not the same ones"
        raise Stop(RunReason.INPUT_MISMATCH, message, step="fetch")
    return lay_out(study, series, content=spec.template.input.content, after=task.after)


def _download_all(layout: Layout, folder: Path, source: Source, root: str) -> dict[str, int]:
    """Every file on disk and checked; the bytes of each by its path."""
    for series in layout.series:
        made(folder / series.path)
    fetched = partial(_metadata, layout, root) if layout.content == "Metadata" else _file
    work = iter(layout.files())
    take = threading.Lock()
    over = threading.Event()
    sizes: dict[str, int] = {}

    def connection() -> None:
        with InstanceFiles(source.url, credentials=source.credentials, trust=source.trust, timeout=source.idle_limit) as files:
            while not over.is_set():
                with take:
                    one = next(work, None)
                if one is None:
                    return
                sizes[one.path] = downloaded(partial(fetched, files, one, folder / one.path), source.patience, over=over)

    threads = ThreadPoolExecutor(max_workers=source.connections, thread_name_prefix="fetch")
    running = [threads.submit(connection) for _ in range(source.connections)]
    try:
        for one in wait(running, return_when=FIRST_EXCEPTION).done:
            one.result()  # raises what went wrong first, not what the others make of it
    finally:
        over.set()
        threads.shutdown(wait=False, cancel_futures=True)
    return sizes


def _file(files: InstanceFiles, one: PlannedFile, path: Path) -> int:
    """The instance as Orthanc stores it."""
    with path.open("wb", buffering=0) as file:
        size = files.download(one.instance.id, file)
    if one.instance.size is not None and size != one.instance.size:
        raise Unreachable(f"an instance came with {size} bytes, Orthanc's database says {one.instance.size}")
    path.chmod(FILE_MODE)
    return size


def _metadata(layout: Layout, root: str, files: InstanceFiles, one: PlannedFile, path: Path) -> int:
    """The instance without bulk data. The plugin finds by UIDs, which may stand under two patients: it must be the one the Run is for."""
    asked = (layout.study.tags.get("StudyInstanceUID", ""), one.series_instance_uid, one.instance.sop_instance_uid)
    study, series, instance = asked
    answer = files.metadata(root, study=study, series=series, instance=instance)
    try:
        with ONE_AT_A_TIME:
            dataset = parsed(answer)
            content = encoded(dataset)
    except NotDicomJson as fault:
        raise Unreachable(f"{root}/studies/…/metadata: the answer is no metadata ({fault}); does a proxy before Orthanc change it?") from fault
    patient = layout.study.tags.get("PatientID", "").strip()
    if tuple(text_of(dataset, tag) for tag in IDENTITY) != asked or text_of(dataset, PATIENT_ID) != patient:
        raise Stop(RunReason.INPUT_MISMATCH, "Orthanc's DICOMweb plugin answers with another instance than the Run's", step="fetch")
    written(path, content)
    return len(content)
