"""Which Runs there are of one study, and which Run takes which one's place (spec.supersedes). Kept up to date change by change; values only.

A Run takes another's place when it is of the same study and not older, and the other does not name it in turn: a name written by mistake must not
end the analysis of another patient, nor two Runs end each other. A shadow Run never takes an active one's.
"""

from collections.abc import Mapping
from typing import TypeVar

from gantry.runs import RunView

from .records import Key

K = TypeVar("K")
Study = tuple[str, str, str]
"""Namespace, pipeline, Orthanc's id of the study."""
Keys = Key | set[Key]
"""Nearly always one; a set for each of 10,000 finished Runs would take 2 MiB."""


class Lineage:
    """`replace` writes, the others read."""

    def __init__(self, runs: Mapping[Key, RunView]) -> None:
        self._runs = runs
        self._of_study: dict[Study, Keys] = {}
        self._naming: dict[Key, Keys] = {}
        """By the Run that is named: those that name it."""

    def replace(self, key: Key, before: RunView | None, after: RunView | None) -> None:
        """A Run came, changed or went. Pipeline, study and supersedes of one object never change."""
        if before is not None and after is not None and before.uid == after.uid:
            return
        if before is not None:
            _take(self._of_study, _study(before), key)
            _take(self._naming, _named(before), key)
        if after is not None:
            _add(self._of_study, _study(after), key)
            _add(self._naming, _named(after), key)

    def of_study(self, namespace: str, pipeline: str, study: str) -> tuple[Key, ...]:
        """All Runs of a pipeline on a study, in no order."""
        return _all(self._of_study.get((namespace, pipeline, study)))

    def naming(self, key: Key) -> tuple[Key, ...]:
        """Runs that name this one in spec.supersedes, rightly or not."""
        return _all(self._naming.get(key))

    def successor(self, key: Key) -> Key | None:
        """The Run that takes this one's place; the newest when there are several."""
        rightful = [one for one in self.naming(key) if self._takes_place(one, key)]
        return max(rightful, key=lambda one: (self._runs[one].created, one), default=None)

    def newer(self, key: Key, run: RunView, *, alone: bool) -> Key | None:
        """The newest later Run of the same pipeline and study. `alone`: series are decided one by one, so it must share one with this Run."""
        kin = self.of_study(run.namespace, run.pipeline, run.study) if run.pipeline else ()
        later = [one for one in kin if (self._runs[one].created, one) > (run.created, key) and (run.shadow or not self._runs[one].shadow)]
        if alone:
            later = [one for one in later if _share_a_series(run, self._runs[one])]
        return max(later, key=lambda one: (self._runs[one].created, one), default=None)

    def predecessor_ends(self, key: Key, run: RunView) -> bool:
        """Whether the Run whose place this one takes has not finished yet."""
        older = _named(run)
        return older is not None and self._takes_place(key, older) and not self._runs[older].finished

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


def _study(run: RunView) -> Study | None:
    return (run.namespace, run.pipeline, run.study) if run.pipeline else None


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
