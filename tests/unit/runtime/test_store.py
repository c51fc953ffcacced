"""What the store keeps, whom it wakes, and how it finds what was deleted unseen."""

import copy
from datetime import timedelta
from typing import Any

import pytest
from tests.builders import PIPELINE, changed
from tests.builders_runs import A_BRIDGE, NAME, RunBuilder, a_run, at, sent

from gantry.api import timestamp
from gantry.runtime.deliveries import oldest_deliveries, open_deliveries
from gantry.runtime.records import Key
from gantry.runtime.store import Store

RUN = Key("run", "default", NAME)
PIPELINE_KEY = Key("pipeline", "default", "chest-ct-nodules")


class Seen:
    """A store and whom it woke."""

    def __init__(self) -> None:
        self.woken: list[Key] = []
        self.counted: list[Key] = []
        self.store = Store(changed=self.woken.append, counted=self.counted.append, clock=lambda: at(10))

    def take(self, builder: RunBuilder) -> "Seen":
        run, job, pods = builder.objects()
        self.store.observe("inferenceruns", run)
        if job:
            self.store.observe("jobs", job)
        for pod in pods:
            self.store.observe("pods", pod)
        return self

    def census(self, plural: str, *objects: dict[str, Any]) -> int:
        self.store.begin_census(plural, "default")
        for one in objects:
            self.store.listed(plural, one)
        return self.store.end_census(plural)


@pytest.fixture
def seen() -> Seen:
    return Seen()


def version(obj: dict[str, Any], number: int) -> dict[str, Any]:
    return changed(obj, "metadata.resourceVersion", str(number))


def test_job_and_pods_wake_their_run(seen: Seen) -> None:
    seen.take(a_run().running())
    assert seen.woken == [RUN] * 3
    assert seen.store.jobs[RUN].name == f"{NAME}-1"
    assert list(seen.store.pods[RUN]) == [f"{NAME}-1-pod1"]


def test_a_pod_without_our_label_is_not_ours(seen: Seen) -> None:
    pod = changed(a_run().running().pods[0], "metadata.labels", {})
    seen.store.observe("pods", pod)
    assert (seen.woken, seen.store.pods) == ([], {})


def test_what_is_known_already_wakes_nobody(seen: Seen) -> None:
    """A list after a watch, or the watch's echo of our own write."""
    builder = a_run().running()
    seen.take(builder)
    seen.woken.clear()
    seen.take(builder)
    assert seen.woken == []


def test_an_older_version_does_not_replace_a_newer(seen: Seen) -> None:
    run = a_run().run
    seen.store.observe("inferenceruns", version(changed(run, "spec.cancel", True), 12))
    seen.store.observe("inferenceruns", version(run, 11))
    assert seen.store.runs[RUN].cancel


def test_another_object_of_the_name_counts_whatever_its_version(seen: Seen) -> None:
    run = a_run().run
    seen.store.observe("inferenceruns", version(run, 12))
    seen.store.observe("inferenceruns", changed(version(run, 3), "metadata.uid", "another"))
    assert seen.store.runs[RUN].uid == "another"


def test_the_late_news_of_an_old_objects_deletion_leaves_the_new_one(seen: Seen) -> None:
    run = a_run().run
    seen.store.observe("inferenceruns", changed(run, "metadata.uid", "another"))
    seen.store.observe("inferenceruns", run, deleted=True)
    assert RUN in seen.store.runs


def test_a_heartbeat_of_a_pod_wakes_nobody(seen: Seen) -> None:
    builder = a_run().running()
    seen.take(builder)
    seen.woken.clear()
    pod = copy.deepcopy(builder.pods[0])
    pod["metadata"]["resourceVersion"] = "99"
    pod["status"]["qosClass"] = "Burstable"
    seen.store.observe("pods", pod)
    assert seen.woken == []


def test_our_own_write_wakes_nobody(seen: Seen) -> None:
    seen.store.observe("inferenceruns", a_run().run, quiet=True)
    assert seen.woken == []
    assert RUN in seen.store.runs


def test_the_late_answer_to_a_write_does_not_bring_back_what_the_watch_has_told_to_be_gone(seen: Seen) -> None:
    """A Run that somebody ended right after our write leaves the watch of unfinished ones before our answer is read: it counted as active for ever."""
    seen.take(a_run())
    seen.store.observe("inferenceruns", version(a_run().run, 52), deleted=True)
    seen.store.observe("inferenceruns", version(a_run().with_job_ref().run, 51), quiet=True)
    assert (seen.store.runs, seen.store.unfinished) == ({}, set())
    seen.store.observe("inferenceruns", version(a_run().finished("Succeeded", ago=timedelta(0)).run, 52))
    assert [run.finished for run in seen.store.runs.values()] == [True], "a full list has it as it is"


