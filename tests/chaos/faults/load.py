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

    def strike(self, study: Study) -> None:
        self.world.operator.kill()
        self.struck += 1

    def heal(self) -> None:
        self.world.operator.start(ready=False)
