"""Which Run begins when there are not places for all, and which Run takes another's place, on a real API server with the operator as a process."""

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders import BRIDGE, PIPELINE, RUN, changed
from tests.builders_runs import a_receipt
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import Hospital, Object, a_hospital, named, wait

from gantry.kube import JOBS, PIPELINES, RUNS

A_BRIDGE = changed(changed(BRIDGE, "spec.url", "http://127.0.0.1:9"), "spec.credentialsSecretRef", ...)
A_RUN = changed(RUN, "spec.template.delivery", {"destinations": []})
NAME = PIPELINE["metadata"]["name"]
NUMBERS = itertools.count(1)


@pytest.fixture
def hospital(api_server: ControlPlane, tmp_path: Path) -> Iterator[Hospital]:
    made = a_hospital(api_server, tmp_path, f"order-{next(NUMBERS)}", bridge=A_BRIDGE, pipeline=limited(2))
    yield made
    made.api.http.close()


def limited(number: int) -> Object:
    return changed(PIPELINE, "spec.concurrency", {"maxActive": number})


def a_run(name: str, priority: str = "Routine", **spec: Any) -> Object:
    return named({**A_RUN, "spec": {**A_RUN["spec"], "priority": priority, **spec}}, name)


def begun(hospital: Hospital) -> list[str]:
    """Runs with a Job."""
    return sorted(job["metadata"]["labels"]["gantry.health/run"] for job in hospital.api.list(JOBS, hospital.namespace))


def under_way(hospital: Hospital) -> list[str]:
    over = {run["metadata"]["name"] for run in hospital.api.list(RUNS, hospital.namespace) if "completionTime" in (run.get("status") or {})}
    return [name for name in begun(hospital) if name not in over]


def waits(hospital: Hospital, *names: str) -> None:
    for name in names:
        hospital.says(name, "Admitted", "False/Waiting")


def finish(hospital: Hospital, run: str) -> None:
    hospital.publishes(hospital.pod(run), a_receipt())
    hospital.says(run, "Complete", "True/Complete")


def begins(hospital: Hospital, run: str) -> None:
    wait(lambda: run in begun(hospital), f"{run} begins", tell=lambda: (begun(hospital), hospital.status(run)))


def counts(hospital: Hospital, **want: int) -> None:
    def told() -> Object:
        return ((hospital.api.get(PIPELINES, hospital.namespace, NAME) or {}).get("status") or {}).get("runs") or {}

    wait(lambda: told() == {"active": 0, "waiting": 0, "succeeded": 0, "failed": 0} | want, f"the pipeline counts {want}", tell=told)


def test_six_runs_and_two_places(hospital: Hospital) -> None:
    with hospital.operator() as operator:
        names = [f"run-{n}" for n in range(6)]
        hospital.apply(*(a_run(name) for name in names))
        waits(hospital, *names[2:])
        assert begun(hospital) == names[:2]
        assert hospital.status("run-5")["state"] == "Waiting"
        message = next(c["message"] for c in hospital.status("run-5")["conditions"] if c["type"] == "Admitted")
        assert message == (
            f"pipeline {NAME} has 2 of 2 Runs under way (concurrency.maxActive): this one had place 4 when it began to wait; "
            "the most urgent class goes first, then the oldest Run"
        )
        counts(hospital, active=2, waiting=4)
        assert operator.metrics()['gantry_runs{state="Waiting"}'] == 4
        for number, name in enumerate(names):
            finish(hospital, name)
            for following in names[: number + 3]:
                begins(hospital, following)
            assert len(under_way(hospital)) <= 2
        counts(hospital, succeeded=6)
        operator.settled()
        writes = {key: n for key, n in operator.calls().items() if key[0] in ("create", "patch", "delete") and key[1] in ("jobs", "inferenceruns/status")}
        assert writes.pop(("create", "jobs", "201")) == 6
        assert sum(writes.values()) <= 6 * 3 + 4, "waiting costs one write, whatever happens in the line"
        assert operator.metrics()['gantry_run_wait_seconds_count{class="Routine"}'] == 6


