"""Google's Common Expression Language, by its C++ implementation (cel-expr-python): one environment a process, compiled programs, answers.

Loaded when the first expression is compiled: 27 ms and 11 MB that an installation without expressions does not pay.
Pure as far as a caller sees; CEL has no clock, no I/O and no loop that does not end. What it may cost is `cost.py`'s matter.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

_FIRST_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*?)(?: expecting \{.*?| \(in container ''\))?(?: \[[A-Z_]+\])?(?:\n|$)")

Values = Any
"""Opaque: the library's Activation."""


class DoesNotCompile(ValueError):
    """The text is no expression; `line` and `column` begin at 1, 0 when the whole text is meant."""

    def __init__(self, line: int, column: int, text: str) -> None:
        super().__init__(text)
        self.line, self.column = line, column


class DoesNotEvaluate(Exception):
    """The expression fails on this study; the text names functions and keys, never a value."""


class Program:
    """A compiled expression."""

    def __init__(self, text: str, variables: tuple[str, ...]) -> None:
        """Raises DoesNotCompile."""
        self._variables = variables
        try:
            self._compiled = _environment(variables).compile(text)
        except RuntimeError as error:
            raise _located(str(error)) from error
        self.type = str(self._compiled.return_type().name())

    def syntax(self) -> bytes:
        """cel.expr.CheckedExpr of the CEL specification, as protobuf writes it."""
        return bytes(self._compiled.serialize())

    def values(self, data: Mapping[str, Any]) -> Values:
        """What an expression is asked about, converted once for all programs of the same variables. Raises DoesNotEvaluate."""
        try:
            return _environment(self._variables).Activation(data)
        except RuntimeError as error:
            raise DoesNotEvaluate(_plain(str(error))) from error

    def ask(self, values: Values) -> object:
        """Raises DoesNotEvaluate."""
        try:
            answer = self._compiled.eval(values)
        except RuntimeError as error:
            raise DoesNotEvaluate(_plain(str(error))) from error
        value = answer.value()
        if not isinstance(value, bool) and answer.type() == _error_type():
            raise DoesNotEvaluate(_plain(str(value)))
        return value


@cache
def _environment(variables: tuple[str, ...]) -> Any:
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_optional, ext_strings

    return cel.NewEnv(
        variables=dict.fromkeys(variables, cel.Type.DYN), extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()]
    )


@cache
def _error_type() -> Any:
    from cel_expr_python import cel

    return cel.Type.ERROR


def _located(said: str) -> DoesNotCompile:
    found = _FIRST_ERROR.search(said)
    if found is None:
        return DoesNotCompile(0, 0, _plain(said))
    line, column, text = int(found[1]), int(found[2]), found[3]
    return DoesNotCompile(max(line, 0), max(column, 0), " ".join(text.split()))


def _plain(said: str) -> str:
    """Without absl's status codes around it."""
    text = re.sub(r"^[A-Z_]+: ", "", said)
    return " ".join(re.sub(r" \[[A-Z_]+\]$", "", text).split())
