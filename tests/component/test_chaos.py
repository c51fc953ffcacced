"""The short form of `make chaos`: real parts, a stream of studies, a few faults at moments of a fixed seed, and the books balanced."""

from collections.abc import Iterator

import pytest
from tests.chaos.episode import play
from tests.chaos.faults.api_server import AnswersLost, ApiServerKilled
from tests.chaos.faults.objects import ForeignJob
from tests.chaos.faults.operator import OperatorKilled
from tests.chaos.faults.orthanc import HalfBodies, OrthancKilled
from tests.chaos.faults.pacs import Away
from tests.chaos.faults.storm import Storm
from tests.chaos.world import World, a_world

SEED = 1


class Shower(Storm):
    """What `make test` has time for."""

    parts = (OperatorKilled, OrthancKilled, AnswersLost, ApiServerKilled, HalfBodies, Away)
    studies = 6
    times = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with a_world(tmp_path_factory.mktemp("chaos") / "world") as made:
        yield made


def test_nothing_is_lost_and_nothing_doubled_in_a_shower_of_faults(world: World) -> None:
    outcome = play(world, Shower, SEED)
    assert (outcome.lost, outcome.doubled, outcome.wrong) == (0, 0, 0), outcome.details
    assert set(outcome.sums.values()) == {Shower.studies}, outcome.sums
    assert outcome.injected >= 4, "three kills and an absence; of the spoilt requests there may be none while they are spoilt"
    assert not world.kubelet.errors


def test_a_foreign_job_is_left_alone_and_its_name_told(world: World) -> None:
    outcome = play(world, ForeignJob, SEED, studies=2)
    assert outcome.good, outcome.details
    assert outcome.ends == {"Failed/JobRefused (Runs 1, reports 0, at the PACS 0)": 1, "Succeeded": 1}
