"""Pipelines and bridges in YAML files that are not applied yet, checked as far as it goes without an API server.

Every mistake is a Failure naming the file, the object, the field and the rule. It asks nobody and decides nothing.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gantry.api import API_VERSION, InferencePipeline, OrthancBridge

from .failure import Failure
from .schema_rules import broken_rules

R = TypeVar("R", InferencePipeline, OrthancBridge)
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Written:
    """An object of a file."""

    where: str
    """For messages: the file, the kind and the name."""
    name: str
    namespace: str | None
    resource: InferencePipeline | OrthancBridge


def read_files(paths: Sequence[str]) -> tuple[Written, ...]:
    """All objects of all files, in their order. Raises Failure at the first mistake."""
    found = tuple(one for path in paths for document in _documents(path) for one in _objects(path, document))
    seen: dict[tuple[str, str], str] = {}
    for one in found:
        named = (one.resource.kind, one.name)
        if named in seen:
            raise Failure(f"{one.where}: the name is taken already by {seen[named]}; give each its own")
        seen[named] = one.where
    if not any(one.resource.kind == InferencePipeline.kind for one in found):
        raise Failure(f"{', '.join(paths)}: no InferencePipeline in it; give the file of the pipeline that is to be explained")
    return found


def _documents(path: str) -> Iterator[Any]:
    name = "standard input" if path == STDIN else path
    try:
        text = sys.stdin.read() if path == STDIN else Path(path).read_text(encoding="utf-8")
        yield from yaml.safe_load_all(text)
    except OSError as error:
        raise Failure(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Failure(f"{name} is not text in UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        raise Failure(f"{name}:{place} not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise Failure(f"{name}: not YAML: {' '.join(str(error).split())}") from error


def _objects(path: str, document: Any) -> Iterator[Written]:
    """A document's object; the items of a list, as `kubectl get -o yaml` writes them; nothing for an empty document."""
    name = "standard input" if path == STDIN else path
    if document is None:
        return
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise Failure(f"{name}: a document without kind; an object begins with apiVersion: {API_VERSION} and kind: InferencePipeline")
    if document["kind"] == "List":
        for item in document.get("items") or ():
            yield from _objects(path, item)
        return
    kind = document["kind"]
    metadata = document.get("metadata")
    called = metadata.get("name") if isinstance(metadata, dict) else None
    where = f"{name}: {kind} {called or 'without name'}"
    if kind not in (InferencePipeline.kind, OrthancBridge.kind):
        raise Failure(f"{where}: only InferencePipeline and OrthancBridge can be explained; take it out of the file")
    if document.get("apiVersion") != API_VERSION:
        raise Failure(f"{where}: apiVersion must be {API_VERSION}, is {document.get('apiVersion')}")
    if not isinstance(called, str) or not called:
        raise Failure(f"{where}: give it a metadata.name")
    namespace = metadata.get("namespace") if isinstance(metadata, dict) else None
    made = checked(InferencePipeline, document, where) if kind == InferencePipeline.kind else checked(OrthancBridge, document, where)
    if broken := list(broken_rules(type(made), made.model_dump(mode="json", by_alias=True, exclude_none=True))):
        raise Failure(f"{where}: {broken[0]}{_more(broken[1:])}")
    yield Written(where, called, namespace, made)


def checked(kind: type[R], document: dict[str, Any], where: str) -> R:
    """The object's spec as a model. Raises Failure naming the field and the rule."""
    try:
        return kind.model_validate({"spec": document.get("spec", {})})
    except ValidationError as error:
        first, *others = error.errors()
        raise Failure(f"{where}: {_said(first, kind)}{_more(others)}") from error


def _more(others: Sequence[object]) -> str:
    return f" (and {len(others)} more)" if others else ""


def _said(error: ErrorDetails, kind: type[InferencePipeline] | type[OrthancBridge]) -> str:
    """`spec.match.study[0].operator: Input should be 'In', 'NotIn' …, is 'Inn'`."""
    field = ""
    for part in error["loc"]:
        field += f"[{part}]" if isinstance(part, int) else f".{part}" if field else str(part)
    match error["type"]:
        case "extra_forbidden":
            return f"{field}: there is no such field{_meant(error, kind)}"
        case "missing":
            return f"{field}: is needed"
        case "string_type" if isinstance(error["input"], int | float | bool):
            return f'{field}: must be text; write "{error["input"]}" in quotes'
        case _:
            given = repr(error["input"])
            return f"{field}: {error['msg']}, is {given if len(given) <= 80 else given[:79] + '…'}"


def _meant(error: ErrorDetails, kind: type[InferencePipeline] | type[OrthancBridge]) -> str:
    """`; did you mean …?`, when a field of the same object is spelt nearly so."""
    schema = kind.model_json_schema()
    names = {name for part in (schema, *schema.get("$defs", {}).values()) for name in part.get("properties", {})}
    near = get_close_matches(str(error["loc"][-1]), names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; `kubectl explain {kind.short}.spec` names all"