def test_a_stroke_overtakes_and_a_waiting_run_can_be_raised(hospital: Hospital) -> None:
    hospital.apply(limited(1))
    with hospital.operator():
        hospital.apply(a_run("a"))
        begins(hospital, "a")
        hospital.apply(a_run("b", "Background"), a_run("c"), a_run("d"))
        waits(hospital, "b", "c", "d")
        hospital.apply(a_run("stroke", "Stat"))
        waits(hospital, "stroke")
        hospital.api.patch(RUNS, hospital.namespace, "d", {"spec": {"priority": "Urgent"}})
        wait(lambda: "place 2 " in json.dumps(hospital.status("d")), "the raised Run is told its place", tell=lambda: hospital.status("d"))
        order = []
        for _ in range(5):
            (one,) = wait(lambda: under_way(hospital), "somebody is under way")
            order.append(one)
            finish(hospital, one)
        assert order == ["a", "stroke", "d", "c", "b"]


def test_another_pipeline_does_not_wait(hospital: Hospital) -> None:
    hospital.apply(limited(1), named(PIPELINE, "free"))
    with hospital.operator():
        hospital.apply(a_run("a"), a_run("b"))
        waits(hospital, "b")
        by_hand = changed(a_run("by-hand"), "spec.pipelineRef", ...)
        hospital.apply(a_run("other", pipelineRef={"name": "free"}), by_hand)
        begins(hospital, "other")
        begins(hospital, "by-hand")
        assert "b" not in begun(hospital)


def test_runs_of_two_pipelines_fetch_in_one_line(hospital: Hospital) -> None:
    """limits.concurrentFetches: an emergency of one pipeline overtakes the other's Runs, a pod without a GPU holds up nobody, over a kill too."""
    hospital.apply(changed(A_BRIDGE, "spec.limits", {"concurrentFetches": 1}), limited(3), named(PIPELINE, "stroke"))
    with hospital.operator() as operator:
        hospital.apply(a_run("a"))
        begins(hospital, "a")
        hospital.apply(a_run("b"), a_run("c"), a_run("s", "Stat", pipelineRef={"name": "stroke"}))
        waits(hospital, "b", "c", "s")
        message = next(c["message"] for c in hospital.status("s")["conditions"] if c["type"] == "Admitted")
        assert message.startswith("bridge main has 1 of 1 Runs that fetch their images (limits.concurrentFetches): this one had place 1 ")
        hospital.runs_on(hospital.pod("a"))
        begins(hospital, "s")
        no_gpu = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."}
        hospital.container_states(hospital.pod("s"), phase="Pending", conditions=[no_gpu])
        begins(hospital, "b")
        operator.settled()
        assert begun(hospital) == ["a", "b", "s"], "a works, s waits for a GPU, b fetches"
        operator.kill()
        hospital.runs_on(hospital.pod("b"))
        operator.start()
        begins(hospital, "c")


def test_killed_while_runs_wait(hospital: Hospital) -> None:
    """One finishes and one comes meanwhile. Nobody is let in twice, nobody forgotten, and the line is the same."""
    with hospital.operator() as operator:
        hospital.apply(*(a_run(name) for name in "abcde"))
        waits(hospital, "c", "d", "e")
        hospital.says("b", "Executed", "False/Pending")
        operator.kill()
        hospital.publishes(hospital.pod("a"), a_receipt())
        hospital.apply(a_run("urgent", "Urgent"))
        operator.start()
        begins(hospital, "urgent")
        operator.settled()
        assert begun(hospital) == ["a", "b", "urgent"]
        assert operator.calls().get(("patch", "inferenceruns/status", "200"), 0) <= 3, "a is complete, urgent waits and is queued; the others keep their word"


def test_killed_again_and_again_while_a_burst_comes(hospital: Hospital) -> None:
    """At no look more than two are under way, and in the end all have been."""
    names = [f"run-{n:02}" for n in range(12)]
    most = 0
    with hospital.operator() as operator:
        for number, name in enumerate(names):
            hospital.apply(a_run(name))
            if number % 4 == 3:
                operator.kill()
                operator.start(ready=False)
        done: set[str] = set()
        deadline = time.monotonic() + 90
        while len(done) < len(names):
            assert time.monotonic() < deadline, f"{sorted(set(names) - done)} did not begin"
            now_there = under_way(hospital)
            most = max(most, len(now_there))
            for one in now_there[:1]:
                finish(hospital, one)
                done.add(one)
                if len(done) in (3, 7):
                    operator.kill()
                    operator.start(ready=False)
    assert most == 2
    assert begun(hospital) == names


