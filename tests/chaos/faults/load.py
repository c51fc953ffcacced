"""No fault at all, which the others are compared with, and too much of everything."""

from tests.chaos.fault import Fault
from tests.chaos.journal import Stage
from tests.chaos.stream import Study


class Nothing(Fault):
    name = "no fault"
    times = 1
    lasts = (0.0, 0.0)

    def strike(self, study: Study) -> None:
        self.struck += 1


class LargeStudy(Fault):
    """The operator is killed twice while it comes and goes; its Job's connections share one Orthanc with everything else."""

    name = "10,000 instances in one study, operator killed meanwhile"
    stages = (Stage.SENT, Stage.FETCH)
    studies = 2
    times = 2
    images = 10_000
    long = True
    limit = 900.0

    def strike(self, study: Study) -> None:
        self.world.operator.kill()
        self.struck += 1

    def heal(self) -> None:
        self.world.operator.start(ready=False)
