"""What images that come after a Run was made lead to, by policy."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from tests.fake_orthanc import START

from gantry.bridge import EarlierRun
from gantry.bridge.late import Late, LateImages, late


def a_run(name: str, minute: int, state: str = "Running", *series: str) -> EarlierRun:
    finished = state in ("Succeeded", "Failed", "Cancelled", "Superseded")
    return EarlierRun(name, START + timedelta(minutes=minute), finished, state, series or ("s1",))


@dataclass(frozen=True)
class Case:
    policy: LateImages
    earlier: tuple[EarlierRun, ...]
    want: Late
    alone: bool = False


OLD, NEW = a_run("old", 1), a_run("new", 2)
CASES = {
    "the first images of a study make a Run": Case("Supersede", (), Late(make=True)),
    "the first images make a Run where late ones are ignored": Case("Ignore", (), Late(make=True)),
    "Supersede takes the place of the newest": Case("Supersede", (NEW, OLD), Late(make=True, supersedes="new")),
    "Supersede takes the place of a finished Run too": Case("Supersede", (a_run("done", 1, "Succeeded"),), Late(make=True, supersedes="done")),
    "a Run that has no status yet is superseded": Case("Supersede", (EarlierRun("fresh", START, False, None, ("s1",)),), Late(make=True, supersedes="fresh")),
    "an older report comes before a newer failure": Case(
        "Supersede", (a_run("reported", 1, "Succeeded"), a_run("failed", 2, "Failed")), Late(make=True, supersedes="reported")
    ),
    "a Run that was superseded itself is not named": Case(
        "Supersede", (a_run("first", 3, "Superseded"), a_run("second", 2, "Running")), Late(make=True, supersedes="second")
    ),
    "where all failed the newest is named": Case(
        "Supersede", (a_run("one", 1, "Failed"), a_run("two", 2, "Cancelled")), Late(make=True, supersedes="two")
    ),
    "Rerun makes one beside the older": Case("Rerun", (OLD,), Late(make=True)),
    "Ignore makes none": Case("Ignore", (OLD,), Late(make=False)),
    "Ignore makes none after a failure either": Case("Ignore", (a_run("failed", 1, "Failed"),), Late(make=False)),
    "a series alone takes the place of the Run it is in": Case(
        "Supersede", (a_run("ours", 1, "Running", "s1"), a_run("other", 2, "Running", "s2")), Late(make=True, supersedes="ours"), alone=True
    ),
    "a further series of the study is no late image of another": Case("Ignore", (a_run("other", 1, "Running", "s2"),), Late(make=True), alone=True),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_late_images(case: Case) -> None:
    assert late(case.policy, case.earlier, series=["s1"], alone=case.alone) == case.want
