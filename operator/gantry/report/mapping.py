"""Findings out of an application's own JSON or CSV, by the pipeline's `report.mapping`.

Pure. The result is a findings document like any other, so everything behind it is the same. What a file says is untrusted and may identify a
patient: messages name file, rule and path, never a value.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jsonpointer import JsonPointer, JsonPointerException

from gantry.api.base import Code
from gantry.api.mapping import MappedEvaluation, MappedFinding, MappedMeasurement, Presence

from .context import ReportContext
from .errors import InvalidFindings, InvalidReport

_MISSING = object()


def mapped(rules: Sequence[MappedFinding], files: Mapping[str, Sequence[bytes]], context: ReportContext) -> bytes:
    """findings.json. `files`: contents of the files by the name a rule gives, as many as bear it.

    Raises InvalidFindings for what a file lacks, InvalidReport when the pipeline does not name the algorithm.
    """
    own = context.algorithm
    if own is None:
        raise InvalidReport("report.algorithm of the pipeline is missing: report.mapping needs it, for the files do not say whose they are")
    algorithm = {"id": "application", "name": own.name, "version": own.version, "manufacturer": own.manufacturer}
    findings = [finding for place, rule in enumerate(rules) for finding in _Rule(place, rule).findings(files.get(rule.file, ()))]
    numbered = [{"id": f"finding-{number}", **finding} for number, finding in enumerate(findings, start=1)]
    return json.dumps({"schemaVersion": "v1alpha1", "algorithms": [algorithm], "findings": numbered}, ensure_ascii=False).encode()


class _Rule:
    """One item of report.mapping and its place there."""

    def __init__(self, place: int, rule: MappedFinding) -> None:
        self._where, self._rule = f"report.mapping[{place}]", rule

    def findings(self, files: Sequence[bytes]) -> list[dict[str, Any]]:
        return [self._finding(row) for row in self._rows(files)]

    def _rows(self, files: Sequence[bytes]) -> Sequence[Any]:
        name = self._rule.file
        if not files:
            raise InvalidFindings(f"{self._where}: the application left no {name}")
        if len(files) > 1:
            raise InvalidFindings(f"{self._where}: {len(files)} files are named {name}; give the path of one")
        try:
            text = files[0].decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InvalidFindings(f"{self._where}: {name} is not UTF-8") from None
        if name.endswith(".csv"):
            return self._lines(text)
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise InvalidFindings(f"{self._where}: {name} is not JSON") from None
        if self._rule.rows is None:
            return [document]
        rows = _at(document, self._rule.rows)
        if not isinstance(rows, list):
            raise InvalidFindings(f"{self._where}.rows: {name} has no list at {self._rule.rows or 'its top'}")
        return rows

    def _lines(self, text: str) -> list[dict[str, str]]:
        try:
            return list(csv.DictReader(io.StringIO(text, newline=""), strict=True, restval=""))
        except csv.Error:
            raise InvalidFindings(f"{self._where}: {self._rule.file} is not CSV") from None

    def _finding(self, row: Any) -> dict[str, Any]:
        rule = self._rule
        finding: dict[str, Any] = {"type": _concept(rule.type), "sites": [{"location": _concept(site)} for site in rule.sites]}
        if rule.presence:
            finding["presence"] = self._presence(rule.presence, row)
        if rule.confidence is not None:
            finding["confidence"] = {"value": self._number(row, rule.confidence, "confidence")}
        numbers = [self._measurement(one, row, f"measurements[{place}]") for place, one in enumerate(rule.measurements)]
        answers = [self._evaluation(one, row, f"evaluations[{place}]") for place, one in enumerate(rule.evaluations)]
        finding["measurements"] = [one for one in numbers if one]
        finding["evaluations"] = [one for one in answers if one]
        return finding

    def _presence(self, rule: Presence, row: Any) -> str:
        if rule.present is None:
            number = self._number(row, rule.path, "presence")
            there = number >= rule.at_least if rule.at_least is not None else number <= (rule.at_most or 0.0)
            return "present" if there else "absent"
        word = self._word(row, rule.path, "presence")
        if word in rule.present:
            return "present"
        if rule.absent is None or word in rule.absent:
            return "absent"
        raise self._refused("presence", rule.path, "is neither in present nor in absent")

    def _measurement(self, rule: MappedMeasurement, row: Any, field: str) -> dict[str, Any] | None:
        if rule.optional and _empty(_at(row, rule.path)):
            return None
        return {"name": _concept(rule.name), "value": self._number(row, rule.path, field), "unit": rule.unit}

    def _evaluation(self, rule: MappedEvaluation, row: Any, field: str) -> dict[str, Any] | None:
        if rule.optional and _empty(_at(row, rule.path)):
            return None
        word = self._word(row, rule.path, field)
        if rule.codes is None:
            return {"name": _concept(rule.name), "text": word}
        code = next((answer.code for answer in rule.codes if answer.value == word), None)
        if code is None:
            raise self._refused(field, rule.path, "is none of the values in codes")
        return {"name": _concept(rule.name), "value": _concept(code)}

    def _number(self, row: Any, path: str, field: str) -> float:
        value = self._value(row, path, field)
        try:
            number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise self._refused(field, path, "is no finite number")
        return number

    def _word(self, row: Any, path: str, field: str) -> str:
        value = self._value(row, path, field)
        if isinstance(value, str):
            return value.strip()
        if isinstance(value, bool | int | float):
            return json.dumps(value)
        raise self._refused(field, path, "is no text, number, true or false")

    def _value(self, row: Any, path: str, field: str) -> Any:
        value = _at(row, path)
        if _empty(value):
            raise InvalidFindings(f"{self._where}.{field}: {self._rule.file} has nothing at {path or 'its top'}")
        return value

    def _refused(self, field: str, path: str, why: str) -> InvalidFindings:
        return InvalidFindings(f"{self._where}.{field}: what {self._rule.file} has at {path or 'its top'} {why}")


def _at(document: Any, path: str) -> Any:
    try:
        return JsonPointer(path).resolve(document, _MISSING)
    except JsonPointerException:  # an index that is none, or a path through a number
        return _MISSING


def _empty(value: Any) -> bool:
    return value is _MISSING or value is None or (isinstance(value, str) and not value.strip())


def _concept(code: Code) -> dict[str, str]:
    return {"scheme": code.scheme, "value": code.value, "meaning": code.meaning}