def test_a_spec_is_read_again_when_somebody_has_changed_it(seen: Seen) -> None:
    """Status writes leave it, and its generation, as it was."""
    seen.take(a_run())
    before = seen.store.runs[RUN].spec
    seen.store.observe("inferenceruns", version(a_run().with_job_ref().run, 50))
    assert seen.store.runs[RUN].spec is before
    changed_spec = version(a_run().cancelled().run, 51)
    changed_spec["metadata"]["generation"] = 2
    seen.store.observe("inferenceruns", changed_spec)
    assert seen.store.runs[RUN].parsed.cancel
    recreated = version(a_run().suspended().run, 52)
    recreated["metadata"]["uid"] = "another"
    seen.store.observe("inferenceruns", recreated)
    assert seen.store.runs[RUN].parsed.suspend


def test_a_finished_run_is_kept_small_and_its_pods_are_dropped_when_they_have_ended(seen: Seen) -> None:
    builder = a_run().running()
    seen.take(builder)
    done = version(builder.finished("Succeeded", ago=timedelta(0)).run, 50)
    seen.store.observe("inferenceruns", done)
    run = seen.store.runs[RUN]
    assert (run.spec, run.status, run.finished) == (None, None, True)
    assert seen.store.unfinished == set()
    seen.woken.clear()
    seen.store.observe("pods", version(builder.pods[0], 60))
    assert (seen.woken, list(seen.store.pods)) == ([], [RUN]), "one that works on is remembered: its Job is to go"
    seen.store.observe("pods", version(a_run().published().pods[0], 61))
    assert (seen.woken, seen.store.pods) == ([], {})


def test_the_pods_of_a_run_that_had_ended_when_it_finished_are_dropped_at_once(seen: Seen) -> None:
    builder = a_run().published()
    seen.take(builder)
    seen.store.observe("inferenceruns", version(builder.finished("Succeeded", ago=timedelta(0)).run, 50))
    assert seen.store.pods == {}
    seen.store.observe("pods", version(builder.pods[0], 60))
    assert (seen.store.pods, seen.store.doubtful) == ({}, set())


def test_a_run_that_is_not_finished_after_all_is_looked_up_though_a_pod_of_it_works(seen: Seen) -> None:
    """Those that had ended were dropped."""
    seen.store.complete = True
    builder = a_run().running()
    seen.take(builder)
    seen.store.observe("inferenceruns", version(builder.finished("Failed", ago=timedelta(0)).run, 50))
    seen.store.observe("inferenceruns", version(builder.with_job_ref().run, 51))
    assert (list(seen.store.pods), seen.store.doubtful) == ([RUN], {RUN})


def test_when_trouble_began_is_remembered_over_events(seen: Seen) -> None:
    builder = a_run().waiting("ErrImagePull", "no such host")
    seen.take(builder)
    pod = copy.deepcopy(builder.pods[0])
    pod["metadata"]["resourceVersion"] = "99"
    pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] = "ImagePullBackOff"
    seen.store._clock = lambda: at(200)
    seen.store.observe("pods", pod)
    kept = seen.store.pods[RUN][pod["metadata"]["name"]]
    assert (kept.trouble, kept.troubled_since) == ("ImagePullBackOff", at(10))


def test_a_run_is_about_to_begin_when_it_has_no_job_and_a_place(seen: Seen) -> None:
    seen.store.observe("orthancbridges", A_BRIDGE_SEEN)
    seen.store.observe("inferencepipelines", A_PIPELINE)
    seen.take(a_run())
    assert seen.store.about_to_begin(RUN) is not None
    assert seen.store.about_to_begin(PIPELINE_KEY) is None
    seen.take(a_run().with_job())
    assert seen.store.about_to_begin(RUN) is None


def test_a_run_whose_turn_has_not_come_is_not_about_to_begin(seen: Seen) -> None:
    """Telling it so must not hold up others that can begin."""
    seen.store.turns.open()
    seen.store.observe("inferencepipelines", changed(A_PIPELINE, "spec.concurrency", {"maxActive": 1}))
    seen.take(a_run().with_job())
    seen.store.observe("inferenceruns", changed(a_run().named("b").run, "metadata.uid", "b-uid"))
    assert seen.store.about_to_begin(Key("run", "default", "b")) is None


