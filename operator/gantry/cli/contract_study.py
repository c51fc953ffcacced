"""A folder of DICOM files as fetch would lay it out: the same places, study.json, and what a mercure module finds.

Orthanc is not asked; its ids are made as Orthanc makes them. It must not look at pixels.
"""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydicom import Dataset

from gantry.api.pipeline import RunTemplate
from gantry.api.run import RunSpec
from gantry.orthanc import InstanceResource, SeriesResource, StudyResource
from gantry.runs import Task
from gantry.worker.fetch import put_tools
from gantry.worker.layout import Layout, describe, lay_out
from gantry.worker.mercure import hand_to_modules
from gantry.worker.workspace import FILE_MODE, Workspace, made, written

from .dicom_files import Header, headers, read_dicom
from .failure import Failure

PATIENT = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription",
           "AccessionNumber", "ReferringPhysicianName", "InstitutionName")  # fmt: skip
SERIES = ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality", "BodyPartExamined", "ProtocolName", "Manufacturer", "StationName")
"""What Orthanc keeps by default of a study and of a series."""
CREATED = datetime(2026, 1, 5, 12, tzinfo=UTC)
"""Of the Run that is pretended: what comes of the same package and study has the same UIDs."""


@dataclass(frozen=True)
class Laid:
    """The input."""

    task: Task
    images: int
    modalities: tuple[str, ...]


def lay_study(folder: Path, template: RunTemplate, workspace: Workspace, launcher: Path) -> Laid:
    """Copies the files to their places. Raises Failure unless they are of one study."""
    found = headers(folder)
    studies = {str(one.dataset.get("StudyInstanceUID") or "") for one in found}
    if len(studies) != 1:
        raise Failure(f"{folder} holds DICOM files of {len(studies)} studies; one study is analysed at a time", code=2)
    layout, paths = _layout(found)
    series_ids = [one.resource.id for one in layout.series]
    spec = {
        "bridgeRef": {"name": "check"},
        "study": {"orthancID": layout.study.id, "seriesIDs": series_ids, "instances": len(found), "fingerprint": "a" * 52},
        "trigger": "Manual",
        "template": template.model_dump(by_alias=True, exclude_none=True),
    }
    task = Task(
        installation="gantry contract check", namespace="check", run="check", uid="", created=CREATED, orthanc_url="http://nowhere",
        connections=1, spec=RunSpec.model_validate(spec),
    )  # fmt: skip
    sizes: dict[str, int] = {}
    for series in layout.series:
        made(workspace.input / series.path)
    for one in layout.files():
        target = workspace.input / one.path
        shutil.copyfile(paths[one.instance.id], target)
        target.chmod(FILE_MODE)
        sizes[one.path] = target.stat().st_size
    put_tools(task, workspace, launcher)
    written(workspace.study, describe(layout, run=task.run, sizes=sizes))
    if template.steps[0].contract == "Mercure":
        made(workspace.data)
    hand_to_modules(task, layout, workspace)
    return Laid(task, len(found), tuple(sorted({str(one.dataset.get("Modality") or "?") for one in found})))


def _layout(found: Sequence[Header]) -> tuple[Layout, dict[str, Path]]:
    by_series: dict[str, list[tuple[InstanceResource, Path]]] = {}
    first: dict[str, Dataset] = {}
    for one in found:
        whole = read_dicom(one.path) if str(one.dataset.get("SeriesInstanceUID") or "") not in by_series else one.dataset
        uid = str(whole.get("SeriesInstanceUID") or "")
        first.setdefault(uid, whole)
        names = [str(one.dataset.get(name) or "") for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
        number = one.dataset.get("InstanceNumber")
        instance = InstanceResource(
            id=_orthanc_id(names), sop_instance_uid=names[3], size=one.path.stat().st_size, number=int(number) if number is not None else None
        )
        by_series.setdefault(uid, []).append((instance, one.path))
    study_tags = _texts(next(iter(first.values())), PATIENT)
    study = StudyResource(id=_orthanc_id(_ids(study_tags, {})[:2]), tags=study_tags, series=(), last_update=None, is_stable=True)
    series = []
    for uid, instances in by_series.items():
        tags = _texts(first[uid], SERIES)
        resource = SeriesResource(id=_orthanc_id(_ids(study_tags, tags)), study=study.id, tags=tags, instances=(), last_update=None, is_stable=True)
        series.append((resource, [one for one, _ in instances]))
    return lay_out(study, series), {one.id: path for instances in by_series.values() for one, path in instances}


def _ids(study: dict[str, str], series: dict[str, str]) -> list[str]:
    return [study.get("PatientID", ""), study.get("StudyInstanceUID", ""), series.get("SeriesInstanceUID", "")]


def _orthanc_id(names: Sequence[str]) -> str:
    """DicomInstanceHasher.cpp: SHA-1 of the identifiers between bars."""
    digest = hashlib.sha1("|".join(names).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[place : place + 8] for place in range(0, 40, 8))


def _texts(dataset: Dataset, names: Sequence[str]) -> dict[str, str]:
    values: dict[str, Any] = {name: dataset.get(name) for name in names}
    return {name: str(value) for name, value in values.items() if value not in (None, "")}
