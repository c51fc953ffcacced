"""What a Run's pod tells the operator: JSON of at most 4096 bytes in the termination message of fetch and publish.

The pod never talks to the Kubernetes API, so this is all that is learnt besides the containers' states. `encode` cuts messages, never facts;
the kubelet would cut at 4096 bytes wherever that is.
"""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from gantry.api import RunReason
from gantry.api.run import Failure, FindingCounts, Result

T = TypeVar("T", bound="Receipt")
LIMIT = 4096  # bytes; kubelet, pkg/kubelet/container MaxContainerTerminationMessageLength


WARNINGS = 16
"""In a Run's status (api/run.py); the log of publish has all."""
WARNING_LENGTH = 200


class Receipt(BaseModel):
    """Base of both receipts."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)
    failure: Failure | None = None
    """Why it did not work; absent: it did."""

    def encode(self) -> str:
        """JSON that fits. Raises ValueError when the facts alone do not."""
        text = self.model_dump_json(by_alias=True, exclude_none=True)
        if len(text.encode()) > LIMIT and self.failure:
            room = max(0, len(self.failure.message) - (len(text.encode()) - LIMIT) - 3)
            short = self.failure.model_copy(update={"message": self.failure.message[: room // 4] + "…"})
            text = self.model_copy(update={"failure": short}).model_dump_json(by_alias=True, exclude_none=True)
        if len(text.encode()) > LIMIT:
            raise ValueError(f"a receipt of {len(text.encode())} bytes does not fit into {LIMIT}")
        return text


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
    """Every step that began. Eight of them leave room for seven results."""
    findings: FindingCounts | None = None
    warnings: tuple[str, ...] = ()
    """Faults against the standard in what the application made, as many as fit."""
    seconds: float = 0.0
    """From the last step's end to this receipt: what publishing added."""

    def encode(self) -> str:
        """Warnings give way before anything else does."""
        cut = [warning if len(warning) <= WARNING_LENGTH else f"{warning[: WARNING_LENGTH - 1]}…" for warning in self.warnings]
        for count in range(min(len(cut), WARNINGS), -1, -1):
            more = len(cut) - count
            kept = cut[:count] if not more or not count else [*cut[: count - 1], f"and {more + 1} more; the log of publish has all"]
            short = self.model_copy(update={"warnings": tuple(kept)})
            if count == 0 or len(short.model_dump_json(by_alias=True, exclude_none=True).encode()) <= LIMIT:
                return Receipt.encode(short)
        raise AssertionError("the last round returns")


def decode_publish(message: str | None) -> PublishReceipt | None:
    """None when the message is missing or no receipt: the container was killed before it could write one."""
    return _decode(PublishReceipt, message)


def decode_fetch(message: str | None) -> FetchReceipt | None:
    """None when the message is missing or no receipt."""
    return _decode(FetchReceipt, message)


def _decode(kind: type[T], message: str | None) -> T | None:
    try:
        return kind.model_validate_json(message or "")
    except ValidationError:
        return None


def failed(reason: RunReason, message: str, *, step: str | None = None, exit_code: int | None = None) -> Failure:
    """A failure in the form of the API, the message cut to its bound."""
    return Failure(reason=reason, message=message[:1024], step=step, exit_code=exit_code)
