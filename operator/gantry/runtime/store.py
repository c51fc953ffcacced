"""What the operator has seen of the cluster: slim views, the newest of each object.

Watches, lists and our own writes end here, reconcilers read. It makes no request and decides nothing; it tells `changed` which keys to look at.
A watch never tells what was deleted while it was away, so every full list is compared with what was known before it began (a census).
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from pydantic import ValidationError

from gantry.runs import NOTHING, ORPHANS, BridgeView, Held, JobView, Limit, PodView, RunView, holds_for, notice_name

from .gone import Gone
from .lineage import Lineage
from .records import BackfillRecord, BridgeRecord, Census, Key, PipelineRecord, Place, place_of
from .tallies import Tallies
from .turns import Turns

log = structlog.get_logger(__name__)

Object = Mapping[str, Any]
LAST_VIEWS = 4
"""Of pods that are gone, a Run; its next pass writes down what they cost."""


class Store:
    """`observe` and the census write; the dictionaries are read."""

    def __init__(self, *, changed: Callable[[Key], None], counted: Callable[[Key], None], clock: Callable[[], datetime]) -> None:
        """`changed`: a key to look at. `counted`: a pipeline whose number of Runs changed."""
        self._changed, self._counted, self._clock = changed, counted, clock
        self.runs: dict[Key, RunView] = {}
        self.unfinished: set[Key] = set()
        self.jobs: dict[Key, JobView] = {}
        self.notices: dict[Key, JobView] = {}
        """Jobs of failed Runs that report the failure."""
        self.pods: dict[Key, dict[str, PodView]] = {}
        self.vanished: dict[Key, dict[str, PodView]] = {}
        """Of unfinished Runs: pods that had ended and are gone, as they were last seen."""
        self.pipelines: dict[Key, PipelineRecord] = {}
        self.bridges: dict[Key, BridgeRecord] = {}
        self.backfills: dict[Key, BackfillRecord] = {}
        self.tallies = Tallies()
        self.lineage = Lineage(self.runs)
        self.turns = Turns(limit=self._limit, wake=changed, clock=clock)
        self.pipeline_changed: Callable[[Key], None] = _nobody
        """A pipeline is new, has another spec or is gone."""
        self.ended: Callable[[Key], None] = _nobody
        self.reported: Callable[[Key], None] = _nobody
        """A Run's report with findings is in Orthanc, and the Run goes on."""
        """Told of each Run that is seen to have finished."""
        self.doubtful: set[Key] = set()
        """Runs that were taken for finished, or for gone, and are neither (a second operator wrote what it knew late): their pods were dropped."""
        self.unserved: set[str] = set()
        """Kinds whose CRD is not there."""
        self.complete = False
        """Whether a first full list is done: before, Runs can be worked on, but not counted."""
        self.listing = asyncio.Lock()
        """Held for a census: one at a time."""
        self._gone = Gone()
        self._censuses: dict[str, Census] = {}
        self._put: dict[str, Callable[[Key, Object], bool]] = {
            "inferenceruns": self._put_run,
            "jobs": self._put_job,
            "pods": self._put_pod,
            "inferencepipelines": self._put_pipeline,
            "orthancbridges": self._put_bridge,
            "inferencebackfills": self._put_backfill,
        }

    # ---- writing ----

    def observe(self, plural: str, obj: Object, *, deleted: bool = False, quiet: bool = False) -> None:
        """An object as a watch, a list or a write gave it. `quiet`: written by ourselves, nobody need look at it."""
        place, uid = place_of(plural, obj), obj["metadata"]["uid"]
        if place is None:
            return
        census = self._censuses.get(plural)
        version = int(obj["metadata"]["resourceVersion"])
        if deleted:
            if census:
                census.gone.add(uid)
            self._gone.note(uid, version)
            news = self._remove(plural, place, uid, version=version)
        else:
            news = not self._gone.outlived(uid, version) and self._take(plural, place, obj)
        if news and not quiet:
            self._changed(place.key)

    def forget(self, run: RunView) -> None:
        """It is gone, and no watch tells: we deleted it, or the API server has just said so."""
        key = Key("run", run.namespace, run.name)
        self._remove("inferenceruns", Place(key, run.name), run.uid)

    @contextmanager
    def posting(self, key: Key) -> Iterator[None]:
        """Around the POST of a Run's Job."""
        try:
            with self.turns.posting(key):
                yield
        finally:
            self._work_changed(key)

    def begin_census(self, plural: str, namespace: str | None) -> None:
        """A full list of a kind begins."""
        places = self._places(plural)
        self._censuses[plural] = Census(frozenset(uid for uid, place in places if namespace is None or place.key.namespace == namespace))

    def listed(self, plural: str, obj: Object) -> None:
        """One object of that list."""
        census, uid = self._censuses[plural], obj["metadata"]["uid"]
        census.seen.add(uid)
        if uid not in census.gone:  # else from a page that was read before the deletion
            self.observe(plural, obj)

    def end_census(self, plural: str) -> int:
        """Drops what the list did not have; gives the number."""
        census = self._censuses.pop(plural)
        missing = census.known - census.seen - census.gone
        ghosts = [(uid, place) for uid, place in self._places(plural) if uid in missing]
        dropped = [place.key for uid, place in ghosts if self._remove(plural, place, uid)]
        for key in dropped:
            self._changed(key)
        return len(dropped)

    def give_up_census(self, plural: str) -> None:
        """The list broke off."""
        self._censuses.pop(plural, None)

    # ---- reading ----

    def finished(self) -> Iterator[tuple[Key, RunView]]:
        """Runs that nothing will happen to but their deletion; a copy, so that the loop may pause."""
        return ((key, run) for key, run in list(self.runs.items()) if run.finished)

    def runs_of_bridge(self, bridge: Key) -> Iterator[Key]:
        """Unfinished Runs of a bridge."""
        return (key for key in self.unfinished if key.namespace == bridge.namespace and self.runs[key].bridge == bridge.name)

    def pipelines_of_bridge(self, bridge: Key) -> Iterator[tuple[Key, PipelineRecord]]:
        """Pipelines of a bridge."""
        pipelines = self.pipelines.items()
        return ((key, one) for key, one in pipelines if key.namespace == bridge.namespace and one.spec.bridge_ref.name == bridge.name)

    def bridge_of(self, run: RunView) -> BridgeView | None:
        """The bridge a Run names."""
        record = self.bridges.get(Key("bridge", run.namespace, run.bridge))
        return record.view if record else None

    def held(self, key: Key, run: RunView) -> Held | None:
        """Why the turn of an unfinished Run has not come; None when it has. A pod that does not start gives its place back by the clock alone."""
        self._work_changed(key)
        return self.turns.held(key, run)

    def about_to_begin(self, key: Key) -> RunView | None:
        """The Run of this key, if its Job has not been made and nothing is known to hold it back."""
        run = self.runs.get(key)
        if run is None or run.finished or run.job_made or key in self.jobs:
            return None
        return run if self.turns.may_begin(key, run) else None

    def newer_run(self, key: Key, run: RunView) -> str | None:
        """A Run of the same pipeline and images that is newer than this one."""
        bridge = self.bridge_of(run)
        newer = self.lineage.newer(key, run, alone=bridge is not None and bridge.spec.watch.level == "Series")
        return newer.name if newer else None

    def earlier_runs(self, namespace: str, pipeline: str, study: str) -> tuple[RunView, ...]:
        """All Runs of a pipeline on a study, the oldest first. Finished ones are known once `complete`."""
        return tuple(self.runs[key] for key in self.lineage.of_study(namespace, pipeline, study))

    # ---- one method a kind: whether somebody should look ----

    def _take(self, plural: str, place: Place, obj: Object) -> bool:
        try:
            return self._put[plural](place.key, obj)
        except ValidationError as error:
            fields = sorted({".".join(map(str, one["loc"])) for one in error.errors()})
            log.error("an object cannot be read; was it written by a newer version?", resource=plural, name=place.name, fields=fields)
            return False

    def _put_run(self, key: Key, obj: Object) -> bool:
        before = self.runs.get(key)
        if before is not None and before.uid == obj["metadata"]["uid"] and int(obj["metadata"]["resourceVersion"]) <= before.version:
            return False
        run = self.runs[key] = RunView.from_object(obj, before=before)
        if run.finished:
            self.unfinished.discard(key)
            self.vanished.pop(key, None)
            for pod in list(self.pods.get(key, {}).values()):
                self._keep_if_at_work(key, pod)
        else:
            self.unfinished.add(key)
            if self.complete and (run.job_made and key not in self.pods if before is None else before.finished):
                self.doubtful.add(key)
        self._run_changed(key, before, run)
        if run.finished and (before is None or not before.finished):
            self.ended(key)
        if run.early and not (before is not None and before.early):
            self.reported(key)
        return not run.finished

    def _put_job(self, key: Key, obj: Object) -> bool:
        job = JobView.from_object(obj)
        kept = self._jobs_like(key, job.name)
        before = kept.get(key)
        if before is not None and before.uid == job.uid and job.version <= before.version:
            return False
        kept[key] = job
        if kept is self.jobs:
            self._work_changed(key)
        return self._unfinished(key) and not (before is not None and replace(before, version=job.version) == job)

    def _jobs_like(self, key: Key, name: str) -> dict[Key, JobView]:
        """A Run has one Job, and perhaps one that reports its failure."""
        return self.notices if name == notice_name(key.name) else self.jobs

    def _put_pod(self, key: Key, obj: Object) -> bool:
        pods = self.pods.get(key, {})
        before = pods.get(obj["metadata"]["name"])
        pod = PodView.from_object(obj, now=self._clock(), before=before)
        if before is not None and before.uid == pod.uid and pod.version <= before.version:
            return False
        if key in self.runs and not self._unfinished(key):
            self._keep_if_at_work(key, pod)
            return False
        self.pods.setdefault(key, {})[pod.name] = pod
        self._work_changed(key)
        return not (before is not None and replace(before, version=pod.version) == pod)

    def _keep_if_at_work(self, key: Key, pod: PodView) -> None:
        """Of a finished Run: what its pods told is in the status, and only one that works on counts, for its Job is to go then."""
        pods = self.pods.setdefault(key, {})
        if pod.over:
            pods.pop(pod.name, None)
        else:
            pods[pod.name] = pod
        if not pods:
            del self.pods[key]

    def _put_pipeline(self, key: Key, obj: Object) -> bool:
        record, before = PipelineRecord.from_object(obj), self.pipelines.get(key)
        if before is not None and before.uid == record.uid and record.version <= before.version:
            return False
        self.pipelines[key] = record
        self.turns.limit_changed(key)
        if before is None or (before.uid, before.generation) != (record.uid, record.generation):
            self.pipeline_changed(key)
        return before is None or (before.uid, before.generation) != (record.uid, record.generation)

    def _put_bridge(self, key: Key, obj: Object) -> bool:
        record, before = BridgeRecord.from_object(obj), self.bridges.get(key)
        if before is not None and before.uid == record.uid and record.version <= before.version:
            return False
        self.bridges[key] = record
        self.turns.limit_changed(key)
        if before is not None and before.features != record.features:  # in a status, which wakes nobody else
            for pipeline, _ in self.pipelines_of_bridge(key):
                self._changed(pipeline)
        return before is None or (before.uid, before.generation) != (record.uid, record.generation)

    def _put_backfill(self, key: Key, obj: Object) -> bool:
        record, before = BackfillRecord.from_object(obj), self.backfills.get(key)
        if before is not None and before.uid == record.uid and record.version <= before.version:
            return False
        self.backfills[key] = record
        return before is None or (before.uid, before.generation) != (record.uid, record.generation)

    def _unfinished(self, key: Key) -> bool:
        return key in self.unfinished

    # ---- what follows from a change ----

    def _run_changed(self, key: Key, before: RunView | None, after: RunView | None) -> None:
        """Counts, turns and kin; those whose place depends on it look at themselves."""
        if (pipeline := self.tallies.replace(before, after)) is not None:
            self._counted(pipeline)
        self.lineage.replace(key, before, after)
        self.turns.replace(key, before, after, holds=self._holds(key, after))
        if after is not None and (before is None or before.uid != after.uid):
            self._kin_came(key, after)
        if after is None or after.finished:
            for newer in self.lineage.naming(key):
                self._changed_if_unfinished(newer)

    def _kin_came(self, key: Key, run: RunView) -> None:
        """Whose place it takes, and those of its study whose failure need not be reported any more."""
        if run.supersedes:
            self._changed_if_unfinished(Key("run", key.namespace, run.supersedes))
        for other in self.lineage.failing(run.namespace, run.pipeline, run.study) if run.pipeline else ():
            if other != key:
                self._changed_if_unfinished(other)

    def _work_changed(self, key: Key) -> None:
        """Its Job, or a pod."""
        run = self.runs.get(key)
        if run is not None and not run.finished:
            self.turns.replace(key, run, run, holds=self._holds(key, run))

    def _changed_if_unfinished(self, key: Key) -> None:
        if key in self.unfinished:
            self._changed(key)

    def _holds(self, key: Key, run: RunView | None) -> frozenset[str] | None:
        """Of which limits the Run has a place; None before it has a Job."""
        job = self.jobs.get(key)
        own = job if run is not None and job is not None and job.owner_uid == run.uid else None
        if run is None or (own is None and not run.job_made):
            return None
        works = run.state != "Delivering" and not run.failing  # what is left is a report: of the result, or of the failure
        fetches = works and holds_for(own, self.pods.get(key, {}).values(), self._clock()) > NOTHING
        return frozenset(kind for kind, yes in (("pipeline", works), ("bridge", fetches)) if yes)

    def _limit(self, line: Key) -> Limit | None:
        if line.kind == "bridge":
            bridge = self.bridges.get(line)
            places = bridge.view.spec.limits.concurrent_fetches if bridge else 0  # without their bridge its Runs wait, and take nobody's place
            return Limit("bridge", line.name, places) if places is not None else None
        pipeline = self.pipelines.get(line)
        if pipeline is None:
            return Limit("deleted pipeline", line.name, ORPHANS)
        most = pipeline.spec.concurrency.max_active
        return Limit("pipeline", line.name, most) if most is not None else None

    # ---- forgetting ----

    def _remove(self, plural: str, place: Place, uid: str, *, version: int | None = None) -> bool:
        """Unless another object has its place by now."""
        key = place.key
        match plural:
            case "inferenceruns":
                return self._remove_run(key, uid, version)
            case "pods":
                pods = self.pods.get(key, {})
                if place.name not in pods or pods[place.name].uid != uid:
                    return False
                last = pods.pop(place.name)
                if last.over and key in self.unfinished:
                    kept = self.vanished.get(key, {})
                    self.vanished[key] = dict([*kept.items(), (last.name, last)][-LAST_VIEWS:])
                if not pods:
                    del self.pods[key]
                self._work_changed(key)
                return True
            case "jobs":
                gone = _removed(self._jobs_like(key, place.name), key, uid)
                self._work_changed(key)
                return gone
            case "inferencepipelines":
                gone = _removed(self.pipelines, key, uid)
                self.turns.limit_changed(key)
                self.pipeline_changed(key)
                return gone
            case "inferencebackfills":
                return _removed(self.backfills, key, uid)
            case _:
                return _removed(self.bridges, key, uid)

    def _remove_run(self, key: Key, uid: str, version: int | None) -> bool:
        """A watch of unfinished Runs calls it a deletion when one finishes, with the version of the write that finished it."""
        before = self.runs.get(key)
        if before is None or before.uid != uid or (before.finished and version is not None and version <= before.version):
            return False
        del self.runs[key]
        self.unfinished.discard(key)
        self.pods.pop(key, None)
        self.vanished.pop(key, None)
        self._run_changed(key, before, None)
        return True

    def _places(self, plural: str) -> Iterator[tuple[str, Place]]:
        match plural:
            case "inferenceruns":
                return ((run.uid, Place(key, key.name)) for key, run in self.runs.items())
            case "pods":
                return ((pod.uid, Place(key, name)) for key, pods in self.pods.items() for name, pod in pods.items())
            case "jobs":
                return ((job.uid, Place(key, job.name)) for kept in (self.jobs, self.notices) for key, job in kept.items())
            case "inferencepipelines":
                return ((record.uid, Place(key, key.name)) for key, record in self.pipelines.items())
            case "inferencebackfills":
                return ((backfill.uid, Place(key, key.name)) for key, backfill in self.backfills.items())
            case _:
                return ((bridge.uid, Place(key, key.name)) for key, bridge in self.bridges.items())


def _removed(kept: dict[Key, Any], key: Key, uid: str) -> bool:
    if key not in kept or kept[key].uid != uid:
        return False
    del kept[key]
    return True


def _nobody(key: Key) -> None:
    """Nobody is told."""
