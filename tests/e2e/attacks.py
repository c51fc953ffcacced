"""Attacks on Gantry, from inside a step and by what a step leaves: what was tried, and how it ended. For the test and for `make bench`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from examples.demo.hospital import ROOT, Hospital, wait_for
from examples.phantom.make_ct import Options
from pydicom import dcmread
from tests.e2e import attack_program
from tests.e2e.attack_program import ATTACKS
from tests.e2e.pipelines import NEGATIVE, apply, pipeline, python

RECORD = ROOT / "build" / "attacks.json"
PART = 4000  # characters: a word of a command has 4,096 at most
OUTPUTS = {
    "link to the node's files": ("(OUT / 'findings.json').symlink_to('/etc/passwd')", ("UnacceptedObject",)),
    "pipe as result": ("os.mkfifo(OUT / 'findings.json')", ("UnacceptedObject",)),
    "socket as result": ("import socket; os.chdir(OUT); socket.socket(socket.AF_UNIX).bind('findings.json')", ("UnacceptedObject",)),
    "JSON of a TiB": ("os.truncate(os.open(OUT / 'findings.json', os.O_CREAT | os.O_RDWR), 1 << 40)", ("InvalidFindings",)),
    "JSON a million deep": ("(OUT / 'findings.json').write_text('[' * 1000000)", ("InvalidFindings",)),
    "DICOM that inflates": ("import pydicom\none = pydicom.dcmread(next(pathlib.Path(os.environ['GANTRY_INPUT']).glob('*/*.dcm')))\none.PixelData = bytes(64 << 20); one.file_meta.TransferSyntaxUID = '1.2.840.10008.1.2.1.99'\none.save_as(OUT / 'bomb.dcm'); negative()", ("UnacceptedObject",)),
    "folders without end": ("deep = OUT\nfor _ in range(100): deep = deep / 'd'; deep.mkdir()", ("UnacceptedObject",)),
    "a hundred thousand files": ("for i in range(100000): os.close(os.open(OUT / str(i), os.O_CREAT))\nnegative()", ("UnacceptedObject",)),
    "full disk": ("with (OUT / 'fill').open('wb') as out:\n  for _ in range(200): out.write(os.urandom(1 << 20))\nimport threading; threading.Event().wait()", ("Evicted",)),
}  # fmt: skip
"""Name -> Python, and the reasons that count as refused."""


SMALL = Options(slices=12, matrix=128, spheres=1, smallest=10)
"""The study: it has to arrive whole before the first of ten pods takes the processor."""


@dataclass(frozen=True)
class Tried:
    name: str
    succeeded: bool
    how: str


def attack(hospital: Hospital, study: list[Path]) -> list[Tried]:
    """All of them at once, in a hospital that is there: the study is sent, and each is told with how it ended."""
    names = {f"bad-output-{number}": name for number, name in enumerate(OUTPUTS)}
    small = {"scheduling": {"workspace": {"sizeLimit": "64Mi"}}, "timeout": "4m"}
    target = hospital.get("service/orthanc")["spec"]["clusterIP"]
    apply(hospital, _inside(target), *(pipeline(key, python(OUTPUTS[name][0]), **(small if name == "full disk" else {})) for key, name in names.items()))
    hospital.orthanc.send(study)
    log: list[str] = []

    def look() -> bool:
        pods = hospital.kubectl("get", "pods", "-l", "gantry.health/pipeline=attacks", "-o", "name").split()
        if pods and hospital.get(pods[0])["status"]["phase"] not in ("Pending",):
            log[:] = [line for line in hospital.kubectl("logs", pods[0], "-c", "detect").splitlines() if line.startswith('{"attack"')]
        return len(log) == len(ATTACKS)

    wait_for("the attacker's log", look, seconds=240, pause=1, explain=lambda: "\n".join(log))
    inside = [Tried(one["attack"], one["succeeded"], one["how"]) for one in map(json.loads, log)]
    runs = {run["spec"]["pipelineRef"]["name"]: run["status"] for run in hospital.wait_for_finished_runs(len(names) + 1, seconds=420)}
    if runs["attacks"].get("state") != "Succeeded":
        raise AssertionError(f"the attacker's own Run ended otherwise than by its document: {runs['attacks'].get('failure')}")
    _judge_deliveries(hospital, study)
    tried = inside + [_told(name, runs[key]) for key, name in names.items()]
    RECORD.write_text(json.dumps([asdict(one) for one in tried], indent=1))
    return tried


def _inside(target: str) -> dict[str, Any]:
    """Behind another step, whose output and end it tries to change. Its own result is an ordinary one. `target`: Orthanc's address."""
    text = Path(attack_program.__file__).read_text() + f"\n(OUT / 'findings.json').write_text({json.dumps(NEGATIVE)!r})\n"
    parts = [text[begin : begin + PART] for begin in range(0, len(text), PART)]
    command = ["python3", "-c", "import sys; exec(compile(''.join(sys.argv[1:]), 'attack', 'exec'))", *parts]
    made = pipeline("attacks", command, step={"env": [{"name": "TARGET", "value": target}], "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "1Gi"}}})
    steps = made["spec"]["template"]["steps"]
    steps.insert(0, {**steps[0], "name": "prepare", "command": python("(OUT / 'left.txt').write_text('as it was')")})
    return made


def _told(name: str, status: dict[str, Any]) -> Tried:
    failure = status.get("failure") or {}
    refused = status.get("state") == "Failed" and failure.get("reason") in OUTPUTS[name][1] and not status.get("results")
    return Tried(name, not refused, f"{status.get('state')} {failure.get('reason', '')}: {failure.get('message', '')}")


def _judge_deliveries(hospital: Hospital, study: list[Path]) -> None:
    """One report: that of the attacker's valid document. Nothing of the others may have come to the PACS or into the study."""
    uid = str(dcmread(study[0], stop_before_pixels=True).StudyInstanceUID)
    found = len(hospital.pacs.instances(uid)), len(hospital.orthanc.instances(uid))
    if found != (1, len(study) + 1):
        raise AssertionError(f"the PACS has {found[0]} objects of the study and Orthanc {found[1]}; 1 and {len(study) + 1} would be right")
