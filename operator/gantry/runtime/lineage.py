"""Which Runs there are of one study, and which Run takes which one's place (spec.supersedes). Kept up to date change by change; values only.

A Run takes another's place when it is of the same study and not older, and the other does not name it in turn: a name written by mistake must not
end the analysis of another patient, nor two Runs end each other. A shadow Run never takes an active one's.

Every pass over a Run asks whether there is a newer one, so nothing here looks at all Runs of a study: with thousands on one (an image that is sent
again and again) each would cost the more the more there are.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from heapq import merge
from typing import TypeVar

from gantry.runs import RunView

from .records import Key

K = TypeVar("K")
Study = tuple[str, str, str]
"""Namespace, pipeline, Orthanc's id of the study."""
Keys = Key | set[Key]
"""Nearly always one; a set for each of 10,000 finished Runs would take 2 MiB."""
Age = tuple[datetime, Key]
"""When it was made, and its key."""


@dataclass(slots=True)
class Kin:
    """The Runs of a pipeline on one study, where there are several: the oldest first."""

    active: list[Age] = field(default_factory=list)
    shadow: list[Age] = field(default_factory=list)
    failing: set[Key] = field(default_factory=set)
    """Unfinished, and their failure is still to be reported."""

    def of(self, run: RunView) -> list[Age]:
        """Where a Run belongs."""
        return self.shadow if run.shadow else self.active


class Lineage:
    """`replace` writes, the others read."""

    def __init__(self, runs: Mapping[Key, RunView]) -> None:
        self._runs = runs
        self._of_study: dict[Study, Key | Kin] = {}
        self._naming: dict[Key, Keys] = {}
        """By the Run that is named: those that name it."""

    def replace(self, key: Key, before: RunView | None, after: RunView | None) -> None:
        """A Run came, changed or went. Pipeline, study, mode and supersedes of one object never change."""
        if before is not None and after is not None and before.uid == after.uid:
            if isinstance(kin := self._of_study.get(_study(after)) if after.pipeline else None, Kin):
                _note_failure(kin, key, after)
            return
        if before is not None:
            self._leave(key, before)
            _take(self._naming, _named(before), key)
        if after is not None:
            self._join(key, after)
            _add(self._naming, _named(after), key)

    def of_study(self, namespace: str, pipeline: str, study: str) -> tuple[Key, ...]:
        """All Runs of a pipeline on a study, the oldest first."""
        found = self._of_study.get((namespace, pipeline, study))
        if isinstance(found, Kin):
            return tuple(key for _, key in merge(found.active, found.shadow))
        return () if found is None else (found,)

    def failing(self, namespace: str, pipeline: str, study: str) -> tuple[Key, ...]:
        """Of them those that have failed and whose failure is still to be reported. A Run that is alone is not told: it has no kin that could ask."""
        found = self._of_study.get((namespace, pipeline, study))
        return tuple(found.failing) if isinstance(found, Kin) else ()

    def naming(self, key: Key) -> tuple[Key, ...]:
        """Runs that name this one in spec.supersedes, rightly or not."""
        return _all(self._naming.get(key))

    def successor(self, key: Key) -> Key | None:
        """The Run that takes this one's place; the newest when there are several."""
        rightful = [one for one in self.naming(key) if self._takes_place(one, key)]
        return max(rightful, key=lambda one: (self._runs[one].created, one), default=None)

    def newer(self, key: Key, run: RunView, *, alone: bool) -> Key | None:
        """The newest later Run of the same pipeline and study. `alone`: series are decided one by one, so it must share one with this Run."""
        kin = self._of_study.get(_study(run)) if run.pipeline else None
        if not isinstance(kin, Kin):
            return None
        for age in _newest_first(kin.active, kin.shadow if run.shadow else []):
            if age <= (run.created, key):
                return None
            if not alone or _share_a_series(run, self._runs[age[1]]):
                return age[1]
        return None

    def predecessor_ends(self, key: Key, run: RunView) -> bool:
        """Whether the Run whose place this one takes has not finished yet."""
        older = _named(run)
        return older is not None and self._takes_place(key, older) and not self._runs[older].finished

    def _join(self, key: Key, run: RunView) -> None:
        if not run.pipeline:
            return
        study = _study(run)
        kin = self._of_study.get(study)
        if kin is None:
            self._of_study[study] = key
            return
        if not isinstance(kin, Kin):
            first, kin = kin, Kin()
            self._of_study[study] = kin
            insort(kin.of(self._runs[first]), (self._runs[first].created, first))
            _note_failure(kin, first, self._runs[first])
        insort(kin.of(run), (run.created, key))
        _note_failure(kin, key, run)

    def _leave(self, key: Key, run: RunView) -> None:
        if not run.pipeline:
            return
        kin = self._of_study[_study(run)]
        if isinstance(kin, Kin):
            ages = kin.of(run)
            del ages[bisect_left(ages, (run.created, key))]
            kin.failing.discard(key)
        if not isinstance(kin, Kin) or not (kin.active or kin.shadow):
            del self._of_study[_study(run)]

    def _takes_place(self, newer: Key, older: Key) -> bool:
        one, other = self._runs.get(newer), self._runs.get(older)
        if one is None or other is None or newer == older:
            return False
        if one.shadow and not other.shadow:
            return False  # its pipeline was active before: what goes to a radiologist is not ended for what does not
        return one.study == other.study and one.created >= other.created and _named(other) != newer


def _share_a_series(run: RunView, other: RunView) -> bool:
    """Of a finished Run the series are not known any more: it is taken for another's."""
    if run.spec is None or other.spec is None:
        return False
    return not set(run.parsed.study.series_ids).isdisjoint(other.parsed.study.series_ids)


def _study(run: RunView) -> Study:
    """Of a Run that has a pipeline."""
    return run.namespace, run.pipeline or "", run.study


def _note_failure(kin: Kin, key: Key, run: RunView) -> None:
    if run.failing:
        kin.failing.add(key)
    else:
        kin.failing.discard(key)


def _newest_first(one: list[Age], other: list[Age]) -> Iterator[Age]:
    return merge(reversed(one), reversed(other), reverse=True)


def _named(run: RunView) -> Key | None:
    return Key("run", run.namespace, run.supersedes) if run.supersedes else None


def _add(index: dict[K, Keys], name: K | None, key: Key) -> None:
    if name is None:
        return
    found = index.get(name)
    if found is None:
        index[name] = key
    elif isinstance(found, Key):
        index[name] = {found, key}
    else:
        found.add(key)


def _take(index: dict[K, Keys], name: K | None, key: Key) -> None:
    found = index.get(name) if name is not None else None
    if name is None or found is None:
        return
    if isinstance(found, set):
        found.discard(key)
    if found in (key, set()):
        del index[name]


def _all(found: Keys | None) -> tuple[Key, ...]:
    return () if found is None else (found,) if isinstance(found, Key) else tuple(found)
