"""One pipeline after another: the operator as a process on a real API server and a real Orthanc; the test plays the pods."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders import BRIDGE, PIPELINE, changed
from tests.builders_findings import a_document, a_finding
from tests.builders_runs import a_receipt
from tests.builders_slices import a_ct, uid
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import Hospital, a_hospital, condition, named, wait
from tests.component.orthanc_server import OrthancServer, orthanc_server

from gantry.api.run import Result
from gantry.kube import PIPELINES, RUNS
from gantry.runs import FINDINGS_ATTACHMENT, fingerprint

NUMBERS = itertools.count(1)
Object = dict[str, Any]
FIRST = named(changed(PIPELINE, "spec.template.delivery", {"destinations": []}), "triage")
PRESENT = json.dumps(a_document(a_finding(presence=None))).encode()
"""A finding without `presence`: it is there."""
ABSENT = json.dumps(a_document(a_finding(presence="absent"))).encode()
WHEN = "findings.exists(f, f.presence == 'present')"


def after(name: str, first: str = "triage", *, when: str | None = WHEN, **changes: Any) -> Object:
    made = changed(named(FIRST, name), "spec.after", {"pipeline": first} | ({"when": when} if when else {}))
    for path, value in changes.items():
        made = changed(made, f"spec.{path.replace('__', '.')}", value)
    return made


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[OrthancServer]:
    with orthanc_server(tmp_path / "orthanc") as started:
        yield started


@pytest.fixture
def hospital(api_server: ControlPlane, orthanc: OrthancServer, tmp_path: Path) -> Iterator[Hospital]:
    bridge = changed(changed(BRIDGE, "spec.url", orthanc.url), "spec.watch", {"pollInterval": "200ms"})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orthanc"}, "type": "kubernetes.io/basic-auth"}
    made = a_hospital(api_server, tmp_path, f"follow-{next(NUMBERS)}", bridge=bridge, pipeline=FIRST)
    made.apply({**secret, "stringData": {"username": "gantry", "password": "secret"}})
    yield made
    made.api.http.close()


def pipeline_says(hospital: Hospital, name: str, words: str) -> str:
    def status() -> Object:
        return (hospital.api.get(PIPELINES, hospital.namespace, name) or {}).get("status") or {}

    wait(lambda: condition(status(), "Ready") == words, f"Ready of {name} is {words}", tell=status)
    return next(str(c["message"]) for c in status()["conditions"] if c["type"] == "Ready")


def runs_of(hospital: Hospital, pipeline: str) -> list[Object]:
    return [run for run in hospital.api.list(RUNS, hospital.namespace) if run["spec"]["pipelineRef"]["name"] == pipeline]


def a_study(hospital: Hospital, orthanc: OrthancServer, *numbers: int, runs: int = 1) -> str:
    """Images come; the Run of the first pipeline on all of them."""
    orthanc.upload(*(a_ct("a", number=number, patient="a") for number in numbers or (1, 2, 3)), user="other")
    found = wait(lambda: found if len(found := runs_of(hospital, "triage")) == runs else None, "the study has a Run")
    newest = max(found, key=lambda run: int(run["spec"]["study"]["instances"]))
    return str(newest["metadata"]["name"])


def publish(hospital: Hospital, orthanc: OrthancServer, run: str, findings: bytes | None) -> Result:
    """The Run's pod ends: its report is in Orthanc and, unless it is of an older release, its findings."""
    hospital.pod(run)
    report = a_ct("a", series=f"sr-{run}", number=99, patient="a", Modality="SR")
    (stored,) = orthanc.upload(report)
    if findings is not None:
        orthanc.rest("PUT", f"/instances/{stored['ID']}/attachments/{FINDINGS_ATTACHMENT}", content=findings)
    result = Result(
        kind="SR", sop_class_uid="1.2.3", sop_instance_uid=uid("a", f"sr-{run}", 99), series_instance_uid=uid("a", f"sr-{run}"),
        orthanc_id=stored["ID"], md5="0" * 32, bytes=len(report),
    )  # fmt: skip
    hospital.publishes(f"{run}-1-pod1", a_receipt().model_copy(update={"results": (result,)}))
    return result


def followed(hospital: Hospital, run: str, words: str = "True/Followed") -> str:
    status = hospital.says(run, "Followed", words)
    return next(str(c["message"]) for c in status["conditions"] if c["type"] == "Followed")


