"""The Job a Run becomes: one pod of fetch, the steps under the launcher, and publish.

Pure: a dictionary comes out, the same for the same Run, so that making it twice asks for the same object. It must not decide when a Job is
made (`plan` does) nor what the containers do (`worker`, launcher/). Everything meets Pod Security `restricted`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gantry.api import API_VERSION, RunReason, labels, parse_duration
from gantry.api.bridge import Tls
from gantry.api.pipeline import RunTemplate, Workspace
from gantry.api.run import InferenceRun, RunSpec
from gantry.api.step import EnvVar, Step

from .after import Earlier
from .alternatives import wants_alternatives
from .contracts import Contract, contract_of
from .models import model_environment
from .names import job_name, notice_name
from .placing import waits_for_node, with_gpu_memory
from .queueing import queue_labels, suspended
from .task import NO_PREDECESSORS, VARIABLE, Predecessors, Task
from .trace import traceparent
from .view import BridgeView, RunView
from .volumes import BARRIER, TASK_JSON, barrier, mount, mounts_of, output, volume, volumes_of, written

USER = 1000
"""User and group of every container, if the step names no other user."""
PERMANENT_CODES = list(range(64, 79))
"""sysexits(3): the input is not usable, a further attempt would end the same."""
KEEP_JOB = 7 * 24 * 3600
"""Seconds after which the control plane deletes a finished Job by itself: a net for an operator that is away; it deletes Jobs much earlier."""
NOTICE_SECONDS = 30 * 60
"""For the report that a Run failed: what kept the Run from Orthanc may last, and somebody waits for the Run's end."""
NOTICE_RETRIES = 6
KEEP_NOTICE = 24 * 3600
"""Seconds its Job is kept for its logs."""
TASK_LIMIT = 120_000
"""Bytes; Linux takes at most 128 KiB in one variable (MAX_ARG_STRLEN), the rest is its name and slack."""
TLS_FOLDER = "/gantry/tls"
"""Certificates of the bridge's spec.tls, in fetch and publish; no step sees them."""
TRACEPARENT = "TRACEPARENT"
CA, CERTIFICATE, PRIVATE_KEY = "ca.crt", "tls.crt", "tls.key"
"""Files in it; the last two are also the keys of a secret of type kubernetes.io/tls."""
FETCH_RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
"""fetch stays below 100 MB for any study (docs/benchmarks.md); the limit leaves room for page cache counted by the cgroup."""
PUBLISH_RESOURCES = {"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"memory": "1Gi"}}
"""highdicom takes 130 MB; a passed-through segmentation is held once."""


class UnfitRun(ValueError):
    """No Job can be made of this Run; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What a Job needs to know of the installation of Gantry."""

    identity: str
    worker_image: str
    worker_pull_policy: str = "IfNotPresent"
    tracing: bool = False
    """Whether containers are told the trace they belong to."""


def job(
    run: RunView, bridge: BridgeView, installation: Installation, *, after: Earlier | None = None, predecessors: Predecessors = NO_PREDECESSORS
) -> dict[str, Any]:
    """The Job to POST. `after`: the Run that spec.after names; `predecessors`: reports of the Run that spec.supersedes names.

    Raises UnfitRun when the Run cannot be told to its pod.
    """
    spec = run.parsed
    environment = _worker_environment(run, spec, bridge, installation, after, predecessors)
    worker = _Worker(installation, environment, spec.template.scheduling.workspace, bridge.spec.tls, run.uid if installation.tracing else "")
    marks = _marks(run)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(run, job_name(run.name), marks | queue_labels(spec)),
        "spec": {
            **suspended(spec),
            "backoffLimit": spec.template.retries,
            "podReplacementPolicy": "Failed",  # no second GPU while the first pod still ends
            "activeDeadlineSeconds": _whole_deadline(spec.template),
            "ttlSecondsAfterFinished": KEEP_JOB,
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": PERMANENT_CODES}},
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            "template": {"metadata": {"labels": marks}, "spec": _pod(spec, worker)},
        },
    }