def test_two_operators_keep_the_limit(hospital: Hospital) -> None:
    """One by mistake. Both choose by the same rule, so a Run is let in once; at most one that the other's watch has not told yet is too many."""
    names = [f"run-{n:02}" for n in range(10)]
    most, done = 0, set[str]()
    with hospital.operator() as one, hospital.operator() as other:
        hospital.apply(*(a_run(name) for name in names))
        for _ in names:
            # What one has finished the other may for a moment call running, until its watch has told it.
            there = wait(lambda: set(begun(hospital)) - done, "somebody is under way", tell=lambda: {n: hospital.status(n) for n in names})
            most = max(most, len(there))
            finish(hospital, min(there))
            done.add(min(there))
        one.settled()
        other.settled()
    assert begun(hospital) == names
    assert most <= 3


def test_a_suspended_run_begins_when_it_is_released(hospital: Hospital) -> None:
    with hospital.operator():
        hospital.apply(a_run("a", suspend=True))
        hospital.says("a", "Admitted", "False/Suspended")
        assert hospital.status("a")["state"] == "Waiting"
        counts(hospital, waiting=1)
        hospital.api.patch(RUNS, hospital.namespace, "a", {"spec": {"suspend": False}})
        begins(hospital, "a")


@pytest.mark.parametrize("what", ["cancelled", "deleted", "suspended"])
def test_a_waiting_run_that_leaves_the_line(hospital: Hospital, what: str) -> None:
    hospital.apply(limited(1))
    with hospital.operator() as operator:
        hospital.apply(a_run("a"), a_run("b"), a_run("c"))
        waits(hospital, "b", "c")
        match what:
            case "cancelled":
                hospital.api.patch(RUNS, hospital.namespace, "b", {"spec": {"cancel": True}})
                assert hospital.says("b", "Failed", "True/Cancelled")["state"] == "Cancelled"
                assert hospital.condition("b", "Admitted") == "False/Cancelled"
            case "deleted":
                hospital.api.delete(RUNS, hospital.namespace, "b")
                wait(lambda: operator.metrics().get('gantry_runs{state="Waiting"}') == 1, "it is not counted any more")
            case _:
                hospital.api.patch(RUNS, hospital.namespace, "b", {"spec": {"suspend": True}})
                hospital.says("b", "Admitted", "False/Suspended")
        finish(hospital, "a")
        begins(hospital, "c")
        assert "b" not in begun(hospital)


def test_an_edited_limit_counts_for_those_that_wait(hospital: Hospital) -> None:
    with hospital.operator():
        hospital.apply(*(a_run(name) for name in "abcde"))
        waits(hospital, "c", "d", "e")
        hospital.apply(limited(3))
        begins(hospital, "c")
        assert begun(hospital) == ["a", "b", "c"]
        hospital.apply(limited(1))
        finish(hospital, "a")
        finish(hospital, "b")
        assert begun(hospital) == ["a", "b", "c"], "a lowered limit ends nobody, and nobody begins above it"
        hospital.api.patch(PIPELINES, hospital.namespace, NAME, {"spec": {"concurrency": {"maxActive": None}}})
        begins(hospital, "d")
        begins(hospital, "e")


def test_the_runs_of_a_deleted_pipeline_go_on_one_by_one(hospital: Hospital) -> None:
    with hospital.operator() as operator:
        hospital.apply(*(a_run(name) for name in "abcd"))
        waits(hospital, "c", "d")
        hospital.api.delete(PIPELINES, hospital.namespace, NAME)
        operator.settled()
        finish(hospital, "a")
        operator.settled()
        assert begun(hospital) == ["a", "b"], "one is under way"
        finish(hospital, "b")
        begins(hospital, "c")
        operator.settled()
        assert begun(hospital) == ["a", "b", "c"]


