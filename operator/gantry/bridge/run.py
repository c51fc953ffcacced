"""The InferenceRun a decision becomes.

Pure. Everything in it is derived from pipeline and images, so that making it twice ends in one Run. No identifier of patient or study
but Orthanc's ids (hashes).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gantry.api import API_VERSION, labels
from gantry.api.matching import Priority
from gantry.api.run import Trigger
from gantry.runs import run_name

from .host import Candidate

STUDY_LABEL_LENGTH = 8
PRODUCT = "gantry"


def run_body(
    *,
    namespace: str,
    bridge: str,
    candidate: Candidate,
    study: str,
    series: Sequence[str],
    instances: int,
    fingerprint: str,
    trigger: Trigger,
    seen: datetime,
    stable: datetime | None = None,
    decided: datetime | None = None,
    priority: Priority = "Routine",
    sender: str | None = None,
    supersedes: str | None = None,
    after: str | None = None,
) -> dict[str, Any]:
    """What to POST. `seen`: when the study was noticed, `stable`: when Orthanc had said so, `decided`: when it was decided on; for the stages."""
    moments = {labels.STABLE: stable, labels.SEEN: seen, labels.DECIDED: decided}
    return {
        "apiVersion": API_VERSION,
        "kind": "InferenceRun",
        "metadata": {
            "name": run_name(candidate.name, fingerprint),
            "namespace": namespace,
            "labels": {
                labels.PIPELINE: candidate.name,
                labels.BRIDGE: bridge,
                labels.STUDY: study[:STUDY_LABEL_LENGTH],
                labels.PART_OF: PRODUCT,
                labels.MANAGED_BY: PRODUCT,
            },
            "annotations": {
                **{label: _milliseconds(moment) for label, moment in moments.items() if moment},
                **({labels.COMMANDS: ",".join(candidate.commands_of_images)} if candidate.commands_of_images else {}),
            },
        },
        "spec": {
            "pipelineRef": {"name": candidate.name, "uid": candidate.uid, "generation": candidate.generation},
            "bridgeRef": {"name": bridge},
            "study": {"orthancID": study, "seriesIDs": sorted(series), "instances": instances, "fingerprint": fingerprint},
            "trigger": trigger,
            "mode": candidate.spec.mode,
            **_priority_classes(candidate),
            "priority": priority,
            **({"sender": sender} if sender else {}),
            **({"supersedes": {"name": supersedes}} if supersedes else {}),
            **({"after": {"name": after}} if after else {}),
            "template": candidate.spec.template.model_dump(mode="json", by_alias=True, exclude_none=True),
        },
    }


def _priority_classes(candidate: Candidate) -> dict[str, Any]:
    """All of them, for the Run's class may be changed while it waits, and the pipeline with it."""
    names = candidate.spec.priority.class_names.model_dump(by_alias=True, exclude_none=True)
    return {"priorityClassNames": names} if names else {}


def _milliseconds(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