def notice_job(run: RunView, bridge: BridgeView, installation: Installation, reason: RunReason) -> dict[str, Any]:
    """The Job that reports that the analysis was not performed. It runs anywhere: the node a Run waited for in vain is not its own need.

    Raises UnfitRun when the Run cannot be told to its pod.
    """
    spec, marks = run.parsed, _marks(run)
    workspace = spec.template.scheduling.workspace
    worker = _Worker(installation, _worker_environment(run, spec, bridge, installation, not_performed=reason), workspace, bridge.spec.tls)
    scheduling = {
        "tolerations": spec.template.scheduling.tolerations,
        "priorityClassName": _priority_class(spec),
        "imagePullSecrets": [{"name": secret.name} for secret in spec.template.scheduling.image_pull_secrets],
    }
    pod = {
        **_POD,
        "containers": [worker.container("publish", PUBLISH_RESOURCES, writable=[], readable=[], command="not-performed")],
        "volumes": [volume("tmp-publish", workspace), *worker.certificates],
        **{name: value for name, value in scheduling.items() if value},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(run, notice_name(run.name), marks),
        "spec": {
            "backoffLimit": NOTICE_RETRIES,
            "podReplacementPolicy": "Failed",
            "activeDeadlineSeconds": NOTICE_SECONDS,
            "ttlSecondsAfterFinished": KEEP_NOTICE,
            "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": PERMANENT_CODES}}]},
            "template": {"metadata": {"labels": marks}, "spec": pod},
        },
    }


def _marks(run: RunView) -> dict[str, str]:
    marks = {labels.RUN: run.name, labels.MANAGED_BY: "gantry", labels.PART_OF: "gantry"}
    return marks | ({labels.PIPELINE: run.pipeline} if run.pipeline else {})


def _metadata(run: RunView, name: str, marks: dict[str, str]) -> dict[str, Any]:
    # No blockOwnerDeletion: where OwnerReferencesPermissionEnforcement is on (OpenShift) it would ask for inferenceruns/finalizers.
    owner = {"apiVersion": API_VERSION, "kind": InferenceRun.kind, "name": run.name, "uid": run.uid, "controller": True}
    return {"name": name, "namespace": run.namespace, "labels": marks, "ownerReferences": [owner]}


UNPRIVILEGED: dict[str, Any] = {
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "terminationGracePeriodSeconds": 5,
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}
"""What every pod of Gantry has in common, as Pod Security `restricted` asks for it."""
_POD = {"restartPolicy": "Never", **UNPRIVILEGED}


def _pod(spec: RunSpec, worker: "_Worker") -> dict[str, Any]:
    template, scheduling = spec.template, spec.template.scheduling
    outputs = [(output(s), f"/gantry/outputs/{s.name}") for s in template.steps]
    barriers = [(barrier(s), f"/gantry/barriers/{s.name}") for s in template.steps]
    of_first = contract_of(template.steps[0]).data
    fetch = worker.container("fetch", FETCH_RESOURCES, writable=["input", "private", "tools", *(["data"] if of_first else [])], readable=[])
    seen_by_publish = [("input", "/gantry/input"), ("private", "/gantry/private"), *outputs, *barriers]
    publish = worker.container("publish", PUBLISH_RESOURCES, writable=[], readable=seen_by_publish)
    pod: dict[str, Any] = {
        **_POD,
        "activeDeadlineSeconds": _seconds(template.timeout),  # the kubelet counts from when it has the pod
        "initContainers": [fetch],
        "containers": [
            *(step_container(template, position, trace=worker.trace(f"step/{step.name}")) for position, step in enumerate(template.steps)),
            publish,
        ],
        "volumes": [*volumes_of(template), *worker.certificates],
    }
    optional = {
        "nodeSelector": scheduling.node_selector,
        "tolerations": scheduling.tolerations,
        "affinity": with_gpu_memory(template),
        "resourceClaims": [claim.model_dump(by_alias=True, exclude_none=True) for claim in scheduling.resource_claims],
        "runtimeClassName": scheduling.runtime_class_name,
        "priorityClassName": _priority_class(spec),
        "imagePullSecrets": [{"name": secret.name} for secret in scheduling.image_pull_secrets],
    }
    return pod | {name: value for name, value in optional.items() if value}


