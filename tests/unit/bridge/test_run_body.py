"""The Run a decision becomes."""

import json
from dataclasses import replace
from datetime import timedelta

from tests.builders_bridge import a_candidate, requirement
from tests.fake_orthanc import START, identifier

from gantry.api import InferenceRun
from gantry.api.matching import PriorityClassNames
from gantry.bridge import run_body
from gantry.runs import fingerprint

STUDY = identifier("a")


def body(**more: object) -> dict[str, object]:
    arguments = {
        "namespace": "radiology",
        "bridge": "main",
        "candidate": a_candidate(series=[requirement("Modality", "In", "CT")]),
        "study": STUDY,
        "series": (identifier("a", "2"), identifier("a", "1")),
        "instances": 20,
        "fingerprint": fingerprint("radiology", "nodules", STUDY, ["1.2"]),
        "trigger": "StableStudy",
        "seen": START + timedelta(milliseconds=1),
    }
    return run_body(**{**arguments, **more})  # type: ignore[arg-type]


def test_it_is_a_run_as_the_crd_has_it() -> None:
    raw = body()
    run = InferenceRun.model_validate({"spec": raw["spec"]})
    assert run.spec.study.instances == 20
    assert run.spec.study.series_ids == sorted(run.spec.study.series_ids)
    assert run.spec.pipeline_ref is not None
    assert (run.spec.pipeline_ref.name, run.spec.pipeline_ref.uid) == ("nodules", "uid-nodules")
    assert run.spec.template == a_candidate(series=[requirement("Modality", "In", "CT")]).spec.template


def test_its_name_and_labels_come_from_pipeline_and_images() -> None:
    metadata = body()["metadata"]
    assert metadata == {
        "name": "nodules-" + fingerprint("radiology", "nodules", STUDY, ["1.2"])[:13],
        "namespace": "radiology",
        "labels": {
            "gantry.health/pipeline": "nodules",
            "gantry.health/bridge": "main",
            "gantry.health/study": STUDY[:8],
            "app.kubernetes.io/part-of": "gantry",
            "app.kubernetes.io/managed-by": "gantry",
        },
        "annotations": {"gantry.health/seen": "2026-03-01T12:00:00.001Z"},
    }


def test_the_moments_that_led_to_it_are_noted() -> None:
    """Not in the spec: two bridges that make the same Run make the same Run."""
    raw = body(stable=START - timedelta(seconds=2), decided=START + timedelta(milliseconds=31))
    assert raw["metadata"]["annotations"] == {
        "gantry.health/stable": "2026-03-01T11:59:58.000Z",
        "gantry.health/seen": "2026-03-01T12:00:00.001Z",
        "gantry.health/decided": "2026-03-01T12:00:00.031Z",
    }
    assert raw["spec"] == body()["spec"]


def test_it_is_plain_json_without_empty_fields() -> None:
    text = json.dumps(body())
    assert "null" not in text


def test_the_priority_classes_of_the_pipeline_are_written_into_the_run() -> None:
    """All of them: the Run's class may be changed while it waits, and the pipeline may be gone by then."""
    candidate = a_candidate(series=[requirement("Modality", "In", "CT")])
    names = PriorityClassNames.model_validate({"Stat": "emergency", "Routine": "daily"})
    rules = candidate.spec.priority.model_copy(update={"class_names": names})
    raw = body(candidate=replace(candidate, spec=candidate.spec.model_copy(update={"priority": rules})))
    assert InferenceRun.model_validate({"spec": raw["spec"]}).spec.priority_class_names == names
    assert "priorityClassNames" not in str(body())


def test_commands_of_images_are_noted() -> None:
    candidate = replace(a_candidate(series=[requirement("Modality", "In", "CT")]), commands_of_images=("prepare", "detect"))
    annotations = body(candidate=candidate)["metadata"]["annotations"]  # type: ignore[index]
    assert annotations["gantry.health/commands-of-images"] == "prepare,detect"
