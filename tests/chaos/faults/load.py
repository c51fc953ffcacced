"""No fault at all, which the others are compared with, and too much of everything."""

import random
from collections.abc import Iterable
from pathlib import Path

from tests.chaos.fault import WELL, End, Fault
from tests.chaos.journal import Stage
from tests.chaos.kubelet import AT_ONCE
from tests.chaos.stream import Study
from tests.chaos.world import World, pipeline
from tests.component.operator_process import wait


class Nothing(Fault):
    name = "no fault"
    times = 1
    lasts = (0.0, 0.0)

    def strike(self, study: Study) -> None:
        self.struck += 1


class LargeStudy(Fault):
    """The operator is killed twice while it comes and goes; a small study beside it shares the same Orthanc."""

    name = "10,000 instances in one study, operator killed meanwhile"
    stages = (Stage.SENT, Stage.FETCH)
    studies = 2
    times = 2
    long = True
    limit = 900.0

    @classmethod
    def images_of(cls, number: int) -> int:
        return 10_000 if number == 0 else 2

    def ends(self, study: Study) -> tuple[End, ...]:
        """On a machine so busy that its images pause for longer than StableAge, what came first has a Run of its own, which the next one supersedes."""
        if study.number > 0:
            return WELL
        late = (("Succeeded+Superseded", "Superseded"),)
        parts = [End(*words, runs=n, reports=r, delivered=d) for words in late for n in (2, 3, 4) for r in range(1, n + 1) for d in range(1, r + 1)]
        return (*WELL, *parts)

    def strike(self, study: Study) -> None:
        self.world.operator.kill()
        self.struck += 1

    def heal(self) -> None:
        self.world.operator.start(ready=False)


class ADay(Fault):
    """A day's studies of a large hospital, as fast as storescu sends them. The operator is killed in the first half; the second shows whether its memory grows."""

    name = "1500 studies of a day in a quarter of an hour while the operator is killed"
    studies = 1500
    times = 6
    long = True
    limit = 2400.0
    GROWTH = 8.0
    """KiB a study, once more than half have ended and all that is loaded on first use is there: a finished Run and its Job take some
    three, an object that is kept as the API server sent it would take 23."""
    ROOM = 4096.0
    """KiB that come and go."""

    def __init__(self, world: World, rng: random.Random) -> None:
        super().__init__(world, rng)
        self.halfway: tuple[int, float] | None = None
        """How many Runs had finished then, and the operator's memory."""

    def prepare(self) -> None:
        """The others wait in Gantry's line: as pods without a node they would use up their Runs' timeout."""
        self.world.hospital.apply(pipeline(at_once=2 * AT_ONCE))

    def clean(self) -> None:
        self.world.hospital.apply(pipeline())

    def strike(self, study: Study) -> None:
        if study.number < len(self.studies_of_episode) / 2:
            self.world.operator.kill()
            self.struck += 1
        elif self.halfway is None:
            enough = 0.6 * len(self.studies_of_episode)
            wait(lambda: self._finished() >= enough, "the day is more than half done", limit=self.limit)
            self.halfway = self._finished(), self._memory()

    def heal(self) -> None:
        if self.world.operator.process is None:
            self.world.operator.start(ready=False)

    def extra(self) -> Iterable[str]:
        """Called once all studies have ended."""
        finished, worked = self._finished(), self._memory()
        self.world.operator.kill()
        self.world.operator.start()
        self.world.is_ready()
        print(f"    memory of the operator: {worked:.1f} MiB after the day, {self._memory():.1f} MiB when it has begun again with the same objects", flush=True)
        if self.halfway is None:
            yield "the operator's memory was not looked at in the second half: no moment fell into it; take another seed"
            return
        studies, grown = finished - self.halfway[0], (worked - self.halfway[1]) * 1024
        print(f"    after {self.halfway[0]} Runs it was {self.halfway[1]:.1f} MiB: {grown / max(studies, 1):.1f} KiB a study since", flush=True)
        if grown > self.ROOM + self.GROWTH * studies:
            yield f"the operator's memory grew by {grown:.0f} KiB in {studies} studies"

    def _finished(self) -> int:
        told = self.world.operator.metrics()
        return int(sum(told.get(f'gantry_runs{{state="{state}"}}', 0.0) for state in ("Succeeded", "Failed", "Superseded", "Cancelled")))

    def _memory(self) -> float:
        """MiB in RAM (proc_pid_statm(5), in pages of 4 KiB)."""
        process = self.world.operator.process
        assert process is not None
        return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4 / 1024
