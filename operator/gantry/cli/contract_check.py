"""`gantry contract check`: what a Run would make of a vendor's package, found out on one machine and without a cluster.

Everything that decides is the Run's own: the layout of the input, the container, the launcher, the checks of what the package leaves and the
report about it. Only Orthanc and Kubernetes are not there. The study is a phantom unless another one is named.
"""

import contextlib
import json
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gantry.api import RunReason, parse_duration
from gantry.api.pipeline import RunTemplate
from gantry.api.step import Step
from gantry.runs import USER, StepEnd, step_container

from .contract_phantom import make_phantom
from .contract_room import Room, find_launcher, run_step
from .contract_study import Laid, lay_study
from .contract_unpack import Image, unpacked, within
from .failure import Failure
from .options import plain

MANIFESTS = {"/etc/holoscan": "MAP 1.0", "/etc/monai": "MAP 0.x"}
LOG_LINES = 12
LOG_LIMIT = 1 << 20
ALGORITHM = {"name": "Checked package", "version": "0", "manufacturer": "unknown"}
"""Of the report, when no pipeline says better."""


@dataclass(frozen=True)
class Options:
    """What a pipeline would say of the step."""

    contract: str | None
    command: str | None
    user: int | None
    timeout: str
    allow_network: bool
    study: Path | None
    pipeline: Path | None
    step: str | None


@dataclass(frozen=True)
class Result:
    """The answer. Lists are empty where nothing came that far."""

    package: str
    contract: str
    command: str
    user: str
    asks: dict[str, Any]
    """`resources` of a MAP's pkg.json, as it has them."""
    study: str
    exit_code: int | None
    seconds: float
    peak_bytes: int
    outputs: tuple[str, ...]
    findings: dict[str, int] | None
    warnings: tuple[str, ...]
    reason: str | None
    """That a Run would fail with; None: it would succeed."""
    message: str
    log: tuple[str, ...]


