"""Waits for a condition, never for a time."""

import asyncio
import time
from collections.abc import Callable

LIMIT = 30.0  # seconds; conditions here hold after 0.1 to 4 on an idle machine


async def until(holds: Callable[[], object], what: str, *, limit: float = LIMIT, tell: Callable[[], object] = lambda: "") -> None:
    """Returns when `holds()` is true. Raises AssertionError that says what was waited for and, by `tell`, how things stand."""
    deadline = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < deadline, f"not within {limit:g} s: {what}. {tell()}"
        await asyncio.sleep(0.02)
