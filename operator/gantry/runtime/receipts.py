"""Asks Orthanc for the receipt that a Run's pod kept there: when the pod is gone, or its message was lost. It decides nothing."""

from gantry.orthanc import NotFound, Orthanc, OrthancError, Transient, Unauthorized
from gantry.runs import RECEIPT_ATTACHMENT, Kept, PublishReceipt, RunView, decode_kept, places


async def find_receipt(orthanc: Orthanc | None, run: RunView, *, installation: str) -> Kept:
    """A receipt whose every object is in Orthanc with the bytes it tells of. `orthanc` None: the bridge is gone, or has no credentials."""
    if orthanc is None:
        return "NotKnown"
    try:
        return await _find(orthanc, run, installation) or "Nothing"
    except (Transient, Unauthorized):
        return "NotKnown"
    except OrthancError:
        return "Nothing"  # it will never say: a proxy that lets only some paths through


async def _find(orthanc: Orthanc, run: RunView, installation: str) -> PublishReceipt | None:
    for uid in places(installation, run.namespace, run.name):
        if (instance := await orthanc.instance_of(uid)) is None:
            continue
        try:
            kept = await orthanc.attachment(instance, RECEIPT_ATTACHMENT)
            receipt = decode_kept(kept.content, run.uid)
            if receipt is not None and await _is_true(orthanc, receipt):
                return receipt
        except NotFound:
            continue
    return None


async def _is_true(orthanc: Orthanc, receipt: PublishReceipt) -> bool:
    """A later attempt may have stored other bytes and died before it kept a receipt of its own. Raises NotFound when an object is gone."""
    return all([await orthanc.md5(one.orthanc_id) == one.md5 for one in (*receipt.results, *receipt.alternatives)])
