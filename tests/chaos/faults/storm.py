"""Many faults in one stream, one after the other, faster than anything recovers."""

from collections.abc import Sequence
from typing import ClassVar

from tests.chaos.fault import Fault
from tests.chaos.faults.api_server import AnswersLost, ApiServerKilled, EtcdKilled, ServerErrors
from tests.chaos.faults.operator import OperatorEnded, OperatorKilled
from tests.chaos.faults.orthanc import HalfBodies, OrthancKilled
from tests.chaos.faults.pacs import Away, RefusesAssociation
from tests.chaos.faults.pod import NodeDrained
from tests.chaos.stream import Study


class Storm(Fault):
    """Each of `parts` once, in a drawn order; every study must come through well."""

    name = "storm of eleven faults"
    parts: ClassVar[Sequence[type[Fault]]] = (
        OperatorKilled, OrthancKilled, ApiServerKilled, AnswersLost, Away, HalfBodies, NodeDrained, EtcdKilled, ServerErrors, OperatorEnded, RefusesAssociation,
    )  # fmt: skip
    studies = 14
    times = 11
    lasts = (0.3, 2.0)
    limit = 300.0

    def prepare(self) -> None:
        self.waiting = [kind(self.world, self.rng) for kind in self.rng.sample(self.parts, len(self.parts))]
        self.now: Fault | None = None

    def strike(self, study: Study) -> None:
        self.now = self.waiting.pop()
        self.now.strike(study)

    def heal(self) -> None:
        if self.now is not None:
            self.now.heal()
            self.struck += self.now.struck
            self.now = None
