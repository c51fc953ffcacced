"""Decisions beside a naive loop over the same rules: a study of 2,000 instances against 200 pipelines, decisions a second of tags and of CEL.

CPU time of one thread; nothing is asked of Orthanc. The naive loop is what a router without compiled rules does: for each pipeline each rule anew,
patterns by `re`, every element split each time.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, median, write
from tests.builders import PIPELINE, changed

from gantry.api import InferencePipeline
from gantry.routing import Rules, SeriesFacts, StudyFacts, compile_rules, decide, decide_all
from gantry.routing.cost import LIMIT, UNIT, bound
from gantry.routing.expression import STUDY_SCOPE, compile_expression
from gantry.routing.view import StudyView

ROUNDS = 15
SERIES, INSTANCES = 10, 200
KINDS = ["Thorax", "Abdomen", "Schädel", "Knie", "HWS", "Becken", "Mamma", "Herz"]
PARTS = ["CHEST", "ABDOMEN", "HEAD", "KNEE", "CSPINE"]


def a_study(text: str = "CT Thorax nativ") -> StudyFacts:
    """Ten series of 200 images, each with the 150 elements that an instance of a scanner has."""
    private = {f"0019,{number:04x}": f"value {number}" for number in range(0x1010, 0x1010 + 130)}
    tags = {"StudyDescription": text, "ModalitiesInStudy": "CT", "PatientAge": "064Y", "PatientSex": "F", "InstitutionName": "Klinikum Nord"}
    series = [
        SeriesFacts(
            f"{number:08x}",
            {
                **tags, **private, "Modality": "CT", "SeriesDescription": f"Lunge {number}.0 B{number}0f", "SeriesNumber": str(number),
                "SliceThickness": f"{number / 2}", "ImageType": "ORIGINAL\\PRIMARY\\AXIAL", "ConvolutionKernel": f"B{number}0f",
                "ImageOrientationPatient": "1\\0\\0\\0\\1\\0", "BodyPartExamined": "CHEST", "Manufacturer": "ACME",
            },
            INSTANCES,
            sender="CT_1",
        )
        for number in range(1, SERIES + 1)
    ]  # fmt: skip
    return StudyFacts("study", tags, tuple(series))


def a_pipeline(match: dict[str, Any], series: dict[str, Any]) -> InferencePipeline:
    raw = changed(changed(PIPELINE, "spec.match", match), "spec.template.input.series", series)
    return InferencePipeline.model_validate({"spec": raw["spec"]})


def requirement(tag: str, operator: str, *values: str) -> dict[str, Any]:
    return {"tag": tag, "operator": operator, "values": list(values)}


def tag_pipelines(count: int) -> list[InferencePipeline]:
    """As a hospital has them: each one asks for a modality, a kind of study, a body part, thin slices, no localizer. An eighth takes the study."""
    return [
        a_pipeline(
            {"study": [requirement("ModalitiesInStudy", "In", "CT"), requirement("StudyDescription", "Matches", f"(?i){KINDS[number % 8]}")]},
            {
                "match": [
                    requirement("Modality", "In", "CT"),
                    requirement("ImageType", "NotIn", "LOCALIZER"),
                    requirement("BodyPartExamined", "In", PARTS[0], PARTS[number % 5]),
                    requirement("SliceThickness", "Lte", f"{1 + number % 7 / 2}"),
                ]
            },
        )
        for number in range(count)
    ]


def all_match(count: int) -> list[InferencePipeline]:
    """The worst case: every pipeline looks at every series."""
    return [
        a_pipeline(
            {"study": [requirement("StudyDescription", "Matches", f"(?i)thorax|{number}")]},
            {"match": [requirement("Modality", "In", "CT"), requirement("SliceThickness", "Lte", f"{1 + number / 100}")]},
        )
        for number in range(count)
    ]


def cel_pipelines(count: int) -> list[InferencePipeline]:
    """One expression over the study and one over each of its ten series, each pipeline with its own."""
    return [
        a_pipeline(
            {"expression": f"study.series.exists(s, s.tags.Modality == 'CT' && s.instances > {number % 199})"},
            {"expression": f"series.orientation == 'AXIAL' && series.thickness < {1 + number / 100:.2f}"},
        )
        for number in range(count)
    ]


def naive(pipelines: Sequence[InferencePipeline], study: StudyFacts) -> list[tuple[str, ...]]:
    """The same rules, read from the pipeline for each study: the chosen series of each pipeline, without a reason for anything."""

    def holds(one: Any, tags: Any) -> bool:
        text = tags.get(one.tag)
        values = None if text is None or not text.strip() else [part.strip(" \0") for part in text.split("\\")]
        match one.operator:
            case "In":
                return values is not None and any(value in one.values for value in values)
            case "NotIn":
                return values is None or not any(value in one.values for value in values)
            case "Matches":
                return values is not None and any(re.search(pattern, value) for pattern in one.values for value in values)
            case _:
                return values is not None and any(float(value) <= float(one.values[0]) for value in values)

    return [
        tuple(series.orthanc_id for series in study.series if all(holds(one, series.tags) for one in pipeline.spec.template.input.series.match))
        if all(holds(one, study.tags) for one in pipeline.spec.match.study)
        else ()
        for pipeline in pipelines
    ]


def cpu(work: Callable[[], object]) -> float:
    """Seconds of this thread, the median of some rounds; the first one fills caches."""
    seconds = []
    for _ in range(ROUNDS + 1):
        begin = time.thread_time()
        work()
        seconds.append(time.thread_time() - begin)
    return median(seconds[1:])


def compiled(pipelines: Sequence[InferencePipeline]) -> list[Rules]:
    return [compile_rules(f"p{number}", one) for number, one in enumerate(pipelines)]


def figures() -> Iterator[Figure]:
    """All of them."""
    study = a_study()
    usual, worst, expressions = tag_pipelines(200), all_match(200), cel_pipelines(200)
    for name, pipelines in (("tag rules", usual), ("tag rules, all match", worst)):
        rules = compiled(pipelines)
        together = cpu(lambda: decide_all(rules, study))  # noqa: B023 - called at once
        loop = cpu(lambda: naive(pipelines, study))  # noqa: B023
        assert [one.selected for one in decide_all(rules, study)] == naive(pipelines, study)
        yield Figure(f"2,000 instances against 200 pipelines, {name}", together * 1000, "ms CPU", 20, peer="naive loop", peer_value=loop * 1000)
    rules = compiled(expressions)
    seconds = cpu(lambda: decide_all(rules, study))
    yield Figure("2,000 instances against 200 pipelines, CEL at study and series", seconds * 1000, "ms CPU", 20)
    yield Figure("  CEL decisions a second and core, 200 pipelines a study", 200 / seconds, "1/s", 2000, "higher")
    alone = compiled(expressions)[0]
    yield Figure("  CEL decisions a second and core, one pipeline a study", 1 / cpu(lambda: decide(alone, study)), "1/s", 2000, "higher")
    rules = compiled(worst)
    one = cpu(lambda: [decide(rules[0], study) for _ in range(100)]) / 100
    loop = cpu(lambda: [naive(worst[:1], study) for _ in range(100)]) / 100
    yield Figure("  tag decisions a second and core, one pipeline a study", 1 / one, "1/s", 10000, "higher", peer="naive loop", peer_value=1 / loop)
    many = cpu(lambda: decide_all(rules, study))
    yield Figure("  tag decisions a second and core, 200 pipelines a study", 200 / many, "1/s", 10000, "higher")
    yield from growth()
    yield from dearest()


def growth() -> Iterator[Figure]:
    """Ten times the pipelines: not more than ten times the work."""
    study = a_study()
    few, many = compiled(all_match(40)), compiled(all_match(400))
    small, large = cpu(lambda: decide_all(few, study)), cpu(lambda: decide_all(many, study))
    yield Figure("  growth of the work with ten times the pipelines", large / small, "x", 12)


def dearest() -> Iterator[Figure]:
    """What an evaluation that is just allowed takes; what costs more is not asked."""
    text = "study.series.exists(s, s.tags.SeriesDescription.matches('^(([0-9]{1,50})x?){1,15}q$'))"
    expression = compile_expression("f", text, STUDY_SCOPE)
    tags = {"SeriesDescription": "1234567890" * 10}
    count = 1
    while expression.compiled.affordable(StudyView(many_series(2 * count, tags), expression.needs).sizes.exact):
        count *= 2
    view = StudyView(many_series(count, tags), expression.needs)
    seconds = cpu(lambda: expression.refusal(study=view))
    price = bound(expression.compiled.tree, view.sizes.exact) * UNIT
    yield Figure(
        "dearest expression that is still asked", seconds * 1000, "ms CPU", LIMIT * UNIT * 1000, peer="its price", peer_value=price * 1000,
        note=f"{count} series, the same without a bound on 2,000 texts: 28 s",
    )  # fmt: skip


def many_series(count: int, tags: dict[str, str]) -> StudyFacts:
    return StudyFacts("study", tags, tuple(SeriesFacts(f"{number:05}", tags, 1) for number in range(count)))


def main() -> int:
    measured = []
    for figure in figures():
        print(figure.line(), flush=True)
        measured.append(figure)
    write(measured, Path(__file__).parents[2] / "build" / "bench.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
