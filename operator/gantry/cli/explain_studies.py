"""Finds the studies that are to be explained: the one a person names, or those that came last.

It must not decide anything, and its messages repeat no identifier: Orthanc's own ids only.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gantry.orthanc import NotFound, Orthanc, StudyResource

from .failure import Failure

A = TypeVar("A")
B = TypeVar("B")
ORTHANC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")
UID = re.compile(r"[0-9]+(\.[0-9]+)+")
PAGE = 100
"""Studies a request. LimitFindResults, where it is set, is 100 by Orthanc's advice."""
ROWS = 1000
"""Rows of the change log a request."""
AT_ONCE = 4
"""Studies asked about at once: as many as the client opens connections."""
LISTED = 5
"""Studies of one accession number that an error names: the line must stay readable."""
ARRIVALS = ("NewStudy", "StableStudy")


async def find_study(orthanc: Orthanc, named: str) -> StudyResource | None:
    """By Orthanc's id, StudyInstanceUID or accession number; None when it is not there. Raises Failure when several have the number."""
    if ORTHANC_ID.fullmatch(named):
        return await _study(orthanc, named)
    found = await orthanc.studies_with("StudyInstanceUID", named) if UID.fullmatch(named) else ()
    found = found or await orthanc.studies_with("AccessionNumber", named)
    if len(found) > 1:
        listed = ", ".join(f"{one.id} ({one.tags.get('StudyDescription', 'no description').strip()})" for one in found[:LISTED])
        more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
        raise Failure(f"{len(found)} studies have this accession number; give the Orthanc id of one: {listed}{more}")
    return found[0] if found else None


async def latest_studies(orthanc: Orthanc, count: int, features: frozenset[str]) -> tuple[StudyResource, ...]:
    """The studies whose images came last, the newest first."""
    if "ExtendedFind" in features:
        return await _by_last_update(orthanc, count)
    ids = await _from_change_log(orthanc, count)
    found = [one for one in await each(lambda study: _study(orthanc, study), ids) if one]
    return tuple(sorted(found, key=lambda one: str(one.last_update), reverse=True))


async def each(ask: Callable[[A], Awaitable[B]], of: Sequence[A]) -> list[B]:
    """Asks about all of them, a few at once, and keeps their order; the first fault ends the others."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: A) -> B:
        async with gate:
            return await ask(item)

    tasks = [asyncio.ensure_future(one(item)) for item in of]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _study(orthanc: Orthanc, study: str) -> StudyResource | None:
    try:
        return await orthanc.study(study)
    except NotFound:
        return None


async def _by_last_update(orthanc: Orthanc, count: int) -> tuple[StudyResource, ...]:
    found: list[StudyResource] = []
    while len(found) < count:
        page = await orthanc.studies(since=len(found), limit=min(PAGE, count - len(found)), newest_first=True)
        if not page:
            break
        found += page
    return tuple(found)


async def _from_change_log(orthanc: Orthanc, count: int) -> list[str]:
    """Backwards through the log, block by block: a server without an order of its studies still knows what came last.

    Rows of deleted studies are gone from it; blocks without a row of ours cost one request each.
    """
    found: dict[str, None] = {}
    upper = await orthanc.last_change()
    while upper > 0 and len(found) < count:
        page = await orthanc.changes(since=max(0, upper - ROWS), limit=ROWS)
        rows = [row for row in page.changes if row.seq <= upper and row.type in ARRIVALS]
        found |= {row.id: None for row in reversed(rows) if row.id not in found}
        upper -= ROWS
    return list(found)[:count]