def test_runs_are_counted_by_state_and_pipeline(seen: Seen) -> None:
    seen.take(a_run())
    seen.take(a_run().named("b"))
    seen.store.observe("inferenceruns", version(a_run().named("b").finished("Failed", ago=timedelta(0)).run, 20))
    seen.store.observe("inferenceruns", version(a_run().named("c").finished("Succeeded", ago=timedelta(0)).run, 20))
    tally = seen.store.tallies.pipelines[PIPELINE_KEY]
    assert (tally.active, tally.succeeded, tally.failed, tally.newest) == (1, 1, 1, at(0))
    assert dict(seen.store.tallies.states) == {"Queued": 1, "Failed": 1, "Succeeded": 1}
    seen.store.observe("inferenceruns", a_run().run, deleted=True)
    assert tally.active == 0
    assert seen.counted == [PIPELINE_KEY] * 5


def test_what_a_full_list_lacks_was_deleted_while_no_watch_was_open(seen: Seen) -> None:
    seen.take(a_run())
    seen.take(a_run().named("ghost"))
    ghost = Key("run", "default", "ghost")
    # Same uid for both in the builder; a ghost has its own.
    seen.store.observe("inferenceruns", changed(a_run().named("ghost").run, "metadata.uid", "ghost-uid"))
    seen.woken.clear()
    assert seen.census("inferenceruns", a_run().run) == 1
    assert (list(seen.store.runs), seen.woken) == ([RUN], [ghost])


def test_what_came_while_the_list_was_read_is_no_ghost(seen: Seen) -> None:
    seen.take(a_run())
    seen.store.begin_census("inferenceruns", "default")
    seen.store.observe("inferenceruns", changed(a_run().named("new").run, "metadata.uid", "new-uid"))
    seen.store.listed("inferenceruns", a_run().run)
    assert seen.store.end_census("inferenceruns") == 0
    assert len(seen.store.runs) == 2


def test_what_was_deleted_while_the_list_was_read_does_not_come_back(seen: Seen) -> None:
    seen.take(a_run())
    seen.store.begin_census("inferenceruns", "default")
    seen.store.observe("inferenceruns", a_run().run, deleted=True)
    seen.store.listed("inferenceruns", a_run().run)
    assert seen.store.end_census("inferenceruns") == 0
    assert seen.store.runs == {}


def test_a_list_of_one_namespace_says_nothing_of_another(seen: Seen) -> None:
    elsewhere = changed(changed(a_run().run, "metadata.namespace", "elsewhere"), "metadata.uid", "other-uid")
    seen.store.observe("inferenceruns", elsewhere)
    assert seen.census("inferenceruns") == 0
    assert Key("run", "elsewhere", NAME) in seen.store.runs


@pytest.mark.parametrize("plural", ["jobs", "pods", "inferencepipelines", "orthancbridges"])
def test_ghosts_of_every_kind_are_dropped(seen: Seen, plural: str) -> None:
    builder = a_run().running()
    objects = {"jobs": builder.job, "pods": builder.pods[0], "inferencepipelines": A_PIPELINE, "orthancbridges": A_BRIDGE_SEEN}
    seen.take(a_run())
    found = objects[plural]
    assert found is not None
    seen.store.observe(plural, found)
    assert seen.census(plural) == 1
    kept = {"jobs": seen.store.jobs, "pods": seen.store.pods, "inferencepipelines": seen.store.pipelines, "orthancbridges": seen.store.bridges}
    assert not kept[plural]


A_PIPELINE = changed(
    PIPELINE, "metadata", {**PIPELINE["metadata"], "uid": "p-uid", "resourceVersion": "5", "generation": 1, "creationTimestamp": "2026-03-01T00:00:00Z"}
)
A_BRIDGE_SEEN = changed(A_BRIDGE, "metadata.resourceVersion", "5")


def test_a_pipelines_own_status_wakes_nobody(seen: Seen) -> None:
    seen.store.observe("inferencepipelines", A_PIPELINE)
    seen.woken.clear()
    seen.store.observe("inferencepipelines", version(changed(A_PIPELINE, "status", {"runs": {"active": 1}}), 6))
    assert seen.woken == []
    assert seen.store.pipelines[PIPELINE_KEY].status is not None


def test_an_object_of_a_newer_version_is_left_out_and_told(seen: Seen, caplog: pytest.LogCaptureFixture) -> None:
    seen.store.observe("inferencepipelines", changed(A_PIPELINE, "spec.later", "Shadow"))
    assert (seen.store.pipelines, seen.woken) == ({}, [])


