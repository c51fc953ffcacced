"""publish's receipt as it is kept in Orthanc, with the first report it tells of.

Pure. The kubelet hands a receipt on as the container's last message, and that is what is read. This copy is for a pod that was gone, or whose message
was lost, before any operator had read it: what is in Orthanc then needs no second analysis. It names its Run by uid, for one that is made anew
under the same name gives its results the same UIDs and must not take an earlier one's for its own.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from .after import keeper
from .alternatives import MOST_REPORTS, PASSED_REPORTS, REPORTS
from .names import result_uid
from .receipt import PublishReceipt, decode_publish

RECEIPT_ATTACHMENT = 1025
"""Orthanc's number of the attachment; its users' own are 1024 to 65535."""


class Kept(BaseModel):
    """A receipt, and whose it is."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    run: str
    """Uid of the Run."""
    receipt: str
    """As the kubelet gets it, cut to what a Run's status takes."""


def to_be_kept(run: str, receipt: PublishReceipt) -> bytes:
    """JSON, of the Run with that uid."""
    return Kept(run=run, receipt=receipt.encode()).model_dump_json().encode()


def decode_kept(content: bytes, run: str) -> PublishReceipt | None:
    """None: it is another Run's, or none at all."""
    try:
        kept = Kept.model_validate_json(content)
    except ValidationError:
        return None
    receipt = decode_publish(kept.receipt) if kept.run == run else None
    return receipt if receipt is not None and receipt.failure is None and keeper(receipt.results) else None


def places(installation: str, namespace: str, run: str) -> Sequence[str]:
    """SOP Instance UIDs of the Run's objects, one of which is its first report (`keeper`): an application's own, or one that Gantry built."""
    roles = ((PASSED_REPORTS, 0), *((REPORTS, place) for place in range(MOST_REPORTS)))
    return [result_uid(installation, namespace, run, role, place) for role, place in roles]
