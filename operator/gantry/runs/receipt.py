"""What a Run's pod tells the operator, in the termination message of fetch and publish.

The pod never talks to the Kubernetes API, so this is all that is learnt besides the containers' states. It is JSON, packed where the plain words do
not fit. The kubelet hands on 4096 bytes of a container, of all containers of a pod 12288, an equal share to each, and cuts wherever that is: `room`
tells how much that leaves, and `encode` cuts messages, never facts.
"""

from collections.abc import Iterator
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from gantry.api import RunReason
from gantry.api.run import Failure, FindingCounts, Result

from .packing import pack, unpack

T = TypeVar("T", bound="Receipt")
LIMIT = 4096  # bytes; kubelet, pkg/kubelet/container MaxContainerTerminationMessageLength
POD_LIMIT = 12288  # bytes; MaxPodTerminationMessageLogLength, shared out by pkg/kubelet/status normalizeStatus
OTHERS = 2
"""Containers that somebody may put into the pod and that get a share, too: a mesh puts in an init container and a proxy."""

WARNINGS = 16
"""In a Run's status (api/run.py); the log of publish has all."""
WARNING_LENGTH = 200


def room(containers: int) -> int:
    """Bytes a receipt may have in a pod with so many containers of ours, init containers included."""
    return min(LIMIT, POD_LIMIT // (containers + OTHERS))


class Receipt(BaseModel):
    """Base of both receipts."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)
    failure: Failure | None = None
    """Why it did not work; absent: it did."""

    def encode(self, limit: int = LIMIT) -> str:
        """Text of at most `limit` bytes: the fullest that fits. Raises ValueError when the facts alone do not."""
        for receipt in self._ever_shorter(limit):
            plain = receipt.model_dump_json(by_alias=True, exclude_none=True)
            if len(plain.encode()) <= limit:
                return plain
            if len(packed := pack(plain)) <= limit:
                return packed
        raise ValueError(f"a receipt of {len(plain.encode())} bytes does not fit into {limit}")

    def _ever_shorter(self, limit: int) -> "Iterator[Self]":
        yield self
        for length in (limit // 4, limit // 16, 0) if self.failure else ():  # a letter may take four bytes
            if self.failure and length < len(self.failure.message):
                yield self.model_copy(update={"failure": self.failure.model_copy(update={"message": f"{self.failure.message[:length]}…"})})


class FetchReceipt(Receipt):
    """What fetch did."""

    instances: int = 0
    bytes: int = 0
    seconds: float = 0.0


class StepEnd(BaseModel):
    """How one application ended, by its launcher: the application's own time, without the container's."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)
    name: str
    """The step."""
    start_time: str
    """When the application began, RFC 3339 with milliseconds."""
    seconds: float
    """How long it ran."""
    code: int | None = None
    """Its exit code, 128+n after signal n. None: the container was killed as a whole; its state says how."""
    max_rss_bytes: Annotated[int, Field(alias="maxRSSBytes")] = 0
    """Largest resident set, by wait4."""


class PublishReceipt(Receipt):
    """What publish did. Without it a Run never succeeds."""

    results: tuple[Result, ...] = ()
    alternatives: tuple[Result, ...] = ()
    """What stands for the reports at destinations that refuse their class."""
    steps: tuple[StepEnd, ...] = ()
    """Every step that began; none when there is no room for them."""
    findings: FindingCounts | None = None
    warnings: tuple[str, ...] = ()
    """Faults against the standard in what the application made, as many as fit."""
    vendor: str | None = None
    """Manufacturer the application's findings name."""
    department: str | None = None
    """That asked for the study, by the images."""
    seconds: float = 0.0
    """From the last step's end to this receipt: what publishing added."""

    def _ever_shorter(self, limit: int) -> "Iterator[PublishReceipt]":
        """Warnings give way first, then words, then the times of the steps: whether and where there are results must reach the operator."""
        cut = [warning if len(warning) <= WARNING_LENGTH else f"{warning[: WARNING_LENGTH - 1]}…" for warning in self.warnings]
        for count in range(min(len(cut), WARNINGS), -1, -1):
            more = len(cut) - count
            kept = cut[:count] if not more or not count else [*cut[: count - 1], f"and {more + 1} more; the log of publish has all"]
            short = self.model_copy(update={"warnings": tuple(kept)})
            yield short
        for receipt in (short, short.model_copy(update={"steps": (), "vendor": None, "department": None})):
            yield from super(PublishReceipt, receipt)._ever_shorter(limit)


def decode_publish(message: str | None) -> PublishReceipt | None:
    """None when the message is missing or no receipt: the container was killed before it could write one."""
    return _decode(PublishReceipt, message)


def decode_fetch(message: str | None) -> FetchReceipt | None:
    """None when the message is missing or no receipt."""
    return _decode(FetchReceipt, message)


def _decode(kind: type[T], message: str | None) -> T | None:
    try:
        return kind.model_validate_json(unpack(message or ""))
    except ValueError:  # pydantic's, or packing's
        return None


def failed(reason: RunReason, message: str, *, step: str | None = None, exit_code: int | None = None) -> Failure:
    """A failure in the form of the API, the message cut to its bound."""
    return Failure(reason=reason, message=message[:1024], step=step, exit_code=exit_code)
