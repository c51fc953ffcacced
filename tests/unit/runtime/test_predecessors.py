"""Which reports a Run's report takes the place of, when some of the Runs before it only said that nothing was analysed."""

from typing import Any

import pytest
from tests.builders_runs import a_run, told

from gantry.api.run import RunStatus
from gantry.kube import NotFound
from gantry.runs import earlier
from gantry.runtime.predecessors import predecessors

UIDS = {"result": "2.25.1", "first failure": "2.25.2", "second failure": "2.25.3", "silent failure": None}


def older(name: str, supersedes: str | None) -> dict[str, Any]:
    """A finished Run that left the report of UIDS, if any."""
    run = a_run().named(name).run
    if supersedes:
        run["spec"]["supersedes"] = {"name": supersedes}
    reason = "Reported" if name == "result" else "NotPerformed"
    condition = {"type": "Reported", "status": "True", "reason": reason, "message": "", "lastTransitionTime": told(1)}
    uid = UIDS[name]
    result = {
        "kind": "SR", "sopClassUID": "1.2", "sopInstanceUID": uid, "seriesInstanceUID": f"{uid}.9",
        "orthancID": "11111111-22222222-33333333-44444444-55555555", "md5": "0" * 32, "bytes": 1,
    }  # fmt: skip
    run["status"] = {"state": "Succeeded" if name == "result" else "Failed", "conditions": [condition] if uid else [], "results": [result] if uid else []}
    return run


class Kube:
    def __init__(self, *chain: str) -> None:
        self.runs = {name: older(name, chain[place + 1] if place + 1 < len(chain) else None) for place, name in enumerate(chain)}

    async def get(self, resource: object, namespace: str, name: str) -> dict[str, Any]:
        if name not in self.runs:
            raise NotFound(name)
        return self.runs[name]


CHAINS = {
    "a failure that was reported": (("first failure",), ["2.25.2"]),
    "two of them": (("second failure", "first failure"), ["2.25.3", "2.25.2"]),
    "two of them after a result: the result stands until there is another": (("second failure", "first failure", "result"), ["2.25.3", "2.25.2", "2.25.1"]),
    "a result after a failure: what is before it was replaced by it": (("result", "first failure"), ["2.25.1"]),
    "one that told nobody in between": (("second failure", "silent failure", "result"), ["2.25.3", "2.25.1"]),
}


@pytest.mark.parametrize(("chain", "uids"), CHAINS.values(), ids=CHAINS)
async def test_a_report_names_everything_it_takes_the_place_of(chain: tuple[str, ...], uids: list[str]) -> None:
    found = (await predecessors(Kube(*chain), a_run().superseding(chain[0]).view())).reports  # type: ignore[arg-type]
    assert [one.sop_instance_uid for one in found] == uids


def test_no_pipeline_follows_a_report_that_nothing_was_analysed() -> None:
    """Also not a Run made by hand: there is no findings document."""
    assert earlier("x", RunStatus.model_validate(older("first failure", None)["status"])) is None
    assert earlier("x", RunStatus.model_validate(older("result", None)["status"])) is not None
