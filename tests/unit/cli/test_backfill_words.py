"""What people write after `gantry backfill` and `gantry rerun`, before any cluster is asked."""

from typing import Any

import pytest
from tests.builders import RUN, changed
from tests.unit.cli.conftest import Gantry

from gantry.api import labels
from gantry.cli.backfill import requirement
from gantry.cli.failure import Failure
from gantry.cli.rerun import Repeat, _planned
from gantry.runs import repeat_name

REQUIREMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "a pattern with blanks and commas is one value": (
        "StudyDescription Matches (?i)chest|thorax, low dose",
        {"tag": "StudyDescription", "operator": "Matches", "values": ["(?i)chest|thorax, low dose"]},
    ),
    "In takes several": ("PatientSex In F, O", {"tag": "PatientSex", "operator": "In", "values": ["F", "O"]}),
    "Exists takes none": ("AccessionNumber Exists", {"tag": "AccessionNumber", "operator": "Exists"}),
    "a tag by number": ("0008,1030 NotIn test", {"tag": "0008,1030", "operator": "NotIn", "values": ["test"]}),
    "a private tag whose creator has blanks": ('0011,"ACME 1.1",01 Gte 3', {"tag": '0011,"ACME 1.1",01', "operator": "Gte", "values": ["3"]}),
}


@pytest.mark.parametrize(("text", "wanted"), REQUIREMENTS.values(), ids=REQUIREMENTS.keys())
def test_a_requirement_is_read_as_a_person_writes_it(text: str, wanted: dict[str, Any]) -> None:
    assert requirement(text) == wanted


WRONG = {
    "one word": ("StudyDescription", "write TAG OPERATOR VALUE, for example 'StudyDescription Matches (?i)chest'"),
    "no value": ("Modality In", "Exists and DoesNotExist take no value; every other operator needs one"),
    "a value too many": ("Modality Exists CT", "Exists and DoesNotExist take no value; every other operator needs one"),
    "an operator that is none": ("Modality Like CT", "operator: Input should be 'In'"),
    "a tag that is none": ("0008;0060 In CT", "tag: String should match pattern"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_told_with_what_to_write(text: str, message: str) -> None:
    with pytest.raises(Failure, match=r"^--match ") as told:
        requirement(text)
    assert message in str(told.value)


USAGE = {
    "no days": ("backfill", "chest"),
    "begin and never begin": ("backfill", "chest", "--from", "2025-01-01", "--to", "2025-01-02", "--yes", "--dry-run"),
    "no cap": ("backfill", "chest", "--from", "2025-01-01", "--to", "2025-01-02", "--max-active", "0"),
    "a class that is none": ("backfill", "chest", "--from", "2025-01-01", "--to", "2025-01-02", "--class", "Soon"),
    "Runs and a pipeline": ("rerun", "a", "--pipeline", "chest"),
    "neither Runs nor a pipeline": ("rerun",),
    "a filter on named Runs": ("rerun", "a", "--failed"),
}


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE.keys())
def test_wrong_usage_is_told_before_the_cluster_is_asked(gantry: Gantry, arguments: tuple[str, ...]) -> None:
    done = gantry(*arguments)
    assert done.code == 2
    assert "Usage: gantry" in done.err


NAMES = {
    "a Run": ("chest-abcdefghijklm", "chest-abcdefghijklm-r1"),
    "a repeat": ("chest-abcdefghijklm-r1", "chest-abcdefghijklm-r2"),
    "the ninth repeat": ("chest-abcdefghijklm-r9", "chest-abcdefghijklm-r10"),
    "a name that only looks like one": ("chest-r0", "chest-r0-r1"),
    "the longest name Gantry makes": ("p" * 40 + "-abcdefghijklm", "p" * 40 + "-abcdefghijklm-r1"),
}


@pytest.mark.parametrize(("run", "repeat"), NAMES.values(), ids=NAMES.keys())
def test_a_repeats_name_is_derived(run: str, repeat: str) -> None:
    assert repeat_name(run) == repeat


def test_a_name_without_room_cannot_be_repeated() -> None:
    with pytest.raises(ValueError, match="leaves no room for -r1 within 60 characters"):
        repeat_name("r" * 58)


NAME = RUN["metadata"]["name"]


def a_run(state: str, **status: Any) -> dict[str, Any]:
    done = {} if state in ("Queued", "Running") else {"completionTime": "2026-03-01T10:00:00Z"}
    return {**RUN, "status": {"state": state, **done, **status}}


PLANS: dict[str, tuple[dict[str, Any], dict[str, Any], Repeat]] = {
    "an unfinished Run waits": (a_run("Running"), {}, Repeat(NAME, reason="is not finished (Running); wait for it, or set spec.cancel")),
    "a superseded one has a successor": (a_run("Superseded"), {}, Repeat(NAME, reason="was superseded by a Run on more images; repeat that one")),
    "a repeat that exists is named": (
        a_run("Failed"),
        {f"{NAME}-r1": a_run("Running")},
        Repeat(NAME, f"{NAME}-r1", reason=f"is repeated already by {NAME}-r1 (Running); repeat that one to analyse once more", known=True),
    ),
}


@pytest.mark.parametrize(("run", "others", "wanted"), PLANS.values(), ids=PLANS.keys())
def test_what_cannot_be_repeated_says_why(run: dict[str, Any], others: dict[str, Any], wanted: Repeat) -> None:
    assert _planned(run, others) == wanted


def test_a_repeat_is_the_old_run_on_the_same_images() -> None:
    old = changed(a_run("Failed"), "metadata.labels", {labels.PIPELINE: "chest-ct-nodules", labels.BACKFILL: "old"})
    made = _planned(changed(changed(old, "spec.priority", "Urgent"), "spec.sender", "CT1"), {}).body
    assert made["metadata"] == {"name": f"{NAME}-r1", "namespace": "default", "labels": {labels.PIPELINE: "chest-ct-nodules"}}
    assert made["spec"] == {**RUN["spec"], "trigger": "Rerun", "supersedes": {"name": NAME}, "priority": "Urgent", "sender": "CT1"}
