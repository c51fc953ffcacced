"""The operator process delivers a thousand reported Runs whose PACS was away: real API server, real Orthanc, dcmtk's storescp, kill-safe status and all.

`python -m tests.bench.delivery_operator [--runs 1000]`. The Runs are written as reported: how they get there is measured elsewhere.
"""

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.delivery import results
from tests.bench.figures import Figure, write
from tests.bench.operator_core import SETTINGS, a_control_plane, cpu, pid_of
from tests.builders import BRIDGE, RUN, changed
from tests.component.dicom_receiver import Receiver, dicom_receiver
from tests.component.operator_process import Hospital, Operator, a_hospital, named, wait
from tests.component.orthanc_server import OrthancServer, orthanc_server

from gantry.api import timestamp
from gantry.api.run import Result
from gantry.kube import RUNS

AWAY = 'gantry_destinations_away{destination="pacs"}'
SENT = 'gantry_deliveries_total{destination="pacs",state="Sent"}'
PENDING = 'gantry_deliveries_open{destination="pacs",state="Pending"}'


def a_bridge(server: OrthancServer, receiver: Receiver) -> dict[str, Any]:
    node = {"aet": receiver.aet, "host": "127.0.0.1", "port": receiver.port}
    return changed(changed(BRIDGE, "spec.url", server.url), "spec.destinations", [{"name": "pacs", "dicom": node}])


def reported(hospital: Hospital, ready: Sequence[Result]) -> None:
    """A Run for each result, as it stands when its pod has ended."""
    moment = timestamp(datetime.now(UTC))
    said = [{"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": moment} for kind in ("Admitted", "Executed", "Reported")]
    run = changed(RUN, "spec.template.delivery", {"destinations": ["pacs"]})

    def make(number: int) -> None:
        hospital.api.create(RUNS, hospital.namespace, named(run, f"run-{number}"))
        left = [ready[number].model_dump(mode="json", by_alias=True)]
        hospital.api.patch(RUNS, hospital.namespace, f"run-{number}", {"status": {"state": "Delivering", "conditions": said, "results": left}}, sub="status")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(make, range(len(ready))))


def drained(hospital: Hospital, operator: Operator, receiver: Receiver, count: int) -> list[Figure]:
    """From the first Run that is finished after the PACS came back to the last."""
    wait(lambda: operator.metrics().get(AWAY, 0) >= 1 and operator.metrics().get(PENDING, 0) == count, "all wait for the PACS", limit=300)
    before = cpu(pid_of(operator))
    receiver.start("--fork")
    ends: list[tuple[float, float]] = []
    while not ends or ends[-1][1] < count:
        sent = operator.metrics().get(SENT, 0)
        if sent:
            ends.append((time.monotonic(), sent))
        time.sleep(0.1)
    (begun, first), (end, last) = ends[0], ends[-1]
    used = (cpu(pid_of(operator)) - before) / count * 1000
    return [
        Figure(f"{count} reported Runs finish when their PACS is back, by the operator", (last - first) / max(end - begun, 0.001), "1/s", 20, "higher"),
        Figure("  CPU of the operator for each", used, "ms"),
    ]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000)
    count = arguments.parse_args().runs
    with (
        TemporaryDirectory() as name,
        a_control_plane(Path(name)) as plane,
        dicom_receiver(Path(name) / "received") as receiver,
        orthanc_server(Path(name) / "orthanc", config={"ConcurrentJobs": 8, "JobsHistorySize": 5000}) as server,
    ):
        hospital = a_hospital(plane, Path(name), "drain", bridge=None, pipeline=None)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orthanc"}, "type": "kubernetes.io/basic-auth"}
        hospital.apply({**secret, "stringData": {"username": server.username, "password": server.password}}, a_bridge(server, receiver))
        reported(hospital, results(server, "operator", count))
        with hospital.operator(**SETTINGS) as operator:
            figures = drained(hospital, operator, receiver, count)
    for figure in figures:
        print(figure.line(), flush=True)
    write(figures, Path("build/bench.json"))


if __name__ == "__main__":
    main()
