"""How the applications ended: waits at each barrier, reads what the launcher left, and says what it means.

A step shares its user with the launcher, so everything in a barrier folder is untrusted input: links are not followed, sizes are bounded,
and a record that is not one counts as a failure of the step. What cannot be forged is the lock: the kernel holds it until the launcher is gone.

publish cannot know of memory: at its limit the kernel kills the container as a whole (no exit.json) or, on older kernels, the largest process
(signal 9). Both are told as StepFailed with the word "killed"; the operator, who sees the container's state, makes OutOfMemory of it.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from gantry.api import RunReason, parse_duration
from gantry.api.step import Step
from gantry.runs.commands import not_executable, not_found
from gantry.runs.receipt import StepEnd

from .outcome import Stop

POLL = 0.05  # seconds between looks for a step that has not begun: its image may be pulled for minutes
RECORD_LIMIT = 16384  # bytes of exit.json; the launcher writes about 200
NO_INPUT, NO_MANIFEST, EARLIER_STEP_FAILED, TIMED_OUT, NOT_SET_UP, NOT_EXECUTABLE, NOT_FOUND = 121, 122, 123, 124, 125, 126, 127
"""The launcher's own exit codes (launcher/main.go)."""
REJECTED_INPUT = range(64, 79)
"""sysexits.h: by contract, this input is not usable and another attempt would end the same."""


class Record(BaseModel):
    """exit.json."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, strict=True)
    code: Annotated[int, Field(ge=0, le=255)]
    signal: Annotated[int, Field(ge=0, le=64)] = 0
    timed_out: bool = False
    start_time: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$")]
    seconds: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
    max_rss_bytes: Annotated[int, Field(alias="maxRSSBytes", ge=0, le=2**62)] = 0
    limit_seconds: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 0.0
    """The timeout that held: the step's, or a shorter one of the manifest. 0: none, or a launcher that did not say."""
    launcher: Annotated[str, Field(max_length=4096)] = ""


@dataclass(frozen=True, slots=True)
class Forged:
    """There is an exit.json, but not the launcher's."""


def wait_for_end(step: str, barrier: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Returns when the step's launcher has been there and is gone, however it went."""
    while not (barrier / "started").is_symlink() and not (barrier / "started").exists():
        sleep(POLL)
    try:
        lock = _opened(barrier / "lock")
    except OSError:
        raise Stop(RunReason.STEP_FAILED, f"step {step} removed or replaced the launcher's lock", step=step) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def read_record(barrier: Path) -> Record | Forged | None:
    """None: the launcher did not come to write one."""
    try:
        file = _opened(barrier / "exit.json")
    except FileNotFoundError:
        return None
    except OSError:
        return Forged()
    try:
        text = os.read(file, RECORD_LIMIT + 1)
    finally:
        os.close(file)
    try:
        return Record.model_validate_json(text) if len(text) <= RECORD_LIMIT else Forged()
    except ValidationError:
        return Forged()


def _opened(path: Path) -> int:
    """A regular file and nothing else: not a link, not a pipe that would block."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file")
    return file


def step_end(step: str, barrier: Path, *, now: datetime) -> tuple[StepEnd, Record | Forged | None]:
    """What goes into the receipt. Without a record of the launcher, the times of its files tell when the step began."""
    record = read_record(barrier)
    if isinstance(record, Record):
        end = StepEnd(
            name=step, start_time=record.start_time, seconds=record.seconds, code=record.code, max_rss_bytes=record.max_rss_bytes
        )
    else:
        try:
            began = datetime.fromtimestamp(os.lstat(barrier / "started").st_mtime, UTC)
        except OSError:  # removed by the step
            began = now
        text = began.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        end = StepEnd(name=step, start_time=text, seconds=max(0.0, round((now - began).total_seconds(), 3)))
    return end, record


def judge(asked: Step, record: Record | Forged | None, *, of_image: bool = False) -> Stop | None:
    """None: the step did what it should. `of_image`: its command is the image's own."""
    step, timeout = asked.name, asked.timeout
    match record:
        case None:
            return _stop(RunReason.STEP_FAILED, f"step {step} was killed as a whole; it left no exit code", step, None)
        case Forged():
            return _stop(RunReason.STEP_FAILED, f"step {step} wrote over the launcher's record of its end", step, None)
        case Record(code=0):
            return None
        case Record(timed_out=True, code=code, limit_seconds=seconds):
            shorter = 0 < seconds < parse_duration(timeout).total_seconds()
            limit = f"{seconds:g}s, which its manifest gives," if shorter else timeout
            return _stop(RunReason.STEP_TIMED_OUT, f"step {step} took longer than its timeout of {limit} and was ended", step, code)
        case Record(signal=signal, code=code) if signal:
            hint = "; at its memory limit the kernel does that too" if signal == 9 else ""
            return _stop(RunReason.STEP_FAILED, f"step {step} was killed by signal {signal}{hint}", step, code)
        case Record(launcher=words, code=code) if words and code in (NOT_EXECUTABLE, NOT_FOUND):
            told = (not_found if code == NOT_FOUND else not_executable)(asked, of_image=of_image)
            return _stop(RunReason.STEP_FAILED, f"step {step} {told}", step, code)
        case Record(launcher=words, code=code) if words and code in _LAUNCHER:
            return _stop(RunReason.STEP_FAILED, f"step {step} {_LAUNCHER[code]}", step, code)
        case Record(code=code) if code in REJECTED_INPUT:
            return _stop(RunReason.STEP_REJECTED_INPUT, f"step {step} says by exit code {code} that this input is not usable", step, code)
        case Record(code=code):
            return _stop(RunReason.STEP_FAILED, f"step {step} ended with exit code {code}", step, code)


_LAUNCHER = {
    NO_INPUT: "was not run: what the step before it left cannot be handed on; see the container's log",
    NO_MANIFEST: "was not run: its image has no usable manifest (app.json) and so is no MAP; see the container's log, or choose contract Native",
    EARLIER_STEP_FAILED: "was not run because an earlier step did not end with 0",
    NOT_SET_UP: "was not run: the launcher could not set up; see the container's log",
}
"""The launcher's own words may quote the command line; these do not."""


def _stop(reason: RunReason, message: str, step: str, code: int | None) -> Stop:
    return Stop(reason, message, step=step, exit_code=code)