def test_a_completed_run_starts_the_next_pipeline_on_the_same_study(hospital: Hospital, orthanc: OrthancServer) -> None:
    priority = {"rules": [{"study": [{"tag": "StudyDescription", "operator": "Exists"}], "class": "Stat"}]}
    hospital.apply(after("volumetry", priority=priority))
    with hospital.operator() as operator:
        assert pipeline_says(hospital, "volumetry", "True/Ready") == "Runs of triage that complete start Runs"
        first = a_study(hospital, orthanc)
        result = publish(hospital, orthanc, first, PRESENT)
        hospital.says(first, "Complete", "True/Complete")
        (run,) = wait(lambda: runs_of(hospital, "volumetry"), "the next pipeline has a Run", tell=lambda: operator.log[-3000:])
        spec = run["spec"]
        assert (spec["trigger"], spec["after"], spec["priority"]) == ("After", {"name": first}, "Stat")
        assert spec["study"]["orthancID"] == hospital.run(first)["spec"]["study"]["orthancID"]
        images = [uid("a", "series", number) for number in (1, 2, 3)]
        identity = fingerprint(hospital.namespace, "volumetry", spec["study"]["orthancID"], [*images, result.sop_instance_uid])
        assert (spec["study"]["fingerprint"], spec["study"]["instances"]) == (identity, 3)
        assert run["metadata"]["name"] == f"volumetry-{identity[:13]}"
        assert followed(hospital, first) == f"volumetry: Run {run['metadata']['name']}"
        job = hospital.has_job(run["metadata"]["name"])
        variables = {one["name"]: one.get("value") for one in job["spec"]["template"]["spec"]["initContainers"][0]["env"]}
        told = json.loads(variables["GANTRY_TASK"])["after"]
        assert (told["run"], told["findings"], [one["kind"] for one in told["results"]]) == (first, result.orthanc_id, ["SR"])
        operator.settled()
        assert len(hospital.api.list(RUNS, hospital.namespace)) == 2, "what a stable study starts does not start the second pipeline, too"
        samples = operator.metrics()
        assert samples['gantry_routing_decisions_total{check="",outcome="Created",pipeline="volumetry"}'] == 1


def test_findings_that_do_not_hold_start_nothing_and_it_is_said_why(hospital: Hospital, orthanc: OrthancServer) -> None:
    hospital.apply(
        after("volumetry"),
        after("mri", match__study=[{"tag": "ModalitiesInStudy", "operator": "In", "values": ["MR"]}]),
        after("always", when=None),
        after("wrong", when="findings[0].nothing == 1"),
    )
    with hospital.operator() as operator:
        for name in ("volumetry", "mri", "always", "wrong"):
            pipeline_says(hospital, name, "True/Ready")
        first = a_study(hospital, orthanc)
        publish(hospital, orthanc, first, ABSENT)
        message = followed(hospital, first)
        (run,) = runs_of(hospital, "always")
        assert message.split("; ") == [
            f"always: Run {run['metadata']['name']}",
            "mri: none, after.when does not hold",
            "volumetry: none, after.when does not hold",
            'wrong: none, after.when cannot be answered: Key not found in map : "nothing"',
        ]
        assert operator.metrics()['gantry_routing_decisions_total{check="after.when",outcome="NotMatched",pipeline="volumetry"}'] == 1


def test_a_shadow_run_starts_shadow_pipelines_only(hospital: Hospital, orthanc: OrthancServer) -> None:
    """Neither by itself nor by hand; nor is anything sent."""
    hospital.apply(changed(named(FIRST, "triage"), "spec.mode", "Shadow"), after("volumetry"), after("beside", mode="Shadow"))
    with hospital.operator():
        words = pipeline_says(hospital, "volumetry", "True/Ready")
        assert words == "triage is in mode Shadow, so its Runs start none of this pipeline until it is Active"
        pipeline_says(hospital, "beside", "True/Ready")
        first = a_study(hospital, orthanc)
        publish(hospital, orthanc, first, PRESENT)
        message = followed(hospital, first)
        (run,) = runs_of(hospital, "beside")
        assert message == f"beside: Run {run['metadata']['name']}; volumetry: none, this Run is in mode Shadow and starts no active pipeline"
        assert (run["spec"]["mode"], runs_of(hospital, "volumetry")) == ("Shadow", [])
        hospital.says(first, "Delivered", "False/Shadow")
        by_hand = {**run["spec"], "mode": "Active", "trigger": "Manual"}
        hospital.apply({"apiVersion": run["apiVersion"], "kind": run["kind"], "metadata": {"name": "hand"}, "spec": by_hand})
        hospital.says("hand", "Failed", "True/JobRefused")
        assert "is in mode Shadow: it starts nothing that leaves" in hospital.status("hand")["failure"]["message"]


