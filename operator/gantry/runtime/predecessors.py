"""What a Run's pod has to know of other Runs, read from them when its Job is made: the reports whose place its own takes (spec.supersedes), and
what the Run that it follows left in Orthanc (spec.after).

A superseded Run that never reported had perhaps itself taken the place of one that did, so the chain is followed; one that reported that its
analysis was not performed likewise, for what came before it stands until there is a result. A shadow report is no predecessor of one that is
delivered, nor the other way: no reader of the one has the other. It decides nothing else.
"""

from typing import Any

from gantry.api import RunReason
from gantry.api.run import RunStatus
from gantry.kube import RUNS, Kube, NotFound
from gantry.runs import Earlier, Predecessor, Predecessors, RunView, UnfitRun, earlier

CHAIN = 20
"""Runs back at most: a study whose images come in more than twenty parts, none of them analysed in time, is not known to exist."""


async def predecessors(kube: Kube, run: RunView) -> Predecessors:
    """Empty when there is none any more. Raises KubeError when the API server does not say."""
    name, passed = run.supersedes, {run.name}
    found = Predecessors()
    while name is not None and name not in passed and len(passed) <= CHAIN:
        passed.add(name)
        try:
            older = await kube.get(RUNS, run.namespace, name)
        except NotFound:
            return found  # deleted after its history
        if older["spec"]["study"]["orthancID"] != run.study:
            return found
        if (older["spec"].get("mode") == "Shadow") == run.shadow and (reports := _reports(older, "results")):
            found = Predecessors(found.reports + reports, found.alternatives + (_reports(older, "alternatives") or reports))
            if not _was_not_performed(older):
                return found
        name = (older["spec"].get("supersedes") or {}).get("name")
    return found


async def left_by_first(kube: Kube, run: RunView) -> Earlier | None:
    """Of the Run that it follows; None when it follows none. Raises UnfitRun when there is nothing, KubeError when nobody says."""
    if run.after is None:
        return None
    try:
        first = await kube.get(RUNS, run.namespace, run.after)
    except NotFound:
        raise UnfitRun(f"Run {run.after}, named in spec.after, does not exist (any more)") from None
    if (first["spec"]["study"]["orthancID"], first["spec"]["bridgeRef"]["name"]) != (run.study, run.bridge):
        raise UnfitRun(f"Run {run.after}, named in spec.after, is of another study or bridge")
    if first["spec"].get("mode") == "Shadow" and not run.shadow:
        raise UnfitRun(f"Run {run.after}, named in spec.after, is in mode Shadow: it starts nothing that leaves; make this Run with spec.mode Shadow")
    left = earlier(run.after, RunStatus.model_validate(first["status"]) if first.get("status") else None)
    if left is None:
        raise UnfitRun(f"Run {run.after}, named in spec.after, has left no report that this one could follow")
    return left


def _was_not_performed(run: dict[str, Any]) -> bool:
    conditions = (run.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Reported" and one["reason"] == RunReason.NOT_PERFORMED for one in conditions)


def _reports(run: dict[str, Any], where: str) -> tuple[Predecessor, ...]:
    results = (run.get("status") or {}).get(where) or ()
    return tuple(
        Predecessor(sop_class_uid=one["sopClassUID"], sop_instance_uid=one["sopInstanceUID"], series_instance_uid=one["seriesInstanceUID"])
        for one in results
        if one["kind"] == "SR"
    )
