"""What a new Run's template becomes by what the registries said: digests, commands, what a MAP asks for."""

from typing import Any

import pytest

from gantry.api.images import ImageStatus
from gantry.api.pipeline import RunTemplate
from gantry.runs import commands_of_images, lacking_command, pinned

DIGEST = f"sha256:{'a' * 64}"
MODEL_DIGEST = f"sha256:{'b' * 64}"
ALGORITHM = {"algorithm": {"name": "A", "version": "1", "manufacturer": "B"}}


def a_template(**step: Any) -> RunTemplate:
    return RunTemplate.model_validate({"steps": [{"name": "detect", "image": "r.example/nodules:1.2", **step}], "report": ALGORITHM})


def an_image(**more: Any) -> ImageStatus:
    return ImageStatus.model_validate({"step": "detect", "image": "r.example/nodules:1.2", "digest": DIGEST, **more})


def step(template: RunTemplate, *images: ImageStatus) -> dict[str, Any]:
    made = pinned(template, images).steps[0].model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    assert isinstance(made, dict)
    return made


NEEDS = {"cpu": "2", "memory": "1Gi", "gpu": 1, "gpuMemory": "6Gi", "sharedMemory": "64Mi"}
MAP = {"contract": "MAP"}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "a tag becomes a digest and stays readable": (
        {"command": ["x"]}, {}, {"image": f"r.example/nodules:1.2@{DIGEST}", "command": ["x"]},
    ),
    "the image's own command where the pipeline has none": (
        {}, {"entrypoint": ["/app/run"], "arguments": ["--fast"]}, {"command": ["/app/run", "--fast"]},
    ),
    "args take the place of the image's, as in a pod": (
        {"args": ["--slow"]}, {"entrypoint": ["/app/run"], "arguments": ["--fast"]}, {"command": ["/app/run", "--slow"]},
    ),
    "an image with Cmd alone": ({}, {"arguments": ["./docker-entrypoint.sh"]}, {"command": ["./docker-entrypoint.sh"]}),
    "the pipeline's command counts": ({"command": ["mine"], "args": ["-v"]}, {"entrypoint": ["/app/run"]}, {"command": ["mine"], "args": ["-v"]}),
    "a MAP's entrypoint is never used: it swallows the exit code": (MAP, {"entrypoint": ["/var/holoscan/tools"]}, MAP),
    "what a MAP asks for": (
        MAP, {"needs": NEEDS},
        {**MAP, "resources": {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"nvidia.com/gpu": "1"}, "gpuMemory": "6Gi", "sharedMemory": "1Gi"}},
    ),
    "more shared memory than the reference runner gives": (MAP, {"needs": {"sharedMemory": "4Gi"}}, {**MAP, "resources": {"sharedMemory": "4Gi"}}),
    "what the pipeline asks for counts": (
        MAP | {"resources": {"requests": {"cpu": "8"}, "limits": {"memory": "512Mi", "nvidia.com/mig-1g.10gb": "1"}, "sharedMemory": "2Gi"}}, {"needs": NEEDS},
        {**MAP, "resources": {"requests": {"cpu": "8"}, "limits": {"memory": "512Mi", "nvidia.com/mig-1g.10gb": "1"}, "gpuMemory": "6Gi", "sharedMemory": "2Gi"}},
    ),
    "a MAP keeps the image's user": (MAP, {"user": "1001:1001"}, {**MAP, "security": {"runAsUser": 1001}}),
    "unless the pipeline names one": (MAP | {"security": {"runAsUser": 0}}, {"user": "1001"}, {**MAP, "security": {"runAsUser": 0}}),
    "root is the pipeline's to allow": (MAP, {"user": "0"}, MAP),
    "a user by name is known within the image only": (MAP, {"user": "holoscan"}, MAP),
}  # fmt: skip


@pytest.mark.parametrize(("given", "image", "want"), CASES.values(), ids=CASES.keys())
def test_a_step(given: dict[str, Any], image: dict[str, Any], want: dict[str, Any]) -> None:
    assert step(a_template(**given), an_image(**image)) == {"name": "detect", "image": f"r.example/nodules:1.2@{DIGEST}", **want}


def test_models_in_images_are_pinned_too() -> None:
    template = a_template(command=["x"], models=[{"name": "w", "mountPath": "/models", "image": {"reference": "r.example/w:7"}}])
    known = ImageStatus(step="detect", model="w", image="r.example/w:7", digest=MODEL_DIGEST)
    assert step(template, known)["models"] == [{"name": "w", "mountPath": "/models", "image": {"reference": f"r.example/w:7@{MODEL_DIGEST}"}}]


def test_what_is_known_of_another_image_is_not_believed() -> None:
    template = a_template(command=["x"])
    assert pinned(template, [ImageStatus(step="detect", image="r.example/nodules:1.1", digest=DIGEST)]) is template
    assert pinned(template, [an_image(digest=None)]) is template
    assert pinned(template, []) is template


LACKING: dict[str, tuple[dict[str, Any], list[ImageStatus], bool]] = {
    "a command": ({"command": ["x"]}, [], False),
    "none, and nothing known": ({}, [], True),
    "none, and the image has one": ({}, [an_image(arguments=["run"])], False),
    "none, and the image has none either": ({}, [an_image()], True),
    "a MAP has it in its manifest": (MAP, [], False),
}


@pytest.mark.parametrize(("given", "images", "lacks"), LACKING.values(), ids=LACKING.keys())
def test_whether_a_step_can_be_started(given: dict[str, Any], images: list[ImageStatus], lacks: bool) -> None:
    assert (lacking_command(a_template(**given), images) is not None) == lacks


@pytest.mark.parametrize(
    ("given", "image", "want"),
    [
        ({}, {"entrypoint": ["/app/run"]}, ("detect",)),
        ({"command": ["mine"]}, {"entrypoint": ["/app/run"]}, ()),
        (MAP, {"entrypoint": ["/var/holoscan/tools"]}, ()),
    ],
    ids=["the image's own", "the pipeline's", "a manifest's"],
)
def test_whose_command_it_is(given: dict[str, Any], image: dict[str, Any], want: tuple[str, ...]) -> None:
    template = a_template(**given)
    assert commands_of_images(template, pinned(template, [an_image(**image)])) == want
