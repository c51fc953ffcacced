"""When a Run's pod makes alternatives, and which of its results they stand for."""

import pytest
from tests.builders import BRIDGE, RUN, changed
from tests.builders_runs import a_receipt

from gantry.api.bridge import BridgeSpec, DestinationStatus
from gantry.api.run import RunSpec
from gantry.runs import replaced_by_alternatives, result_uid
from gantry.runs.alternatives import wants_alternatives

ASKING = changed(BRIDGE, "spec.destinations.0.srFallback", "ComprehensiveSR")
DELIVERED = changed(RUN, "spec.template.delivery", {"destinations": ["pacs"]})
NODE = ASKING["spec"]["destinations"][0]["dicom"]
PLACE = f"{NODE['aet']}@{NODE['host']}:{NODE['port']}"


def found(place: str, reports: str) -> dict[str, DestinationStatus]:
    raw = {"name": "pacs", "place": place, "reports": reports, "time": "2026-03-01T12:00:00Z"}
    return {"pacs": DestinationStatus.model_validate(raw)}


CASES = {
    "a destination that was not asked yet": (DELIVERED, ASKING, {}, True),
    "one that refused": (DELIVERED, ASKING, found(PLACE, "ComprehensiveSR"), True),
    "not for one that takes them": (DELIVERED, ASKING, found(PLACE, "Comprehensive3DSR"), False),
    "for one that has moved since": (DELIVERED, ASKING, found("OTHER@host:1", "Comprehensive3DSR"), True),
    "not without srFallback": (DELIVERED, BRIDGE, {}, False),
    "not for a destination the Run does not name": (changed(RUN, "spec.template.delivery", {"destinations": []}), ASKING, {}, False),
    "not in shadow": (changed(DELIVERED, "spec.mode", "Shadow"), ASKING, {}, False),
    "not when the reports are Comprehensive SRs": (changed(DELIVERED, "spec.template.report.sopClass", "ComprehensiveSR"), ASKING, {}, False),
}


@pytest.mark.parametrize(("run", "bridge", "decided", "want"), CASES.values(), ids=CASES)
def test_they_are_made_only_when_a_destination_may_need_them(run: dict, bridge: dict, decided: dict, want: bool) -> None:  # type: ignore[type-arg]
    assert wants_alternatives(RunSpec.model_validate(run["spec"]), BridgeSpec.model_validate(bridge["spec"]), decided) is want


def test_they_stand_for_what_gantry_built_and_nothing_else() -> None:
    """Reports, the one of a failure, and the key object selection; no object of the application."""
    mine = [result_uid("here", "radiology", "a", role, place) for role, place in (("sr", 0), ("sr", 2), ("not-performed", 0), ("ko", 0))]
    results = [a_receipt().results[0].model_copy(update={"sop_instance_uid": uid}) for uid in (*mine, "2.25.77")]
    assert replaced_by_alternatives(results, installation="here", namespace="radiology", run="a") == frozenset(mine)
