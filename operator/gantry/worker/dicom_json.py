"""What Orthanc's DICOMweb plugin says of an instance becomes the file that an application finds (DICOM JSON model, PS3.18 Annex F).

Pure. Versions of the plugin differ, and both have faults (docs/decisions/2026-11-24-metadata.md): the same instance gives the same file here,
by the standard. Bulk data is left out, not referred to: nobody in the pod could get it. It must not judge what the elements say.
"""

import json
import math
from typing import Any

JsonDataset = dict[str, dict[str, Any]]

WITHOUT_VALUE = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN", "SV", "UV"))
"""Binary, and the 64-bit integers: plugin 1.7 leaves these out, 1.24 says 0 whatever they are."""
ONE_VALUE = frozenset(("LT", "ST", "UT", "UR"))
"""A backslash in them is a character, not a separator (PS3.5 6.4); the plugin separates nevertheless."""
DECIMAL = frozenset(("DS", "IS"))
"""Numbers in the file; plugin 1.24 writes DS as text. What is no number stays text (PS3.18 F.2.3)."""
CHARACTER_SET = "00080005"
IDENTITY = ("0020000D", "0020000E", "00080018")
"""Study, Series and SOP Instance UID."""
PATIENT_ID = "00100020"


class NotDicomJson(ValueError):
    """The answer is not DICOM JSON of one instance. The message names no value."""


def parsed(answer: bytes) -> JsonDataset:
    """The instance of the plugin's answer, by the standard and without bulk data."""
    try:
        document = json.loads(answer, parse_constant=_no_number)
        if not isinstance(document, list) or len(document) != 1:
            raise NotDicomJson("not a list of one instance")
        return _dataset(document[0])
    except RecursionError:
        raise NotDicomJson("nested too deeply") from None
    except UnicodeDecodeError:
        raise NotDicomJson("not UTF-8") from None
    except json.JSONDecodeError as fault:
        raise NotDicomJson(f"not JSON: {fault.msg}") from None


def encoded(dataset: JsonDataset) -> bytes:
    """The file."""
    return json.dumps(dataset, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")


def text_of(dataset: JsonDataset, tag: str) -> str:
    """The values as they stand in a file, separated by backslashes and without padding; "" when there is none."""
    values = dataset.get(tag, {}).get("Value", [])
    return "\\".join("" if value is None else str(value) for value in values).strip(" \x00")


def _dataset(raw: Any) -> JsonDataset:
    if not isinstance(raw, dict):
        raise NotDicomJson("a dataset is not an object")
    dataset: JsonDataset = {}
    for tag, element in sorted(raw.items()):
        if not isinstance(element, dict) or not isinstance(element.get("vr"), str):
            raise NotDicomJson("an element has no vr")
        if tag.startswith("0002") or tag.endswith("0000"):  # of the file, not of the dataset
            continue
        kept = _element(element["vr"], element)
        if kept is not None:
            dataset[tag] = kept
    if CHARACTER_SET in dataset:
        dataset[CHARACTER_SET] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # the text is UTF-8 now, whatever it was in the file (F.2)
    return dataset


def _element(vr: str, element: dict[str, Any]) -> dict[str, Any] | None:
    """None for what is left out. An element without a value has no Value (F.2.5)."""
    if vr in WITHOUT_VALUE or "BulkDataURI" in element or "InlineBinary" in element:
        return None
    values = element.get("Value", [])
    if not isinstance(values, list):
        raise NotDicomJson("a Value is not a list")
    if vr == "SQ":
        values = [_dataset(item) for item in values]
    elif vr in DECIMAL:
        values = [_number(value) for value in values]
    elif vr in ONE_VALUE and len(values) > 1:
        values = ["\\".join(str(value or "") for value in values)]
    return {"vr": vr, "Value": values} if values else {"vr": vr}


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    if not math.isfinite(number):
        return value
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _no_number(word: str) -> None:
    """NaN and Infinity are not JSON; a value that is none is null (F.2.5)."""
