"""Algorithm Identification (PS3.3 10.16) of objects an application made, against what Contributing Equipment says (IHE AIR 6.5.3.1).

Pure. What agrees stays, what is missing is filled in, what contradicts is told and stays as it is: nobody here knows which of the two is right.
A segment that a person drew has no algorithm. The Parametric Map IOD has no such sequence; one that carries it is compared all the same.
"""

from collections.abc import Iterator, Sequence

from pydicom import DataElement, Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from gantry.findings import Algorithm

from .verbatim import items, shallow, text
from .vocabulary import Vocabulary

OF_SEGMENT = "SegmentationAlgorithmIdentificationSequence"
_SEGMENTS = "SegmentSequence"
_SAME = {"AlgorithmName": "name", "AlgorithmVersion": "version", "AlgorithmSource": "manufacturer"}
"""Attribute, and the word of the algorithm it has to be."""
_UNSEARCHED = frozenset(("PerFrameFunctionalGroupsSequence", "ContentSequence"))


def contradictions(dataset: Dataset, algorithms: Sequence[Algorithm], *, where: str = "") -> Iterator[str]:
    """Each attribute that says something else than every algorithm of the findings."""
    for element in dataset:
        if element.VR != "SQ" or element.tag.is_private or element.keyword in _UNSEARCHED:
            continue
        for number, item in enumerate(element.value or (), 1):
            place = f"{where}{element.keyword}[{number}]."
            if element.keyword.endswith("AlgorithmIdentificationSequence"):
                yield from _contradicted(item, algorithms, place)
            else:
                yield from contradictions(item, algorithms, where=place)


def _contradicted(item: Dataset, algorithms: Sequence[Algorithm], place: str) -> Iterator[str]:
    name = text(item, "AlgorithmName")
    known = [each for each in algorithms if each.name == name] if name else list(algorithms)
    if not known:
        yield f"{place}AlgorithmName: is that of no algorithm of the findings and so not in Contributing Equipment"
        return
    for keyword, word in _SAME.items():
        said = text(item, keyword)
        if said and said not in {getattr(each, word) for each in known}:
            yield f"{place}{keyword}: is not what Contributing Equipment says of this algorithm"


def completed(dataset: Dataset, algorithms: Sequence[Algorithm], vocabulary: Vocabulary) -> Dataset:
    """The segmentation with the algorithm of each segment that an algorithm made; the given dataset stays as it is."""
    if not items(dataset, _SEGMENTS):
        return dataset
    segments = [_with_algorithm(segment, algorithms, vocabulary) for segment in items(dataset, _SEGMENTS)]
    result = shallow(dataset)
    result[Tag(_SEGMENTS)] = DataElement(Tag(_SEGMENTS), "SQ", Items(segments))
    return result


def _with_algorithm(segment: Dataset, algorithms: Sequence[Algorithm], vocabulary: Vocabulary) -> Dataset:
    if text(segment, "SegmentAlgorithmType") == "MANUAL":
        return segment
    present = items(segment, OF_SEGMENT) or [Dataset()]
    made = [_filled(item, _the_one(item, segment, algorithms), vocabulary) for item in present]
    if not all(text(item, "AlgorithmName") for item in made):
        return segment  # several algorithms, and nothing tells which made it
    result = shallow(segment)
    result[Tag(OF_SEGMENT)] = DataElement(Tag(OF_SEGMENT), "SQ", Items(made))
    return result


def _the_one(item: Dataset, segment: Dataset, algorithms: Sequence[Algorithm]) -> Algorithm | None:
    """By what the item says, else by the name of the segment's algorithm, else the only one there is."""
    name = text(item, "AlgorithmName")
    named = [each for each in algorithms if each.name == (name or text(segment, "SegmentAlgorithmName"))]
    candidates = named if named or name else list(algorithms)
    candidates = [each for each in candidates if not list(_contradicted(item, [each], ""))]
    return candidates[0] if len(candidates) == 1 else None


def _filled(item: Dataset, algorithm: Algorithm | None, vocabulary: Vocabulary) -> Dataset:
    if algorithm is None:
        return item
    result = shallow(item)
    if not items(item, "AlgorithmFamilyCodeSequence"):
        family = vocabulary.optional(algorithm.family) or vocabulary.dcm("123110", "Artificial Intelligence")
        result[Tag("AlgorithmFamilyCodeSequence")] = DataElement(Tag("AlgorithmFamilyCodeSequence"), "SQ", Items([family]))
    for keyword, word in _SAME.items():
        if not text(item, keyword):
            # a new element: assigning to the old one would change the given dataset, too
            result[Tag(keyword)] = DataElement(Tag(keyword), "LO", getattr(algorithm, word))
    return result
