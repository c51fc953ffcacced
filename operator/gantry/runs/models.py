"""Models of steps as volumes of the pod: a claim, an image or a ConfigMap, always read-only. Pure."""

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from gantry.api.images import Model
from gantry.api.pipeline import RunTemplate
from gantry.api.step import Step

MAP_MODELS = ("/opt/holoscan/models", "/opt/monai/models")
"""Where packages keep their own: what is mounted below needs no variable."""


def model_volumes(template: RunTemplate) -> list[dict[str, Any]]:
    """Of all steps. Named by the step's place: the names of step and model together may be longer than a volume's."""
    return [_volume(place, model) for place, step in enumerate(template.steps) for model in step.models]


def model_mounts(template: RunTemplate, place: int) -> list[dict[str, Any]]:
    """Of the step at this place."""
    return [{"name": _name(place, one), "mountPath": one.mount_path, "readOnly": True} for one in template.steps[place].models]


def model_environment(step: Step) -> Mapping[str, str]:
    """Where a MAP looks for models, if that is not where its package has them: the model's folder, or the one that several lie in."""
    paths = [model.mount_path for model in step.models]
    if step.contract != "MAP" or not paths or all(path.startswith(MAP_MODELS) for path in paths):
        return {}
    folder = paths[0] if len(paths) == 1 else posixpath.commonpath(paths)
    return {"HOLOSCAN_MODEL_PATH": folder, "MONAI_MODELPATH": folder} if folder != "/" else {}


def described(models: Sequence[Model]) -> str:
    """For a message: which claim, image or ConfigMap each is."""
    return ", ".join(f"{one.name} ({_source(one)})" for one in models)


def _source(model: Model) -> str:
    if model.persistent_volume_claim:
        return f"claim {model.persistent_volume_claim.claim_name}"
    return f"image {model.image.reference}" if model.image else f"ConfigMap {model.config_map}"


def _name(place: int, model: Model) -> str:
    return f"model-{place}-{model.name}"


def _volume(place: int, model: Model) -> dict[str, Any]:
    named = {"name": _name(place, model)}
    if model.persistent_volume_claim:
        return named | {"persistentVolumeClaim": {"claimName": model.persistent_volume_claim.claim_name, "readOnly": True}}
    if model.image:
        return named | {"image": {"reference": model.image.reference, "pullPolicy": "IfNotPresent"}}
    return named | {"configMap": {"name": model.config_map}}