def _whole_deadline(template: RunTemplate) -> int:
    """Of the Job: it counts from its start, so the wait for a node is in it, and every attempt."""
    return _seconds(waits_for_node(template)) + (template.retries + 1) * _seconds(template.timeout)


def _priority_class(spec: RunSpec) -> str | None:
    """Of the class the Run has now: it may have been raised while it waited."""
    by_class = spec.priority_class_names.model_dump(by_alias=True) if spec.priority_class_names else {}
    return by_class.get(spec.priority) or spec.template.scheduling.priority_class_name


@dataclass(frozen=True, slots=True)
class _Worker:
    """Makes the two containers that are Gantry's own."""

    installation: Installation
    environment: list[dict[str, Any]]
    workspace: Workspace
    tls: Tls | None
    traced: str = ""
    """The Run's uid, when traces are told."""

    def trace(self, stage: str) -> list[dict[str, Any]]:
        """What is told of itself comes under the stage's span, by whatever reads TRACEPARENT (OpenTelemetry, OTEP 0258)."""
        return [{"name": TRACEPARENT, "value": traceparent(self.traced, stage)}] if self.traced else []

    @property
    def certificates(self) -> list[dict[str, Any]]:
        """The volume of spec.tls, if there is one: the kubelet reads the secrets when the pod starts, the operator hands none on."""
        if self.tls is None:
            return []
        authorities, client = self.tls.ca_secret_ref, self.tls.client_certificate_secret_ref
        parts = [(authorities.name, {CA: authorities.key})] if authorities else []
        parts += [(client.name, {CERTIFICATE: CERTIFICATE, PRIVATE_KEY: PRIVATE_KEY})] if client else []
        sources = [{"secret": {"name": name, "items": [{"key": key, "path": path} for path, key in files.items()]}} for name, files in parts]
        return [{"name": "tls", "projected": {"sources": sources, "defaultMode": 0o440}}]

    def container(
        self, role: str, resources: dict[str, Any], *, writable: list[str], readable: list[tuple[str, str]], command: str = ""
    ) -> dict[str, Any]:
        if self.workspace.medium == "Memory":
            resources = {"requests": resources["requests"]}  # what is written to a tmpfs counts against the writer's limit
        return {
            "name": role,
            "image": self.installation.worker_image,
            "imagePullPolicy": self.installation.worker_pull_policy,
            "command": ["python3", "-m", "gantry.worker", command or role],
            "env": [*self.environment, *self.trace(role)],
            "resources": resources,
            "securityContext": _security(read_only=True),
            "volumeMounts": [
                *(mount(name, f"/gantry/{name}") for name in writable),
                *(mount(name, path, read_only=True) for name, path in readable),
                mount(f"tmp-{role}", "/tmp"),  # noqa: S108 - a path within the container, on a volume of its own
                *([mount("tls", TLS_FOLDER, read_only=True)] if self.tls else []),
            ],
        }


def _worker_environment(
    run: RunView,
    spec: RunSpec,
    bridge: BridgeView,
    installation: Installation,
    after: Earlier | None = None,
    predecessors: Predecessors = NO_PREDECESSORS,
    not_performed: RunReason | None = None,
) -> list[dict[str, Any]]:
    alternatives = wants_alternatives(spec, bridge.spec, bridge.decided)
    task = Task(
        installation=installation.identity,
        namespace=run.namespace,
        run=run.name,
        uid=run.uid,
        created=run.created,
        orthanc_url=bridge.spec.url,
        connections=bridge.spec.limits.connections_per_fetch,
        spec=spec,
        commands_of_images=run.commands_of_images,
        after=after,
        predecessors=predecessors.reports,
        alternatives=alternatives,
        alternative_predecessors=predecessors.alternatives if alternatives else (),
        not_performed=not_performed,
    ).model_dump_json(by_alias=True, exclude_none=True)
    if len(task.encode()) > TASK_LIMIT:
        raise UnfitRun(f"the Run's spec takes {len(task.encode())} bytes and {TASK_LIMIT} fit into its pod: shorten settings, args or seriesIDs")
    # The kubelet reads `$$` and `$(NAME)` in a variable's value (k8s.io/kubernetes/third_party/forked/golang/expansion): doubled, `$` stays `$`.
    made: list[dict[str, Any]] = [{"name": VARIABLE, "value": task.replace("$", "$$")}]
    if secret := bridge.spec.credentials_secret_ref:
        made += [
            {"name": f"ORTHANC_{key.upper()}", "valueFrom": {"secretKeyRef": {"name": secret.name, "key": key}}} for key in ("username", "password")
        ]
    return made


