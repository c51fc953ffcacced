"""What a fault is: when it strikes, what it does, how it is put right, and what a study may legitimately end in.

One class a row of the table in docs/reliability.md; the modules of `faults/` hold them by family. A fault draws from the `random.Random` it is
given and from nothing else, so that a seed repeats it.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from tests.chaos.journal import Stage
from tests.chaos.stream import Study
from tests.chaos.world import World


@dataclass(frozen=True)
class End:
    """What a study has come to. `reports` and `delivered` count reports (SOP Instance UIDs) in Orthanc and at the PACS."""

    state: str = "Succeeded"
    reason: str = ""
    runs: int = 1
    reports: int = 1
    delivered: int = 1

    def __str__(self) -> str:
        words = f"{self.state}/{self.reason}" if self.reason else self.state
        counts = (self.runs, self.reports, self.delivered)
        return words if counts == (1, 1, 1) else f"{words} (Runs {counts[0]}, reports {counts[1]}, at the PACS {counts[2]})"


WELL = (End(),)


def failed(reason: str) -> End:
    """The Run says why; there is no report."""
    return End("Failed", reason, reports=0, delivered=0)


class Fault(ABC):
    """One row. The instance lives for one episode."""

    name: ClassVar[str]
    level: ClassVar[str] = "parts"
    """`parts`: processes of this machine (world.py); `cluster`: containers in the one-node cluster (cluster_world.py)."""
    stages: ClassVar[tuple[Stage, ...]] = (Stage.SENT, Stage.RUN, Stage.JOB, Stage.FETCH, Stage.STEP, Stage.PUBLISH, Stage.REPORTED)
    """When it may strike: when the study of the moment has come so far."""
    times: ClassVar[int] = 2
    studies: ClassVar[int] = 5
    lasts: ClassVar[tuple[float, float]] = (0.5, 3.0)
    """Seconds until it is put right, drawn from between."""
    long: ClassVar[bool] = False
    """Left out unless asked for by name or by LONG=yes."""
    limit: ClassVar[float] = 180.0
    """Seconds after the last fault, and for a moment to come, in which that must have happened."""

    @classmethod
    def images_of(cls, number: int) -> int:
        """How many images that study of the episode has."""
        return 2

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.struck = 0
        self.studies_of_episode: list[Study] = []

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Before the first study is sent; all studies are known (`studies_of_episode`)."""

    @abstractmethod
    def strike(self, study: Study) -> None:
        """Adds to `struck` if the fault came to something."""

    def heal(self) -> None:  # noqa: B027 - a kill mends itself
        """Puts it right."""

    def clean(self) -> None:  # noqa: B027
        """At the very end of the episode: everything as it was."""

    def extra(self) -> Iterable[str]:
        """What else is wrong at the end, in words."""
        return ()

    def ends(self, study: Study) -> tuple[End, ...]:
        """What is right for this study."""
        return WELL
