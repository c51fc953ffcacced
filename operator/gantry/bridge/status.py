"""What an OrthancBridge says of itself: its conditions and its whole status, from what the loop knows.

Pure: the time comes in, nothing is read or written. A condition keeps its transition time while its status stays.
"""

from dataclasses import dataclass, field
from datetime import datetime

from gantry.api import BridgeReason, Condition, timestamp
from gantry.api.bridge import BridgeStatus, OrthancInfo
from gantry.orthanc import OrthancError, Permanent, ServerFault, SystemInfo, Unauthorized, Untrusted

from .dated import Status, dated
from .destinations import Kept


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the loop knows at one moment."""

    generation: int
    credentials: bool
    cursor: int | None = None
    lag: int = 0
    """Rows of the change log not read yet."""
    waiting: int = 0
    """Studies whose decision failed and is tried again."""
    silent: str = ""
    """Senders that do not say how many images a study has, while studies wait for it."""
    fault: OrthancError | None = None
    """Why Orthanc cannot be followed now."""
    system: SystemInfo | None = None
    database_changed: bool = False
    """True until the scan that follows a replaced database has ended."""
    kept: Kept = field(default_factory=Kept)
    """The destinations in Orthanc, and those that are not."""
    first_contact: datetime | None = None
    last_reconcile: datetime | None = None
    last_change: datetime | None = None


def compose(before: BridgeStatus | None, seen: Knowledge, now: datetime) -> BridgeStatus:
    """The whole owned status."""
    conditions = (_reachable(seen), _authenticated(seen), _caught_up(seen), _ready(seen))
    return BridgeStatus(
        observed_generation=seen.generation,
        conditions=[_dated(one, before, seen.generation, now) for one in conditions if one],
        orthanc=_info(seen.system) or (before.orthanc if before else None),
        cursor=seen.cursor,
        first_contact_time=_written(seen.first_contact),
        last_reconcile_time=_written(seen.last_reconcile),
        lag=seen.lag,
        last_change_time=_written(seen.last_change),
        managed_modalities=list(seen.kept.managed),
        managed_servers=list(seen.kept.servers) or None,
    )


def held_status(before: BridgeStatus | None, *, generation: int, reason: BridgeReason, message: str, now: datetime) -> BridgeStatus:
    """Status of a bridge that is not followed at all (suspended, or a secret is missing): Ready is False, everything learnt is kept."""
    kept = [one for one in (before.conditions if before else None) or () if one.type != "Ready"]
    if (lost := {BridgeReason.SECRET_MISSING: "Authenticated", BridgeReason.TLS_SECRET_MISSING: "Reachable"}.get(reason)) is not None:
        kept = [one for one in kept if one.type != lost]
        kept.append(_dated(_Condition(lost, "False", reason, message), before, generation, now))
    ready = _dated(_Condition("Ready", "False", reason, message), before, generation, now)
    return (before or BridgeStatus()).model_copy(update={"observed_generation": generation, "conditions": [*kept, ready]})


def conditions_differ(one: BridgeStatus | None, other: BridgeStatus) -> bool:
    """Whether anything a person waits for changed: status or reason of a condition, or the generation."""
    return _essence(one) != _essence(other)


def _essence(status: BridgeStatus | None) -> tuple[object, ...]:
    if status is None:
        return ()
    return (status.observed_generation, *((one.type, one.status, one.reason) for one in status.conditions or ()))


@dataclass(frozen=True, slots=True)
class _Condition:
    type: str
    status: Status
    reason: BridgeReason
    message: str


def _reachable(seen: Knowledge) -> _Condition | None:
    match seen.fault:
        case None:
            return _Condition("Reachable", "True", BridgeReason.REACHABLE, "") if seen.system else None
        case Unauthorized():
            return _Condition("Reachable", "True", BridgeReason.REACHABLE, "")
        case _:
            return _Condition("Reachable", "False", _fault_reason(seen.fault), str(seen.fault))


def _authenticated(seen: Knowledge) -> _Condition | None:
    if isinstance(seen.fault, Unauthorized):
        reason = BridgeReason.UNAUTHORIZED if seen.credentials else BridgeReason.NO_CREDENTIALS
        advice = "" if seen.credentials else "; set spec.credentialsSecretRef"
        return _Condition("Authenticated", "False", reason, f"{seen.fault}{advice}")
    if seen.fault:
        return _Condition("Authenticated", "Unknown", _fault_reason(seen.fault), "not known while Orthanc does not answer")
    if seen.system is None:
        return None
    if not seen.credentials:
        message = (
            "everybody who reaches Orthanc may read, change and delete all studies and results; set spec.credentialsSecretRef"
        )
        return _Condition("Authenticated", "False", BridgeReason.NO_CREDENTIALS, message)
    return _Condition("Authenticated", "True", BridgeReason.AUTHENTICATED, "")


def _caught_up(seen: Knowledge) -> _Condition | None:
    if seen.fault:
        message = "not known while Orthanc cannot be asked; nothing is lost, the cursor is kept"
        return _Condition("CaughtUp", "Unknown", _fault_reason(seen.fault), message)
    if seen.database_changed:
        message = "Orthanc's database was replaced or restored; studies within spec.watch.lookback are being looked at again"
        return _Condition("CaughtUp", "False", BridgeReason.DATABASE_CHANGED, message)
    if seen.lag or seen.waiting:
        # Without numbers: status.lag has them, and a message that changes each second would be a write each second.
        message = "changes are waiting to be handled; see status.lag" if seen.lag else "Orthanc fails on some studies; they are tried again"
        return _Condition("CaughtUp", "False", BridgeReason.BEHIND, message)
    if seen.silent:
        message = f"studies wait for their number of images until their pipelines' giveUpAfter; {seen.silent}"
        return _Condition("CaughtUp", "False", BridgeReason.SENDER_SILENT, message)
    return _Condition("CaughtUp", "True", BridgeReason.CAUGHT_UP, "") if seen.system else None


def _ready(seen: Knowledge) -> _Condition | None:
    if seen.fault:
        return _Condition("Ready", "False", _fault_reason(seen.fault), str(seen.fault))
    if seen.kept.refused:
        return _Condition("Ready", "False", BridgeReason.DESTINATION_REFUSED, "; ".join((*seen.kept.refused, *seen.kept.missing)))
    if seen.kept.missing:
        return _Condition("Ready", "False", BridgeReason.DESTINATION_MISSING, "; ".join(seen.kept.missing))
    return _Condition("Ready", "True", BridgeReason.READY, "") if seen.system else None


def _fault_reason(fault: OrthancError) -> BridgeReason:
    if isinstance(fault, Unauthorized):
        return BridgeReason.UNAUTHORIZED
    if isinstance(fault, (ServerFault, Permanent)):
        return BridgeReason.SERVER_FAULT
    return BridgeReason.CERTIFICATE_UNTRUSTED if isinstance(fault, Untrusted) else BridgeReason.UNREACHABLE


def _dated(one: _Condition, before: BridgeStatus | None, generation: int, now: datetime) -> Condition:
    known = before.conditions if before else None
    return dated(one.type, one.status, one.reason.value, one.message, before=known, generation=generation, now=now)


def _info(system: SystemInfo | None) -> OrthancInfo | None:
    if system is None:
        return None
    return OrthancInfo(
        version=system.version[:64],
        name=system.name[:256],
        database_server_identifier=system.database_server_identifier[:128] if system.database_server_identifier else None,
        features=sorted(system.features),
    )


def _written(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment else None

