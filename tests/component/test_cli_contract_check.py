"""`gantry contract check` on good and bad packages: the real launcher and the real checks say the same as they would of a Run.

Packages are a small static program (application/) with a manifest around it, as a root file system or as an OCI archive made here byte by byte.
"""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic
import pytest
from tests.builders_dicom import a_segmentation, as_file, ct_series

ROOT = Path(__file__).parents[2]
SLICES = ct_series(pixels=True)
NODULE = {"scheme": "SCT", "value": "427359005", "meaning": "Solitary nodule of lung"}
FINDINGS = {
    "schemaVersion": "v1alpha1",
    "algorithms": [{"id": "a", "name": "Looker", "version": "1", "manufacturer": "Example"}],
    "evaluatedFor": [NODULE],
    "findings": [],
}


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("application") / "app"
    environment = {**os.environ, "CGO_ENABLED": "0"}
    subprocess.run(["go", "build", "-trimpath", "-o", target, "."], cwd=Path(__file__).with_name("application"), env=environment, check=True, capture_output=True)
    return target


@dataclass
class Package:
    """A root file system: paths and what is there, the program at /app."""

    folder: Path
    application: Path
    study: Path
    launcher: Path
    files: dict[str, bytes] = field(default_factory=dict)

    def manifest(self, *words: str, **more: Any) -> "Package":
        """MAP 1.0, as holoscan-cli writes it."""
        document = {"apiVersion": "1.0.0", "command": json.dumps(["/app", *words]), "sdk": "monai-deploy", "sdkVersion": "3.5.0", "workingDirectory": "/var/holoscan", **more}
        self.files["etc/holoscan/app.json"] = json.dumps(document).encode()
        self.files["etc/holoscan/pkg.json"] = json.dumps({"resources": {"cpu": 1, "gpu": 1, "memory": "1Gi"}}).encode()
        self.files["var/holoscan/app.yaml"] = b""
        return self

    def check(self, *options: str, image: Path | None = None) -> "Answer":
        for name, content in self.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (self.folder / "etc").mkdir(exist_ok=True)
        if not (self.folder / "app").exists():
            (self.folder / "app").write_bytes(self.application.read_bytes())
            (self.folder / "app").chmod(0o755)
        command = [str(Path(sys.executable).with_name("gantry")), "contract", "check", str(image or self.folder), "--study", str(self.study), "-o", "json", *options]
        return run(command, self.launcher)


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.out)
        return made

    @property
    def verdict(self) -> tuple[int, str | None, str]:
        return self.code, self.result["reason"], self.result["message"]


def run(command: list[str], launcher: Path, **environment: str) -> Answer:
    done = subprocess.run(command, env={**os.environ, "GANTRY_LAUNCHER": str(launcher), **environment}, capture_output=True, text=True, check=False)
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    for number, one in enumerate(SLICES):
        (folder / f"{number}.dcm").write_bytes(as_file(one))
    return folder


@pytest.fixture
def package(tmp_path: Path, application: Path, study: Path, program: Path) -> Package:
    made = Package(tmp_path / "image", application, study, program)
    made.folder.mkdir()
    return made


def test_a_good_map_gives_what_a_run_would_store(package: Package) -> None:
    package.files["seg.dcm"] = as_file(a_segmentation(SLICES))
    done = package.manifest("user", "1000", "then", "count", "$HOLOSCAN_INPUT_PATH/1/*.dcm", "20", "then", "copy", "/seg.dcm", "$HOLOSCAN_OUTPUT_PATH/1.2.3.dcm").check()
    assert done.verdict == (0, None, ""), done.out
    result = done.result
    assert (result["package"], result["contract"], result["exit_code"]) == ("MAP 1.0 (/etc/holoscan/app.json, monai-deploy 3.5.0)", "MAP", 0)
    assert result["asks"] == {"cpu": 1, "gpu": 1, "memory": "1Gi"}
    assert [one.partition(",")[0] for one in result["outputs"]] == ["SEG"]
    assert (result["study"], result["findings"]) == ("20 CT images", None)


