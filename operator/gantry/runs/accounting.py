"""When each stage of a Run's journey was and what it cost, from the times of Job, containers and receipts.

Pure. Times of the API have whole seconds, those of the launcher and of the bridge milliseconds; a stage takes the finest there is. GPU-seconds are
the applications' real time; beside it stands what the pod held: reservedGpuSeconds, and podSeconds whether it had a GPU or not.
"""

from datetime import UTC, datetime, timedelta

from gantry.api import parse_timestamp
from gantry.api.run import Stage, Usage

from .failure import FETCH, PUBLISH
from .observed import Observed
from .receipt import FetchReceipt, decode_fetch, decode_publish
from .spent import all_pods, steps_of, total
from .view import PodView


def moment(time: datetime) -> str:
    """RFC 3339 in UTC, milliseconds only where there are some."""
    text = time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return text.replace(".000Z", "Z")


def attempts(seen: Observed) -> int:
    """Pods made so far; pods and their Job may be gone, what was counted stays."""
    job, before = seen.own_job, seen.run.status
    return max(len(seen.own_pods), job.pods if job else 0, (before.attempts or 0) if before else 0)


def way_in(seen: Observed) -> list[Stage]:
    """The stages until the pod works: they do not change any more when it ends."""
    run, job, pod = seen.run, seen.own_job, seen.pod
    made = []
    if run.seen and (first := _read(run.seen)):
        if run.stable and (stable := _read(run.stable)):
            made.append(_stage("stable", stable, first))
        # To the decision, which has milliseconds, rather than to the Run's creation, which has not; the POST between takes some 7 ms.
        decided = _read(run.decided) if run.decided else None
        made.append(_stage("seen", first, decided or run.created))
    if job is not None:
        made.append(_stage("created", run.created, job.created))
        begun = min((c.started for c in pod.containers if c.started), default=None) if pod else None
        if begun:
            made.append(_stage("started", job.created, begun))
    return made


def whole_way(seen: Observed) -> list[Stage]:
    """All stages of the newest attempt up to publish."""
    pod = seen.pod
    if pod is None:
        return way_in(seen)
    made = way_in(seen)
    fetch, publish = pod.container(FETCH), pod.container(PUBLISH)
    if fetch.started and fetch.finished:
        receipt = decode_fetch(fetch.message)
        made.append(_stage("fetch", fetch.started, fetch.finished, seconds=receipt.seconds if receipt else None))
    timed = [(end, begun) for end in steps_of(pod) if (begun := _read(end.start_time))]
    made += [_stage(f"step/{end.name}", begun, begun, seconds=end.seconds) for end, begun in timed]
    if publish.started and publish.finished:
        begun = max((time + timedelta(seconds=end.seconds) for end, time in timed), default=publish.started)
        told = decode_publish(publish.message)
        made.append(_stage("publish", begun, publish.finished, seconds=told.seconds if told else None))
    return made


def published_at(seen: Observed) -> datetime:
    """When publish ended: delivery begins there."""
    pod = seen.notice_pods[-1] if seen.notice_pods else seen.pod
    return (pod.container(PUBLISH).finished if pod else None) or seen.now


def usage(seen: Observed) -> Usage | None:
    """What all attempts cost together, those that are gone too (`spent`)."""
    pods, spent = seen.own_pods, all_pods(seen)
    if not spent:
        return seen.run.status.usage if seen.run.status else None
    template = seen.run.parsed.template
    gpus = total(spent)
    first = gpus[0] if gpus else None
    told = next((found for pod in reversed(pods) if (found := decode_publish(pod.container(PUBLISH).message))), None)
    algorithm = template.report.algorithm
    fetched = next((receipt for pod in reversed(pods) if (receipt := _fetch_receipt(pod))), None)
    return Usage(
        gpu_seconds=first.gpu_seconds if first else None,
        gpu_resource=first.resource if first else None,
        reserved_gpu_seconds=first.reserved_gpu_seconds if first else None,
        gpus=gpus if len(gpus) > 1 else None,
        vendor=algorithm.manufacturer if algorithm else told.vendor if told else None,
        department=told.department if told else None,
        pod_seconds=round(sum(pod.pod_seconds or 0.0 for pod in spent), 3),
        input_instances=fetched.instances if fetched else None,
        input_bytes=fetched.bytes if fetched else None,
    )


def _fetch_receipt(pod: PodView) -> FetchReceipt | None:
    return decode_fetch(pod.container(FETCH).message)


def _stage(name: str, start: datetime, end: datetime, *, seconds: float | None = None) -> Stage:
    """Clocks of several machines: a stage never takes less than nothing."""
    took = (end - start).total_seconds() if seconds is None else seconds
    return Stage(name=name, start_time=moment(start), seconds=round(max(0.0, took), 3))


def _read(text: str) -> datetime | None:
    """Times that came from a pod or an annotation are not trusted to be times."""
    try:
        time = parse_timestamp(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