def test_a_study_that_does_not_match_the_next_pipeline_starts_nothing(hospital: Hospital, orthanc: OrthancServer) -> None:
    hospital.apply(after("mri", match__study=[{"tag": "ModalitiesInStudy", "operator": "In", "values": ["MR"]}]))
    with hospital.operator():
        pipeline_says(hospital, "mri", "True/Ready")
        first = a_study(hospital, orthanc)
        publish(hospital, orthanc, first, PRESENT)
        assert followed(hospital, first) == "mri: none, the study does not match (ModalitiesInStudy In)"


def test_a_run_of_an_older_release_says_that_its_findings_are_missing(hospital: Hospital, orthanc: OrthancServer) -> None:
    hospital.apply(after("volumetry"))
    with hospital.operator():
        pipeline_says(hospital, "volumetry", "True/Ready")
        first = a_study(hospital, orthanc)
        publish(hospital, orthanc, first, None)
        assert followed(hospital, first).startswith("volumetry: none, Orthanc keeps no findings.json of this Run: ")
        assert runs_of(hospital, "volumetry") == []


def test_killed_at_any_moment_the_next_run_is_made_once(hospital: Hospital, orthanc: OrthancServer) -> None:
    hospital.apply(after("volumetry"))
    with hospital.operator() as operator:
        pipeline_says(hospital, "volumetry", "True/Ready")
        first = a_study(hospital, orthanc)
        publish(hospital, orthanc, first, PRESENT)
        hospital.says(first, "Complete", "True/Complete")
        operator.kill()
        operator.start()
        followed(hospital, first)
        (run,) = runs_of(hospital, "volumetry")
        operator.kill()
        # As if killed between the follower's Run and the word on the first; and images have come since.
        status = hospital.status(first)
        status["conditions"] = [one for one in status["conditions"] if one["type"] != "Followed"]
        hospital.api.patch(RUNS, hospital.namespace, first, {"status": status}, sub="status")
        orthanc.upload(a_ct("a", number=4, patient="a"), user="other")
        operator.start()
        assert followed(hospital, first) == f"volumetry: Run {run['metadata']['name']}"
        operator.settled()
        assert [one["metadata"]["name"] for one in runs_of(hospital, "volumetry") if one["spec"]["after"]["name"] == first] == [
            run["metadata"]["name"]
        ]


def test_an_orthanc_that_is_away_is_waited_for(hospital: Hospital, orthanc: OrthancServer) -> None:
    hospital.apply(after("volumetry"))
    with hospital.operator() as operator:
        pipeline_says(hospital, "volumetry", "True/Ready")
        first = a_study(hospital, orthanc)
        hospital.has_job(first)
        operator.kill()
        publish(hospital, orthanc, first, PRESENT)
        orthanc.kill()
        operator.start()
        hospital.says(first, "Complete", "True/Complete")
        wait(lambda: 'could not be followed yet' in operator.log, "it tried", tell=lambda: operator.log[-2000:])
        operator.kill()
        operator.start()
        wait(lambda: operator.log.count('could not be followed yet') > 1, "it tries after a restart, too", tell=lambda: operator.log[-2000:])
        orthanc.start()
        followed(hospital, first)
        assert len(runs_of(hospital, "volumetry")) == 1


def test_a_pipeline_that_was_not_ready_is_asked_when_it_is(hospital: Hospital, orthanc: OrthancServer) -> None:
    hospital.apply(after("volumetry", when="findings.exist(f, true)"), after("resumed", suspend=True))
    with hospital.operator() as operator:
        assert pipeline_says(hospital, "volumetry", "False/InvalidExpression").startswith("spec.after.when, line 1, column ")
        pipeline_says(hospital, "resumed", "False/Suspended")
        first = a_study(hospital, orthanc)
        publish(hospital, orthanc, first, PRESENT)
        assert followed(hospital, first, "False/Pending") == (
            "resumed: none, it is not ready (Suspended); asked again when it is; "
            "volumetry: none, it is not ready (InvalidExpression); asked again when it is"
        )
        operator.settled()
        hospital.apply(after("volumetry"), after("resumed"))
        followed(hospital, first)
        assert (len(runs_of(hospital, "volumetry")), len(runs_of(hospital, "resumed"))) == (1, 1)


