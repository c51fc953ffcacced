"""Single rooms against what limits them: fetch beside curl, the SR beside highdicom's import, publish as a process, an upload beside one POST."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from examples.phantom.make_ct import Options, make_series
from tests.bench.figures import Figure, median, percentile, write
from tests.component.orthanc_server import OrthancServer, orthanc_server
from tests.component.worker_pod import Pod, a_task, launcher

ROUNDS = 5
NODULE = {"scheme": "SCT", "value": "427359005", "meaning": "Solitary nodule of lung"}
BUILD = """
import json, sys, time
from datetime import UTC, datetime
from pathlib import Path
import pydicom
from gantry.report import ReportContext, build_report, parse_findings
source = [pydicom.dcmread(p, stop_before_pixels=True) for p in sorted(Path(sys.argv[1]).glob('*.dcm'))]
document = Path(sys.argv[2]).read_bytes()
context = ReportContext(installation='bench', namespace='bench', run='bench', created=datetime(2026, 1, 1, tzinfo=UTC), images=('x@sha256:0',),
    algorithm=None, evaluated_for=(), sop_class='Comprehensive3DSR', series_number=9001, series_description=None, product_version='0')
begin = time.perf_counter()
built = build_report(parse_findings(document), source, context)
print(time.perf_counter() - begin)
"""


def findings(count: int, sop_instance_uids: list[str]) -> dict[str, object]:
    """A document with `count` findings, each with a contour, two measurements and a confidence."""
    millimetre = {"name": {"scheme": "SCT", "value": "81827009", "meaning": "Diameter"}, "value": 12.1, "unit": "mm"}
    volume = {"name": {"scheme": "SCT", "value": "118565006", "meaning": "Volume"}, "value": 900.5, "unit": "mm3"}
    found = [
        {
            "id": f"nodule-{n}",
            "type": NODULE,
            "presence": "present",
            "confidence": {"value": 0.9},
            "measurements": [millimetre, volume],
            "region": {"kind": "polygon", "sopInstanceUID": sop_instance_uids[n % len(sop_instance_uids)], "points": [[50, 50], [70, 50], [70, 70], [50, 70]]},
        }
        for n in range(count)
    ]
    algorithm = {"id": "a", "name": "Bench", "version": "1", "manufacturer": "Example"}
    return {"schemaVersion": "v1alpha1", "algorithms": [algorithm], "evaluatedFor": [NODULE], "findings": found}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


def build(folder: Path) -> Iterator[Figure]:
    """Building the SR, in a fresh process each time, as publish does."""
    make_series(folder / "ct", Options(slices=20, matrix=128, spheres=0))
    truth = [str(uid) for uid in sop_uids(folder / "ct")]
    imports = median([float(python("-c", "import time; b = time.perf_counter(); import highdicom; print(time.perf_counter() - b)").stdout) for _ in range(ROUNDS)])
    for count, goal in ((10, 0.5), (100, 2.0)):
        document = folder / f"findings-{count}.json"
        document.write_text(json.dumps(findings(count, truth)))
        seconds = median([float(python("-c", BUILD, str(folder / "ct"), str(document)).stdout) for _ in range(ROUNDS)])
        yield Figure(f"SR of {count} findings built, median", seconds, "s", goal, peer="import highdicom", peer_value=imports)


def sop_uids(folder: Path) -> list[str]:
    from pydicom import dcmread

    return [str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in sorted(folder.glob("*.dcm"))]


def fetch(server: OrthancServer, folder: Path) -> Iterator[Figure]:
    """300 x 512 x 512 x 16 bit, by the fetch container's process and by curl with as many connections."""
    make_series(folder / "ct300", Options(slices=300, matrix=512, spheres=2))
    server.upload(*(path.read_bytes() for path in sorted((folder / "ct300").glob("*.dcm"))), user="other")
    task = a_task(server)
    program = launcher(folder)
    (series,) = task.spec.study.series_ids
    instances = server.rest("GET", f"/series/{series}")["Instances"]
    urls = folder / "urls"
    ours: list[float] = []
    theirs: list[float] = []
    memory = 0.0
    for number in range(ROUNDS):
        target = folder / f"curl-{number}"
        urls.write_text("".join(f'url = "{server.url}/instances/{one}/file"\noutput = "{target}/{one}"\n' for one in instances))
        target.mkdir()
        begin = time.perf_counter()
        subprocess.run(["curl", "-s", "--no-progress-meter", "-Z", "--parallel-max", "4", "-u", "gantry:secret", "-K", str(urls)], check=True)
        theirs.append(time.perf_counter() - begin)
        pod = Pod(folder / f"pod-{number}", task, program)
        pod.root.mkdir()
        code, receipt = pod.fetch()
        assert code == 0, pod.log
        ours.append(receipt.seconds)
        # As the process says itself (VmHWM): what wait4 gives begins with the size of the process that forked it.
        memory = max(memory, *(event["peakBytes"] / 2**20 for event in pod.events() if event["event"] == "fetched"))
        for one in (target, pod.root):
            subprocess.run(["rm", "-rf", str(one)], check=True)
    yield Figure("fetch of 300 x 512 x 512 x 16 bit (158 MB), median", median(ours), "s", 1.5, peer="curl, 4 connections", peer_value=median(theirs))
    yield Figure("  of curl's speed", median(theirs) / median(ours), "x", 0.6, "higher")
    yield Figure("memory of fetch, 158 MB study", memory, "MB", 100)


MODULE = {"name": "module", "image": "localhost/module:1", "contract": "Mercure", "command": ["true"]}
ALGORITHM = {"name": "Bench", "version": "1", "manufacturer": "Example"}


