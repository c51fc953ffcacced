"""What a Run's pods leave in Orthanc and an operator may ask for: the receipt with the first report. A request can be lost, as to the API server."""

from tests.builders_runs import RESULT, a_receipt
from tests.model.api_server import Pause

from gantry.orthanc import NotFound
from gantry.orthanc.models import Attachment
from gantry.runs import places, to_be_kept

ASKED = "ask Orthanc"


class Orthanc:
    """Instances have their SOP Instance UID for an id."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.silent = False
        """A request to it was lost."""

    def keep(self, name: str, uid: str) -> None:
        """publish of a Run has stored its report."""
        self.kept[places("model", "default", name)[1]] = to_be_kept(uid, a_receipt())

    async def instance_of(self, uid: str) -> str | None:
        await Pause(ASKED, sent=False)
        return uid if uid in self.kept else None

    async def attachment(self, instance: str, number: int) -> Attachment:
        await Pause(ASKED, sent=False)
        if instance not in self.kept:
            raise NotFound("no such attachment")
        return Attachment(self.kept[instance], "")

    async def md5(self, instance: str) -> str:
        assert instance == RESULT.orthanc_id
        return RESULT.md5
