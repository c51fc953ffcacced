"""Where the time of a Run goes whose image carries 2 GB of weights, beside a process that has them loaded: `cluster/sandbox python -m tests.bench.warm`.

Needs the one-node cluster as in_cluster does, 12 GB of disk and 4 GB of memory. What is pushed and pulled is gone with the sandbox. ROUNDS, PULLS and
BLOCKS (of 62 MB) by variable. All lines are shown beside each other, none has a goal: docs/decisions/2026-11-28-warm-workers.md says what follows from them.
"""

import hashlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy
from examples.demo.hospital import ROOT, Hospital, HospitalError, images, run, wait_for
from kubernetes import config
from tests.bench.figures import Figure, median, write
from tests.bench.in_cluster import PodClock, journeys, pod_clock, pod_of
from tests.e2e.pipelines import NEGATIVE, apply, pipeline

ROUNDS = int(os.environ.get("ROUNDS", "5"))
PULLS = int(os.environ.get("PULLS", "3"))
BLOCKS, BLOCK = int(os.environ.get("BLOCKS", "32")), 62_464_000  # 32: 2 GB of weights; one block of random float32, compressed once and repeated: unpacking costs the same
SIZE = f"{BLOCKS * BLOCK / 1e9:.2g} GB"
COMMAND = ["python3", "/model/app.py"]
MEMORY = "3Gi"