def test_a_native_application_gives_a_report(package: Package) -> None:
    package.files["findings.json"] = json.dumps(FINDINGS).encode()
    done = package.check("--command", "/app copy /findings.json ${GANTRY_OUTPUT}/findings.json")
    assert done.verdict == (0, None, "")
    assert [one.partition(",")[0] for one in done.result["outputs"]] == ["SR"]
    assert done.result["findings"]["absent"] == 1


def test_a_mercure_module_finds_mercures_input(package: Package) -> None:
    package.files["seg.dcm"] = as_file(a_segmentation(SLICES))
    words = "/app count ${MERCURE_IN_DIR}/*#*.tags 20 then count ${MERCURE_IN_DIR}/task.json 1 then copy /seg.dcm ${MERCURE_OUT_DIR}/1#2.dcm"
    done = package.check("--contract", "Mercure", "--command", words)
    assert done.verdict == (0, None, ""), done.out


BAD = {
    "exits 7": (("exit", "7"), {}, "StepFailed", "step check ended with exit code 7"),
    "rejects the input": (("exit", "65"), {}, "StepRejectedInput", "step check says by exit code 65 that this input is not usable"),
    "writes nothing": (("exit", "0"), {}, "NoOutput", "step check ended with 0 but left neither DICOM objects nor findings.json in its output folder"),
    "needs the network": (("network",), {}, "StepFailed", "step check ended with exit code 1"),
    "needs root": (("user", "0"), {}, "StepFailed", "step check ended with exit code 1"),
    "sleeps for ever": (("sleep",), {"timeout": 1}, "StepTimedOut", "step check took longer than its timeout of 1s, which its manifest gives, and was ended"),
    "writes into its input": (("write", "$HOLOSCAN_INPUT_PATH/x", "y"), {}, "StepFailed", "step check ended with exit code 1"),
    "leaves what is no DICOM": (("write", "$HOLOSCAN_OUTPUT_PATH/x.dcm", "y"), {}, "UnacceptedObject", "output of step check: x.dcm is not DICOM"),
    "has a command that is none": (("exit", "0"), {"command": 7}, "StepFailed", "step check was not run: its image has no usable manifest (app.json) and so is no MAP; see the container's log, or choose contract Native"),
    "names a program that is not there": (("exit", "0"), {"command": ["/no/such"]}, "StepFailed", "step check was not started: the command of its manifest (app.json), or the interpreter of it, is not in the image; see the container's log"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "manifest", "reason", "message"), BAD.values(), ids=BAD)
def test_what_a_run_would_fail_with(package: Package, words: tuple[str, ...], manifest: dict[str, Any], reason: str, message: str) -> None:
    assert package.manifest(*words, **manifest).check().verdict == (1, reason, message)


def test_another_patients_object_is_found_out(package: Package) -> None:
    other = a_segmentation(SLICES)
    other.PatientID = "SOMEBODY-ELSE"
    package.files["seg.dcm"] = as_file(other)
    assert package.manifest("copy", "/seg.dcm", "$HOLOSCAN_OUTPUT_PATH/1.dcm").check().verdict[:2] == (1, "WrongPatient")


def test_root_and_the_network_are_there_when_they_are_allowed(package: Package) -> None:
    package.files["seg.dcm"] = as_file(a_segmentation(SLICES))
    package.manifest("user", "0", "then", "copy", "/seg.dcm", "$HOLOSCAN_OUTPUT_PATH/1.dcm")
    assert package.check("--run-as-user", "0").verdict == (0, None, "")


