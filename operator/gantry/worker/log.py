"""The log of fetch and publish: one JSON object a line on stderr, without anything that identifies a patient or a study.

Callers name the event and give facts of Gantry's own (counts, seconds, step names, Orthanc's ids). What libraries would log or warn about may
quote values of DICOM elements, so only this package's lines come out.
"""

import json
import logging
import sys
import traceback
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

_BELONGS: dict[str, str] = {}
"""Whose line it is, in every line."""
_LOGGER = logging.getLogger("gantry.worker")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts = getattr(record, "facts", {})
        return json.dumps({"time": moment, "level": record.levelname.lower(), "event": record.getMessage(), **_BELONGS, **facts}, default=str)


def configure() -> None:
    """For the process of a container; tests leave logging as it is."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    logging.getLogger().addHandler(logging.NullHandler())  # no last resort: pydicom's lines quote values
    warnings.simplefilter("ignore")  # likewise


def belongs(facts: Mapping[str, str]) -> None:
    """From now on every line says whose it is: the Run's name, its pipeline, its trace."""
    _BELONGS.clear()
    _BELONGS.update(facts)


def tell(event: str, facts: Mapping[str, object] | None = None) -> None:
    """One line of information."""
    _LOGGER.info(event, extra={"facts": dict(facts or {})})


def complain(event: str, facts: Mapping[str, object] | None = None) -> None:
    """One line about something that went wrong."""
    _LOGGER.error(event, extra={"facts": dict(facts or {})})


def frames(error: BaseException) -> list[str]:
    """Where an error came from, without its words: those may quote what is in the images."""
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]


def peak_memory() -> int:
    """Largest resident set of this process in bytes. Not getrusage: its figure includes the parent's before exec (Linux, exec_mmap)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
