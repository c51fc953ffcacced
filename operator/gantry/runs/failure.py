"""Why an attempt failed: a pod's container states and receipts become a reason, a step, an exit code and words to act on.

Pure. The list FAILURES is asked in order and the first answer is the reason: what the kubelet knows best (memory, eviction) comes before what
the pod's own containers say, and that before what can only be guessed from an exit code. It must not decide whether there is a further attempt.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from gantry.api import RunReason, parse_duration
from gantry.api.run import Failure

from .commands import not_executable, not_found
from .jobspec import PERMANENT_CODES
from .receipt import PublishReceipt, decode_fetch, decode_publish, failed
from .view import ContainerView, PodView, RunView

FETCH, PUBLISH = "fetch", "publish"
SKIPPED = 123
"""The launcher's code for a step that an earlier one kept from running: the earlier one is the one to blame."""
AT_ONCE = timedelta(seconds=10)
"""Within which all containers of a pod that is ended from outside are gone: its grace is 5 s."""
TOO_LITTLE = ("unable to set memory limit", "oom-killed", "memory limit too low")
"""Words of runc when a memory limit leaves no room even for the container to be made."""
DID_NOT_START = frozenset({"StartError", "ContainerCannotRun"})
"""Reasons of a terminated container that never ran (containerd, CRI-O)."""
KILLED = (137, 143)
"""128 + SIGKILL or SIGTERM."""
LAUNCHER_CODES = {
    121: "did not run: what the step before it left cannot be handed on",
    122: "was not started: its image has no usable manifest (app.json)",
    123: "did not run: an earlier step did not end with 0",
    124: "was ended by its timeout",
    125: "was not started: the launcher could not set it up",
}
"""The launcher's own exit codes (launcher/, as coreutils timeout(1) and sh have them), but for a command that is not found."""


def failure_of(pod: PodView, run: RunView) -> Failure | None:
    """Why this attempt failed; None while it works or when it succeeded."""
    return next(filter(None, (check(pod, run) for check in FAILURES)), None)


def success_of(pod: PodView) -> PublishReceipt | None:
    """publish's receipt of an attempt that succeeded. Nothing else makes a Run succeed, no phase and no condition of the Job."""
    publish = pod.container(PUBLISH)
    receipt = decode_publish(publish.message) if publish.ended and publish.exit_code == 0 else None
    return receipt if receipt is not None and receipt.failure is None else None


def is_permanent(pod: PodView) -> bool:
    """Whether a container said that a further attempt would end the same; the Job's podFailurePolicy has the same codes."""
    return any(c.ended and c.exit_code in PERMANENT_CODES for c in pod.containers)


def never_started(pod: PodView) -> bool:
    """Whether a container could not be started at all: publish would wait for it until the Run's timeout."""
    return any(c.ended and c.reason in DID_NOT_START for c in pod.containers)


def ended_but_for_others(pod: PodView, run: RunView) -> datetime | None:
    """When the last of Gantry's and the pipeline's containers ended, if another that was put into the pod (a mesh's proxy) still runs."""
    own = {FETCH, PUBLISH, *(step.name for step in run.parsed.template.steps)}
    ends = [c.finished for c in pod.containers if c.name in own and c.finished]
    others = any(c.state == "running" for c in pod.containers if c.name not in own)
    return max(ends) if others and len(ends) == len(own) else None


def died_unnoticed(pod: PodView) -> ContainerView | None:
    """A step that ended badly, and publish was ended much later by somebody who did not wait for it: its receipt knows nothing of that step."""
    publish = pod.container(PUBLISH)
    receipt = decode_publish(publish.message) if publish.ended and publish.finished else None
    if receipt is None or receipt.failure is None or publish.finished is None:
        return None
    known = {end.name for end in receipt.steps}
    ended = (c for c in _steps(pod) if c.ended and c.exit_code not in (0, None, SKIPPED) and c.name not in known)
    return next((c for c in ended if c.finished and c.finished + AT_ONCE < publish.finished), None)


def logs(run: RunView, pod: PodView, container: str) -> str:
    """How to read what a container wrote."""
    return f"see `kubectl logs -n {run.namespace} {pod.name} -c {container}`"


def _steps(pod: PodView) -> list[ContainerView]:
    return [c for c in pod.containers if c.name not in (FETCH, PUBLISH)]


def _decided(pod: PodView) -> bool:
    """A step's end alone decides nothing while publish still writes down why."""
    return pod.over or pod.container(PUBLISH).ended