def layer(folder: Path) -> tuple[str, str, int]:
    """The layer with weights and program, gzip as builders make it. Its digest, the digest of what is in it, and its size."""
    weights = (numpy.random.default_rng(1).standard_normal(BLOCK // 4, dtype=numpy.float32) * numpy.float32(0.02)).tobytes()
    program = (Path(__file__).parent / "warm_model.py").read_bytes()
    head = tarfile.TarInfo("model/weights.bin")
    head.size = BLOCKS * BLOCK
    assert head.size % tarfile.BLOCKSIZE == 0, "no padding after the weights"
    rest = io.BytesIO()
    with tarfile.open(fileobj=rest, mode="w") as tar:
        info = tarfile.TarInfo("model/app.py")
        info.size, info.mode = len(program), 0o644
        tar.addfile(info, io.BytesIO(program))
    content, packed = hashlib.sha256(), hashlib.sha256()
    size = 0
    squeezed = gzip_member(weights)
    with (folder / "layer").open("wb") as file:
        for plain, member, times in ((head.tobuf(), None, 1), (weights, squeezed, BLOCKS), (rest.getvalue(), None, 1)):
            piece = member or gzip_member(plain)
            for _ in range(times):
                content.update(plain)
                packed.update(piece)
                size += file.write(piece)
    return packed.hexdigest(), content.hexdigest(), size


def gzip_member(data: bytes) -> bytes:
    """A gzip file of its own; readers take several one after another for one (RFC 1952, 2.2)."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def push_model() -> str:
    """The nodule example's image with one layer more, in the cluster's registry."""
    base = images()["gantry/nodules"]
    target = base.partition("/")[0] + "/bench/model:1"
    with tempfile.TemporaryDirectory(prefix="gantry-bench-", dir=ROOT / "build") as name:
        folder = Path(name)
        run("skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{base}", f"dir:{folder}")
        packed, content, size = layer(folder)
        (folder / "layer").rename(folder / packed)
        manifest = json.loads((folder / "manifest.json").read_text())
        old = manifest["config"]["digest"].removeprefix("sha256:")
        settings = json.loads((folder / old).read_text())
        settings["rootfs"]["diff_ids"].append(f"sha256:{content}")
        settings["history"] = [*settings.get("history", []), {"created_by": "tests.bench.warm"}]
        made = json.dumps(settings).encode()
        digest = hashlib.sha256(made).hexdigest()
        (folder / digest).write_bytes(made)
        manifest["config"] |= {"digest": f"sha256:{digest}", "size": len(made)}
        manifest["layers"].append({"mediaType": manifest["layers"][-1]["mediaType"], "digest": f"sha256:{packed}", "size": size})
        assert manifest["layers"][-1]["mediaType"].endswith("gzip"), manifest["layers"][-1]
        (folder / "manifest.json").write_text(json.dumps(manifest))
        run("skopeo", "copy", "-q", "--dest-tls-verify=false", f"dir:{folder}", f"docker://{target}", seconds=600)
    return target


def a_pod(name: str, image: str, command: list[str], **container: Any) -> dict[str, Any]:
    """As restricted as a Run's pod, with its annotations in a file."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    mount = {"name": "podinfo", "mountPath": "/podinfo", "readOnly": True}
    one = {"name": "worker", "image": image, "command": command, "securityContext": security, "volumeMounts": [mount], **container}
    items = [{"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}]
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [one],
        "volumes": [{"name": "podinfo", "downwardAPI": {"items": items}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "annotations": {"claim": "none"}}, "spec": spec}


def runtime_cpu() -> float:
    """CPU seconds of containerd and what it started and waited for (decompressors)."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text()
        except OSError:  # ended meanwhile
            continue
        if words.partition("(")[2].rpartition(")")[0] == "containerd":
            total += sum(int(one) for one in words.rpartition(")")[2].split()[11:15])
    return total / os.sysconf("SC_CLK_TCK")


def pulls(hospital: Hospital, image: str) -> Iterator[Figure]:
    """The image's own layer pulled and unpacked, from a registry on the same machine; what it shares with others is there."""
    seconds, cpu = [], []
    (socket,) = Path("/run").glob("gantry-*/containerd.sock")
    for number in range(PULLS):
        # A container that ended holds the unpacked layer until the kubelet has removed it.
        wait_for("the last container's removal", lambda: "/bench/model" not in run("ctr", "-a", str(socket), "-n", "k8s.io", "containers", "ls"), seconds=180, pause=1)
        run("ctr", "-a", str(socket), "-n", "k8s.io", "images", "rm", "--sync", *held(socket), seconds=300)
        before = runtime_cpu()
        hospital.kubectl("create", "-f", "-", stdin=json.dumps(a_pod(f"pull-{number}", image, ["/bin/true"])))
        hospital.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/pull-{number}", "--timeout=900s", seconds=920)
        cpu.append(runtime_cpu() - before)
        events = hospital.get("events", "--field-selector", f"involvedObject.name=pull-{number},reason=Pulled")["items"]
        (found,) = [match for one in events if (match := re.search(r"in (?:(\d+)m)?([\d.]+)(ms|s) \(", one["message"]))]
        seconds.append(float(found[1] or 0) * 60 + float(found[2]) / (1000 if found[3] == "ms" else 1))
        hospital.kubectl("delete", "pod", f"pull-{number}")
        if seconds[-1] < 1:
            raise HospitalError(f"pull {number} took {seconds[-1]} s: the layer was still there, so nothing was measured")
    yield Figure(f"warm: layer of {SIZE} pulled and unpacked, registry on this machine, median", median(seconds), "s", note=spread(seconds))
    yield Figure("warm:   containerd's CPU of it, median", median(cpu), "s CPU", note=spread(cpu))


def held(socket: Path) -> list[str]:
    """Every name that the runtime has for the model's image, which keep its layer; an unknown name alone if there is none."""
    lines = run("ctr", "-a", str(socket), "-n", "k8s.io", "images", "ls").splitlines()[1:]
    targets = {words[2] for line in lines if "/bench/model" in (words := line.split())[0]}
    return [words[0] for line in lines if (words := line.split())[2] in targets] or ["none"]


def spread(values: Sequence[float]) -> str:
    return f"{min(values):.3g} to {max(values):.3g}, {len(values)} rounds"


def told(hospital: Hospital, pod: str, container: str) -> dict[str, dict[str, Any]]:
    """The lines of the program, by event; the last of each."""
    lines = [json.loads(line) for line in hospital.kubectl("logs", pod, "-c", container).splitlines() if line.startswith('{"event"')]
    return {line["event"]: line for line in lines}


STAGES = {
    "pod created -> fetch runs (schedule, volumes, container)": ("created", "fetch running"),
    "fetch": ("fetch running", "fetch ended"),
    "fetch ended -> application's process (container start)": ("fetch ended", "process"),
    "interpreter": ("process", "firstLine"),
    "imports (numpy, pydicom)": ("firstLine", "imported"),
    "weights read into memory": ("begins", "loaded"),
    "images read, inference": ("loaded", "inferred"),
    "application done -> publish ended": ("inferred", "publish ended"),
    "all: pod created -> publish ended": ("created", "publish ended"),
}


def moments(hospital: Hospital, clock: PodClock, pod: str) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """When what happened in a Run's pod, on one clock, and the program's lines."""
    lines = told(hospital, pod, "detect")
    outside = {event: at for (name, event), at in clock.times.items() if name == pod}
    inside = {name: line["at"] for name, line in lines.items()}
    return outside | inside | {name: lines["imported"][name] for name in ("process", "firstLine")}, lines


def cold_runs(hospital: Hospital, clock: PodClock, image: str) -> Iterator[Figure]:
    """Whole Runs, the weights on disk or in the page cache by turns."""
    seen: dict[str, list[tuple[dict[str, float], dict[str, dict[str, Any]]]]] = {"yes": [], "no": []}
    for evict in ["yes", "no"] * ROUNDS:
        env = [{"name": "EVICT", "value": evict}, {"name": "FINDINGS", "value": json.dumps(NEGATIVE)}]
        limits = {"requests": {"cpu": "50m"}, "limits": {"memory": MEMORY}}
        apply(hospital, pipeline("cold", [*COMMAND, "cold"], step={"image": image, "env": env, "resources": limits}))
        (journey,) = journeys(hospital, 1, slices=1, matrix=128)
        seen[evict].append(moments(hospital, clock, pod_of(hospital, journey.run["status"]["jobRef"]["name"])))
    for evict, words in (("yes", "weights on disk"), ("no", "weights in the page cache")):
        for name, (first, last) in STAGES.items():
            values = [at[last] - at[first] for at, _ in seen[evict]]
            yield Figure(f"warm: cold Run, {words}: {name}", median(values), "s", note=spread(values))
        cpu = [lines["inferred"]["cpu"] for _, lines in seen[evict]]
        disk = [lines["loaded"]["fromDisk"] for _, lines in seen[evict]]
        yield Figure(f"warm: cold Run, {words}: the application's CPU", median(cpu), "s CPU", note=f"{spread(cpu)}; {median(disk):.0f} MB from the disk")


def resident(hospital: Hospital, image: str) -> Iterator[Figure]:
    """A process that has loaded; what a study costs there, and how long the claim takes by an annotation in a downward API volume."""
    pod = a_pod("resident", image, [*COMMAND, "resident"], resources={"limits": {"memory": MEMORY}})
    hospital.kubectl("create", "-f", "-", stdin=json.dumps(pod))
    hospital.kubectl("wait", "--for=condition=Ready", "pod/resident", "--timeout=120s", seconds=140)
    wait_for("a loaded model", lambda: "ready" in told(hospital, "resident", "worker"), seconds=300, pause=1)
    handed, forks, inferences, whole = [], [], [], []
    for number in range(4 * ROUNDS):
        time.sleep(0.37 * (number % 8))  # other phases of the kubelet's ticks
        begin = time.monotonic()
        hospital.kubectl("annotate", "pod", "resident", "--overwrite", f"claim=run-{number}")
        patched = time.monotonic()

        def done(name: str = f"run-{number}") -> dict[str, dict[str, Any]] | None:
            lines = told(hospital, "resident", "worker")
            return lines if name in lines.get("done", {}).get("claims", "") else None

        lines = wait_for("the claim's end", done, seconds=150, pause=0.2)
        inferred = lines["inferred"]
        handed.append(inferred["seen"] - (begin + patched) / 2)
        forks.append((inferred["forked"] - inferred["seen"]) * 1000)
        inferences.append(inferred["at"] - inferred["forked"])
        whole.append(lines["done"]["at"] - inferred["seen"])
    yield Figure("warm: resident, claim by annotation -> seen in the pod, median", median(handed), "s", note=spread(handed))
    yield Figure(f"warm: resident, child by fork with {SIZE} resident, median", median(forks), "ms", note=spread(forks))
    yield Figure("warm: resident, inference in the child, median", median(inferences), "s", note=spread(inferences))
    yield Figure("warm: resident, claim seen -> child ended, median", median(whole), "s", note=spread(whole))
    hospital.kubectl("delete", "pod", "resident")


def measure(hospital: Hospital) -> Iterator[Figure]:
    image = push_model()
    yield from pulls(hospital, image)
    yield from resident(hospital, image)
    with pod_clock(hospital.namespace) as clock:
        yield from cold_runs(hospital, clock, image)


def main() -> int:
    config.load_kube_config()
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < 12:
        print(f"12 GB free are needed in {ROOT}, there are {free:.0f} GB", file=sys.stderr)
        return 1
    hospital = Hospital("warm")
    run("kubectl", "apply", "--server-side", "-f", str(ROOT / "crds"))
    hospital.create_namespace()
    hospital.start_servers()
    hospital.install_gantry("crds.enabled=false")
    hospital.wait_for_servers()
    hospital.apply(ROOT / "tests" / "e2e" / "bridge.yaml")
    hospital.wait_until_ready("obridge/main")
    figures = []
    print(f"load {os.getloadavg()[0]:.1f}", flush=True)
    for figure in measure(hospital):
        print(figure.line(), flush=True)
        figures.append(figure)
    print(f"load {os.getloadavg()[0]:.1f}", flush=True)
    write(figures, ROOT / "build" / "bench.json")
    hospital.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
