"""Backfills on a real archive and a real API server, the operator as a process that is killed; the test ends the Runs in place of their pods."""

import itertools
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.builders import BACKFILL, BRIDGE, PIPELINE, changed
from tests.builders_slices import a_ct
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import Hospital, a_hospital, condition, wait
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.test_cli_on_api_server import gantry

from gantry.kube import BACKFILLS, JOBS, PIPELINES, RUNS

NUMBERS = itertools.count(1)
DAYS = ("20250110", "20250111", "20250113", "20250120")
STUDIES = 40
"""Ten a day, each with two slices; and one MR a day, which the pipeline does not want."""
CAP = 3
NAME = BACKFILL["metadata"]["name"]
JANUARY = changed(changed(changed(BACKFILL, "spec.from", "2025-01-10"), "spec.to", "2025-01-20"), "spec.maxActive", CAP)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    """An Orthanc whose studies lie there for a while: long enough that no bridge takes them for new ones."""
    with orthanc_server(tmp_path_factory.mktemp("archive")) as server:
        for number in range(STUDIES):
            day = DAYS[number % len(DAYS)]
            server.upload(*(a_ct(f"old{number}", number=one, StudyDate=day) for one in (1, 2)), user="other")
        for day in DAYS:
            server.upload(a_ct(f"mr{day}", Modality="MR", StudyDate=day), user="other")
        server.upload(a_ct("other day", StudyDate="20250201"), user="other")
        uploaded = time.monotonic()
        wait(lambda: len(stable(server)) == STUDIES + len(DAYS) + 1, "all studies are stable")
        wait(lambda: time.monotonic() - uploaded > 4, "they are older than the scan's tolerance")
        yield server


def stable(server: OrthancServer) -> set[str]:
    rows = server.rest("GET", "/changes?limit=10000")["Changes"]
    return {row["ID"] for row in rows if row["ChangeType"] == "StableStudy"}


@pytest.fixture
def hospital(api_server: ControlPlane, archive: OrthancServer, tmp_path: Path) -> Iterator[Hospital]:
    bridge = changed(changed(BRIDGE, "spec.url", archive.url), "spec.destinations", [])
    pipeline = changed(changed(PIPELINE, "spec.template.delivery", {}), "spec.match", {"study": []})
    made = a_hospital(api_server, tmp_path, f"backfill-{next(NUMBERS)}", bridge=None, pipeline=None)
    secret = {"username": archive.username, "password": archive.password}
    made.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orthanc"}, "type": "kubernetes.io/basic-auth", "stringData": secret},
        bridge,
        pipeline,
    )
    yield made
    made.api.http.close()


class Walk:
    """What a test sees of a backfill and does with its Runs."""

    def __init__(self, hospital: Hospital) -> None:
        self.hospital = hospital
        self.most_active = 0
        self.done: set[str] = set()

    @property
    def status(self) -> dict[str, Any]:
        return (self.hospital.api.get(BACKFILLS, self.hospital.namespace, NAME) or {}).get("status") or {}

    @property
    def counts(self) -> dict[str, int]:
        return self.status.get("counts") or {}

    def runs(self) -> list[dict[str, Any]]:
        return self.hospital.api.list(RUNS, self.hospital.namespace)

    def work(self, *, finish: int = 1) -> int:
        """Ends the oldest Runs whose Job is made; gives the number of Runs made so far."""
        runs = self.runs()
        unfinished = [run for run in runs if run["metadata"]["name"] not in self.done]
        self.most_active = max(self.most_active, len(unfinished))
        begun = [run["metadata"]["name"] for run in unfinished if condition(run.get("status") or {}, "Executed")]
        for name in begun[:finish]:
            self.hospital.ends_well(name)
            self.done.add(name)
        return len(runs)

    def until(self, state: str) -> None:
        def reached() -> bool:
            self.work(finish=CAP)
            return bool(self.status.get("state") == state)

        wait(reached, f"the backfill is {state}", limit=120, tell=lambda: self.status)

    def says(self, kind: str, words: str) -> str:
        wait(lambda: condition(self.status, kind) == words, f"{kind} is {words}", tell=lambda: self.status)
        return next(str(c["message"]) for c in self.status["conditions"] if c["type"] == kind)