def test_late_images_supersede_what_followed_the_superseded_run(hospital: Hospital, orthanc: OrthancServer) -> None:
    hospital.apply(after("volumetry"), after("kept", onLateImages="Ignore"), after("beside", onLateImages="Rerun"))
    with hospital.operator():
        for name in ("volumetry", "kept", "beside"):
            pipeline_says(hospital, name, "True/Ready")
        first = a_study(hospital, orthanc)
        publish(hospital, orthanc, first, PRESENT)
        followed(hospital, first)
        (old,) = runs_of(hospital, "volumetry")
        second = a_study(hospital, orthanc, 4, runs=2)
        assert hospital.run(second)["spec"]["supersedes"] == {"name": first}
        publish(hospital, orthanc, second, PRESENT)
        message = followed(hospital, second)
        (new,) = [run for run in runs_of(hospital, "volumetry") if run["metadata"]["name"] != old["metadata"]["name"]]
        assert (new["spec"]["supersedes"], new["spec"]["after"], new["spec"]["study"]["instances"]) == (
            {"name": old["metadata"]["name"]}, {"name": second}, 4,
        )  # fmt: skip
        hospital.says(old["metadata"]["name"], "Failed", "True/Superseded")
        assert "kept: none, onLateImages is Ignore, and Run " in message
        assert [("supersedes" in run["spec"]) for run in runs_of(hospital, "beside")] == [False, False]


def test_a_repeated_run_starts_what_follows_it_again(hospital: Hospital, orthanc: OrthancServer) -> None:
    hospital.apply(after("volumetry"), after("kept", onLateImages="Ignore"))
    with hospital.operator():
        for name in ("volumetry", "kept"):
            pipeline_says(hospital, name, "True/Ready")
        first = a_study(hospital, orthanc)
        publish(hospital, orthanc, first, PRESENT)
        followed(hospital, first)
        (old,) = runs_of(hospital, "volumetry")
        made = hospital.run(first)
        again = {**made["spec"], "trigger": "Rerun", "supersedes": {"name": first}}
        hospital.apply({"apiVersion": made["apiVersion"], "kind": made["kind"], "metadata": {"name": f"{first}-r2"}, "spec": again})
        publish(hospital, orthanc, f"{first}-r2", PRESENT)
        followed(hospital, f"{first}-r2")
        (new,) = [run for run in runs_of(hospital, "volumetry") if run["spec"]["after"] == {"name": f"{first}-r2"}]
        assert new["spec"]["supersedes"] == {"name": old["metadata"]["name"]}
        assert len(runs_of(hospital, "kept")) == 2, "onLateImages is about images, not about a repetition"


def test_pipelines_in_a_circle_say_so_and_the_others_work(hospital: Hospital, orthanc: OrthancServer) -> None:
    hospital.apply(after("a", "c"), after("b", "a"), after("c", "b"), after("lost", "nobody"), after("volumetry"))
    with hospital.operator():
        for name in ("a", "b", "c"):
            assert pipeline_says(hospital, name, "False/AfterCycle").startswith("a -> b -> c -> a: these pipelines start each other in a circle")
        pipeline_says(hospital, "lost", "False/AfterMissing")
        pipeline_says(hospital, "volumetry", "True/Ready")
        first = a_study(hospital, orthanc)
        publish(hospital, orthanc, first, PRESENT)
        followed(hospital, first)
        assert len(runs_of(hospital, "volumetry")) == 1
        hospital.apply(after("a", "triage"), named(FIRST, "nobody"))
        for name in ("a", "b", "c", "lost"):
            pipeline_says(hospital, name, "True/Ready")
        hospital.api.delete(PIPELINES, hospital.namespace, "triage")
        pipeline_says(hospital, "a", "False/AfterMissing")
        pipeline_says(hospital, "b", "True/Ready")


def test_a_run_made_by_hand_cannot_follow_another_study(hospital: Hospital, orthanc: OrthancServer) -> None:
    with hospital.operator():
        first = a_study(hospital, orthanc)
        publish(hospital, orthanc, first, PRESENT)
        hospital.says(first, "Complete", "True/Complete")
        made = hospital.run(first)
        body = {"apiVersion": made["apiVersion"], "kind": made["kind"], "spec": {**made["spec"], "trigger": "Manual", "after": {"name": first}}}
        other = {**body["spec"]["study"], "orthancID": "1" * 8 + "-11111111" * 4}
        hospital.apply({**body, "metadata": {"name": "other"}, "spec": {**body["spec"], "study": other}})
        hospital.apply({**body, "metadata": {"name": "nobody"}, "spec": {**body["spec"], "after": {"name": "gone"}}})
        hospital.says("other", "Failed", "True/JobRefused")
        assert hospital.status("other")["failure"]["message"].endswith(f"Run {first}, named in spec.after, is of another study or bridge")
        hospital.says("nobody", "Failed", "True/JobRefused")
        assert hospital.status("nobody")["failure"]["message"].endswith("Run gone, named in spec.after, does not exist (any more)")
