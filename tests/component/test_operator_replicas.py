"""Two operators and one Lease on a real API server: one works, the other takes over, however the first one ends; each Run has one Job.

How long a hand-over takes is printed (`pytest -rP`) and measured by `python -m tests.bench.hand_over`; here nothing is asserted about seconds.
"""

import contextlib
import itertools
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.builders import BRIDGE, PIPELINE, RUN, changed
from tests.component.control_plane import ControlPlane
from tests.component.operator_process import LEASE, Hospital, Operator, a_hospital, named, wait

from gantry.kube import JOBS, LEASES, RUNS

A_BRIDGE = changed(changed(BRIDGE, "spec.url", "http://127.0.0.1:9"), "spec.credentialsSecretRef", ...)
A_RUN = changed(RUN, "spec.template.delivery", {"destinations": []})
NUMBERS = itertools.count(1)


@pytest.fixture
def hospital(api_server: ControlPlane, tmp_path: Path) -> Iterator[Hospital]:
    made = a_hospital(api_server, tmp_path, f"replicas-{next(NUMBERS)}", bridge=A_BRIDGE, pipeline=PIPELINE)
    yield made
    made.api.http.close()


@contextlib.contextmanager
def replicas(hospital: Hospital) -> Iterator[tuple[Operator, Operator]]:
    """The leader and a standby."""
    lease = f"{hospital.namespace}/{LEASE}"
    with hospital.operator(GANTRY_LEASE=lease, GANTRY_IDENTITY="one") as one, hospital.operator(GANTRY_LEASE=lease, GANTRY_IDENTITY="two") as two:
        wait(lambda: leads(one), "the first leads")
        assert not leads(two)
        yield one, two


def leads(operator: Operator) -> bool:
    return operator.metrics().get("gantry_leader") == 1


def holder(hospital: Hospital) -> str:
    lease = hospital.api.get(LEASES, hospital.namespace, LEASE)
    return str(lease["spec"]["holderIdentity"]) if lease else ""


def ends_itself(operator: Operator) -> int:
    """The exit code of a process that ends without being asked."""
    assert operator.process is not None
    code = operator.process.wait(30)
    operator.process = None
    return code


@dataclass
class Stream:
    """Runs, one after another, until `end`; and which of them have Jobs."""

    hospital: Hospital
    made: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def flow(self, pause: float) -> None:
        while not self._over.wait(pause):
            name = f"r{len(self.made)}"
            self.hospital.api.create(RUNS, self.hospital.namespace, named(A_RUN, name))
            self.made.append(name)

    def end(self) -> None:
        self._over.set()

    def has_jobs(self) -> None:
        """Each exactly one: by Run, and no Job is of two."""
        def jobs() -> "list[Any]":
            return [job["metadata"]["labels"]["gantry.health/run"] for job in self.hospital.api.list(JOBS, self.hospital.namespace)]

        wait(lambda: set(jobs()) >= set(self.made), "each Run has a Job", tell=lambda: sorted(set(self.made) - set(jobs())))
        assert sorted(jobs()) == sorted(self.made)


@contextlib.contextmanager
def a_stream(hospital: Hospital, *, pause: float = 0.1) -> Iterator[Stream]:
    """Runs come all the time; at the end each has its Job."""
    stream = Stream(hospital)
    with ThreadPoolExecutor(1) as hand:
        done = hand.submit(stream.flow, pause)
        try:
            wait(lambda: len(stream.made) >= 3, "Runs come")
            yield stream
        finally:
            stream.end()
            done.result()
    stream.has_jobs()


def took_over(stream: Stream, operator: Operator, began: float, how: str) -> None:
    """Prints how long Runs waited."""
    wait(lambda: leads(operator), "the other leads", tell=lambda: operator.log[-3000:])
    stream.hospital.has_job(stream.made[-1])
    print(f"hand-over after {how}: {time.monotonic() - began:.1f} s")


