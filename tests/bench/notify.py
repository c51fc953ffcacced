"""Events to a receiver: the example receiver as a process, as many requests at once as the operator allows it."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.figures import Figure, median, percentile, write
from tests.component.control_plane import ROOT, free_port

from gantry.notify import Event, NotAccepted, Receiver, Sender
from gantry.runtime.notifications import AT_ONCE

EVENTS = 500
KEY = "a key that both sides have"


async def told(receiver: Receiver) -> tuple[list[float], float]:
    """Seconds of each request, and events a second."""
    seconds: list[float] = []
    waiting = [Event("Finished", f"run-{number}-finished", b'{"specversion":"1.0","data":{"run":"chest-ct-nodules-abcdefghijklm"}}') for number in range(EVENTS)]
    async with Sender(hosts=["127.0.0.1"], clock=time.time) as sender:
        for _ in range(200):
            try:
                await sender.send(receiver, Event("Finished", "is it there", b"{}"))
                break
            except NotAccepted:
                await asyncio.sleep(0.05)

        async def one_after_another() -> None:
            while waiting:
                event, begin = waiting.pop(), time.monotonic()
                try:
                    await sender.send(receiver, event)
                except NotAccepted:
                    waiting.append(event)  # as the operator does it, but for the rest it gives the receiver
                else:
                    seconds.append(time.monotonic() - begin)

        begin = time.monotonic()
        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
        return seconds, EVENTS / (time.monotonic() - begin)


def main() -> None:
    with TemporaryDirectory() as folder, (Path(folder) / "events").open("ab") as out:
        port = free_port()
        command = [sys.executable, str(ROOT / "examples" / "webhook" / "receiver.py"), "--port", str(port)]
        process = subprocess.Popen(command, env={**os.environ, "GANTRY_WEBHOOK_KEY": KEY}, stdout=out, stderr=subprocess.DEVNULL)
        try:
            seconds, rate = asyncio.run(told(Receiver(f"http://127.0.0.1:{port}/gantry", KEY.encode())))
        finally:
            process.kill()
            process.wait()
    figures = [
        Figure("events to one receiver", rate, "1/s"),
        Figure("  request begun -> accepted, median", median(seconds), "s"),
        Figure("  request begun -> accepted, p95", percentile(seconds, 0.95), "s"),
    ]
    for figure in figures:
        print(figure.line(), flush=True)
    write(figures, Path("build/bench.json"))


if __name__ == "__main__":
    main()
