"""The rules of a CRD that stand beyond types and bounds, asked here as the API server asks them: CEL rules, and lists without doubles.

For objects that are not applied yet. Rules that use functions only the API server has (isURL) are left to it. It reads no file.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from cel_expr_python import cel

from gantry.api.base import Resource
from gantry.api.crdgen import crd

Schema = Mapping[str, Any]


def broken_rules(kind: type[Resource], content: Mapping[str, Any]) -> Iterator[str]:
    """`spec.steps[0].timeout: timeout is 1s or more, is '0s'` of each rule that does not hold. `content` has its defaults."""
    schema = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    yield from _broken(schema, content, "")


def _broken(schema: Schema, value: Any, path: str) -> Iterator[str]:
    for one in schema.get("x-kubernetes-validations", ()):
        if not _holds(one["rule"], value):
            given = "" if isinstance(value, dict | list) else f", is {value!r}"
            yield f"{path}: {one['message']}{given}"
    if isinstance(value, dict):
        for name, child in schema.get("properties", {}).items():
            if name in value:
                yield from _broken(child, value[name], f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        yield from _doubles(schema, value, path)
        for number, item in enumerate(value):
            yield from _broken(schema.get("items", {}), item, f"{path}[{number}]")


def _doubles(schema: Schema, values: list[Any], path: str) -> Iterator[str]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys", ())
    if kind not in ("map", "set"):
        return
    seen: list[Any] = []
    for number, item in enumerate(values):
        known = [item.get(key) for key in keys] if kind == "map" else item
        if known in seen:
            what = f"{' and '.join(keys)} {', '.join(map(str, known))}" if kind == "map" else repr(item)
            yield f"{path}[{number}]: {what} is there already"
        seen.append(known)


def _holds(rule: str, value: Any) -> bool:
    program = _compiled(rule)
    if program is None:
        return True
    answer = program.eval(data={"self": value})
    return answer.value() is True


@cache
def _compiled(rule: str) -> Any:
    """None for a rule of the API server's own functions, or about a change or the object's name, which is no part of what is looked at."""
    if re.search(r"\b(isURL|oldSelf)\b|self\.metadata", rule):
        return None
    return cel.NewEnv(variables={"self": cel.Type.DYN}).compile(rule)
