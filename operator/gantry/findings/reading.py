"""Bytes of findings.json to `Findings`, or one line that a developer can act on.

Pure. A message names the finding, the path of the field, its value where that can only be a number or a word of the contract, and what to
write. It never quotes free text, meanings or UIDs: those may speak of the patient, and the message is shown in the Run's status.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from .base import IDENTIFIER, OF_A_CODE, ONE_LINE, SEVERAL_LINES
from .document import LANGUAGE_TAG, Findings, repeated
from .masks import COLOR, MASK_NAME
from .shapes import FILE_NAME, KINDS

LARGEST = 16 * 1024 * 1024
"""Bytes. 1000 findings with outlines of 500 points take 10 MiB; a document larger than this is a mistake, not a report."""
MOST = 1_000_000
"""Arrays and objects, a point being one. Five million empty arrays fit into LARGEST and would take 1.4 GiB of memory to read."""
_QUOTABLE = re.compile(r"[A-Za-z0-9_.%/*^\[\]{}'-]{1,24}")
_AFTER_A_REGION = re.compile(r"\.region$|\.regions\[[0-9]+\]$")
_AFTER_A_PARAMETER = re.compile(r"\.parameters\.[^.]+$")
_PARAMETER = "a parameter is one line of text, a number, true or false"
_RULES = {
    "missing": "the field is needed",
    "extra_forbidden": "the schema has no such field",
    "union_tag_invalid": f"kind is one of {', '.join(sorted(KINDS))}",
    "union_tag_not_found": "a region needs a kind",
    "finite_number": "write a number that is finite",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "int_parsing": "write a whole number",
    "bool_type": "write true or false",
    "string_type": "write a text",
    "tuple_type": "write an array",
    "dict_type": "write an object",
    "model_type": "write an object",
    "model_attributes_type": "write an object",
    "literal_error": "write {expected}",
    "string_too_short": "write at least {min_length} character",
    "string_too_long": "write at most {max_length} characters",
    "too_short": "write at least {min_length}, not {actual_length}",
    "too_long": "write at most {max_length}",
    "greater_than": "write a number greater than {gt:g}",
    "greater_than_equal": "write a number of at least {ge:g}",
    "less_than_equal": "write a number of at most {le:g}",
}
"""What to write, in words of the contract, by pydantic's type of error."""
_PATTERNS = {
    ONE_LINE: "one line without backslash or control characters",
    SEVERAL_LINES: "text without control characters, but for line ends, and not only blanks",
    OF_A_CODE: "ASCII letters, digits and signs, without backslash",
    IDENTIFIER: "letters, digits, dot, underscore and hyphen, a letter or digit first",
    LANGUAGE_TAG: "a language tag such as en-US",
    FILE_NAME: "the name of a file in /gantry/output, without folder",
    MASK_NAME: "the name of a .nii, .nii.gz or .npy file in /gantry/output, without folder",
    COLOR: "a colour as #RRGGBB",
}
"""The same for what a text may look like; a UID is what remains."""
_QUOTED_FIELDS = frozenset(("kind", "unit", "presence", "laterality", "schemaVersion", "scheme", "schemeVersion", "language"))