def test_a_pipelines_settings_count(package: Package, tmp_path: Path) -> None:
    """Its mapping, its timeout, its memory limit; the step is named when there are two."""
    rule = {"file": "result.json", "type": NODULE, "presence": {"path": "/nodules", "atLeast": 1}}
    words = ["/app", "write", "$MERCURE_OUT_DIR/result.json", '{"nodules": 2}']
    step = {"name": "nodule", "image": "i", "contract": "Mercure", "command": words, "resources": {"limits": {"memory": "1Ki"}}}
    report = {"algorithm": {"name": "A", "version": "1", "manufacturer": "B"}, "mapping": [rule]}
    template = {"steps": [{"name": "before", "image": "i", "command": ["x"]}, step], "report": report}
    document = {"apiVersion": "gantry.health/v1alpha1", "kind": "InferencePipeline", "metadata": {"name": "p"}, "spec": {"bridgeRef": {"name": "main"}, "template": template}}
    path = tmp_path / "pipeline.yaml"
    path.write_text(json.dumps(document))
    done = package.check("--pipeline", str(path), "--step", "nodule")
    assert done.verdict == (0, None, ""), done.out + done.err
    assert (done.result["findings"]["present"], done.result["exit_code"]) == (1, 0)
    assert "more than resources.limits.memory 1Ki: OutOfMemory in a cluster" in done.result["warnings"][0]
    unnamed = package.check("--pipeline", str(path))
    assert (unnamed.code, unnamed.err) == (2, f"gantry: {path}: one step of one pipeline is checked at a time; name it with --step (before, nodule)\n")