def test_the_pod_gets_the_priority_class_of_the_class_it_begins_with(hospital: Hospital) -> None:
    """Written into the Run by whoever made it, so the pipeline need not be there any more."""
    names = {"Stat": "emergency", "Routine": "daily"}
    hospital.apply(limited(3))
    with hospital.operator():
        raised = a_run("a", suspend=True, priorityClassNames=names)
        hospital.apply(raised, a_run("b", priorityClassNames=names), a_run("c", "Background", priorityClassNames=names))
        hospital.says("a", "Admitted", "False/Suspended")
        hospital.api.patch(RUNS, hospital.namespace, "a", {"spec": {"suspend": False, "priority": "Stat"}})
        for run, want in {"a": "emergency", "b": "daily", "c": None}.items():
            assert hospital.has_job(run)["spec"]["template"]["spec"].get("priorityClassName") == want


# ---- one Run takes another's place ----


def task(hospital: Hospital, run: str) -> Object:
    (fetch,) = hospital.has_job(run)["spec"]["template"]["spec"]["initContainers"]
    made = json.loads(next(e["value"] for e in fetch["env"] if e["name"] == "GANTRY_TASK").replace("$$", "$"))
    assert isinstance(made, dict)
    return made


def test_an_unfinished_run_ends_for_the_newer_one(hospital: Hospital) -> None:
    with hospital.operator() as operator:
        hospital.apply(a_run("old"))
        hospital.runs_on(hospital.pod("old"))
        hospital.says("old", "Executed", "False/Running")
        hospital.apply(a_run("new", supersedes={"name": "old"}))
        status = hospital.says("old", "Failed", "True/Superseded")
        assert (status["state"], status["failure"]["message"]) == ("Superseded", "Run new took this one's place")
        assert wait(lambda: hospital.job("old") is None, "the older Job is gone")
        begins(hospital, "new")
        assert task(hospital, "new")["predecessors"] == []
        counts(hospital, active=1, failed=1)
        operator.settled()
        assert not [call for call in operator.calls() if call[2] == "403"]
        assert operator.metrics()[f'gantry_runs_finished_total{{pipeline="{NAME}",reason="Superseded",state="Superseded"}}'] == 1


def test_a_finished_run_stays_and_its_report_is_the_predecessor(hospital: Hospital) -> None:
    with hospital.operator() as operator:
        hospital.apply(a_run("old"))
        finish(hospital, "old")
        hospital.apply(a_run("new", supersedes={"name": "old"}))
        want = {"sopClassUid": "1.2.840.10008.5.1.4.1.1.88.34", "sopInstanceUid": "2.25.1", "seriesInstanceUid": "2.25.2"}
        assert task(hospital, "new")["predecessors"] == [want]
        operator.settled()
        assert hospital.status("old")["state"] == "Succeeded"


def test_a_run_superseded_while_the_operator_was_away(hospital: Hospital) -> None:
    with hospital.operator() as operator:
        hospital.apply(a_run("old"))
        hospital.runs_on(hospital.pod("old"))
        hospital.says("old", "Executed", "False/Running")
        operator.kill()
        hospital.apply(a_run("new", supersedes={"name": "old"}))
        operator.start()
        hospital.says("old", "Failed", "True/Superseded")
        assert wait(lambda: hospital.job("old") is None, "the older Job is gone")
        begins(hospital, "new")


def test_the_last_place_goes_from_the_older_to_the_newer(hospital: Hospital) -> None:
    """The newer waits in line, the older holds the place: it ends all the same."""
    hospital.apply(limited(1))
    with hospital.operator():
        hospital.apply(a_run("old"))
        begins(hospital, "old")
        hospital.apply(a_run("new", supersedes={"name": "old"}))
        hospital.says("old", "Failed", "True/Superseded")
        begins(hospital, "new")


def test_of_three_only_the_newest_goes_on(hospital: Hospital) -> None:
    """Images that come in three parts."""
    hospital.apply(limited(1))
    with hospital.operator():
        hospital.apply(a_run("one"), a_run("two", supersedes={"name": "one"}), a_run("three", supersedes={"name": "two"}))
        hospital.says("one", "Failed", "True/Superseded")
        hospital.says("two", "Failed", "True/Superseded")
        finish(hospital, "three")


def test_a_newer_run_that_was_deleted_ends_nothing(hospital: Hospital) -> None:
    with hospital.operator() as operator:
        hospital.apply(a_run("old"))
        begins(hospital, "old")
        operator.kill()
        hospital.apply(a_run("new", supersedes={"name": "old"}))
        hospital.api.delete(RUNS, hospital.namespace, "new")
        operator.start()
        finish(hospital, "old")


