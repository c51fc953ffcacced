"""examples/pipelines/dose.yaml: CT images and dose reports are its input, and nothing else is."""

from pathlib import Path

import pytest
import yaml

from gantry.api import InferencePipeline
from gantry.routing import SeriesFacts, StudyFacts, compile_rules, decide

CT_IMAGE, DOSE_SR, OTHER_SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.67", "1.2.840.10008.5.1.4.1.1.88.33"
EXAMPLE = Path(__file__).parents[3] / "examples" / "pipelines" / "dose.yaml"
MANIFEST = yaml.safe_load(EXAMPLE.read_text("utf-8").replace("$dose_image", "registry.example/dose:1"))
PIPELINE = InferencePipeline.model_validate({"spec": MANIFEST["spec"]})

CASES: dict[str, tuple[tuple[str, str, str, bool], bool]] = {
    "CT images": (("ct", "CT", CT_IMAGE, False), True),
    "the scanner's dose report": (("dose", "SR", DOSE_SR, False), True),
    "another report": (("other", "SR", OTHER_SR, False), False),
    "a report of our own": (("own", "SR", OTHER_SR, True), False),
    "images of another modality": (("pt", "PT", "1.2.840.10008.5.1.4.1.1.128", False), False),
}


@pytest.mark.parametrize(("series", "selected"), CASES.values(), ids=CASES.keys())
def test_its_series(series: tuple[str, str, str, bool], selected: bool) -> None:
    name, modality, sop_class, own = series
    always = SeriesFacts("always", {"Modality": "CT", "SOPClassUID": CT_IMAGE}, 1)
    facts = StudyFacts("study", {"ModalitiesInStudy": "CT\\SR\\PT"}, (always, SeriesFacts(name, {"Modality": modality, "SOPClassUID": sop_class}, 1, own=own)))
    decided = decide(compile_rules("ct-dose", PIPELINE), facts)
    assert decided.matched
    assert (name in decided.selected) == selected


def test_no_pixel_is_asked_for() -> None:
    assert PIPELINE.spec.template.input.content == "Metadata"