def container_did_not_start(pod: PodView, run: RunView) -> Failure | None:
    """StartError: no launcher for this machine's architecture, a missing RuntimeClass handler."""
    broken = next((c for c in pod.containers if c.ended and c.reason in DID_NOT_START), None)
    if broken is None:
        return None
    told = broken.message or broken.reason
    if any(words in told.lower() for words in TOO_LITTLE):
        limit = _memory_limit(run, broken.name)
        message = f"{_name(broken)} could not be started within its memory limit{limit}; raise resources.limits.memory of the step ({told})"
        return failed(RunReason.OUT_OF_MEMORY, message, step=broken.name, exit_code=broken.exit_code)
    return failed(RunReason.CONTAINER_CONFIG, f"{_name(broken)} could not be started: {told}", step=broken.name, exit_code=broken.exit_code)


def evicted(pod: PodView, run: RunView) -> Failure | None:
    """The kubelet put the pod out (memory, disk, an emptyDir over its limit), or it was preempted or drained."""
    if not pod.over or not (pod.reason == "Evicted" or pod.disrupted) or success_of(pod):
        return None
    words = pod.message or pod.disruption or pod.disrupted
    advice = "; raise template.scheduling.workspace.sizeLimit" if "emptydir" in words.lower() else ""
    return failed(RunReason.EVICTED, f"node {pod.node} put the pod out: {words}{advice}")


def pod_deadline(pod: PodView, run: RunView) -> Failure | None:
    """The kubelet ended it: at template.timeout, or at a shorter deadline that a policy of the cluster gives pods."""
    if not _decided(pod):
        return None
    if (late := _ended_at_timeout(pod, run)) is not None:
        message = f"not finished after template.timeout ({run.parsed.template.timeout}): {late.name} was at work"
        return failed(RunReason.DEADLINE_EXCEEDED, message, step=late.name, exit_code=late.exit_code)
    if not pod.over or pod.reason != "DeadlineExceeded":
        return None
    message = f"a policy of the cluster gives pods a deadline (spec.activeDeadlineSeconds), which is shorter than template.timeout: {pod.message}"
    return failed(RunReason.DEADLINE_EXCEEDED, message)


def _ended_at_timeout(pod: PodView, run: RunView) -> ContainerView | None:
    """Who was at work when the pod's time was over. By the times, for the kubelet tells of the containers before it tells why."""
    killed = [c for c in pod.containers if c.ended and c.exit_code in KILLED and c.finished]
    if not killed or pod.started is None:
        return None
    end = pod.started + parse_duration(run.parsed.template.timeout)
    return next((c for c in killed if c.finished and c.finished >= end), None)


def node_refused(pod: PodView, run: RunView) -> Failure | None:
    """The kubelet did not admit the pod (NodeAffinity, OutOfcpu, UnexpectedAdmissionError): none of its containers ever was."""
    if not pod.over or pod.containers or not pod.reason:
        return None
    words = ": ".join(filter(None, (pod.reason, pod.message)))
    return failed(RunReason.NODE_REFUSED, f"node {pod.node or 'unknown'} did not admit pod {pod.name}: {words}")


def out_of_memory(pod: PodView, run: RunView) -> Failure | None:
    """OOMKilled: of a step it is believed before publish's receipt, which only sees signal 9."""
    killed = next((c for c in pod.containers if c.ended and c.reason == "OOMKilled"), None)
    if killed is None or not (_decided(pod) or killed.name == FETCH):
        return None
    if killed.name in (FETCH, PUBLISH):
        message = f"{killed.name} was killed at its memory limit; {logs(run, pod, killed.name)}"
    else:
        limit = _memory_limit(run, killed.name)
        message = f"step {killed.name} was killed at its memory limit{limit}; raise resources.limits.memory of the step"
    return failed(RunReason.OUT_OF_MEMORY, message, step=killed.name, exit_code=killed.exit_code)


def fetch_failed(pod: PodView, run: RunView) -> Failure | None:
    """fetch ended with another code than 0; its receipt says why, if it came to write one."""
    fetch = pod.container(FETCH)
    if not fetch.ended or not fetch.exit_code:
        return None
    receipt = decode_fetch(fetch.message)
    if receipt and receipt.failure:
        return _with_hint(receipt.failure, run, pod, FETCH, fetch.exit_code)
    message = f"fetch ended with exit code {fetch.exit_code} before it could say why; {logs(run, pod, FETCH)}"
    return failed(RunReason.FETCH_FAILED, message, step=FETCH, exit_code=fetch.exit_code)


