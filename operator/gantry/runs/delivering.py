"""From a report that is in Orthanc to the end of its Run: the courier is sent, and what it comes back with decides. Pure."""

from gantry.api import RunReason, parse_duration, parse_timestamp
from gantry.api.bridge import RETURN_TO_SENDER
from gantry.api.run import DeliveryStatus, RunStatus

from . import status as words
from .actions import Deliver, Plan
from .observed import Observed
from .receipt import failed


def deliver(seen: Observed, status: RunStatus) -> Plan:
    """From the report to the destinations. Without any, and in shadow, the Run is complete; with some the courier goes first, once a pass."""
    chosen = seen.run.parsed.template.delivery
    places = () if seen.run.shadow else (*chosen.destinations, *([RETURN_TO_SENDER] if chosen.return_to_sender else []))
    known = {d.destination: d for d in (status.deliveries if seen.deliveries is None else seen.deliveries) or ()}
    deliveries = tuple(known.get(name) or DeliveryStatus(destination=name, state="Pending") for name in places)
    if deliveries:
        status = words.delivering(seen, status, deliveries, _on_the_way(seen, deliveries))
    begun = words.condition(status, "Reported")
    deadline = (parse_timestamp(begun.last_transition_time) if begun else seen.now) + parse_duration(chosen.deadline)
    if all(d.final and d.state != "Failed" for d in deliveries):
        return Plan(status=words.failed_and_told(seen, status) if status.failure else words.complete(seen, status))
    if all(d.final for d in deliveries):
        lost = [f"{d.destination} ({d.message or 'no answer'})" for d in deliveries if d.state == "Failed"]
        within = f" within template.delivery.deadline ({chosen.deadline})" if seen.now >= deadline else ""
        message = f"not delivered{within}: {', '.join(lost)}; the results are in Orthanc"
        if status.failure:
            return Plan(status=words.failed_and_told(seen, status, lost=message))
        return Plan(status=words.unsuccessful(seen, failed(RunReason.DELIVERY_FAILED, message), status=status))
    if seen.deliveries is not None or seen.bridge is None:
        return Plan(status=status)
    return Plan((Deliver(places, tuple(status.results or ()), tuple(status.alternatives or ()), deliveries, deadline),), status)


def _on_the_way(seen: Observed, deliveries: tuple[DeliveryStatus, ...]) -> tuple[RunReason, str]:
    """Why delivery is not done."""
    waiting = [d.destination for d in deliveries if d.state not in ("Sent", "Committed")]
    if seen.bridge is None:
        return RunReason.BRIDGE_MISSING, f"no OrthancBridge {seen.run.bridge} in namespace {seen.run.namespace}; delivery waits for it"
    if not waiting:
        open_ = ", ".join(d.destination for d in deliveries if not d.final)
        return RunReason.SENT, f"sent; {open_} did not confirm yet; status.deliveries says what is waited for"
    return RunReason.DELIVERING, f"{', '.join(waiting)} did not take the results yet; status.deliveries says why"
