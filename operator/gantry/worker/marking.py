"""Tells Orthanc which results are a shadow pipeline's, so that people find them and rules of Orthanc's own (retention, a script) can tell them.

A label on each instance where Orthanc has labels (1.12), user metadata of the instance where it has none. The objects say it themselves, too
(`report.shadow`), so an Orthanc that takes neither is told of and no reason to fail a Run whose results are stored.
"""

from collections.abc import Sequence

from gantry.api import RunReason
from gantry.api.run import Result
from gantry.orthanc import Orthanc, Permanent, Transient

from .log import complain, tell
from .outcome import Stop
from .patience import Patience, persistently

LABEL = "gantry-shadow"
METADATA = 1024
"""Number of the metadata: the first that Orthanc leaves to its users; no configuration is needed."""
VALUE = "SHADOW"


async def mark_results(orthanc: Orthanc, results: Sequence[Result], patience: Patience) -> None:
    """Each of them, which may be repeated. Raises Stop(UploadFailed) when Orthanc stays away."""
    try:
        labels = "Labels" in (await persistently(orthanc.system, patience)).features
        for one in results:
            await persistently(lambda instance=one.orthanc_id: _mark(orthanc, instance, labels=labels), patience)  # type: ignore[misc]
    except Transient as error:
        raise Stop(RunReason.UPLOAD_FAILED, str(error), step="publish") from error
    except Permanent as error:
        complain("Orthanc does not take the mark of shadow results; their series descriptions have it", {"error": type(error).__name__})
    else:
        tell("marked as shadow", {"results": len(results), "by": "label" if labels else "metadata"})


async def _mark(orthanc: Orthanc, instance: str, *, labels: bool) -> None:
    if labels:
        await orthanc.put_label(instance, LABEL)
    elif (await orthanc.user_metadata(instance, METADATA)) is None:
        await orthanc.put_user_metadata(instance, METADATA, VALUE)