def check(target: str, options: Options) -> Result:
    """Raises Failure (exit code 2) when it cannot be found out here."""
    launcher = find_launcher()
    with tempfile.TemporaryDirectory(prefix="gantry-check-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        image = _image(target, folder)
        package, contract, asks = _recognised(image, options.contract)
        template = _template(options, image, contract)
        workspace = folder / "pod"
        workspace.mkdir()
        laid = _study(options, folder, template, workspace, launcher)
        step = template.steps[0]
        room = Room(image, step_container(template, 0), workspace, step.security.allow_network, parse_duration(step.timeout).total_seconds())
        log = folder / "log"
        run_step(room, log)
        end, reason, message = _ended(laid, step, workspace, of_image=not (options.command or options.pipeline))
        made = _made(laid, workspace) if reason is None else _Made(reason=reason, message=message)
        return Result(
            package=package,
            contract=step.contract,
            command=shlex.join(step.command) if step.command else _of_manifest(image),
            user=f"{room.user}, the image's is {image.user or 'root'}" if image.configured else str(room.user),
            asks=asks,
            study=f"{laid.images} {'/'.join(laid.modalities)} images" + ("" if options.study else " of a phantom"),
            exit_code=end.code,
            seconds=end.seconds,
            peak_bytes=end.max_rss_bytes,
            outputs=made.outputs,
            findings=made.findings,
            warnings=(*made.warnings, *_hints(image, step, end)),
            reason=made.reason,
            message=made.message,
            log=_tail(log),
        )


def _image(target: str, folder: Path) -> Image:
    path = Path(target)
    if path.is_file() or (path / "index.json").is_file():
        return unpacked(path, folder)
    if path.is_dir():
        if not any((path / name).is_dir() for name in ("bin", "usr", "etc")):
            raise Failure(f"{path} is neither an OCI image layout (index.json) nor a root file system (bin, usr, etc)", code=2)
        return Image(root=path.resolve(), configured=False)
    engine = shutil.which("podman") or shutil.which("docker")
    if engine is None:
        words = "is no file or folder, and neither podman nor docker is here to ask for an image of that name"
        raise Failure(f"{target} {words}; write it on a machine that has one: `podman save --format oci-archive -o image.tar {target}`", code=2)
    archive = folder / "image.tar"
    form = ["--format", "oci-archive"] if engine.endswith("podman") else []
    done = subprocess.run([engine, "save", *form, "-o", str(archive), target], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise Failure(f"{Path(engine).name} has no image {target}: {plain(' '.join(done.stderr.split()))[-200:]}", code=2)
    return unpacked(archive, folder)


def _recognised(image: Image, wanted: str | None) -> tuple[str, str, dict[str, Any]]:
    """What the package says it is, the contract by which it is run, and what it asks for."""
    for place, generation in MANIFESTS.items():
        manifest = within(image.root, f"{place}/app.json")
        if manifest.is_file():
            document = _json(manifest)
            sdk = " ".join(str(document[name]) for name in ("sdk", "sdkVersion", "sdk-version") if document.get(name))
            asks = _json(within(image.root, f"{place}/pkg.json")).get("resources")
            return f"{generation} ({place}/app.json{f', {sdk}' if sdk else ''})", wanted or "MAP", asks if isinstance(asks, dict) else {}
    labels = [name for name in ("org.monai.deploy.app-sdk", "org.nvidia.holoscan") if name in image.labels]
    return (f"labelled {labels[0]}, but without app.json" if labels else "no manifest"), wanted or ("MAP" if labels else "Native"), {}


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes()[: 1 << 20])
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _of_manifest(image: Image) -> str:
    """In words; the launcher is who reads it and says what is wrong."""
    for place in MANIFESTS:
        command = _json(within(image.root, f"{place}/app.json")).get("command")
        with contextlib.suppress(ValueError):
            command = json.loads(command) if isinstance(command, str) else command
        if command:
            return shlex.join(map(str, command)) if isinstance(command, list) else str(command)
    return "none"


def _template(options: Options, image: Image, contract: str) -> RunTemplate:
    """The pipeline's, of one step; or one made of the options."""
    if options.pipeline:
        return _of_pipeline(options.pipeline, options.step)
    command = shlex.split(options.command) if options.command else None
    if command is None and contract != "MAP":
        command = [*image.entrypoint, *image.command]
        if not command:
            raise Failure("the image has no start command: give --command, as the pipeline has to", code=2)
    security = {"allowNetwork": options.allow_network} | ({} if options.user is None else {"runAsUser": options.user})
    step = {"name": "check", "image": "check", "contract": contract, "timeout": options.timeout, "security": security}
    try:
        return RunTemplate.model_validate({"steps": [step | ({"command": command} if command else {})], "report": {"algorithm": ALGORITHM}})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Failure(f"{'.'.join(map(str, first['loc'][2:]))}: {first['msg']}", code=2) from None


def _of_pipeline(path: Path, name: str | None) -> RunTemplate:
    from gantry.api import InferencePipeline

    from .pipeline_files import read_files

    found = [one.resource for one in read_files([str(path)]) if isinstance(one.resource, InferencePipeline)]
    template = found[0].spec.template
    chosen = [step for step in template.steps if name in (None, step.name)]
    if len(found) > 1 or len(chosen) != 1:
        steps = ", ".join(step.name for one in found for step in one.spec.template.steps)
        raise Failure(f"{path}: one step of one pipeline is checked at a time; name it with --step ({steps})", code=2)
    return template.model_copy(update={"steps": chosen})


def _study(options: Options, folder: Path, template: RunTemplate, workspace: Path, launcher: Path) -> Laid:
    from gantry.worker.workspace import Workspace

    source = options.study or folder / "study"
    if options.study is None:
        make_phantom(source)
    return lay_study(source, template, Workspace(workspace), launcher)


def _ended(laid: Laid, step: Step, workspace: Path, *, of_image: bool) -> tuple[StepEnd, str | None, str]:
    from gantry.worker.steps import judge, step_end
    from gantry.worker.workspace import Workspace

    barrier = Workspace(workspace).barrier(step.name)
    end, record = step_end(step.name, barrier, now=datetime.now(UTC))
    stop = judge(step, record, of_image=of_image)
    return (end, str(stop.failure.reason), stop.failure.message) if stop else (end, None, "")


@dataclass(frozen=True)
class _Made:
    outputs: tuple[str, ...] = ()
    findings: dict[str, int] | None = None
    warnings: tuple[str, ...] = ()
    reason: str | None = None
    message: str = ""


def _made(laid: Laid, workspace: Path) -> _Made:
    """By the checks of publish, up to where it would store."""
    from gantry.worker.headers import read_headers
    from gantry.worker.making import make
    from gantry.worker.outcome import Stop
    from gantry.worker.workspace import Workspace

    place = Workspace(workspace)
    step = laid.task.spec.template.steps[-1].name
    if name := _closed(place.output(step)):
        words = f"output of step {step}: {name} cannot be read by Gantry's user; the application has to leave its files readable for their group"
        return _Made(reason=str(RunReason.UNACCEPTED_OBJECT), message=f"{words} (umask 022)")
    try:
        made = make(laid.task, place, read_headers(place))
    except Stop as stop:
        return _Made(reason=str(stop.failure.reason), message=stop.failure.message)
    outputs = tuple(f"{one.kind}, {len(one.encode())} bytes" for one in made.objects)
    return _Made(outputs, made.counts.model_dump(by_alias=True) if made.counts else None, (*made.said, *made.warnings))


def _closed(output: Path) -> str | None:
    """A file that publish, another user than root, could not read in a pod, where the folder gives files its group."""
    for folder, _, names in os.walk(output):
        for name in names:
            state = (Path(folder) / name).lstat()
            if stat.S_ISREG(state.st_mode) and state.st_uid != USER and not state.st_mode & 0o044:
                return (Path(folder) / name).relative_to(output).as_posix()
    return None


def _hints(image: Image, step: Step, end: StepEnd) -> list[str]:
    """What would go otherwise in the cluster, or with other settings."""
    lines = []
    limit = (step.resources.limits or {}).get("memory")
    if limit is not None and end.max_rss_bytes > _bytes(str(limit)):
        lines.append(f"its largest process took {end.max_rss_bytes >> 20} MiB, more than resources.limits.memory {limit}: OutOfMemory in a cluster")
    if end.code != 0 and image.configured and image.user.partition(":")[0] in ("", "0", "root") and step.security.run_as_user is None:
        lines.append("the image's user is root, a Run's is 1000: if that is why it failed, try --run-as-user 0, which the namespace has to allow")
    if any(one.value_from for one in step.env):
        lines.append("variables from secrets were empty here")
    return lines


_UNITS = {"m": 1e-3, "k": 1e3, "Ki": 2**10, "M": 1e6, "Mi": 2**20, "G": 1e9, "Gi": 2**30, "T": 1e12, "Ti": 2**40}


def _bytes(quantity: str) -> float:
    digits = quantity.rstrip("mkKMGTi")
    return float(digits) * _UNITS.get(quantity[len(digits) :], 1)


def _tail(log: Path) -> tuple[str, ...]:
    size = log.stat().st_size
    with log.open("rb") as file:
        file.seek(max(0, size - LOG_LIMIT), os.SEEK_SET)
        lines = file.read().decode(errors="replace").splitlines()
    return tuple(plain(line)[:300] for line in lines[-LOG_LINES:])


def as_json(result: Result) -> str:
    """For programs."""
    return json.dumps(asdict(result), indent=2, ensure_ascii=False)


def told(result: Result) -> str:
    """For people."""
    code = "killed as a whole" if result.exit_code is None else str(result.exit_code)
    counts = ", ".join(f"{value} {name}" for name, value in (result.findings or {}).items()) or "none reported"
    rows = [
        ("package", result.package),
        ("contract", result.contract),
        ("command", result.command),
        ("user", result.user),
        *([("asks for", ", ".join(f"{name} {value}" for name, value in result.asks.items()))] if result.asks else []),
        ("input", result.study),
        ("exit code", code),
        ("time", f"{result.seconds:.1f} s, largest process {result.peak_bytes >> 20} MiB"),
        *(("result", one) for one in result.outputs),
        *([("findings", counts)] if result.reason is None else []),
        *(("warning", one) for one in result.warnings),
        *(("log", one) for one in (result.log if result.reason else ())),
        ("a Run", f"would fail: {result.reason}: {result.message}" if result.reason else "would succeed"),
    ]
    return "\n".join(f"{name:<10} {plain(words)}" for name, words in rows)
