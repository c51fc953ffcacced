"""Where the store keeps an object, and what it keeps of pipelines, bridges and backfills: few, so their specs are kept whole. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from sys import intern
from typing import Any, NamedTuple

from gantry.api import labels, parse_timestamp
from gantry.api.backfill import BackfillSpec, BackfillStatus
from gantry.api.bridge import BridgeStatus
from gantry.api.pipeline import PipelineSpec, PipelineStatus
from gantry.runs import BridgeView


class Key(NamedTuple):
    """What is worked on: a Run, a pipeline, a bridge or a backfill."""

    kind: str
    """run, pipeline, bridge or backfill."""
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is kept: under the key it wakes, by its own name."""

    key: Key
    name: str


@dataclass(slots=True)
class Census:
    """A full list of one kind in progress."""

    known: frozenset[str]
    """Uids: what was known when it began."""
    seen: set[str] = field(default_factory=set)
    """Uids listed, or deleted since: of these the store knows more than the list."""
    gone: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class PipelineRecord:
    """An InferencePipeline."""

    name: str
    uid: str
    generation: int
    version: int
    created: datetime
    spec: PipelineSpec
    status: PipelineStatus | None

    @classmethod
    def from_object(cls, obj: Mapping[str, Any]) -> "PipelineRecord":
        """Raises ValidationError when a newer version wrote fields this one does not know."""
        meta = obj["metadata"]
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            generation=meta.get("generation", 1),
            version=int(meta["resourceVersion"]),
            created=parse_timestamp(meta["creationTimestamp"]),
            spec=PipelineSpec.model_validate(obj["spec"]),
            status=PipelineStatus.model_validate(obj["status"]) if obj.get("status") else None,
        )


@dataclass(frozen=True, slots=True)
class BridgeRecord:
    """An OrthancBridge."""

    uid: str
    generation: int
    version: int
    view: BridgeView
    status: BridgeStatus | None

    @classmethod
    def from_object(cls, obj: Mapping[str, Any]) -> "BridgeRecord":
        """Raises ValidationError when a newer version wrote fields this one does not know."""
        view = BridgeView.from_object(obj)
        status = BridgeStatus.model_validate(obj["status"]) if obj.get("status") else None
        return cls(view.uid, view.generation, int(obj["metadata"]["resourceVersion"]), view, status)

    @property
    def features(self) -> tuple[str, ...] | None:
        """What its Orthanc can do, as it last said; None before it was reached."""
        orthanc = self.status.orthanc if self.status else None
        return tuple(orthanc.features or ()) if orthanc else None


@dataclass(frozen=True, slots=True)
class BackfillRecord:
    """An InferenceBackfill."""

    uid: str
    generation: int
    version: int
    spec: BackfillSpec
    status: BackfillStatus | None

    @classmethod
    def from_object(cls, obj: Mapping[str, Any]) -> "BackfillRecord":
        """Raises ValidationError when a newer version wrote fields this one does not know."""
        meta = obj["metadata"]
        return cls(
            uid=meta["uid"],
            generation=meta.get("generation", 1),
            version=int(meta["resourceVersion"]),
            spec=BackfillSpec.model_validate(obj["spec"]),
            status=BackfillStatus.model_validate(obj["status"]) if obj.get("status") else None,
        )


_KINDS = {"inferenceruns": "run", "inferencepipelines": "pipeline", "orthancbridges": "bridge", "inferencebackfills": "backfill"}


def place_of(plural: str, obj: Mapping[str, Any]) -> Place | None:
    """Jobs and pods wake the Run they are labelled with; without the label they are not ours."""
    meta = obj["metadata"]
    if kind := _KINDS.get(plural):
        return Place(Key(kind, intern(meta["namespace"]), intern(meta["name"])), meta["name"])
    run = (meta.get("labels") or {}).get(labels.RUN)
    return Place(Key("run", intern(meta["namespace"]), intern(run)), meta["name"]) if run else None