def contracts(server: OrthancServer, folder: Path) -> Iterator[Figure]:
    """What a contract costs beside Native, on the study that fetch has: a mercure module's copy of the input, and a manifest for the launcher to read."""
    program = launcher(folder)
    native, module = (a_task(server, **changes) for changes in ({}, {"template__steps": [MODULE], "template__report": {"algorithm": ALGORITHM}}))
    seconds: dict[str, list[float]] = {"Native": [], "Mercure": []}
    for number in range(ROUNDS):
        for name, task in (("Native", native), ("Mercure", module)):
            pod = Pod(folder / f"{name}-{number}", task, program)
            pod.root.mkdir()
            begin = time.perf_counter()
            code, _ = pod.fetch()
            seconds[name].append(time.perf_counter() - begin)
            assert code == 0, pod.log
            subprocess.run(["rm", "-rf", str(pod.root)], check=True)
    plain = median(seconds["Native"])
    name = "contract Mercure over Native: fetch, 300 x 512 x 512 x 16 bit, median"
    yield Figure(name, median(seconds["Mercure"]) - plain, "s", 0.5, peer="fetch as Native", peer_value=plain)
    manifest = folder / "app.json"
    manifest.write_text(json.dumps({"command": json.dumps(["true"]), "workingDirectory": "/"}))
    started = {"Native": ["--", "true"], "MAP": [f"--manifest={manifest}"]}
    took = {kind: median([launched(program, folder / "barrier", words) for _ in range(4 * ROUNDS)]) for kind, words in started.items()}
    yield Figure("contract MAP over Native: launcher, median", took["MAP"] - took["Native"], "s", 0.5, peer="launcher with a command", peer_value=took["Native"])


def launched(program: Path, barrier: Path, words: list[str]) -> float:
    """Seconds of the launcher with an application that does nothing."""
    subprocess.run(["rm", "-rf", str(barrier)], check=True)
    barrier.mkdir()
    begin = time.perf_counter()
    subprocess.run([program, "--barrier", str(barrier), *words], check=True)
    return time.perf_counter() - begin


def publish(server: OrthancServer, folder: Path) -> Iterator[Figure]:
    """The publish container's process from start to exit, 10 findings, alone and with the overview of 10 key images."""
    imports = median([timed("-c", "import highdicom") for _ in range(ROUNDS)])
    for overview, words in ((False, ""), (True, " and an overview")):
        seconds = published(server, folder / f"publish-pod{words.replace(' ', '-')}", overview=overview)
        name = f"publish from start to exit, 10 findings{words}, 300-slice source, median"
        yield Figure(name, seconds, "s", 3, peer="python, import highdicom", peer_value=imports)


def published(server: OrthancServer, folder: Path, *, overview: bool) -> float:
    task = a_task(server, template__report={"overview": overview})
    pod = Pod(folder, task, launcher(folder.parent))
    pod.root.mkdir()
    code, _ = pod.fetch()
    assert code == 0, pod.log
    step = task.spec.template.steps[0].name
    document = json.dumps(findings(10, sop_uids(pod.input / "1") if (pod.input / "1").exists() else sop_uids(next(pod.input.glob("*/")))))
    (pod.output(step) / "findings.json").write_text(document)
    end_of_step(pod, step)
    seconds = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        code, receipt = pod.publish()
        seconds.append(time.perf_counter() - begin)
        assert code == 0, pod.log
        assert receipt.results
    return median(seconds)


def timed(*arguments: str) -> float:
    begin = time.perf_counter()
    python(*arguments)
    return time.perf_counter() - begin


def end_of_step(pod: Pod, step: str) -> None:
    """What the launcher leaves behind."""
    end = {"code": 0, "signal": 0, "timedOut": False, "startTime": datetime.now(UTC).isoformat(), "seconds": 0.1, "maxRSSBytes": 1, "launcher": ""}
    (pod.barrier(step) / "lock").touch()
    (pod.barrier(step) / "started").touch()
    (pod.barrier(step) / "exit.json").write_text(json.dumps(end))


def upload(server: OrthancServer, folder: Path) -> Iterator[Figure]:
    """An SR-sized object: POST and MD5 read back by our client, beside a bare POST by httpx."""
    import asyncio

    from tests.builders_slices import a_ct

    from gantry.orthanc import Credentials, Orthanc

    async def ours() -> list[float]:
        seconds = []
        async with Orthanc(server.url, credentials=Credentials("gantry", "secret")) as orthanc:
            for number in range(50):
                dicom = a_ct(f"upload-{number}", rows=128)
                begin = time.perf_counter()
                stored = await orthanc.upload(dicom)
                await orthanc.md5(stored.id)
                seconds.append(time.perf_counter() - begin)
        return seconds

    bare = []
    for number in range(50):
        dicom = a_ct(f"bare-{number}", rows=128)
        begin = time.perf_counter()
        server.upload(dicom)
        bare.append(time.perf_counter() - begin)
    yield Figure("SR upload with read-back, p95", percentile(asyncio.run(ours()), 0.95) * 1000, "ms", 100, peer="one POST, p95", peer_value=percentile(bare, 0.95) * 1000)


def figures(folder: Path) -> Iterator[Figure]:
    """All of them."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the image has its bytecode compiled
    with orthanc_server(folder / "orthanc", config={"StorageCompression": False}) as server:
        yield from fetch(server, folder)
        yield from contracts(server, folder)
        yield from publish(server, folder)
        yield from upload(server, folder)
    yield from build(folder)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="gantry-bench-") as folder:
        measured = []
        for figure in figures(Path(folder)):
            print(figure.line(), flush=True)
            measured.append(figure)
    write(measured, Path(__file__).parents[2] / "build" / "bench.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