class FindingsError(ValueError):
    """findings.json does not follow the schema; the message is one line and names what to write."""

    def __init__(self, message: str, lines: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.lines = tuple(lines) or (message,)
        """One line for each finding that is refused, and for each fault outside of findings."""


def parse_findings(document: bytes) -> Findings:
    """Reads findings.json. Raises FindingsError, and nothing else, whatever the bytes are."""
    if len(document) > LARGEST:
        raise FindingsError(f"findings.json: {len(document)} bytes; at most {LARGEST} are read. Write masks as a DICOM SEG, not as points")
    if document.count(b"[") + document.count(b"{") > MOST:
        raise FindingsError(f"findings.json: more than {MOST} arrays, objects and points. Write masks as a DICOM SEG, not as points")
    _refuse_what_json_leaves_open(document)
    try:
        return Findings.model_validate_json(document, strict=True)
    except ValidationError as fault:
        faults, read = fault.errors(include_url=False), json.loads(document)
        raise FindingsError(_in_one_line(faults, read), [_in_one_line(group, read) for group in _by_finding(faults)]) from None


def _refuse_what_json_leaves_open(document: bytes) -> None:
    """Duplicate fields, NaN, deep nesting and other encodings: parsers differ on them, so a document must not have them."""
    try:
        text = document.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise FindingsError(f"findings.json: byte {fault.start} is not UTF-8; write the file as UTF-8") from None
    if text.startswith("\ufeff"):
        raise FindingsError("findings.json: starts with a byte order mark; write UTF-8 without it")
    try:
        json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant, parse_float=_nothing, parse_int=_nothing)
    except json.JSONDecodeError as fault:
        raise FindingsError(f"findings.json: not JSON: {fault.msg} (line {fault.lineno}, column {fault.colno})") from None
    except RecursionError:
        raise FindingsError("findings.json: nested too deeply; the schema needs 9 levels") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> None:
    twice = repeated(name for name, _ in pairs)
    if twice is not None:
        raise FindingsError(f"findings.json: {_quotable(twice)}: the field stands twice in one object")


def _nothing(_: str) -> None:
    """Numbers are read by the models; keeping them here, too, would double the memory a large document takes."""


def _no_constant(word: str) -> None:
    raise FindingsError(f"findings.json: {word} is not a number of JSON; leave a measurement out that has no value")


def _by_finding(faults: list[ErrorDetails]) -> list[list[ErrorDetails]]:
    groups: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
    for fault in faults:
        place = fault["loc"]
        groups.setdefault(place[:2] if place[:1] == ("findings",) else place, []).append(fault)
    return list(groups.values())


def _in_one_line(faults: list[ErrorDetails], document: Any) -> str:
    first, more = faults[0], len(faults) - 1
    path = _path(first["loc"])
    value = _shown(first, path)
    rule = _PARAMETER if _AFTER_A_PARAMETER.search(path) else _rule(first)
    line = ": ".join(part for part in ("findings.json", _with_id(path, first["loc"], document), value, rule) if part)
    return f"{line} (and {more} more)" if more else line


def _rule(fault: ErrorDetails) -> str:
    if fault["type"] == "string_pattern_mismatch":
        return f"write {_PATTERNS.get(fault.get('ctx', {}).get('pattern', ''), 'a DICOM UID, digits and dots')}"
    template = _RULES.get(fault["type"])
    return template.format(**fault.get("ctx", {})) if template else fault["msg"].removeprefix("Value error, ")


def _path(location: tuple[int | str, ...]) -> str:
    """`findings[3].region.points[0]`, without what pydantic puts between: the region's kind, and the types a parameter may have."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif _AFTER_A_REGION.search(path) and part in KINDS:
            continue
        elif _AFTER_A_PARAMETER.search(path):
            break
        else:
            path += ("." if path else "") + _quotable(part)
    return path


def _with_id(path: str, location: tuple[int | str, ...], document: Any) -> str:
    """`findings[3] (nodule-4).region`: authors know their findings by id."""
    match location:
        case ("findings", int(index), *_) if isinstance(finding := document["findings"][index], dict):
            identifier = finding.get("id")
            if isinstance(identifier, str) and re.fullmatch(IDENTIFIER, identifier) and len(identifier) <= 64:
                start = f"findings[{index}]"
                return f"{start} ({identifier}){path.removeprefix(start)}"
    return path


def _quotable(name: str) -> str:
    return name if _QUOTABLE.fullmatch(name) else "(a field)"


def _shown(fault: ErrorDetails, path: str) -> str:
    """The value, where it cannot be anything of the patient."""
    value = fault["input"]
    if fault["type"] in ("missing", "json_invalid", "extra_forbidden"):
        return ""
    if isinstance(value, bool | int | float):
        return str(value)[:24]
    if isinstance(value, str):
        known = path.rpartition(".")[2] in _QUOTED_FIELDS and _QUOTABLE.fullmatch(value)
        return f'"{value}"' if known else f"text of {len(value)} characters"
    return ""
