"""The bridge after an outage: a real Orthanc with a change log of studies nobody looked at, a real Follower, and an API server of a stated latency.

`python -m tests.bench.catching_up [--studies 300] [--pipelines 20]`. Also the requests and the CPU one study of 2,000 images costs against 200
pipelines. Client and server share the machine's cores; the API server is a sleep, so its own CPU is not in the figures.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog
from tests.bench.figures import Figure, write
from tests.builders_bridge import FakeHost, a_candidate, requirement
from tests.builders_slices import a_ct
from tests.component.following import following
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.waiting import until

from gantry.bridge import Candidate, inquire
from gantry.orthanc import Credentials, Orthanc

POST_SECONDS = 0.01
"""What a POST of a Run takes on a small API server."""
CALLS = ("GET /studies/", "GET /series/", "GET /instances/", "POST /tools/", "GET /dicom-web/")
MODALITIES = ("CT", "MR", "US", "CR", "DX")
KERNELS = ("^B[3-7]0f", "(?i)lung", "^(FC|STANDARD)")


class SlowHost(FakeHost):
    """An API server that takes its time."""

    async def create_run(self, body: dict[str, Any]) -> bool:
        await asyncio.sleep(POST_SECONDS)
        return await super().create_run(body)


def pipelines(number: int) -> list[Candidate]:
    """As of a hospital: by modality, description and what only an image tells. One of them takes the CTs."""
    return [
        a_candidate(
            f"p{n}",
            study=[requirement("StudyDescription", "Matches", f"(?i)thorax|region {n}")] if n % 10 == 0 else [requirement("ModalitiesInStudy", "In", MODALITIES[n % 5])],
            series=[
                requirement("Modality", "In", MODALITIES[n % 5]),
                requirement("SliceThickness", "Lte", "0.8") if n % 2 else requirement("ConvolutionKernel", "Matches", KERNELS[n % 3]),
            ]
            if n
            else [requirement("Modality", "In", "CT")],
        )
        for n in range(number)
    ]


def fill(server: OrthancServer, studies: int) -> None:
    with ThreadPoolExecutor(4) as hands:
        list(hands.map(lambda n: server.upload(a_ct(f"s{n}", patient=f"p{n}"), a_ct(f"s{n}", number=2, patient=f"p{n}")), range(studies)))


def quiet(server: OrthancServer, studies: int) -> None:
    """Until Orthanc calls all of them stable."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        rows = server.rest("GET", f"/changes?since=0&limit={studies * 20}")["Changes"]
        if sum(row["ChangeType"] == "StableStudy" for row in rows) >= studies:
            return
        time.sleep(0.2)
    raise RuntimeError("the studies did not become stable")


async def catch_up(server: OrthancServer, studies: int, candidates: list[Candidate]) -> Iterator[Figure]:
    host = SlowHost(*candidates)
    began, cpu = time.monotonic(), time.process_time()
    async with following(server, host, watch__startFrom="Beginning", limits__connectionsPerFetch=4) as bridge:
        await until(lambda: len(host.runs) >= studies, f"{studies} Runs", tell=bridge.tell, limit=120)
        seconds, used = time.monotonic() - began, time.process_time() - cpu
    calls = sum(call.startswith(CALLS) for call in bridge.transport.calls)
    label = f"bridge after an outage, {studies} studies, {len(candidates)} pipelines"
    return iter(
        [
            Figure(f"{label}: studies a second", round(studies / seconds, 1), "1/s", 50, better="higher", note="real Orthanc 1.10.1, POST of a Run 10 ms"),
            Figure(f"{label}: CPU a study", round(used / studies * 1000, 1), "ms"),
            Figure(f"{label}: requests to Orthanc a study", round(calls / studies, 2), "calls", 6),
        ]
    )


async def large(server: OrthancServer, candidates: list[Candidate]) -> Iterator[Figure]:
    study = server.upload(a_ct("large"))[0]["ParentStudy"]
    rules = [one.rules for one in candidates]
    async with Orthanc(server.url, credentials=Credentials(server.username, server.password)) as orthanc:
        await orthanc.system()
        took, used = [], []
        for _ in range(5):
            resource_before, began = resource.getrusage(resource.RUSAGE_SELF).ru_utime, time.perf_counter()
            await inquire(orthanc, await orthanc.study(study), rules)
            took.append(time.perf_counter() - began)
            used.append(resource.getrusage(resource.RUSAGE_SELF).ru_utime - resource_before)
    label = f"2,000 images in 10 series against {len(rules)} pipelines"
    return iter(
        [
            Figure(f"{label}: answer", round(min(took) * 1000, 1), "ms"),
            Figure(f"{label}: CPU with reading Orthanc's answers", round(min(used) * 1000, 1), "ms"),
        ]
    )


def fill_large(server: OrthancServer) -> None:
    def one(number: int) -> None:
        server.upload(a_ct("large", series=str(number % 10), number=number, SeriesNumber=number % 10, ConvolutionKernel=f"B{3 + number % 5}0f"))

    with ThreadPoolExecutor(4) as hands:
        list(hands.map(one, range(2000)))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--studies", type=int, default=300)
    arguments.add_argument("--pipelines", type=int, default=20)
    chosen = arguments.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    measured: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="gantry-bench-") as folder, orthanc_server(Path(folder) / "orthanc") as server:
        fill(server, chosen.studies)
        quiet(server, chosen.studies)
        measured += asyncio.run(catch_up(server, chosen.studies, pipelines(chosen.pipelines)))
        fill_large(server)
        measured += asyncio.run(large(server, pipelines(200)))
    for figure in measured:
        print(figure.line(), flush=True)
    write(measured, Path("build/bench.json"))


if __name__ == "__main__":
    main()
