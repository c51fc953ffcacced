"""What expressions know of a series by name, and that nothing an archive holds makes them raise."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.routing import SeriesFacts, StudyFacts
from gantry.routing.dictionary import by_keyword
from gantry.routing.variables import ELEMENTS_OF, ORIENTATIONS, contrast, elements, orientation, series_variables, study_variables, thickness


def turned(degrees: float, axis: str = "x") -> str:
    """Rows and columns of an axial plane, turned about an axis."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    cosines = (1, 0, 0, 0, c, s) if axis == "x" else (c, 0, s, 0, 1, 0)
    return "\\".join(f"{one:.6f}" for one in cosines)


PLANES = {
    "axial": (r"1\0\0\0\1\0", "AXIAL"),
    "axial, seen from above": (r"-1\0\0\0\1\0", "AXIAL"),
    "coronal": (r"1\0\0\0\0\-1", "CORONAL"),
    "sagittal": (r"0\1\0\0\0\-1", "SAGITTAL"),
    "axial, 19 degrees of gantry tilt": (turned(19), "AXIAL"),
    "21 degrees": (turned(21), "OBLIQUE"),
    "halfway": (turned(45), "OBLIQUE"),
    "69 degrees": (turned(69), "OBLIQUE"),
    "71 degrees is coronal": (turned(71), "CORONAL"),
    "padding": (r" 1 \0\0\0\1\0 ", "AXIAL"),
    "five numbers": (r"1\0\0\0\1", ""),
    "no numbers": (r"a\b\c\d\e\f", ""),
    "zeros": (r"0\0\0\0\0\0", ""),
    "one direction twice": (r"1\0\0\1\0\0", ""),
    "too large": (r"1e200\0\0\0\1e200\0", ""),
    "empty": ("", ""),
}


@pytest.mark.parametrize(("cosines", "plane"), PLANES.values(), ids=PLANES.keys())
def test_the_plane_is_what_a_radiologist_calls_it(cosines: str, plane: str) -> None:
    assert orientation({"ImageOrientationPatient": cosines}) == plane


CONTRAST = {"Imeron 400": True, "": False, "NONE ": False, "no": False, "0": False, "IV": True}


@pytest.mark.parametrize(("agent", "given_"), CONTRAST.items(), ids=[repr(one) for one in CONTRAST])
def test_contrast_is_an_agent_that_names_something(agent: str, given_: bool) -> None:
    assert contrast({"ContrastBolusAgent": agent}) is given_


@pytest.mark.parametrize("text", ["", "0", "-1", "thin", "NaN", "inf", "1,25"])
def test_a_thickness_that_is_none_is_absent(text: str) -> None:
    assert thickness({"SliceThickness": text}) is None
    assert "thickness" not in series_variables(SeriesFacts("s", {"SliceThickness": text}, 1))


TYPES: dict[str, tuple[str, str, Any]] = {
    "a decimal string is a number": ("SliceThickness", "1.25 ", 1.25),
    "an integer string is a whole number": ("SeriesNumber", "5", 5),
    "what should be a number and is none stays text": ("KVP", "120kV", "120kV"),
    "text stays text": ("StudyDescription", "CT  Thorax ", "CT  Thorax"),
    "a code that looks like a number stays text": ("StationName", "7", "7"),
    "several values are a list": ("ImageType", "ORIGINAL\\PRIMARY", ["ORIGINAL", "PRIMARY"]),
    "one value of several is a list too": ("ModalitiesInStudy", "CT", ["CT"]),
    "several numbers": ("PixelSpacing", "0.7\\0.7", [0.7, 0.7]),
    "a backslash where one value belongs is text": ("StudyDescription", "A\\B", "A\\B"),
    "an odd character set": ("PatientName", "M\ufffdller^\x1b$B", "M\ufffdller^\x1b$B"),
}


@pytest.mark.parametrize(("keyword", "text", "value"), TYPES.values(), ids=TYPES.keys())
def test_an_element_has_the_type_of_the_standard(keyword: str, text: str, value: Any) -> None:
    made = elements({keyword: text}, None)
    assert made == {keyword: value, by_keyword()[keyword].number: value}
    assert type(made[keyword]) is type(value)


@pytest.mark.parametrize("text", ["", "  ", "\0", "\\", " \\ "])
def test_an_empty_element_is_absent(text: str) -> None:
    assert elements({"StudyDescription": text}, None) == {}


def test_an_expression_sees_only_what_the_rules_name() -> None:
    assert set(elements({"KVP": "1", "StudyID": "2"}, {"KVP"})) == {"KVP", "0018,0060"}


KEYWORDS = st.sampled_from([*ELEMENTS_OF.values(), "SeriesNumber", "PixelSpacing", "ImageType"]) | st.sampled_from(sorted(by_keyword()))
ANYTHING = st.text(max_size=20) | st.text(st.characters(categories=("Cs", "L", "N")), max_size=4)  # JSON can carry lone surrogates
NAMES = KEYWORDS | ANYTHING | st.sampled_from(["0019,1010", '0019,"ACME",10', '0019,"\\",1A', ",", '0019,"', "0008,103E"])
VALUES = ANYTHING | st.text("-+0123456789.eE\\ \0", max_size=40)
TAGS = st.dictionaries(NAMES, VALUES, max_size=8)


@given(TAGS, st.integers(0, 10**6), st.none() | ANYTHING)
def test_no_element_whatever_it_holds_makes_the_variables_raise(tags: dict[str, str], instances: int, sender: str | None) -> None:
    series = SeriesFacts("s", tags, instances, sender=sender)
    variables = series_variables(series)
    assert variables["orientation"] in ORIENTATIONS
    assert isinstance(variables["contrast"], bool)
    assert variables.get("thickness", 1.0) > 0
    assert study_variables(StudyFacts("st", tags, (series,)), [variables])["instances"] == instances
