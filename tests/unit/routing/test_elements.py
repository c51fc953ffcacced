"""DICOM's elements as rules name them, without pydicom in the operator."""

from importlib.resources import files

import pytest

from gantry.report.elementsgen import elements
from gantry.routing.dictionary import by_keyword
from gantry.routing.tags import UnknownTag, tag_of, values_of


def test_the_list_of_elements_is_pydicoms() -> None:
    """`make generate` writes it."""
    assert files("gantry.routing").joinpath("elements.tsv").read_text(encoding="ascii") == elements()
    assert len(by_keyword()) > 5000


UNKNOWN = {
    "StudyDesciption": "DICOM has no keyword StudyDesciption; did you mean StudyDescription?",
    "Slicethickness": "DICOM has no keyword Slicethickness; did you mean SliceThickness?",
    "Xyzzy": "DICOM has no keyword Xyzzy; write a keyword of PS3.6 or gggg,eeee",
}


@pytest.mark.parametrize(("keyword", "message"), UNKNOWN.items(), ids=UNKNOWN.keys())
def test_an_unknown_keyword_is_refused_with_the_nearest(keyword: str, message: str) -> None:
    with pytest.raises(UnknownTag) as told:
        tag_of(keyword)
    assert str(told.value) == message


SAME = {
    "keyword and number": ("Modality", "0008,0060"),
    "either case of the number": ("0008,103E", "0008,103e"),
    "either case of a private number": ('0019,"ACME",1A', '0019,"ACME",1a'),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME.keys())
def test_two_spellings_are_one_element(one: str, other: str) -> None:
    assert tag_of(one).name == tag_of(other).name
    for known_as in (one, other):
        key = known_as if known_as == "Modality" else known_as.lower().replace("acme", "ACME")
        assert values_of({key: " CT "}, tag_of(one).name) == ("CT",)
        assert values_of({key: " CT "}, other) == ("CT",)
