"""What counts as present and absent."""

from typing import Any

import pytest
from tests.builders_findings import EMPHYSEMA, NODULE, PNEUMOTHORAX, UPPER_LOBE, a_context, a_document, a_finding, negative, parsed

from gantry.api import Code
from gantry.api.run import FindingCounts
from gantry.report import count_findings
from gantry.report.outcome import absent, evaluated

Json = dict[str, Any]
PIPELINE = (Code(**PNEUMOTHORAX),)

COUNTS: dict[str, tuple[Json, tuple[Code, ...], tuple[int, int]]] = {
    "nothing and nothing looked for": (a_document(), (), (0, 0)),
    "a negative document": (negative(), (), (0, 2)),
    "a negative document by what the pipeline says": (a_document(), PIPELINE, (0, 1)),
    "what both say counts once": (negative(), PIPELINE, (0, 2)),
    "a finding answers for its type": (a_document(a_finding(), evaluatedFor=[NODULE, PNEUMOTHORAX]), (), (1, 1)),
    "two findings of a type are two": (a_document(a_finding("a"), a_finding("b"), evaluatedFor=[NODULE]), (), (2, 0)),
    "an indeterminate finding is no absence": (a_document(a_finding(presence="indeterminate"), evaluatedFor=[NODULE]), (), (1, 0)),
    "a finding without presence is there": (a_document(a_finding(presence=None), evaluatedFor=[NODULE]), (), (1, 0)),
    "what is said to be absent is not counted twice": (a_document(a_finding(presence="absent", sites=None), evaluatedFor=[NODULE]), (), (0, 1)),
    "absent at one site says nothing of the others": (
        a_document(a_finding(presence="absent", sites=[{"location": UPPER_LOBE}]), evaluatedFor=[NODULE]),
        (),
        (0, 2),
    ),
}


@pytest.mark.parametrize(("document", "pipeline", "counts"), COUNTS.values(), ids=COUNTS)
def test_findings_are_counted(document: Json, pipeline: tuple[Code, ...], counts: tuple[int, int]) -> None:
    present, missing = counts
    assert count_findings(parsed(document), a_context(evaluated_for=pipeline)) == FindingCounts(present=present, absent=missing)


def test_what_could_not_be_assessed_is_counted_and_neither_present_nor_absent() -> None:
    document = a_document(evaluatedFor=[NODULE, PNEUMOTHORAX], notEvaluable=[{"type": NODULE, "text": "Motion"}])
    assert count_findings(parsed(document), a_context()) == FindingCounts(present=0, absent=1, not_evaluable=1)


def test_the_documents_own_words_for_a_concept_win() -> None:
    document = a_document(evaluatedFor=[EMPHYSEMA | {"meaning": "Emphysema"}])
    context = a_context(evaluated_for=(Code(**EMPHYSEMA), *PIPELINE))
    assert [concept.meaning for concept in evaluated(parsed(document), context)] == ["Emphysema", "Pneumothorax"]
    assert len(absent(parsed(document), context)) == 2
