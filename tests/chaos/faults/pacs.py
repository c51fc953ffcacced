"""The PACS: away, refusing, slow, full, breaking off. Deliveries wait and go on; nothing else is held up."""

from tests.chaos.fault import WELL, End, Fault
from tests.chaos.journal import Stage
from tests.chaos.stream import Study


class Unwell(Fault):
    stages = (Stage.SENT, Stage.RUN, Stage.STEP, Stage.PUBLISH)
    times = 1
    lasts = (5.0, 12.0)

    def falls_ill(self) -> None:
        raise NotImplementedError

    def strike(self, study: Study) -> None:
        self.falls_ill()
        self.struck += 1

    def heal(self) -> None:
        self.world.pacs.well()


class Away(Unwell):
    name = "PACS away"

    def falls_ill(self) -> None:
        self.world.pacs.away()


class AwayLong(Away):
    name = "PACS away for 5 min"
    lasts = (300.0, 300.0)
    limit = 420.0  # the pause between two probes has grown to 5 minutes at most by then
    long = True


class RefusesAssociation(Unwell):
    name = "PACS refuses the association"

    def falls_ill(self) -> None:
        self.world.pacs.refuses_association()


class RefusesClass(Unwell):
    """For good, by its word: refused twice, a delivery is given up and says so; the report stays in Orthanc."""

    name = "PACS refuses the SOP class"

    def falls_ill(self) -> None:
        self.world.pacs.refuses_class()

    def ends(self, study: Study) -> tuple[End, ...]:
        return (*WELL, End("Failed", "DeliveryFailed", reports=1, delivered=0))


class SlowPacs(Unwell):
    name = "PACS slow (3 s an object)"

    def falls_ill(self) -> None:
        self.world.pacs.slow(3.0)


class Full(Unwell):
    name = "PACS out of resources (A700)"

    def falls_ill(self) -> None:
        self.world.pacs.full()


class Aborts(Unwell):
    name = "PACS aborts in the midst of an object"

    def falls_ill(self) -> None:
        self.world.pacs.aborts()
