"""What a mercure module finds: a flat, writable folder of images, a text of tags beside each, and task.json.

By mercure's own code (https://github.com/mercure-imaging/mercure, app/common/types.py, bin/getdcmtags): modules read these files by name and key.
It gives of the patient what mercure gives. It must not start anything nor read what a module leaves (`module_results` does).
"""

import json
import re
import shutil
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gantry import __version__
from gantry.api.step import Step
from gantry.runs import Task

from .layout import Layout, PlannedFile
from .log import complain
from .workspace import Workspace, emptied, written

if TYPE_CHECKING:
    from pydicom import Dataset

WRITABLE = 0o666
"""Modules may change their input, as whatever user they run."""
TASK_JSON = "task.json"
ITS_TIME = "%Y-%m-%d %H:%M:%S"
TAGS = (
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyDate", "SeriesDate", "AcquisitionDate", "StudyTime", "SeriesTime",
    "AcquisitionTime", "AccessionNumber", "RetrieveAETitle", "Modality", "Manufacturer", "InstitutionName", "ReferringPhysicianName", "StationName",
    "StudyDescription", "SeriesDescription", "ManufacturerModelName", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "ContrastBolusAgent", "BodyPartExamined", "ScanningSequence", "SequenceVariant", "SequenceName", "SliceThickness", "MagneticFieldStrength",
    "DeviceSerialNumber", "DeviceUID", "SoftwareVersions", "ProtocolName", "StudyInstanceUID", "SeriesInstanceUID", "StudyID", "SeriesNumber",
    "AcquisitionNumber", "InstanceNumber", "ImageComments", "AcquisitionType", "StationAETitle",
)  # fmt: skip
"""What mercure's receiver writes of each image."""


def modules(task: Task) -> list[Step]:
    """The steps that are mercure modules."""
    return [step for step in task.spec.template.steps if step.contract == "Mercure"]


def hand_to_modules(task: Task, layout: Layout, workspace: Workspace) -> None:
    """The first step's folder whole; for later steps task.json alone, which the launcher puts beside what the step before left."""
    first = task.spec.template.steps[0]
    for step in modules(task):
        content = task_json(task, step, layout)
        if step is not first:
            written(workspace.tools / "tasks" / f"{step.name}.json", content)
            continue
        emptied(workspace.data)
        for one in layout.files():
            _hand(one, workspace.input / one.path, workspace.data, sender=task.spec.sender or "")
        written(workspace.data / TASK_JSON, content, mode=WRITABLE)


def _hand(one: PlannedFile, image: Path, folder: Path, *, sender: str) -> None:
    name = f"{_plain(one.series_instance_uid)}#{_plain(one.instance.sop_instance_uid)}"
    target = folder / f"{name}.dcm"
    with target.open("xb"):  # two of one name would hide an image
        pass
    shutil.copyfile(image, target)
    target.chmod(WRITABLE)
    tags = {
        "SeriesInstanceUID": one.series_instance_uid,
        "SOPInstanceUID": one.instance.sop_instance_uid,
        **_tags(image),
        "SenderAddress": "",
        "SenderAET": sender,
        "ReceiverAET": "",
        "Filename": target.name,
    }
    written(folder / f"{name}.tags", json.dumps(tags, ensure_ascii=False, indent=1).encode(), mode=WRITABLE)


def _tags(image: Path) -> dict[str, str]:
    """Empty for a file that only Orthanc can read: the module gets it all the same."""
    from .reading import MOST_OF_TAGS, read_header  # pydicom takes a third of a second, which no other contract pays

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote values
        try:
            dataset, _ = read_header(image, most=MOST_OF_TAGS, tags=TAGS)
            return _texts(dataset) | {"MediaStorageSOPClassUID": str(dataset.file_meta.get("MediaStorageSOPClassUID", ""))}
        except Exception as error:  # noqa: BLE001 - whatever a broken file makes the parser raise; its words may quote the file
            complain("no tags could be read of an image", {"error": type(error).__name__})
            return {}


def _plain(uid: str) -> str:
    """As part of a file's name, whatever somebody wrote into the element."""
    return re.sub(r"[^0-9A-Za-z.-]", "_", uid) or "_"


def _texts(dataset: "Dataset") -> dict[str, str]:
    """Each element as text, several values between backslashes. One that cannot be decoded is left out, as one that is not there."""
    made: dict[str, str] = {}
    for keyword in TAGS:
        try:
            value = dataset.get(keyword)
        except (ValueError, TypeError, OverflowError, AttributeError, NotImplementedError):
            continue
        if value is not None:
            made[keyword] = "\\".join(map(str, value)) if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue" else str(value)
    return made


def task_json(task: Task, step: Step, layout: Layout) -> bytes:
    """mercure's record of the job. It forbids keys that are not its own at the top, and modules read `process.settings` and `info`."""
    tags, made = layout.study.tags, task.created.strftime(ITS_TIME)
    study_uid = tags.get("StudyInstanceUID", "")
    pipeline = task.spec.pipeline_ref.name if task.spec.pipeline_ref else task.run
    document: dict[str, Any] = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"gantry:{task.installation}/{task.namespace}/{task.run}")),
        "info": {
            "action": "both",  # process, and send on what comes of it
            "uid": study_uid,
            "uid_type": "study",
            "triggered_rules": {pipeline: True},
            "applied_rule": pipeline,
            **_of_patient(tags),
            "sender_address": "",
            "sender_aet": task.spec.sender or "",
            "receiver_aet": "",
            "device_serial_number": None,
            "fail_stage": None,
            "mercure_version": f"Gantry {__version__}",
            "mercure_appliance": task.installation,
            "mercure_server": task.namespace,
        },
        "process": {
            "module_name": step.name,
            "module_config": {
                "docker_tag": step.image,
                "additional_volumes": "",
                "environment": "",
                "docker_arguments": "",
                "settings": {},
                "contact": "",
                "comment": "",
                "constraints": "",
                "resources": "",
                "requires_root": step.security.run_as_user == 0,
                "requires_persistence": step.persistence is not None,
            },
            "settings": step.settings,
            "retain_input_images": False,
            "output": None,
        },
        "dispatch": {},  # where results go is the pipeline's matter
        "study": {
            "study_uid": study_uid,
            "complete_trigger": "timeout",
            "complete_required_series": "",
            "creation_time": made,
            "last_receive_time": made,
            "received_series": [one.resource.tags.get("SeriesDescription", "") for one in layout.series],
            "received_series_uid": [one.resource.tags.get("SeriesInstanceUID", "") for one in layout.series],
            "complete_force": False,
            "complete_force_action": "discard",
        },
        "nomad_info": None,
    }
    return json.dumps(document, ensure_ascii=False, indent=1).encode()


def _of_patient(tags: Mapping[str, str]) -> dict[str, str]:
    return {"patient_name": tags.get("PatientName", ""), "mrn": tags.get("PatientID", ""), "acc": tags.get("AccessionNumber", "")}
