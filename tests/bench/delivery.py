"""Deliveries through one real Orthanc: an SR alone, a thousand that waited for a PACS, and what each costs Orthanc, beside dcmtk's storescu.

The courier is driven as the operator's queue drives it, without an API server: its writes are the operator's own and measured there.
"""

import asyncio
import heapq
import os
import subprocess
import tempfile
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from tests.bench.figures import Figure, median, percentile, write
from tests.builders import pending
from tests.builders_slices import a_ct, uid
from tests.component.dicom_receiver import Receiver, dicom_receiver
from tests.component.orthanc_server import OrthancServer, orthanc_server

from gantry.api.run import DeliveryStatus, Result
from gantry.delivery import Cargo, Courier, Errand, Target, Terms, ToModality
from gantry.orthanc import Credentials, Modality, Orthanc

ALONE = 20
QUEUED = 1000
WORKERS = 8
QUICK = {**os.environ, "TCP_NODELAY": "1"}
"""As Orthanc and the receiver have it: without, dcmtk waits 40 ms for each answer."""


class Counting(httpx.AsyncHTTPTransport):
    """Counts requests."""

    requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        return await super().handle_async_request(request)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Queue:
    """Wakes errands when they asked for it, `WORKERS` at once."""

    orthanc: Orthanc
    target: Target
    due: list[tuple[float, int]] = field(default_factory=list)
    soonest: dict[int, float] = field(default_factory=dict)
    states: dict[int, DeliveryStatus] = field(default_factory=dict)
    ended: dict[int, float] = field(default_factory=dict)

    def wake(self, who: Hashable, seconds: float) -> None:
        assert isinstance(who, int)
        at = time.monotonic() + seconds
        if at < self.soonest.get(who, float("inf")):
            self.soonest[who] = at
            heapq.heappush(self.due, (at, who))

    async def deliver(self, results: list[Result], limit: float) -> None:
        """Until every one is final."""
        begun = now()
        courier = Courier(clock=now, jitter=lambda: 0.5, wake=self.wake)
        errands = [Errand(n, (2, begun + timedelta(milliseconds=n)), "bridge", Cargo([one]), Terms(begun + timedelta(seconds=limit))) for n, one in enumerate(results)]
        self.states = {n: pending("pacs")[0] for n in range(len(results))}
        for number in self.states:
            self.wake(number, 0)

        async def worker() -> None:
            while len(self.ended) < len(errands):
                if not self.due or self.due[0][0] > time.monotonic():
                    await asyncio.sleep(0.002)
                    continue
                at, who = heapq.heappop(self.due)
                if self.soonest.get(who) != at or who in self.ended:
                    continue
                del self.soonest[who]
                progress = await courier.advance(self.orthanc, errands[who], targets={"pacs": self.target}, deliveries=[self.states[who]])
                self.states[who] = progress.deliveries[0]
                if progress.again_after is None:
                    self.ended[who] = time.monotonic()
                else:
                    self.wake(who, progress.again_after)

        await asyncio.gather(*(worker() for _ in range(WORKERS)))
        assert all(one.state == "Sent" for one in self.states.values()), {one.message for one in self.states.values()}


def results(server: OrthancServer, name: str, count: int) -> list[Result]:
    """SR-sized objects in Orthanc."""
    made = []
    for number in range(count):
        study = f"{name}-{number}"
        (stored,) = server.upload(a_ct(study, series="result", rows=128, Modality="SR"))
        made.append(
            Result(
                kind="SR", sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid=uid(study, "result", 1), series_instance_uid=uid(study, "result"),
                orthanc_id=stored["ID"], md5="0" * 32, bytes=1,
            )
        )
    return made


async def alone(server: OrthancServer, target: Target, ready: list[Result]) -> tuple[list[float], float]:
    """Seconds of one after another, and requests of each."""
    seconds = []
    transport = Counting()
    async with Orthanc(server.url, credentials=Credentials("gantry", "secret"), transport=transport) as orthanc:
        for one in ready:
            begin = time.monotonic()
            await Queue(orthanc, target).deliver([one], 60)
            seconds.append(time.monotonic() - begin)
    return seconds, transport.requests / len(ready)


async def drained(server: OrthancServer, receiver: Receiver, target: Target, ready: list[Result]) -> tuple[float, float, float]:
    """All wait for a PACS that is away; it comes back. Sends a second from its first success on, requests of each, requests while it was away."""
    transport = Counting()
    async with Orthanc(server.url, credentials=Credentials("gantry", "secret"), transport=transport) as orthanc:
        queue = Queue(orthanc, target)
        under_way = asyncio.create_task(queue.deliver(ready, 600))
        await asyncio.sleep(20)
        away = transport.requests
        await asyncio.to_thread(receiver.start, "--fork")
        await under_way
    ends = sorted(queue.ended.values())
    return (len(ends) - 1) / (ends[-1] - ends[0]), (transport.requests - away) / len(ready), away / 20


def storescu(receiver: Receiver, folder: Path) -> tuple[float, float]:
    """Seconds of one file by a process of its own, and files a second of all of them in one association."""
    files = sorted(folder.glob("*.dcm"))
    command = ["storescu", "-aec", receiver.aet, "127.0.0.1", str(receiver.port)]
    single = []
    for path in files[:ALONE]:
        begin = time.monotonic()
        subprocess.run([*command, str(path)], check=True, capture_output=True, env=QUICK)
        single.append(time.monotonic() - begin)
    begin = time.monotonic()
    subprocess.run([*command, *map(str, files)], check=True, capture_output=True, env=QUICK)
    return median(single), len(files) / (time.monotonic() - begin)


def figures(folder: Path) -> Iterator[Figure]:
    """All of them. storescp receives, at the other end of both."""
    objects = folder / "objects"
    objects.mkdir()
    for number in range(QUEUED):
        (objects / f"{number:04}.dcm").write_bytes(a_ct(f"storescu-{number}", series="result", rows=128, Modality="SR"))
    with dicom_receiver(folder / "received") as receiver, orthanc_server(folder / "orthanc", config={"ConcurrentJobs": 8, "JobsHistorySize": 5000}) as server:
        receiver.start("--fork")
        target = Target(ToModality("gantry_bench", Modality(receiver.aet, "127.0.0.1", receiver.port)))
        server.rest("PUT", "/modalities/gantry_bench", json={"AET": receiver.aet, "Host": "127.0.0.1", "Port": receiver.port})
        one_by_storescu, all_by_storescu = storescu(receiver, objects)
        seconds, requests = asyncio.run(alone(server, target, results(server, "alone", ALONE)))
        peer = "storescu, a process each"
        yield Figure("SR alone: send begun -> Sent, median", median(seconds), "s", 1.0, peer=peer, peer_value=one_by_storescu)
        yield Figure("SR alone: send begun -> Sent, p95", percentile(seconds, 0.95), "s", 1.0)
        yield Figure("SR alone: requests to Orthanc", requests, "", 6)
        ready = results(server, "queued", QUEUED)
        receiver.stop()
        rate, each, away = asyncio.run(drained(server, receiver, target, ready))
        yield Figure(f"{QUEUED} SRs drain when their PACS is back", rate, "1/s", 20, "higher", peer="storescu, one association", peer_value=all_by_storescu)
        yield Figure("  requests to Orthanc of each", each, "", 6)
        yield Figure("  requests to Orthanc while it is away", away, "1/s")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for figure in figures(Path(folder)):
            print(figure.line(), flush=True)
            found.append(figure)
    write(found, Path("build/bench.json"))


if __name__ == "__main__":
    main()
