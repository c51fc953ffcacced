"""The condition Notified: written with the end of a Run whose pipeline has receivers, and changed by what they answer."""

from dataclasses import replace

import pytest
from tests.builders_runs import RunBuilder, a_run, at

from gantry.api.run import RunStatus
from gantry.runs import Observed, Telling, plan, told


def seen(run: RunBuilder, *, receivers: bool = True) -> Observed:
    return replace(run.observed(), notifies=receivers)


def notified(status: RunStatus | None) -> str | None:
    found = next((one for one in (status.conditions if status else None) or () if one.type == "Notified"), None)
    return f"{found.status}/{found.reason}: {found.message}" if found else None


PENDING = "False/Pending: the receivers in spec.notifications of the pipeline are being told"
ENDS = {
    "it succeeds": (a_run().delivering_to().published(), True, PENDING),
    "it is cancelled": (a_run().with_job().cancelled(), True, PENDING),
    "it goes on": (a_run().with_job(), True, None),
    "its pipeline has no receivers": (a_run().delivering_to().published(), False, None),
}


@pytest.mark.parametrize(("run", "receivers", "want"), ENDS.values(), ids=ENDS)
def test_the_write_that_ends_a_run_says_that_receivers_are_to_be_told(run: RunBuilder, receivers: bool, want: str | None) -> None:
    assert notified(plan(seen(run, receivers=receivers)).status) == want


ENDED = plan(seen(a_run().delivering_to().published())).status or RunStatus()
ANSWERS = {
    "all have accepted": ([Telling("https://a"), Telling("https://b")], "True/Notified: told: https://a, https://b"),
    "one is tried again": ([Telling("https://a"), Telling("https://b", "https://b answers HTTP 503", open=True)], "False/Pending: https://b answers HTTP 503, tried again"),
    "one was given up": ([Telling("https://a", "https://a answers HTTP 404")], "False/NotificationFailed: https://a answers HTTP 404, given up at its deadline"),
    "nobody is there any more": ([], "True/Notified: there was nothing that a receiver wants to hear of"),
}


@pytest.mark.parametrize(("tellings", "want"), ANSWERS.values(), ids=ANSWERS)
def test_what_receivers_answered_is_said(tellings: list[Telling], want: str) -> None:
    said = told(ENDED, tellings, at(60))
    assert notified(said) == want
    assert [one.type for one in said.conditions or ()][-2:] == ["Notified", "Complete"]
    assert told(said, tellings, at(90)) == said