def archive(package: Package, path: Path, config: dict[str, Any], *layers: list[tuple[tarfile.TarInfo, bytes]], spoil: bool = False) -> Path:
    """An OCI archive, as podman writes it."""
    blobs: dict[str, bytes] = {}

    def blob(content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"digest": f"sha256:{digest}", "size": len(content)}

    tars = []
    for layer in layers:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for member, content in layer:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        tars.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **blob(gzip.compress(buffer.getvalue(), mtime=0))})
    manifest = blob(json.dumps({"config": blob(json.dumps({"config": config}).encode()), "layers": tars}).encode())
    if spoil:
        blobs[tars[0]["digest"].removeprefix("sha256:")] += b"x"
    with tarfile.open(path, "w") as tar:
        for name, content in [("index.json", json.dumps({"manifests": [manifest]}).encode()), *((f"blobs/sha256/{digest}", content) for digest, content in blobs.items())]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def member(name: str, *, mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.mode, made.type, made.linkname = mode, kind, link
    return made


def test_an_archive_runs_by_its_configuration(package: Package, tmp_path: Path) -> None:
    """User, environment, directory and entrypoint; a later layer replaces and takes away; a link to the outside stays inside."""
    first = [
        (member("app", mode=0o755), package.application.read_bytes()),
        (member("gone"), b"x"),
        (member("seg.dcm"), b"of an earlier layer"),
        (member("out", kind=tarfile.SYMTYPE, link="/../.."), b""),
        (member("work", mode=0o755, kind=tarfile.DIRTYPE), b""),
    ]
    second = [(member(".wh.gone"), b""), (member("seg.dcm"), as_file(a_segmentation(SLICES))), (member("out/escaped"), b"x"), (member("work/here"), b"")]
    config = {"Entrypoint": ["/app"], "Cmd": ["count", "here", "1", "then", "copy", "/seg.dcm", "$TARGET/1.dcm"], "WorkingDir": "/work", "Env": ["TARGET=/tmp/output"], "User": "root"}
    path = archive(package, tmp_path / "image.tar", config, first, second)
    done = package.check("--contract", "Mercure", image=path)
    assert done.verdict == (0, None, ""), done.out
    assert done.result["user"] == "1000, the image's is root"
    assert not Path("/escaped").exists()
    failing = archive(package, tmp_path / "failing.tar", {"Cmd": ["/app", "exit", "1"]}, first)
    assert "try --run-as-user 0" in package.check(image=failing).result["warnings"][-1]


def test_an_image_of_an_engine_is_asked_from_it(package: Package, tmp_path: Path) -> None:
    """The engine here is a script in the place of podman, which writes what `podman save` writes."""
    path = archive(package, tmp_path / "image.tar", {"Cmd": ["/app", "exit", "7"]}, [(member("app", mode=0o755), package.application.read_bytes())])
    podman = tmp_path / "podman"
    podman.write_text(f'#!/bin/sh\ntest "$1 $6" = "save vendor/app:1" || {{ echo "no such image" >&2; exit 125; }}\ncp {path} "$5"\n')
    podman.chmod(0o755)
    gantry = str(Path(sys.executable).with_name("gantry"))
    found = run([gantry, "contract", "check", "vendor/app:1", "-o", "json"], package.launcher, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert found.verdict == (1, "StepFailed", "step check ended with exit code 7"), found.err
    missing = run([gantry, "contract", "check", "vendor/app:2"], package.launcher, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (missing.code, missing.err) == (2, "gantry: podman has no image vendor/app:2: no such image\n")


def test_what_cannot_be_found_out_has_an_exit_code_of_its_own(package: Package, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    assert (done := package.check(image=nothing)).code == 2
    assert "is neither an OCI image layout (index.json) nor a root file system" in done.err
    (text := tmp_path / "text.tar").write_text("no tar")
    assert "is no tar of an image" in package.check(image=text).err
    spoiled = archive(package, tmp_path / "spoiled.tar", {"Cmd": ["/app"]}, [(member("app"), b"x")], spoil=True)
    assert "has other content than its digest says; copy the image again" in package.check(image=spoiled).err
    assert "the image has no start command: give --command, as the pipeline has to" in package.check().err
    assert "contract: Input should be 'Native', 'MAP' or 'Mercure'" in package.check("--contract", "Docker", "--command", "/app").err


def test_a_person_reads_a_line_for_each_thing(package: Package) -> None:
    package.manifest("count", "/nowhere/*", "1").check()
    done = run([str(Path(sys.executable).with_name("gantry")), "contract", "check", str(package.folder)], package.launcher)
    lines = {line.split(None, 1)[0]: line.split(None, 1)[1] for line in done.out.splitlines() if not line.startswith("a Run")}
    assert done.code == 1
    assert (lines["package"], lines["input"]) == ("MAP 1.0 (/etc/holoscan/app.json, monai-deploy 3.5.0)", "24 CT images of a phantom")
    assert lines["log"] == "0 files match /nowhere/*"
    assert done.out.splitlines()[-1] == "a Run      would fail: StepFailed: step check ended with exit code 1"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that every user can reach; pytest's own are for its user alone."""
    folder = Path(tempfile.mkdtemp(prefix="gantry-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_nobody_needs_to_be_root(package: Package, open_folder: Path) -> None:
    """The step's user is the caller by another number, in a user namespace."""
    if os.geteuid() != 0:
        pytest.skip("the other tests are that already")
    package.manifest("user", "1000", "then", "exit", "7").check()
    shutil.copytree(package.folder, open_folder / "image")
    for path in (open_folder / "image", *(open_folder / "image").rglob("*")):
        os.chown(path, 65534, 65534)
    shutil.copy(package.launcher, open_folder / "launcher")
    modules = f"{ROOT}/operator:{Path(pydantic.__file__).parents[1]}"
    environment = {"HOME": str(open_folder), "TMPDIR": str(open_folder), "PYTHONPATH": modules}
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    for python in (sys.executable, "/usr/bin/python3"):  # the first may lie in a home that only its user can enter
        probe = [*nobody, "unshare", "--user", "--map-root-user", "--mount", python, "-c", "import gantry.cli.contract_check"]
        if subprocess.run(probe, env={**os.environ, **environment}, cwd="/", capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip("another user may not make namespaces, or cannot read this checkout or its Python")
    command = [*nobody, python, "-c", "from gantry.cli.main import main; main()", "contract", "check", str(open_folder / "image"), "-o", "json"]
    done = run(command, open_folder / "launcher", **environment)
    assert done.code == 1, done.err
    assert done.verdict == (1, "StepFailed", "step check ended with exit code 7")
