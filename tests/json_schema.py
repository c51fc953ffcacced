"""JSON Schema 2020-12, as much as the findings schema uses: whether a value is valid, and values that are (for hypothesis).

No library for either is among the development requirements; what a schema says that is not handled here fails loudly.
"""

import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]
WORDS = frozenset(("description", "default", "title", "$comment", "$schema", "$id", "$defs", "discriminator"))
TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
}


class Validator:
    """One schema with its definitions."""

    def __init__(self, root: Schema) -> None:
        self.root = root

    def resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self.root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        return schema

    def valid(self, value: Any, schema: Schema | None = None) -> bool:
        schema = self.resolved(self.root if schema is None else schema)
        return all(CHECKS[word](self, value, limit, schema) for word, limit in schema.items() if word not in WORDS)


def _when(kind: type | tuple[type, ...], check: Callable[[Any, Any], bool]) -> Callable[[Validator, Any, Any, Schema], bool]:
    """A word that speaks of values of one kind and takes all others."""
    return lambda _, value, limit, __: isinstance(value, bool) or not isinstance(value, kind) or check(value, limit)


def _pattern(value: str, pattern: str) -> bool:
    return re.search(pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern, value) is not None


def _properties(validator: Validator, value: Any, properties: Schema, _: Schema) -> bool:
    return not isinstance(value, dict) or all(validator.valid(value[name], each) for name, each in properties.items() if name in value)


def _patterns(validator: Validator, value: Any, patterns: Schema, _: Schema) -> bool:
    """pydantic writes a dictionary with bounded names so, and refuses names that match no pattern."""
    return not isinstance(value, dict) or all(any(_pattern(name, p) and validator.valid(each, s) for p, s in patterns.items()) for name, each in value.items())


def _additional(_: Validator, value: Any, allowed: Any, schema: Schema) -> bool:
    return allowed is not False or not isinstance(value, dict) or not set(value) - set(schema.get("properties", {}))


def _items(validator: Validator, value: Any, items: Any, schema: Schema) -> bool:
    begin = len(schema.get("prefixItems", ()))
    return not isinstance(value, list) or all(validator.valid(each, items) for each in value[begin:])


def _prefix(validator: Validator, value: Any, prefix: list[Schema], _: Schema) -> bool:
    return not isinstance(value, list) or all(validator.valid(each, part) for each, part in zip(value, prefix, strict=False))


NUMBERS = (int, float)
CHECKS: dict[str, Callable[[Validator, Any, Any, Schema], bool]] = {
    "type": lambda _, value, kind, __: TYPES[kind](value),
    "const": lambda _, value, only, __: bool(value == only),
    "enum": lambda _, value, options, __: value in options,
    "minimum": _when(NUMBERS, lambda value, limit: value >= limit),
    "maximum": _when(NUMBERS, lambda value, limit: value <= limit),
    "exclusiveMinimum": _when(NUMBERS, lambda value, limit: value > limit),
    "minLength": _when(str, lambda value, limit: len(value) >= limit),
    "maxLength": _when(str, lambda value, limit: len(value) <= limit),
    "pattern": _when(str, _pattern),
    "minItems": _when(list, lambda value, limit: len(value) >= limit),
    "maxItems": _when(list, lambda value, limit: len(value) <= limit),
    "maxProperties": _when(dict, lambda value, limit: len(value) <= limit),
    "required": _when(dict, lambda value, names: set(names) <= set(value)),
    "properties": _properties,
    "patternProperties": _patterns,
    "additionalProperties": _additional,
    "propertyNames": lambda validator, value, names, _: not isinstance(value, dict) or all(validator.valid(name, names) for name in value),
    "items": _items,
    "prefixItems": _prefix,
    "anyOf": lambda validator, value, options, _: any(validator.valid(value, each) for each in options),
    "oneOf": lambda validator, value, options, _: sum(validator.valid(value, each) for each in options) == 1,
    "not": lambda validator, value, other, _: not validator.valid(value, other),
}


class Generator:
    """Values of a schema. `instead` gives strategies by the name of a definition or of a property, for what only the images know."""

    def __init__(self, root: Schema, instead: dict[str, st.SearchStrategy[Any]]) -> None:
        self.validator, self.instead = Validator(root), instead
        self._made: dict[str, st.SearchStrategy[Any]] = {}

    def values(self, schema: Schema | None = None) -> st.SearchStrategy[Any]:
        schema = self.validator.root if schema is None else schema
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/$defs/")
            if name not in self._made:
                self._made[name] = self.instead[name] if name in self.instead else st.deferred(lambda: self.values(self.validator.resolved(schema)))
            return self._made[name]
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if "type" not in schema:
            return st.one_of([self.values(option) for option in schema.get("anyOf") or schema["oneOf"]])
        return getattr(self, f"_{schema['type']}")(schema)

    def _null(self, _: Schema) -> st.SearchStrategy[Any]:
        return st.none()

    def _boolean(self, _: Schema) -> st.SearchStrategy[Any]:
        return st.booleans()

    def _integer(self, schema: Schema) -> st.SearchStrategy[Any]:
        return st.integers(schema.get("minimum", -(2**40)), schema.get("maximum", 2**40))

    def _number(self, schema: Schema) -> st.SearchStrategy[Any]:
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        return st.floats(low, schema.get("maximum"), allow_nan=False, allow_infinity=False, exclude_min="exclusiveMinimum" in schema)

    def _string(self, schema: Schema) -> st.SearchStrategy[Any]:
        if "pattern" not in schema:
            return st.text(min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 20), 20))
        pattern = schema["pattern"].removesuffix("$") + r"\Z"
        return st.from_regex(pattern).filter(lambda text: len(text) <= schema.get("maxLength", 10_000))

    def _array(self, schema: Schema) -> st.SearchStrategy[Any]:
        if "prefixItems" in schema:
            return st.tuples(*[self.values(part) for part in schema["prefixItems"]]).map(list)
        least = schema.get("minItems", 0)
        return st.lists(self.values(schema["items"]), min_size=least, max_size=max(least, min(schema.get("maxItems", 2), 2)))

    def _object(self, schema: Schema) -> st.SearchStrategy[Any]:
        if "patternProperties" in schema:
            ((pattern, values),) = schema["patternProperties"].items()
            names = self._string({"pattern": pattern} | schema.get("propertyNames", {}))
            return st.dictionaries(names, self.values(values), max_size=2)
        fields = {name: self.instead[name] if name in self.instead else self.values(each) for name, each in schema["properties"].items()}
        needed = {name: fields.pop(name) for name in schema.get("required", ())}
        whole = st.fixed_dictionaries(needed, optional=fields)
        conditions = {word: schema[word] for word in ("oneOf", "anyOf", "not") if word in schema}
        return whole.filter(lambda value: self.validator.valid(value, conditions)) if conditions else whole