def test_killed_half_way_it_goes_on_and_each_study_has_exactly_one_run(hospital: Hospital, archive: OrthancServer) -> None:
    walk = Walk(hospital)
    with hospital.operator() as operator:
        hospital.apply(JANUARY)
        for moment in (9, 20, 31):
            wait(lambda moment=moment: walk.work() >= moment, f"{moment} Runs are made", limit=60, tell=lambda: walk.status)  # type: ignore[misc]
            operator.kill()
            operator.start()
        walk.until("Complete")
        operator.settled()
        assert not [line for line in operator.lines() if line["level"] == "error"]
    runs = walk.runs()
    assert len(runs) == STUDIES
    assert max(Counter(run["spec"]["study"]["orthancID"] for run in runs).values()) == 1
    assert {run["spec"]["trigger"] for run in runs} == {"Backfill"}
    assert {run["spec"]["priority"] for run in runs} == {"Background"}
    assert {run["metadata"]["labels"]["gantry.health/backfill"] for run in runs} == {NAME}
    assert len(hospital.api.list(JOBS, hospital.namespace)) == STUDIES
    assert walk.most_active <= CAP
    found = STUDIES + len(DAYS)
    assert walk.counts == {
        "found": found, "examined": found, "matched": STUDIES, "created": STUDIES, "known": 0, "refused": 0, "failed": 0, "active": 0
    }  # fmt: skip
    assert walk.status["cursor"]["day"] == "2025-01-20"
    shown = hospital.plane.kubectl("get", "ibf", "-n", hospital.namespace, "--no-headers").stdout.split()
    assert shown[:7] == [NAME, "chest-ct-nodules", "Complete", str(found), str(found), str(STUDIES), "0"]


def test_a_dry_run_only_counts_and_then_begins(hospital: Hospital) -> None:
    walk = Walk(hospital)
    with hospital.operator():
        few = changed(changed(changed(JANUARY, "spec.dryRun", True), "spec.to", "2025-01-10"), "spec.maxActive", 20)
        hospital.apply(few)
        words = walk.says("Complete", "True/Counted")
        assert words == "10 of 11 studies would be analysed, 0 that match are analysed already; set spec.dryRun to false to begin"
        assert walk.runs() == []
        hospital.api.patch(BACKFILLS, hospital.namespace, NAME, {"spec": {"dryRun": False}})
        walk.until("Complete")
        assert len(walk.runs()) == 10
        assert walk.status["estimate"]["created"] == walk.counts["created"] == 10


def test_held_it_makes_no_runs_and_goes_on_where_it_stood(hospital: Hospital) -> None:
    walk = Walk(hospital)
    with hospital.operator() as operator:
        hospital.apply(JANUARY)
        wait(lambda: walk.work() >= 6, "some Runs are made", tell=lambda: walk.status)
        hospital.api.patch(BACKFILLS, hospital.namespace, NAME, {"spec": {"suspend": True}})
        walk.says("Progressing", "False/Suspended")
        made = walk.work(finish=CAP)
        operator.settled()
        assert walk.work(finish=CAP) == made, "a held backfill makes no Runs"
        hospital.api.patch(BACKFILLS, hospital.namespace, NAME, {"spec": {"suspend": False, "maxActive": 10}})
        walk.until("Complete")
        assert len(walk.runs()) == STUDIES
        assert walk.counts["created"] == STUDIES


def test_what_is_analysed_already_is_not_analysed_again(hospital: Hospital) -> None:
    """By the Run's record; and by the report in Orthanc when the record is gone (unit tests)."""
    walk = Walk(hospital)
    with hospital.operator():
        day = changed(changed(JANUARY, "spec.to", "2025-01-10"), "spec.maxActive", 20)
        hospital.apply(day)
        walk.until("Complete")
        again = changed(day, "metadata.name", "again")
        hospital.apply(again)

        def other() -> dict[str, Any]:
            return (hospital.api.get(BACKFILLS, hospital.namespace, "again") or {}).get("status") or {}

        wait(lambda: other().get("state") == "Complete", "the second backfill is complete", tell=other)
        assert (other()["counts"]["created"], other()["counts"]["known"]) == (0, 10)
        assert len(walk.runs()) == 10


