"""examples/pipelines/mammography-four-views.yaml: its image has a tag and its step no command; what the registry says completes both."""

from pathlib import Path

import yaml

from gantry.api.images import ImageStatus
from gantry.api.pipeline import RunTemplate
from gantry.runs import lacking_command, pinned

FILE = Path(__file__).parents[3] / "examples" / "pipelines" / "mammography-four-views.yaml"
IMAGE, DIGEST = "registry.example/mammography:1.0", f"sha256:{'a' * 64}"


def template() -> RunTemplate:
    return RunTemplate.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8"))["spec"]["template"])


def test_its_runs_have_the_digest_and_the_images_own_command() -> None:
    said = ImageStatus.model_validate({"step": "detect", "image": IMAGE, "digest": DIGEST, "entrypoint": ["/app/detect"]})
    (step,) = pinned(template(), [said]).steps
    assert (step.image, step.command) == (f"{IMAGE}@{DIGEST}", ["/app/detect"])
    assert lacking_command(template(), [said]) is None


def test_until_the_registry_has_answered_nobody_could_start_it() -> None:
    step = lacking_command(template(), [])
    assert step is not None
    assert step.name == "detect"