def test_the_leader_is_killed_under_a_stream_of_runs(hospital: Hospital) -> None:
    with replicas(hospital) as (one, two):
        assert two.probe("readyz") == 200, "a standby is ready"
        with a_stream(hospital) as stream:
            began = time.monotonic()
            one.kill()
            took_over(stream, two, began, "kill -9")
        lease = hospital.api.get(LEASES, hospital.namespace, LEASE)
        assert lease is not None
        assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("two", 1)


def test_the_leader_is_asked_to_end_and_the_next_works_at_once(hospital: Hospital) -> None:
    """And back: the Lease is given back, so nobody waits for its end."""
    with replicas(hospital) as (one, two), a_stream(hospital) as stream:
        began = time.monotonic()
        one.kill(signal.SIGTERM)
        assert [line["message"] for line in one.lines()[-2:]] == ["the Lease is given back", "ended"]
        took_over(stream, two, began, "SIGTERM")
        one.start()
        assert not leads(one)
        two.kill(signal.SIGTERM)
        wait(lambda: leads(one), "the first leads again")


def test_a_standby_writes_nothing_and_a_leader_whose_lease_another_holds_ends(hospital: Hospital) -> None:
    with replicas(hospital) as (one, two):
        hospital.apply(named(A_RUN, "a"))
        hospital.has_job("a")
        assert {call[1] for call in two.calls()} == {"leases"}
        assert two.writes() == 0
        two.kill(signal.SIGTERM)
        assert holder(hospital) == "one", "a standby does not touch the Lease when it ends"
        assert leads(one)
        hospital.api.patch(LEASES, hospital.namespace, LEASE, {"spec": {"holderIdentity": "nobody"}})  # as somebody might by hand
        assert ends_itself(one) == 1
        assert one.lines()[-1]["why"] == "nobody holds it"


def test_a_leader_that_was_stopped_longer_than_its_lease_wakes_up_and_ends(hospital: Hospital) -> None:
    """SIGSTOP, as a machine that is suspended or swaps: it must not write as if nothing had happened."""
    with replicas(hospital) as (one, two):
        assert one.process is not None
        with a_stream(hospital) as stream:
            one.process.send_signal(signal.SIGSTOP)
            took_over(stream, two, time.monotonic(), "SIGSTOP")
            before = two.lines()
            one.process.send_signal(signal.SIGCONT)
            assert ends_itself(one) == 1
            last = one.lines()[-1]
            assert last["message"] == "the Lease is lost; the operator ends at once and writes nothing more; Kubernetes starts it again"
            assert leads(two), before
            assert holder(hospital) == "two"
            one.start()
            assert not leads(one), "it comes back as the standby"


def test_a_container_that_is_started_again_need_not_wait_for_itself(hospital: Hospital) -> None:
    """One replica: the Lease is its own of before."""
    with hospital.operator(GANTRY_LEASE=f"{hospital.namespace}/{LEASE}", GANTRY_IDENTITY="one") as one:
        wait(lambda: leads(one), "it leads")
        one.kill()
        one.start()
        assert leads(one)
        assert "standing by" not in one.log


def test_two_that_work_beside_each_other_make_one_job_a_run(hospital: Hospital) -> None:
    """The overlap that a Lease cannot exclude, forced: neither knows of the other."""
    with hospital.operator() as one, hospital.operator() as two:
        with a_stream(hospital, pause=0.02) as stream:
            wait(lambda: len(stream.made) >= 40, "many Runs come")
        for name in stream.made:
            hospital.says(name, "Executed", "False/Pending")
        found = sum(operator.metrics().get('gantry_jobs_created_total{outcome="found"}', 0) for operator in (one, two))
        made = sum(operator.metrics().get('gantry_jobs_created_total{outcome="created"}', 0) for operator in (one, two))
        assert made == len(stream.made)
        print(f"{len(stream.made)} Runs, {found:.0f} Jobs were asked for a second time")
