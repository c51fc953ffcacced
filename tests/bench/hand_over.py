"""Two operator processes and one Lease on a real API server: how long Runs wait when the leader is killed, and when it is asked to end.

`python -m tests.bench.hand_over [--runs 10000] [--jobs 10000] [--live 1000] [--rounds 5]`. A Run is made in the moment of the signal; what counts is
when its Job is seen. What a standby with everything already read would save is the time from the Lease to the first Job.
"""

import argparse
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.figures import Figure, median, write
from tests.bench.operator_core import A_BRIDGE, A_RUN, SETTINGS, FirstSeen, a_control_plane, cpu, fill, job_times, memory, pid_of
from tests.builders import PIPELINE
from tests.component.operator_process import LEASE, Hospital, Operator, a_hospital, named, wait

from gantry.kube import RUNS

HOW = (signal.SIGTERM, signal.SIGKILL)


def leads(operator: Operator) -> bool:
    return operator.metrics().get("gantry_leader") == 1


def leading_since(operator: Operator) -> float:
    """Wall-clock seconds, from its log."""
    told = [line["time"] for line in operator.lines() if line["message"] == "leading"]
    return datetime.fromisoformat(told[-1]).replace(tzinfo=UTC).timestamp()


def hand_over(hospital: Hospital, jobs: FirstSeen, leader: Operator, standby: Operator, number: int, name: str) -> tuple[float, float]:
    """Seconds from the signal to the Job, and of these from the Lease to the Job."""
    began = time.monotonic()
    with ThreadPoolExecutor(1) as hand:
        ends = hand.submit(leader.kill, number)
        hospital.api.create(RUNS, hospital.namespace, named(A_RUN, name))
        wait(lambda: name in jobs.seen, "the Run has its Job", limit=60)
        ends.result()
    took = jobs.seen[name] - began
    offset = time.time() - time.monotonic()
    return took, jobs.seen[name] + offset - leading_since(standby)


def standby_costs(standby: Operator, seconds: float = 10) -> list[Figure]:
    before, calls, began = cpu(pid_of(standby)), sum(standby.calls().values()), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    return [
        Figure("a standby: CPU", round((cpu(pid_of(standby)) - before) / took * 100, 2), "% core", 1),
        Figure("a standby: requests to the API server", round((sum(standby.calls().values()) - calls) / took, 2), "1/s"),
        Figure("a standby: memory", round(memory(pid_of(standby)), 1), "MiB"),
    ]


def both(hospital: Hospital, finished: int, live: int, rounds: int, jobs: int) -> list[Figure]:
    fill(hospital, finished, jobs=jobs)
    with ThreadPoolExecutor(8) as hands:
        list(hands.map(lambda index: hospital.api.create(RUNS, hospital.namespace, named(A_RUN, f"live-{index}")), range(live)))
    lease = f"{hospital.namespace}/{LEASE}"
    killed: list[tuple[float, float]] = []
    asked: list[tuple[float, float]] = []
    with (
        hospital.operator(**SETTINGS, GANTRY_LEASE=lease, GANTRY_IDENTITY="one") as leader,
        hospital.operator(**SETTINGS, GANTRY_LEASE=lease, GANTRY_IDENTITY="two") as standby,
    ):
        wait(lambda: leads(leader) and leader.metrics().get('gantry_runs{state="Succeeded"}', 0) >= finished, "all are counted", limit=120, tell=lambda: leader.log[-3000:] + standby.log[-2000:])
        leader.settled()
        seen = job_times(hospital, *(f"{number.name.lower()}-{round_}" for number in HOW for round_ in range(rounds)))
        figures = standby_costs(standby)
        for round_ in range(rounds):
            for number, found in zip(HOW, (asked, killed), strict=True):
                found.append(hand_over(hospital, seen, leader, standby, number, f"{number.name.lower()}-{round_}"))
                leader, standby = standby, leader
                standby.start()
                leader.settled()
        figures.append(Figure("the leader: memory", round(memory(pid_of(leader)), 1), "MiB"))
    label = f"{finished} finished, {jobs} of them with their Jobs, and {live} live Runs, {rounds} times"
    for how, found, goal in (("kill -9", killed, 12.0), ("SIGTERM", asked, 2.0)):
        whole, after = [one for one, _ in found], [one for _, one in found]
        figures += [
            Figure(f"hand-over after {how} -> first Job, longest ({label})", round(max(whole), 2), "s", goal),
            Figure(f"hand-over after {how} -> first Job, median", round(median(whole), 2), "s"),
            Figure(f"  of these from the Lease to the first Job, longest, {how}", round(max(after), 2), "s"),
        ]
    return figures


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000, help="finished Runs")
    arguments.add_argument("--jobs", type=int, default=1000, help="of these: with their Job still there")
    arguments.add_argument("--live", type=int, default=100, help="unfinished Runs beside them")
    arguments.add_argument("--rounds", type=int, default=3, help="hand-overs of each kind")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name, a_control_plane(Path(name)) as plane:
        hospital = a_hospital(plane, Path(name), "replicas", bridge=A_BRIDGE, pipeline=PIPELINE)
        figures = both(hospital, chosen.runs, chosen.live, chosen.rounds, chosen.jobs)
        for figure in figures:
            print(figure.line(), flush=True)
        write(figures, Path("build/bench.json"))


if __name__ == "__main__":
    main()