def test_a_watch_of_unfinished_runs_calls_the_end_of_one_a_deletion(seen: Seen) -> None:
    """With the old object and the version of the write that finished it: our own write has been seen, so the Run stays."""
    run = version(a_run().run, 10)
    seen.store.observe("inferenceruns", run)
    seen.store.observe("inferenceruns", version(a_run().finished("Succeeded", ago=timedelta(0)).run, 50), quiet=True)
    seen.store.observe("inferenceruns", version(run, 50), deleted=True)
    assert seen.store.runs[RUN].finished
    seen.store.observe("inferenceruns", version(run, 51), deleted=True)
    assert seen.store.runs == {}, "a real deletion, by a watch of all Runs"


def test_the_end_of_a_run_told_before_our_own_writes_answer(seen: Seen) -> None:
    """It goes and comes back with the answer, also while a full list is read."""
    run = version(a_run().run, 10)
    seen.store.observe("inferenceruns", run)
    seen.store.begin_census("inferenceruns", None)
    seen.store.observe("inferenceruns", version(run, 50), deleted=True)
    seen.store.observe("inferenceruns", version(a_run().finished("Succeeded", ago=timedelta(0)).run, 50), quiet=True)
    seen.store.listed("inferenceruns", run)
    seen.store.end_census("inferenceruns")
    assert seen.store.runs[RUN].finished
    assert dict(seen.store.tallies.states) == {"Queued": 0, "Succeeded": 1}


def test_a_run_we_deleted_is_forgotten_at_once(seen: Seen) -> None:
    seen.store.observe("inferenceruns", a_run().finished("Succeeded", ago=timedelta(0)).run)
    seen.store.forget(seen.store.runs[RUN])
    assert seen.store.runs == {}
    assert seen.store.tallies.pipelines[PIPELINE_KEY].succeeded == 0


def test_deliveries_are_open_until_nothing_more_happens_to_them(seen: Seen) -> None:
    """One waits for its receipt, one has none to wait for."""
    deliveries = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in (sent("pacs", awaits="Query"), sent("vna"))]
    seen.store.observe("inferenceruns", {**a_run().run, "status": {"state": "Delivering", "deliveries": deliveries}})
    assert dict(open_deliveries(seen.store)) == {("pacs", "Sent"): 1}


def test_the_oldest_open_delivery_of_a_destination_is_told_by_its_age(seen: Seen) -> None:
    """From the results being in Orthanc, whichever of its Runs has waited longest; what has ended does not count."""
    for name, age in (("a", 90), ("b", 30)):
        pending = sent("pacs").model_copy(update={"state": "Pending"})
        deliveries = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in (pending, sent("vna"))]
        stages = [{"name": "deliver", "startTime": timestamp(at(0) - timedelta(seconds=age))}]
        run = changed(changed(a_run().run, "metadata.name", name), "metadata.uid", name)
        seen.store.observe("inferenceruns", {**run, "status": {"state": "Delivering", "deliveries": deliveries, "stages": stages}})
    assert oldest_deliveries(seen.store, at(0)) == {"pacs": 90}


def test_five_thousand_runs_are_deleted_at_once_and_nothing_of_them_is_left(seen: Seen) -> None:
    """In any order with their Jobs and pods, one that is not deleted between them."""
    run, job, pods = a_run().running().objects()
    assert job is not None

    def of(obj: dict[str, Any], number: int, kind: str) -> dict[str, Any]:
        meta = {**obj["metadata"], "uid": f"{kind}-{number}", "name": f"{kind}{number}" if kind == "r" else obj["metadata"]["name"]}
        if kind == "r":
            study = {**obj["spec"]["study"], "orthancID": f"study-{number}"}
            return {**obj, "metadata": meta, "spec": {**obj["spec"], "study": study}}
        return {**obj, "metadata": {**meta, "labels": {"gantry.health/run": f"r{number}"}}}

    every = [("inferenceruns", of(run, n, "r")) for n in range(5001)]
    every += [(plural, of(obj, n, plural[0])) for n in range(5001) for plural, obj in (("jobs", job), ("pods", pods[0]))]
    for plural, obj in every:
        seen.store.observe(plural, obj)
    for plural, obj in sorted(every, key=lambda one: str(one[1]["metadata"]["uid"])[::-1]):
        if not str(obj["metadata"]["uid"]).endswith("-17"):
            seen.store.observe(plural, {**obj, "metadata": {**obj["metadata"], "resourceVersion": "900"}}, deleted=True)
    store, left = seen.store, {Key("run", "default", "r17")}
    assert (set(store.runs), store.unfinished, set(store.jobs), set(store.pods)) == (left, left, left, left)
    assert sum(store.tallies.states.values()) == 1
