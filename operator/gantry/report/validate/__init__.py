"""Gantry's own check of an SR: everything validators of DICOM notice, and what none of them does (units, coordinates, IHE AI Results).

Pure. `validate_report` takes a dataset and answers with the problems it finds, in the order of the document; none: nothing is wrong. It
knows nothing of how the report was built, so that a fault of the builder does not hide a fault of the report. It must not mend anything.
"""

from collections.abc import Iterable, Iterator

from pydicom import Dataset

from ..verbatim import text, tolerated
from .content import check_item
from .items import Item, tree
from .modules import check_equipment, check_modules, check_state, check_study
from .problems import Problem, Rule
from .references import check_references, known
from .templates import check_groups, check_root, groups_of

__all__ = ["Problem", "Rule", "validate_report"]

MOST = 1000
"""Problems that are looked for: a file of 100,000 broken items needs no list of all."""


def validate_report(report: Dataset, source: Iterable[Dataset] = (), objects: Iterable[Dataset] = ()) -> tuple[Problem, ...]:
    """What is wrong with a report. `source` are the input images, `objects` further delivered objects; without, the file is checked alone."""
    with tolerated():
        images = list(source)
        result = []
        for problem in _problems(report, images, [*images, *objects]):
            result.append(problem)
            if len(result) == MOST:
                break
        return tuple(result)


def _problems(report: Dataset, images: list[Dataset], objects: list[Dataset]) -> Iterator[Problem]:
    root = tree(report)
    groups = groups_of(root)
    yield from check_modules(report)
    yield from check_state(report)
    yield from check_study(report, images)
    yield from check_equipment(report, root, groups)
    yield from check_root(root)
    yield from _items(root, text(report, "SOPClassUID"))
    yield from check_groups(groups)
    yield from check_references(report, root, known(root, {text(each, "SOPInstanceUID"): each for each in objects}))


def _items(root: Item, sop_class: str) -> Iterator[Problem]:
    for item in root.walk():
        yield from check_item(item, sop_class)
