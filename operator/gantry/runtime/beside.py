"""Work queues beside the main one, for what waits for others: Jobs must not wait with it."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import structlog
from structlog.contextvars import bound_contextvars

from .metrics import Metrics
from .queue import LAST_LINE, WorkQueue
from .records import Key

log = structlog.get_logger(__name__)

UNDONE = {
    "follow": "a Run could not be followed yet",
    "notify": "a Run could not be told of yet",
    "images": "a pipeline's images could not be looked at yet",
    "queues": "the queue of a pipeline could not be looked at yet",
    "prepull": "a pipeline's images could not be brought to the nodes yet",
}


def beside(
    name: str,
    reconcile: Callable[[Key], Awaitable[None]],
    workers: int,
    is_expected: Callable[[Exception], bool],
    longest: Callable[[Exception], float],
    metrics: Metrics,
    loop: asyncio.AbstractEventLoop,
    bind: Callable[[Key], dict[str, str]],
) -> WorkQueue[Key]:
    """A queue with workers of its own. `is_expected`: an error that needs no stack trace; `longest`: seconds at most until it is tried again;
    `bind`: what each line of a key's log carries."""

    async def work(key: Key) -> None:
        with metrics.reconciles.labels(name).time(), bound_contextvars(**bind(key)):
            await reconcile(key)

    def failed(key: Key, error: Exception, pause: float) -> None:
        metrics.failures.labels(name, type(error).__name__).inc()
        fault = None if is_expected(error) else error
        words = str(error) or type(error).__name__
        log.warning(f"{UNDONE[name]}; trying again", key="/".join(key), error=words, pause=round(pause, 1), exc_info=fault)

    return WorkQueue[Key](
        work,
        workers=workers,
        line=lambda _: LAST_LINE,
        clock=time.monotonic,
        later=loop.call_later,
        jitter=random.random,
        failed=failed,
        longest_pause=longest,
    )
