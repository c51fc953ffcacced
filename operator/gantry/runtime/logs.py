"""The process's log: one JSON object a line on standard error, by structlog; the standard library's loggers end there too.

kopf's habits are tamed: its line for every event is off, and a failure that repeats itself (each watch tells at each attempt that the API server is
away, with the whole URL) is told once and then once a minute with how often it came.
"""

import logging
import re
import sys
from collections.abc import Callable

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gantry.runs import trace_id

from .records import Key
from .store import Store

REPEAT_AFTER = 60.0
"""Seconds until the same warning or error is told again."""
_VARYING = re.compile(r"https?://\S+|#\d+/\d+|0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+(\.\d+)?")


def set_up(level: str, *, clock: Callable[[], float]) -> None:
    """Once, at the start of the process."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    repeats = Repeats(clock)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, repeats.process, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    handler.addFilter(repeats.filter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, quiet in (("kopf.objects", "ERROR"), ("kopf", "WARNING"), ("httpx", "WARNING"), ("httpcore", "WARNING"), ("asyncio", "WARNING")):
        logging.getLogger(name).setLevel(quiet)


def whose(key: Key, store: Store, *, traced: bool) -> dict[str, str]:
    """What every line carries that is written while a key is worked on: namespace, kind and name; of a Run also pipeline, bridge and its trace."""
    run = store.runs.get(key) if key.kind == "run" else None
    made = {"namespace": key.namespace, key.kind: key.name}
    if run is not None:
        made |= {"bridge": run.bridge} | ({"pipeline": run.pipeline} if run.pipeline else {})
        made |= {"trace_id": f"{trace_id(run.uid):032x}"} if traced else {}
    return made


class Repeats:
    """Drops warnings and errors whose words, numbers and addresses aside, were told within the last minute.

    Two doors: a processor for our own loggers, a filter for all others. Never a processor for those: DropEvent is no Exception, so `logging` lets it
    through into the code that wanted to log, and kopf ended by it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def process(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """For structlog's loggers."""
        if event.get("level") not in ("warning", "error", "critical"):
            return event
        # `key` tells one object's trouble from another's.
        dropped = self._since_told(str(event.get("logger", "")), f"{event.get('event')} {event.get('key', '')}")
        if dropped is None:
            raise structlog.DropEvent
        if dropped:
            event["repeated"] = dropped
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """For everybody else's."""
        if isinstance(record.msg, dict) or record.levelno < logging.WARNING:
            return True  # structlog's own have been looked at
        return self._since_told(record.name, _VARYING.sub("#", record.getMessage())) is not None

    def _since_told(self, logger: str, words: str) -> int | None:
        """How often it was dropped since it was told; None: it is to be dropped again."""
        now = self._clock()
        at, dropped = self._told.get((logger, words), (float("-inf"), 0))
        if now - at < REPEAT_AFTER:
            self._told[logger, words] = (at, dropped + 1)
            return None
        if len(self._told) > 1000:
            self._told = {one: told for one, told in self._told.items() if now - told[0] < REPEAT_AFTER}
        self._told[logger, words] = (now, 0)
        return dropped