def step_container(template: RunTemplate, position: int, *, trace: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """An application under the launcher: it sees the input, its own output, and the outputs of the steps before it. `trace`: variables that tell it
    the span it belongs to."""
    step, earlier = template.steps[position], template.steps[:position]
    contract = contract_of(step)
    if step.command is None and not contract.manifests:
        raise UnfitRun(f"step {step.name} has no command, and its image's was not known when the Run was made; write command and make a new Run")
    launcher = ["/gantry/bin/launcher", "--barrier", BARRIER]
    if earlier:
        launcher += ["--before", "/gantry/before"]
    if earlier and contract.data:
        for source, name in ((f"/gantry/steps/{earlier[-1].name}", ""), (TASK_JSON, "/task.json")):
            launcher += ["--copy", f"{source}:{contract.data}{name}"]
    launcher += ["--timeout", f"{_seconds(step.timeout)}s"]
    if step.security.allow_network:
        launcher.append("--allow-network")
    launcher += [f"--write={path}" for path in written(template, position)]
    if not _read_only_root(step, contract):
        launcher.append("--write-image")
    told = {one["name"] for one in trace}
    environment = [*(one for one in _step_environment(step, contract) if one["name"] not in told), *trace]
    launcher += contract.launcher([variable["name"] for variable in environment])
    made: dict[str, Any] = {
        "name": step.name,
        "image": step.image,
        "command": [*launcher, *(["--", *step.command, *step.args] if step.command else [])],
        "env": environment,
        "securityContext": _step_security(step, contract),
        "volumeMounts": mounts_of(template, position),
    }
    if resources := step.resources.model_dump(by_alias=True, exclude_none=True, include={"requests", "limits"}):
        made["resources"] = {kind: {name: str(amount) for name, amount in amounts.items()} for kind, amounts in resources.items()}
    if step.resources.claims:
        claims = [claim.model_dump(by_alias=True, exclude_none=True) for claim in step.resources.claims]
        made["resources"] = {**made.get("resources", {}), "claims": claims}
    return made


def _step_environment(step: Step, contract: Contract) -> list[dict[str, Any]]:
    """The user's own, but paths of the contract are Gantry's; HOME may be set to something else than /tmp, the only place that is always writable."""
    ours = {"GANTRY_INPUT": "/gantry/input", "GANTRY_OUTPUT": "/gantry/output", "GANTRY_SETTINGS": "/gantry/settings.json", **contract.environment}
    theirs = {variable.name: _variable(variable) for variable in step.env if variable.name not in ours}
    defaults = {**({"HOME": contract.home} if contract.home else {}), **model_environment(step)}
    home = {name: {"name": name, "value": value} for name, value in defaults.items()}
    return [{"name": name, "value": value} for name, value in ours.items()] + list((home | theirs).values())


def _variable(variable: EnvVar) -> dict[str, Any]:
    if variable.value_from:
        source = variable.value_from.secret_key_ref
        return {"name": variable.name, "valueFrom": {"secretKeyRef": {"name": source.name, "key": source.key}}}
    return {"name": variable.name, "value": variable.value or ""}


def _security(*, read_only: bool) -> dict[str, Any]:
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": read_only}


def _step_security(step: Step, contract: Contract) -> dict[str, Any]:
    user = step.security.run_as_user
    made = _security(read_only=_read_only_root(step, contract))
    if user is None:
        return made
    return made | {"runAsUser": user} | ({"runAsNonRoot": False} if user == 0 else {})


def _read_only_root(step: Step, contract: Contract) -> bool:
    asked = step.security.read_only_root_filesystem
    return contract.read_only_root if asked is None else asked


def _seconds(duration: str) -> int:
    return max(1, round(parse_duration(duration).total_seconds()))