def step_was_waited_for(pod: PodView, run: RunView) -> Failure | None:
    """A step ended badly, long before publish was ended from outside: what publish then says of itself is not the cause (runs/unnoticed.py)."""
    step = died_unnoticed(pod)
    return _ended_badly(step, run, pod) if step else None


def told_by_publish(pod: PodView, run: RunView) -> Failure | None:
    """publish's receipt names the step that failed, or what is wrong with the outputs."""
    publish = pod.container(PUBLISH)
    receipt = decode_publish(publish.message) if publish.ended else None
    if receipt is None or receipt.failure is None:
        return None
    return _with_hint(receipt.failure, run, pod, PUBLISH, publish.exit_code)


def step_failed(pod: PodView, run: RunView) -> Failure | None:
    """No receipt: the first step with a code other than 0 and 123 is the one."""
    if not _decided(pod):
        return None
    guilty = next((c for c in _steps(pod) if c.ended and c.exit_code not in (0, None, SKIPPED)), None)
    return _ended_badly(guilty, run, pod) if guilty else None


def _ended_badly(guilty: ContainerView, run: RunView, pod: PodView) -> Failure:
    code = guilty.exit_code or 0
    what = _not_started(run, guilty.name, code) or LAUNCHER_CODES.get(code, f"ended with exit code {code}")
    reason = RunReason.STEP_TIMED_OUT if code == 124 else RunReason.STEP_REJECTED_INPUT if code in PERMANENT_CODES else RunReason.STEP_FAILED
    return failed(reason, f"step {guilty.name} {what}; {logs(run, pod, guilty.name)}", step=guilty.name, exit_code=code)


def publish_failed(pod: PodView, run: RunView) -> Failure | None:
    """publish ended, whatever its code, and left no receipt of success."""
    publish = pod.container(PUBLISH)
    if not publish.ended or success_of(pod):
        return None
    message = f"publish ended with exit code {publish.exit_code} and without a receipt; {logs(run, pod, PUBLISH)}"
    return failed(RunReason.PUBLISH_FAILED, message, step=PUBLISH, exit_code=publish.exit_code)


def pod_failed(pod: PodView, run: RunView) -> Failure | None:
    """The pod is over and no container tells why."""
    if not pod.over or success_of(pod):
        return None
    words = ": ".join(filter(None, (pod.reason, pod.message))) or f"phase {pod.phase} without an ended publish container"
    return failed(RunReason.PUBLISH_FAILED, f"pod {pod.name} ended before publish could report: {words}")


FAILURES: tuple[Callable[[PodView, RunView], Failure | None], ...] = (
    container_did_not_start,
    evicted,
    pod_deadline,
    node_refused,
    out_of_memory,
    fetch_failed,
    step_was_waited_for,
    told_by_publish,
    step_failed,
    publish_failed,
    pod_failed,
)


def _name(container: ContainerView) -> str:
    return container.name if container.name in (FETCH, PUBLISH) else f"step {container.name}"


def _not_started(run: RunView, name: str, code: int) -> str:
    """Of its command, by the launcher's codes of it; empty for others."""
    step = next((one for one in run.parsed.template.steps if one.name == name), None)
    words = {126: not_executable, 127: not_found}.get(code)
    return words(step, of_image=name in run.commands_of_images) if step and words else ""


def _memory_limit(run: RunView, step: str) -> str:
    limits = next((s.resources.limits for s in run.parsed.template.steps if s.name == step), None) or {}
    return f" of {limits['memory']}" if "memory" in limits else ""


def _with_hint(failure: Failure, run: RunView, pod: PodView, teller: str, code: int | None) -> Failure:
    """The receipt's own words, and where to read on. Of a step that was killed as a whole only its container's state tells the code."""
    code = (pod.container(failure.step).exit_code if failure.step else None) or code
    container = failure.step if any(c.name == failure.step for c in pod.containers) else teller
    message = failure.message if "kubectl logs" in failure.message else f"{failure.message}; {logs(run, pod, container or teller)}"
    return failure.model_copy(
        update={
            "message": message if len(message) <= 1024 else failure.message,
            "step": failure.step or teller,
            "exit_code": failure.exit_code if failure.exit_code is not None else code,
        }
    )
