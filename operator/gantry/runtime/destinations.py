"""What was found out of a bridge's destinations by sending to them, written into the bridge's status.

That part of the status has a field manager of its own: the rest is the Follower's, who writes it whole. It decides nothing.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime

from gantry.api import labels, timestamp
from gantry.api.bridge import BridgeStatus, Destination, DestinationStatus, ReportClass, destination_place
from gantry.kube import BRIDGES, Kube

from .records import BridgeRecord, Key
from .store import Store

MANAGER = f"{labels.FIELD_MANAGER}-delivery"


class Destinations:
    """`write` what is new."""

    def __init__(self, *, kube: Kube, store: Store, clock: Callable[[], datetime]) -> None:
        self._kube, self._store, self._clock = kube, store, clock
        self._locks: defaultdict[Key, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def write(self, bridge: Key, found: Mapping[str, ReportClass]) -> None:
        """Nothing when it is known. Raises KubeError; what was found is then found again."""
        async with self._locks[bridge]:
            record = self._store.bridges.get(bridge)
            if record is None:
                return
            known = list((record.status.destinations if record.status else None) or ())
            made = _all(record, found, self._clock())
            if [_essence(one) for one in made] == [_essence(one) for one in known]:
                return
            body = BridgeStatus(destinations=made).model_dump(mode="json", by_alias=True, exclude_none=True)
            written = await self._kube.apply_status(BRIDGES, bridge.namespace, bridge.name, body, uid=record.uid, manager=MANAGER)
            self._store.observe(BRIDGES.plural, written, quiet=True)


def _all(record: BridgeRecord, found: Mapping[str, ReportClass], now: datetime) -> list[DestinationStatus]:
    """In the order of the spec; of destinations that are no longer listed nothing is kept."""
    return [made for one in record.view.spec.destinations if (made := _one(one, record.view.decided.get(one.name), found.get(one.name), now))]


def _one(one: Destination, known: DestinationStatus | None, found: ReportClass | None, now: datetime) -> DestinationStatus | None:
    place = destination_place(one)
    if found is None or (known and (known.place, known.reports) == (place, found)):
        return known
    return DestinationStatus(name=one.name, place=place, reports=found, time=timestamp(now))


def _essence(one: DestinationStatus) -> tuple[str, str, str]:
    return one.name, one.place, one.reports
