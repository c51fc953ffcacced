"""What each pod of a Run has cost, kept in the Run's status while it is under way: a pod may be deleted, preempted or put out before the Run ends.

Pure. A pod that can be seen is counted by its own times. One that is gone is counted as it was last known; whose end nobody saw held its devices
until the Job made the next one, which it does when the last has ended (podReplacementPolicy: Failed), or until it was missed.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from gantry.api import parse_timestamp, timestamp
from gantry.api.pipeline import RunTemplate
from gantry.api.run import ClaimedDevices, GpuUse, PodUse
from gantry.api.step import Step

from .failure import FETCH, PUBLISH
from .observed import Observed
from .receipt import PublishReceipt, StepEnd, decode_publish
from .view import PodView

MOST_GONE = 8
"""Pods that are gone and told one by one; a Run that is preempted all night adds the older ones up."""
EARLIER = "earlier"


def pods_so_far(seen: Observed) -> list[PodUse]:
    """One entry a pod that has begun, for the status of a Run that goes on. What is still at work has no numbers yet."""
    there = [_at_work(seen, pod) if not pod.over else _ended(seen, pod) for pod in seen.own_pods if pod.started]
    return [*_folded(_gone(seen)), *there]


def all_pods(seen: Observed) -> list[PodUse]:
    """The same at the Run's end: what can be seen has ended, or is taken as if it had."""
    return [*_gone(seen), *(_ended(seen, pod) for pod in seen.own_pods)]


def gpus_of(step: Step) -> dict[str, int]:
    """The GPUs of a step by resource: extended resources named after a GPU (nvidia.com/gpu, nvidia.com/mig-1g.10gb, amd.com/gpu)."""
    limits = step.resources.limits or {}
    return {name: int(amount) for name, amount in limits.items() if "/" in name and ("gpu" in name or "/mig-" in name) and str(amount).isdigit()}


def total(pods: Iterable[PodUse]) -> list[GpuUse]:
    """By resource, in the order in which they come."""
    sums: dict[str, tuple[float, float]] = {}
    for gpu in (gpu for pod in pods for gpu in pod.gpus or ()):
        used, reserved = sums.get(gpu.resource, (0.0, 0.0))
        sums[gpu.resource] = used + gpu.gpu_seconds, reserved + gpu.reserved_gpu_seconds
    return [
        GpuUse(resource=name, gpu_seconds=round(used, 3), reserved_gpu_seconds=round(reserved, 3)) for name, (used, reserved) in sums.items()
    ]


def steps_of(pod: PodView) -> Iterator[StepEnd]:
    """Each step's own time: by its launcher, else by its container's state."""
    told: PublishReceipt | None = decode_publish(pod.container(PUBLISH).message)
    ends = {end.name: end for end in told.steps} if told else {}
    for container in pod.containers:
        if container.name in (FETCH, PUBLISH):
            continue
        if container.name in ends:
            yield ends[container.name]
        elif container.started and container.finished:
            seconds = max(0.0, (container.finished - container.started).total_seconds())
            yield StepEnd(name=container.name, start_time=timestamp(container.started), seconds=seconds, code=container.exit_code)


# ---- one pod ----


def _at_work(seen: Observed, pod: PodView) -> PodUse:
    begun = pod.scheduled or pod.started
    return PodUse(name=pod.name, scheduled=timestamp(begun) if begun else None, claimed=_claimed(seen, pod.name))


def _ended(seen: Observed, pod: PodView) -> PodUse:
    template, claimed = seen.run.parsed.template, _claimed(seen, pod.name)
    used: dict[str, float] = {}
    for end in steps_of(pod):
        for name, number in _of_step(template, end.name, claimed or ()).items():
            used[name] = used.get(name, 0.0) + number * end.seconds
    reserved = _seconds(pod, since=pod.scheduled or pod.started)
    return PodUse(
        name=pod.name, claimed=claimed, gpus=_gpus(template, claimed or (), reserved, used), pod_seconds=round(_seconds(pod, since=pod.started), 3)
    )


def _claimed(seen: Observed, pod: str) -> list[ClaimedDevices] | None:
    """Read in this pass, or in an earlier one and written down. None: not yet; empty: it has none, or they may not be read."""
    if seen.claimed is not None and pod in seen.claimed:
        return list(seen.claimed[pod])
    return next((one.claimed for one in _before(seen) if one.name == pod), None)


def _of_step(template: RunTemplate, name: str, claimed: Iterable[ClaimedDevices]) -> dict[str, int]:
    step = next((one for one in template.steps if one.name == name), None)
    if step is None:
        return {}
    mine = gpus_of(step)
    for one in claimed:
        if any(one.claim == asked.name and asked.request in (None, one.request) for asked in step.resources.claims or ()):
            mine[one.resource] = mine.get(one.resource, 0) + one.count
    return mine


def _gpus(template: RunTemplate, claimed: Iterable[ClaimedDevices], reserved: float, used: dict[str, float]) -> list[GpuUse] | None:
    """What the pod held: what its steps ask for by limits, and all of its claims, whichever step gets them."""
    held: dict[str, int] = {}
    for name, number in (item for step in template.steps for item in gpus_of(step).items()):
        held[name] = held.get(name, 0) + number
    for one in claimed:
        held[one.resource] = held.get(one.resource, 0) + one.count
    made = [
        GpuUse(resource=name, gpu_seconds=round(used.get(name, 0.0), 3), reserved_gpu_seconds=round(number * reserved, 3))
        for name, number in held.items()
    ]
    return made or None


def _seconds(pod: PodView, *, since: datetime | None) -> float:
    """The scheduler sets aside the sum of what the containers ask for until all have ended."""
    ends = [c.finished for c in pod.containers if c.finished]
    return max(0.0, (max(ends) - since).total_seconds()) if since and ends else 0.0


# ---- pods that are gone ----


def _before(seen: Observed) -> list[PodUse]:
    return (seen.run.status.pods if seen.run.status else None) or []


def _gone(seen: Observed) -> list[PodUse]:
    there = {pod.name for pod in seen.own_pods}
    return [_closed(seen, one) for one in _before(seen) if one.name not in there]


def _closed(seen: Observed, one: PodUse) -> PodUse:
    """With the numbers it has, those of its last view, or else what it held until it was missed; how long its steps ran is not known then."""
    if one.pod_seconds is not None or one.scheduled is None:
        return one
    if (last := next((pod for pod in seen.vanished if pod.name == one.name), None)) is not None:
        return _ended(seen, last)
    begun = parse_timestamp(one.scheduled)
    next_pods = [pod.created for pod in seen.own_pods if pod.created > begun]
    job_ended = [seen.own_job.ended_at] if seen.own_job is not None and seen.own_job.ended_at else []
    seconds = max(0.0, (min([seen.now, *next_pods, *job_ended]) - begun).total_seconds())
    gpus = _gpus(seen.run.parsed.template, one.claimed or (), seconds, {})
    return PodUse(name=one.name, claimed=one.claimed, gpus=gpus, pod_seconds=round(seconds, 3))


def _folded(gone: list[PodUse]) -> list[PodUse]:
    if len(gone) <= MOST_GONE:
        return gone
    old, rest = gone[: len(gone) - MOST_GONE + 1], gone[len(gone) - MOST_GONE + 1 :]
    seconds = round(sum(pod.pod_seconds or 0.0 for pod in old), 3)
    return [PodUse(name=EARLIER, gpus=total(old) or None, pod_seconds=seconds), *rest]
