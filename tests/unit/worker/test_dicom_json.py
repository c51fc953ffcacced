"""The plugin's answer becomes DICOM JSON by the standard, whatever the plugin's version makes of it."""

import json
from typing import Any

import pytest

from gantry.worker.dicom_json import NotDicomJson, encoded, parsed, text_of

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text stays as it is": ({"00081030": {"vr": "LO", "Value": ["CT Schädel"]}}, {"00081030": {"vr": "LO", "Value": ["CT Schädel"]}}),
    "the character set is UTF-8 now": ({"00080005": {"vr": "CS", "Value": ["", "ISO 2022 IR 87"]}}, {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}),
    "without a character set none is made up": ({"00080060": {"vr": "CS", "Value": ["CT"]}}, {"00080060": {"vr": "CS", "Value": ["CT"]}}),
    "bulk data is left out, not referred to": ({"7FE00010": {"vr": "OW", "BulkDataURI": "http://x/1.2.3"}}, {}),
    "so is binary data inline": ({"00091003": {"vr": "UN", "InlineBinary": "AAAA"}}, {}),
    "floats of plugin 1.7, which are zero, are left out": ({"00660016": {"vr": "OF", "Value": [0]}}, {}),
    "64-bit integers of plugin 1.24, which are zero, are left out": ({"00720082": {"vr": "SV", "Value": [0]}, "00720083": {"vr": "UV", "Value": [0]}}, {}),
    "decimal strings of plugin 1.24 become the numbers of 1.7": ({"00280030": {"vr": "DS", "Value": ["0.7", " 5.0", None, "1E2"]}}, {"00280030": {"vr": "DS", "Value": [0.7, 5, None, 100]}}),
    "a decimal string that is none stays": ({"00201041": {"vr": "DS", "Value": ["abc", "inf"]}}, {"00201041": {"vr": "DS", "Value": ["abc", "inf"]}}),
    "a backslash in a long text is no separator": ({"00104000": {"vr": "LT", "Value": ["C:", "dose"]}}, {"00104000": {"vr": "LT", "Value": ["C:\\dose"]}}),
    "names keep their three groups": (
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}]}},
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}]}},
    ),
    "an empty element has no Value": ({"00080090": {"vr": "PN"}, "00201041": {"vr": "DS", "Value": []}}, {"00080090": {"vr": "PN"}, "00201041": {"vr": "DS"}}),
    "items are treated as the dataset is": (
        {"00880200": {"vr": "SQ", "Value": [{"7FE00010": {"vr": "OB", "BulkDataURI": "x"}, "00280010": {"vr": "US", "Value": [64]}, "00189345": {"vr": "DS", "Value": ["1.5"]}}, {}]}},
        {"00880200": {"vr": "SQ", "Value": [{"00189345": {"vr": "DS", "Value": [1.5]}, "00280010": {"vr": "US", "Value": [64]}}, {}]}},
    ),
    "private elements keep their creator": (
        {"00111001": {"vr": "LO", "Value": ["x"]}, "00110010": {"vr": "LO", "Value": ["ACME"]}},
        {"00110010": {"vr": "LO", "Value": ["ACME"]}, "00111001": {"vr": "LO", "Value": ["x"]}},
    ),
    "the file's header and group lengths are no elements of the dataset": ({"00020010": {"vr": "UI", "Value": ["1.2"]}, "00080000": {"vr": "UL", "Value": [100]}}, {}),
}


@pytest.mark.parametrize(("said", "want"), CASES.values(), ids=CASES.keys())
def test_an_element(said: dict[str, Any], want: dict[str, Any]) -> None:
    made = parsed(json.dumps([said]).encode())
    assert made == want
    assert json.loads(encoded(made)) == want
    assert list(made) == sorted(made)


def test_nan_is_no_number_of_json_and_becomes_null() -> None:
    assert parsed(b'[{"00189345": {"vr": "FD", "Value": [NaN, 1.5]}}]') == {"00189345": {"vr": "FD", "Value": [None, 1.5]}}


NOT_DICOM = {
    "a login page": (b"<html>", "not JSON: Expecting value"),
    "nothing": (b"", "not JSON: Expecting value"),
    "half of an answer": (b'[{"00080060": {"vr"', "not JSON: Expecting ':' delimiter"),
    "no list": (b"{}", "not a list of one instance"),
    "no instance": (b"[]", "not a list of one instance"),
    "two instances": (b"[{}, {}]", "not a list of one instance"),
    "a list of numbers": (b"[1]", "a dataset is not an object"),
    "an element without vr": (b'[{"00080060": {"Value": ["CT"]}}]', "an element has no vr"),
    "a value that is no list": (b'[{"00080060": {"vr": "CS", "Value": "CT"}}]', "a Value is not a list"),
    "an item that is no dataset": (b'[{"00081140": {"vr": "SQ", "Value": ["x"]}}]', "a dataset is not an object"),
    "another encoding": (b'[{"00100010": {"vr": "LO", "Value": ["\xfc"]}}]', "not UTF-8"),
    "a bomb": (b"[" * 200_000, "nested too deeply"),
}


@pytest.mark.parametrize(("answer", "words"), NOT_DICOM.values(), ids=NOT_DICOM.keys())
def test_anything_else_is_refused_without_quoting_it(answer: bytes, words: str) -> None:
    with pytest.raises(NotDicomJson) as refused:
        parsed(answer)
    assert str(refused.value) == words


def test_text_is_that_of_the_file() -> None:
    dataset = parsed(b'[{"00100020": {"vr": "LO", "Value": ["P1", "X "]}, "00200013": {"vr": "IS", "Value": [7]}, "00180050": {"vr": "DS", "Value": [null]}}]')
    assert [text_of(dataset, tag) for tag in ("00100020", "00200013", "00180050", "00080060")] == ["P1\\X", "7", "", ""]
