"""What every resource model is made of: the base class, bounded types and CEL rules.

Pure declarations. CRD-only facts (rules, list-map keys, preserve-unknown-fields) ride in `json_schema_extra`; `crdgen` carries them over.
Bounds are everywhere because the API server prices a CEL rule by the largest value the schema allows.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "gantry.health"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


def rule(expression: str, message: str) -> dict[str, str]:
    """One CEL validation (KEP-2876); `message` says what to write instead."""
    return {"rule": expression, "message": message}


def cel(*rules: dict[str, str], **more: Any) -> dict[str, Any]:
    """`json_schema_extra` that carries CEL rules and other schema words."""
    return {"x-kubernetes-validations": list(rules), **more}


def list_map(key: str) -> dict[str, Any]:
    """A list whose items are told apart by `key`, so that server-side apply merges them."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


LIST_SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
DATE_TIME: dict[str, Any] = {"format": "date-time"}


class Part(BaseModel):
    """Base of every object in spec and status: camelCase in YAML, field docstrings become `kubectl explain`.

    A Run's containers need a few of the kinds and are waited for, so each is built when it is first used, and docstrings are read by `crdgen` only:
    pydantic's own `use_attribute_docstrings` parses the module again for each class (half of the import's time).
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, defer_build=True
    )


class Observed(Part):
    """Base of what is read back from the API server: fields that a newer version added are ignored, not refused."""

    model_config = ConfigDict(extra="ignore")


Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
StepName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Text = Annotated[str, Field(max_length=256)]
LabelText = Annotated[str, Field(min_length=1, max_length=64)]
Duration = Annotated[str, Field(max_length=20, pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")]
Quantity = Annotated[
    int | str,
    Field(
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            "maxLength": 32,
            "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$",
        }
    ),
]
Free = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
AETitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[^\\\x00-\x1f ]([^\\\x00-\x1f]*[^\\\x00-\x1f ])?$")]
"""Application Entity title: 1 to 16 characters, no backslash or control character (PS3.5 6.2, VR AE)."""
DicomUID = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9]+(\.[0-9]+)*$")]
OrthancID = Annotated[str, Field(min_length=44, max_length=44, pattern=r"^[0-9a-f]{8}(-[0-9a-f]{8}){4}$")]
Timestamp = Annotated[str, Field(json_schema_extra=DATE_TIME)]


class Reference(Part):
    """Another object in the same namespace."""

    name: Name
    """Name of the object in the same namespace."""


class SecretKey(Part):
    """A key of a secret."""

    name: Name
    """Name of the secret."""
    key: Annotated[str, Field(min_length=1, max_length=253)]
    """Key within it."""


class Code(Part):
    """A coded concept (PS3.3 section 8.8, PS3.16)."""

    scheme: Annotated[str, Field(min_length=1, max_length=16)]
    """Coding scheme designator: SCT, DCM, LN, RADLEX, 99LOCAL."""
    value: Annotated[str, Field(min_length=1, max_length=64)]
    """Code value."""
    meaning: LabelText
    """Code meaning in words, at most 64 characters."""


class Condition(Part):
    """One observation about the object, as Kubernetes conventions have it."""

    type: Annotated[str, Field(min_length=1, max_length=64)]
    """What is observed, for example Ready."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Annotated[str, Field(min_length=1, max_length=128)]
    """One word of the documented list of reasons."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """For people: what is so and what to do."""
    last_transition_time: Timestamp
    """When `status` last changed."""
    observed_generation: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] | None = None
    """Generation of the spec this was observed on."""


Conditions = Annotated[list[Condition], Field(max_length=16, json_schema_extra=list_map("type"))]


class Resource(Part):
    """A kind: its names and columns are what `crdgen` needs besides the schema."""

    kind: ClassVar[str]
    plural: ClassVar[str]
    short: ClassVar[str]
    columns: ClassVar[tuple[tuple[str, str, str], ...]]
    """(header, OpenAPI type, JSON path); Age is added."""
    wide_columns: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    selectable: ClassVar[tuple[str, ...]] = ()
    """JSON paths that field selectors may name (`kubectl get irun --field-selector status.state=Failed`); from Kubernetes 1.31."""


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> timedelta:
    """`1h30m`, `200ms` as Go and CEL write durations. Raises ValueError on anything else."""
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise ValueError(f"{text!r} is not a duration; write for example 200ms, 30s, 10m or 1h30m")
    return timedelta(seconds=sum(float(n) * _UNITS[u] for n, u in parts))


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, the form Kubernetes stores (metav1.Time)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """Reads RFC 3339, with or without fractions. Raises ValueError on anything else."""
    return datetime.fromisoformat(text)
