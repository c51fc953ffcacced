"""Asks a place whether it really has what was sent: storage commitment (PS3.4 annex J), or a query that must list every result.

It asks and says what was answered; what follows from it is `plan.py`'s. "Success" of a C-STORE only says that the peer took the object in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gantry.api.run import Receipt, Result
from gantry.orthanc import Commitment, NotFound, Orthanc, OrthancError, harmless

from .places import Place, Target, ToModality, ToServer

QUERY_WITHIN = 10
"""Seconds a PACS has for each message of a query."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """It has everything."""


@dataclass(frozen=True, slots=True)
class Lacks:
    """It says that it does not have so many of the results (yet)."""

    missing: int
    of: int
    final: bool
    """Storage commitment is a promise and its refusal is final; a query may be early."""


@dataclass(frozen=True, slots=True)
class Asked:
    """It was asked for commitment and answers in its own time."""

    transaction: str


@dataclass(frozen=True, slots=True)
class NotOffered:
    """It does not offer storage commitment."""


@dataclass(frozen=True, slots=True)
class Silent:
    """It could not be asked."""

    words: str


Answer = Confirmed | Lacks | Asked | NotOffered | Silent


def receipt_of(target: Target, commitment: str) -> Receipt | None:
    """What a delivery waits for after the send; None: nothing is asked."""
    if commitment != "Never" and isinstance(target.place, ToModality):
        return "StorageCommitment"
    if target.verify:
        return "Query"
    return "StorageCommitment" if commitment == "Required" else None  # which it will not give: the delivery says so


async def ask(orthanc: Orthanc, target: Target, receipt: Receipt, results: Sequence[Result], transaction: str | None) -> Answer:
    """One question. Storage commitment: one request; a query: five by C-FIND, two by QIDO-RS."""
    try:
        if receipt == "Query":
            return await _query(orthanc, target.place, results)
        if not isinstance(target.place, ToModality):
            return NotOffered()
        return await _commitment(orthanc, target.place, results, transaction)
    except OrthancError as error:
        return Silent(harmless(str(error)))


async def _commitment(orthanc: Orthanc, place: ToModality, results: Sequence[Result], transaction: str | None) -> Answer:
    if transaction is not None:
        try:
            found = await orthanc.commitment(transaction)
        except NotFound:
            found = None  # Orthanc keeps reports in memory: it is asked anew
        if found is Commitment.PENDING:
            return Asked(transaction)
        if found is Commitment.SUCCESS:
            return Confirmed()
        if isinstance(found, int):
            return Lacks(found, len(results), final=True)
    objects = [(one.sop_class_uid, one.sop_instance_uid) for one in results]
    try:
        try:
            return Asked(await orthanc.ask_commitment(place.name, objects))
        except NotFound:
            await place.mend(orthanc)
            return Asked(await orthanc.ask_commitment(place.name, objects))
    except OrthancError as error:
        if "presentation context" in str(error):
            return NotOffered()
        raise


async def _query(orthanc: Orthanc, place: Place, results: Sequence[Result]) -> Answer:
    study = await orthanc.study_uid_of(results[0].orthanc_id)
    found: set[str] = set()
    for series in sorted({one.series_instance_uid for one in results}):
        match place:
            case ToModality(name):
                found |= await orthanc.found_at(name, study_uid=study, series_uid=series, timeout=QUERY_WITHIN)
            case ToServer(name):
                found |= await orthanc.found_by_qido(name, study_uid=study, series_uid=series)
            case _:
                return Silent("a peer cannot be queried")
    missing = sum(one.sop_instance_uid not in found for one in results)
    return Lacks(missing, len(results), final=False) if missing else Confirmed()
