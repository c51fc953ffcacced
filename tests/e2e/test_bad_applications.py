"""Whatever an application does: its own reason on its own Run, nothing in the PACS that could be taken for a result, and everything else goes on."""

from pathlib import Path

from examples.demo.hospital import Hospital
from pydicom import dcmread
from tests.e2e.pipelines import apply, detector, pipeline, python

ISOLATED = python("""
import socket, sys
if any('ORTHANC' in name or 'PASSWORD' in name or name == 'GANTRY_TASK' for name in os.environ): sys.exit(3)
if pathlib.Path('/var/run/secrets').exists() or pathlib.Path('/gantry/private').exists(): sys.exit(4)
for family in (socket.AF_INET, socket.AF_INET6):
    try: socket.socket(family, socket.SOCK_STREAM)
    except PermissionError: continue
    sys.exit(5)
socket.socketpair()
try: (pathlib.Path(os.environ['GANTRY_INPUT']) / 'x').write_text('x')
except OSError: negative()
else: sys.exit(6)
""")
WRONG_PATIENT = python("""
import pydicom
source = pydicom.dcmread(next(pathlib.Path(os.environ['GANTRY_INPUT']).glob('*/*.dcm')))
source.PatientID = 'SOMEBODY-ELSE'; source.SOPClassUID = source.file_meta.MediaStorageSOPClassUID = '1.2.840.10008.5.1.4.1.1.7'
source.save_as(OUT / 'capture.dcm'); negative()
""")
APPLICATIONS = {
    "crashes": (python("raise SystemExit(7)"), "StepFailed", {"exitCode": 7}),
    "refuses-input": (python("raise SystemExit(65)"), "StepRejectedInput", {"exitCode": 65}),
    "killed": (python("os.kill(os.getpid(), 9)"), "StepFailed", {"exitCode": 137}),
    "hangs": (python("import threading; threading.Event().wait()"), "StepTimedOut", {"exitCode": 124}),
    "eats-memory": (python("x = bytearray(2 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1\nnegative()"), "OutOfMemory", {}),
    "writes-nothing": (python("pass"), "NoOutput", {}),
    "writes-garbage": (python("(OUT / 'findings.json').write_text('{]')"), "InvalidFindings", {}),
    "writes-nan": (python("(OUT / 'findings.json').write_text(json.dumps(NEGATIVE | {'findings': [float('nan')]}))"), "InvalidFindings", {}),
    "says-nothing": (python("(OUT / 'findings.json').write_text(json.dumps(NEGATIVE | {'evaluatedFor': []}))"), "InvalidFindings", {}),
    "links-out": (python("(OUT / 'findings.json').symlink_to('/etc/passwd')"), "UnacceptedObject", {}),
    "another-patient": (WRONG_PATIENT, "WrongPatient", {}),
    "no-such-program": (["/no/such/program"], "StepFailed", {"exitCode": 127}),
}


def test_every_kind_of_bad_application_has_its_own_reason_and_good_ones_go_on(hospital: Hospital, study: list[Path]) -> None:
    bad = [pipeline(name, command, step={"timeout": "10s" if name == "hangs" else "3m"}) for name, (command, _, _) in APPLICATIONS.items()]
    good = [pipeline("good", detector()), pipeline("isolated", ISOLATED)]
    long = pipeline("takes-too-long", APPLICATIONS["hangs"][0], step={"timeout": "10m"}, timeout="90s", retries=2)
    missing = pipeline("no-image", python("negative()"), step={"image": "localhost/there-is-no-such-image:1"})
    apply(hospital, *bad, long, missing, *good)
    hospital.orthanc.send(study)
    runs = {run["spec"]["pipelineRef"]["name"]: run for run in hospital.wait_for_finished_runs(len(bad) + len(good) + 2, seconds=420)}

    for name, (_, reason, facts) in APPLICATIONS.items():
        status = runs[name]["status"]
        assert (name, status["state"], status["failure"]["reason"]) == (name, "Failed", reason), status["failure"]
        assert status["failure"].items() >= facts.items()
        assert status["failure"]["message"]
        assert not status.get("results")
    assert runs["no-such-program"]["status"]["failure"]["message"].startswith(
        "step detect was not started: /no/such/program, or the interpreter of it, is not in the image; steps[].command of the template names it; see `kubectl logs"
    )
    late = runs["takes-too-long"]["status"]
    assert (late["failure"]["reason"], late["attempts"]) == ("DeadlineExceeded", 1), "a further attempt would take as long"
    assert late["failure"]["message"] == "not finished after template.timeout (90s): detect was at work"
    assert runs["no-image"]["status"]["failure"]["reason"] == "ImagePullFailed"
    assert {name: runs[name]["status"]["state"] for name in ("good", "isolated")} == {"good": "Succeeded", "isolated": "Succeeded"}

    uid = str(dcmread(study[0], stop_before_pixels=True).StudyInstanceUID)
    assert len(hospital.pacs.instances(uid)) == 2, "only the good ones may have sent anything"
    assert len(hospital.orthanc.instances(uid)) == len(study) + 2