def test_without_its_pipeline_it_waits_and_says_so(hospital: Hospital) -> None:
    walk = Walk(hospital)
    with hospital.operator():
        day = changed(JANUARY, "spec.to", "2025-01-10")
        hospital.apply(changed(day, "spec.pipelineRef.name", "later"))
        assert walk.says("Ready", "False/PipelineMissing") == "no InferencePipeline later in this namespace; create it"
        pipeline = hospital.api.get(PIPELINES, hospital.namespace, "chest-ct-nodules")
        assert pipeline is not None
        later = {"apiVersion": pipeline["apiVersion"], "kind": "InferencePipeline", "metadata": {"name": "later"}, "spec": pipeline["spec"]}
        hospital.apply(changed(later, "spec.suspend", True))
        assert "takes no studies (Suspended)" in walk.says("Ready", "False/PipelineNotReady")
        hospital.apply(later)
        walk.until("Complete")
        assert len(walk.runs()) == 10


def test_an_orthanc_that_goes_away_is_waited_for(hospital: Hospital, archive: OrthancServer) -> None:
    walk = Walk(hospital)
    with hospital.operator():
        hospital.apply(changed(JANUARY, "spec.to", "2025-01-11"))
        wait(lambda: walk.work() >= 6, "some Runs are made", tell=lambda: walk.status)
        archive.kill()
        try:
            walk.work(finish=CAP)
            assert "Orthanc cannot be asked" in walk.says("Ready", "False/OrthancAway")
        finally:
            archive.start()
        walk.until("Complete")
        assert (len(walk.runs()), walk.counts["failed"]) == (20, 0)


def test_deleted_it_ends_and_its_runs_stay(hospital: Hospital) -> None:
    walk = Walk(hospital)
    with hospital.operator() as operator:
        hospital.apply(JANUARY)
        wait(lambda: len(walk.runs()) == CAP, "its first Runs are made")
        hospital.api.delete(BACKFILLS, hospital.namespace, NAME)
        operator.settled()
        walk.work(finish=CAP)
        operator.settled()
        assert len(walk.runs()) == CAP
        assert not [line for line in operator.lines() if line["level"] == "error"]


