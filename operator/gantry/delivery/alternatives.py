"""Which class of reports a destination gets that may refuse Comprehensive 3D SR: found out by the first report that is sent to it.

Pure. Orthanc negotiates the class of what it sends and says only that something was refused, not which object:

    reports refused, sent alone ─────────────▶ the alternatives are sent, now and from then on
    refused, together with other objects ──▶ one report alone, as a question ──▶ refused: the alternatives │ taken: it was another object

A delivery that has begun with one class changes to the other only when its own report was refused, so no destination ever has both.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from gantry.api.bridge import ReportClass
from gantry.api.run import DeliveryStatus, Result

from .faults import SOP_CLASS_REFUSED
from .places import Target

COMPREHENSIVE_3D = "1.2.840.10008.5.1.4.1.1.88.34"


@dataclass(frozen=True, slots=True)
class Cargo:
    """What one Run has to send."""

    results: Sequence[Result]
    alternatives: Sequence[Result] = ()
    replaced: Collection[str] = field(default=frozenset())
    """SOP instances among `results` that `alternatives` stand for."""

    def has_choice(self, target: Target) -> bool:
        """Whether the destination can be given the one or the other."""
        return target.fallback and bool(self.alternatives)

    def chosen(self, target: Target, delivery: DeliveryStatus) -> list[Result]:
        """What the next send takes there, in its order; of a question one report."""
        if delivery.asks:
            return self.questions(target)[:1]
        if not self.has_choice(target) or delivery.reports != "ComprehensiveSR":
            return target.chosen(self.results)
        kept = [one for one in self.results if one.sop_instance_uid not in self.replaced]
        return target.chosen([*kept, *self.alternatives])

    def is_question(self, target: Target, delivery: DeliveryStatus) -> bool:
        """Whether a refusal of the send can only mean the class of the reports."""
        asked = {one.sop_instance_uid for one in self.questions(target)}
        return {one.sop_instance_uid for one in self.chosen(target, delivery)} <= asked

    def questions(self, target: Target) -> list[Result]:
        """Reports whose class may be refused."""
        own = [one for one in self.results if one.sop_instance_uid in self.replaced and one.sop_class_uid == COMPREHENSIVE_3D]
        return target.chosen(own)


def begun(delivery: DeliveryStatus, cargo: Cargo, target: Target) -> DeliveryStatus:
    """Before the first send: with the class the destination is known to take."""
    if delivery.reports is None and not delivery.attempts and cargo.has_choice(target) and target.takes == "ComprehensiveSR":
        return delivery.model_copy(update={"reports": target.takes})
    return delivery


def learnt(before: DeliveryStatus, after: DeliveryStatus, cargo: Cargo, target: Target) -> tuple[DeliveryStatus, ReportClass | None]:
    """After a send that ended: the delivery, and what the destination was found to take. `after` is what the send alone made of it."""
    if not cargo.has_choice(target) or before.reports is not None:
        return after, None
    if after.state == "Sent":
        if not before.asks:
            took = bool(cargo.questions(target))
            return (after.model_copy(update={"reports": "Comprehensive3DSR"}), "Comprehensive3DSR") if took else (after, None)
        update = {"state": "Pending", "job_id": None, "awaits": None, "asks": None, "reports": "Comprehensive3DSR"}
        return after.model_copy(update={**update, "reason": before.reason, "message": before.message}), "Comprehensive3DSR"
    if after.reason != SOP_CLASS_REFUSED.reason or not cargo.questions(target):
        return after.model_copy(update={"asks": None}), None
    if cargo.is_question(target, before):
        words = "it refuses Comprehensive 3D SR; it gets the Comprehensive SR"
        update = {"state": "Pending", "asks": None, "reports": "ComprehensiveSR", "reason": None, "message": words}
        return after.model_copy(update=update), "ComprehensiveSR"
    return after.model_copy(update={"state": "Pending", "asks": True}), None
