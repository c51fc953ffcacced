"""The reports whose place a Run's report takes: read from the Run it supersedes, when its Job is made.

A superseded Run that never reported had perhaps itself taken the place of one that did, so the chain is followed. It decides nothing else.
"""

from typing import Any

from gantry.kube import RUNS, Kube, NotFound
from gantry.runs import Predecessor, RunView

CHAIN = 20
"""Runs back at most: a study whose images come in more than twenty parts, none of them analysed in time, is not known to exist."""


async def predecessors(kube: Kube, run: RunView) -> tuple[Predecessor, ...]:
    """Empty when there is none any more. Raises KubeError when the API server does not say."""
    name, passed = run.supersedes, {run.name}
    while name is not None and name not in passed and len(passed) <= CHAIN:
        passed.add(name)
        try:
            older = await kube.get(RUNS, run.namespace, name)
        except NotFound:
            return ()  # deleted after its history
        if older["spec"]["study"]["orthancID"] != run.study:
            return ()
        if reports := _reports(older):
            return reports
        name = (older["spec"].get("supersedes") or {}).get("name")
    return ()


def _reports(run: dict[str, Any]) -> tuple[Predecessor, ...]:
    results = (run.get("status") or {}).get("results") or ()
    return tuple(
        Predecessor(sop_class_uid=one["sopClassUID"], sop_instance_uid=one["sopInstanceUID"], series_instance_uid=one["seriesInstanceUID"])
        for one in results
        if one["kind"] == "SR"
    )
