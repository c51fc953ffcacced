"""What is under way to the destinations, from the statuses of unfinished Runs: counted when a metric is asked for. It decides nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

from gantry.api import parse_timestamp
from gantry.api.run import RunStatus

from .store import Store


def open_deliveries(store: Store) -> Mapping[tuple[str, ...], float]:
    """By destination and state: those that something is still to happen to."""
    return Counter[tuple[str, ...]]((one.destination, one.state) for status in _delivering(store) for one in status.deliveries or () if not one.final)


def oldest_deliveries(store: Store, now: datetime) -> Mapping[str, float]:
    """By destination: seconds since the results of the oldest of them were in Orthanc."""
    found: dict[str, float] = {}
    for status in _delivering(store):
        begun = next((stage for stage in status.stages or () if stage.name == "deliver"), None)
        if begun is None:
            continue
        age = max(0.0, (now - parse_timestamp(begun.start_time)).total_seconds())
        for one in status.deliveries or ():
            if not one.final:
                found[one.destination] = max(found.get(one.destination, 0.0), age)
    return found


def _delivering(store: Store) -> Iterator[RunStatus]:
    runs = (store.runs[key] for key in store.unfinished)
    return (status for run in runs if run.delivers and (status := run.status) is not None)
