"""What the API server shows of Runs and Jobs, looked at again and again: stages for the faults' moments, and every Job a Run ever had."""

import contextlib
import threading
import time
from collections import defaultdict
from enum import IntEnum
from typing import Any

import httpx
from tests.chaos.kubelet import Kubelet, Slot
from tests.component.operator_process import Api, condition

from gantry.kube import JOBS, RUNS

Object = dict[str, Any]
PERIOD = 0.1  # seconds
IDLE = 4
"""So many times as long as a look took, no other one is begun: a list of a thousand Runs must not keep the API server from its work."""


class Stage(IntEnum):
    """How far a study has come."""

    SENT = 0
    RUN = 1
    JOB = 2
    FETCH = 3
    STEP = 4
    PUBLISH = 5
    REPORTED = 6
    FINISHED = 7


CONTAINERS = {"fetch": Stage.FETCH, "detect": Stage.STEP, "publish": Stage.PUBLISH}


class Journal:
    """A thread. `runs` are the Runs as last seen, by study; `ever` also holds what was deleted."""

    def __init__(self, api: Api, namespace: str, kubelet: Kubelet) -> None:
        self.api, self.namespace = api, namespace
        self.runs: dict[str, list[Object]] = {}
        self.uids: dict[str, set[str]] = defaultdict(set)
        """Uids of all Runs there ever were of a study."""
        self.jobs: dict[str, set[str]] = defaultdict(set)
        """Uids of all Jobs a Run (by uid) ever had, the reports of failures not counted."""
        self.containers: dict[str, Stage] = {}
        """The latest container that began, by name of the Run."""
        kubelet.observers.append(self._container)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _container(self, what: str, slot: Slot, name: str) -> None:
        if what == "started" and name in CONTAINERS:
            self.containers[slot.run] = max(CONTAINERS[name], self.containers.get(slot.run, Stage.SENT))

    def _run(self) -> None:
        took = 0.0
        while not self._stop.wait(max(PERIOD, IDLE * took)):
            began = time.monotonic()
            with contextlib.suppress(httpx.HTTPError, AssertionError, KeyError, ValueError):  # the API server is away: later
                self.look()
            took = time.monotonic() - began

    def look(self) -> None:
        """Once, now."""
        found: dict[str, list[Object]] = defaultdict(list)
        for run in self.api.list(RUNS, self.namespace):
            study = run["spec"]["study"]["orthancID"]
            found[study].append(run)
            self.uids[study].add(run["metadata"]["uid"])
        for job in self.api.list(JOBS, self.namespace):
            for owner in job["metadata"].get("ownerReferences", []):
                if not job["metadata"]["name"].endswith("-np"):
                    self.jobs[owner["uid"]].add(job["metadata"]["uid"])
        self.runs = dict(found)

    def stage(self, study: str) -> Stage:
        """Of the study's first Run."""
        runs = self.runs.get(study)
        if not runs:
            return Stage.SENT
        status = runs[0].get("status") or {}
        if any(condition(status, kind).startswith("True") for kind in ("Complete", "Failed")):
            return Stage.FINISHED
        if condition(status, "Reported").startswith("True"):
            return Stage.REPORTED
        return max(Stage.JOB if self.jobs.get(runs[0]["metadata"]["uid"]) else Stage.RUN, self.containers.get(runs[0]["metadata"]["name"], Stage.SENT))