class TestCommands:
    """`gantry backfill …` as a process."""

    def call(self, hospital: Hospital, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return gantry("backfill", *arguments, "-n", hospital.namespace, kubeconfig=hospital.plane.kubeconfig)

    def words(self, hospital: Hospital, *arguments: str) -> str:
        done = self.call(hospital, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def test_counted_first_then_begun_held_and_continued(self, hospital: Hospital) -> None:
        walk = Walk(hospital)
        days = ("--from", "2025-01-10", "--to", "2025-01-20", "--max-active", str(CAP))
        with hospital.operator():
            told = self.words(hospital, "chest-ct-nodules", *days, "--match", "StudyDescription Matches (?i)thorax", "--name", NAME, "--dry-run")
            assert "44  studies from 2025-01-10 to 2025-01-20" in told
            assert "40  would be analysed" in told
            assert f"Nothing was begun. `gantry backfill continue {NAME}` begins" in told
            assert walk.runs() == []
            assert self.words(hospital, "continue", NAME).startswith(f"{NAME} begins.")
            wait(lambda: walk.work() >= 5, "some Runs are made", tell=lambda: walk.status)
            assert self.words(hospital, "stop", NAME).startswith(f"{NAME} is held: no further Runs")
            walk.says("Progressing", "False/Suspended")
            assert "Suspended" in self.words(hospital, "list")
            assert self.words(hospital, "continue", NAME).startswith(f"{NAME} goes on.")
            walk.until("Complete")
            told = self.words(hospital, "status", NAME)
            assert "44 of 44 looked at, 40 match, 0 were analysed already" in told
            assert "40 made (40 Succeeded)" in told
            over = self.call(hospital, "stop", NAME)
            assert (over.returncode, over.stderr) == (1, f"gantry: {NAME} is over (Complete); there is nothing to stop\n")

    def test_at_a_terminal_it_asks_and_shows_a_bar(self, hospital: Hospital) -> None:
        walk = Walk(hospital)
        ours, theirs = pty.openpty()
        program = [str(Path(sys.executable).parent / "gantry"), "backfill", "chest-ct-nodules", "--from", "2025-01-10", "--to", "2025-01-10"]
        environment = {**os.environ, "KUBECONFIG": str(hospital.plane.kubeconfig), "TERM": "xterm", "COLUMNS": "120"}
        shown = ""

        def words(what: str) -> bool:
            nonlocal shown
            while select.select([ours], [], [], 0.05)[0]:
                try:
                    shown += os.read(ours, 4096).decode()
                except OSError:  # the command has ended
                    break
            return what in shown

        with hospital.operator():
            process = subprocess.Popen(
                [*program, "--max-active", "3", "--name", NAME, "-n", hospital.namespace],
                env=environment, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
            )  # fmt: skip
            os.close(theirs)
            try:
                wait(lambda: words("Begin? [y/N]"), "it asks", tell=lambda: shown)
                assert "would be analysed" in shown
                assert walk.runs() == []
                os.write(ours, b"y\n")
                wait(lambda: words("Runs made") and "/11" in shown, "it shows a bar", tell=lambda: shown)
                walk.until("Complete")
                wait(lambda: words("10 made"), "it says how it ended", tell=lambda: shown)
                assert process.wait(30) == 0
            finally:
                process.kill()
                os.close(ours)

    def test_left_by_ctrl_c_it_goes_on_in_the_cluster(self, hospital: Hospital) -> None:
        walk = Walk(hospital)
        program = [Path(sys.executable).parent / "gantry", "backfill", "chest-ct-nodules", "--from", "2025-01-10", "--to", "2025-01-20"]
        # What a shell starts in the background ignores Ctrl-C, and hands that down to the tests and to what they start.
        heeding = ["/usr/bin/env", "--default-signal=INT"]
        with hospital.operator(), subprocess.Popen(
            [*heeding, *program, "--yes", "--max-active", "4", "--name", NAME, "-n", hospital.namespace],
            env={**os.environ, "KUBECONFIG": str(hospital.plane.kubeconfig)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                shown = next(line for line in process.stdout if line.startswith(f"{NAME}: "))  # it follows: while it only starts, a signal may get lost
                wait(lambda: walk.work() >= 5, "some Runs are made", tell=lambda: walk.status)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=30)
            finally:
                process.kill()
            assert (process.returncode, err) == (0, "")
            assert "Runs made" in shown or "waiting for the operator" in shown
            assert f"{NAME} goes on in the cluster." in out
            assert f"`gantry backfill stop {NAME}` holds it" in out
            walk.until("Complete")
            assert len(walk.runs()) == STUDIES

    def test_what_cannot_be_done_is_one_line(self, hospital: Hospital) -> None:
        days = ("--from", "2025-01-10", "--to", "2025-01-20")
        for arguments, message in (
            (("no-such", *days), f"namespace {hospital.namespace} has no InferencePipeline no-such; "),
            (("chest-ct-nodules", "--from", "2025-01-20", "--to", "2025-01-10"), "--from 2025-01-20 is later than --to 2025-01-10; exchange them"),
            (("chest-ct-nodules", "--from", "20250120", "--to", "2025-01-10"), "--from 20250120 is no day; write it as 2025-01-31"),
            (("chest-ct-nodules", "--from", "1900-01-01", "--to", "2025-01-10"), "from and to are at most 3660 days apart"),
            (("status", "no-such"), f"namespace {hospital.namespace} has no InferenceBackfill no-such; "),
        ):
            done = self.call(hospital, *arguments)
            assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
            assert message in done.stderr

    def test_for_programs_it_is_the_object(self, hospital: Hospital) -> None:
        made = json.loads(self.words(hospital, "chest-ct-nodules", "--from", "2025-01-10", "--to", "2025-01-20", "-o", "json"))
        assert made["metadata"]["name"] == "chest-ct-nodules-20250110-20250120"
        assert (made["spec"]["dryRun"], made["spec"]["maxActive"], made["spec"]["priority"]) == (True, 2, "Background")
        again = self.call(hospital, "chest-ct-nodules", "--from", "2025-01-10", "--to", "2025-01-20")
        assert again.stderr.startswith("gantry: chest-ct-nodules-20250110-20250120 exists already; ")
