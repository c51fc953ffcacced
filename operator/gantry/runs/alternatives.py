"""Which of a Run's results have an alternative: a Comprehensive SR for destinations that refuse Comprehensive 3D SR.

Pure. The alternatives are made by `report`, stored by `worker`, listed in a Run's `status.alternatives`, and chosen by `delivery`.
"""

from collections.abc import Iterable, Mapping

from gantry.api.bridge import BridgeSpec, DestinationStatus, ReportClass, destination_place
from gantry.api.run import Result, RunSpec

from .names import result_uid

KEY_OBJECTS = "ko"
REPORTS, NOT_PERFORMED = "sr", "not-performed"
PASSED_REPORTS = "passed-sr"
"""An application's own."""
MOST_REPORTS = 4
"""SRs of one Run at most: findings drawn on images, in space, with segments, with none of these (report/build.py)."""
COMPREHENSIVE_3D = "Comprehensive3DSR"


def alternative_role(role: str) -> str:
    """The role, in its UID, of what stands for an object."""
    return f"{role}-comprehensive"


def replaced_by_alternatives(results: Iterable[Result], *, installation: str, namespace: str, run: str) -> frozenset[str]:
    """SOP instances among a Run's results that Gantry built and that its alternatives stand for; an application's own objects have none."""
    roles = ((REPORTS, MOST_REPORTS), (NOT_PERFORMED, 1), (KEY_OBJECTS, 1))
    own = {result_uid(installation, namespace, run, role, place) for role, count in roles for place in range(count)}
    return frozenset(one.sop_instance_uid for one in results if one.sop_instance_uid in own)


def wants_alternatives(spec: RunSpec, bridge: BridgeSpec, decided: Mapping[str, DestinationStatus]) -> bool:
    """Whether the Run's pod is to make them: a destination may refuse Comprehensive 3D SR, and is not known to take it.

    `decided`: the bridge's status.destinations by name.
    """
    if spec.mode == "Shadow" or spec.template.report.sop_class != COMPREHENSIVE_3D:
        return False
    named = set(spec.template.delivery.destinations)
    asked = [one for one in bridge.destinations if one.name in named and one.sr_fallback == "ComprehensiveSR"]
    return any(known_to_take(destination_place(one), decided.get(one.name)) != COMPREHENSIVE_3D for one in asked)


def known_to_take(place: str, decided: DestinationStatus | None) -> ReportClass | None:
    """What a destination takes; None: it was not asked yet, or is another by now."""
    return decided.reports if decided and decided.place == place else None
