"""The PACS: a receiver that is not Orthanc, keeps every byte it is sent, and can be unwell in the ways PACS are."""

import time
from collections.abc import Callable
from typing import Any

from tests.component.scripted_scp import ScriptedSCP


class Pacs:
    """Away until `start`. What it stored stays, whatever it does meanwhile."""

    def __init__(self) -> None:
        self.stored: dict[str, list[bytes]] = {}
        """Datasets by SOP Instance UID, one for each time they came."""
        self.studies: dict[str, str] = {}
        """Study Instance UID by SOP Instance UID."""
        self.refusals = 0
        self.before: Callable[[], None] | None = None
        """Called once, at the next C-STORE, before its answer."""
        self._server = ScriptedSCP(self._keep, aet="PACS")
        self._server.start()
        self.port = self._server.port

    def close(self) -> None:
        self._server.stop()

    def _is(self, script: Callable[[ScriptedSCP, Any], int] | None = None, **options: Any) -> None:
        self._server.stop()
        self._server = ScriptedSCP(script or self._keep, port=self.port, **{"aet": "PACS", **options})
        self._server.start()

    def well(self) -> None:
        self._is()

    def away(self) -> None:
        self._server.stop()

    def refuses_association(self) -> None:
        self._is(aet="SOMEONE", called=True)

    def refuses_class(self) -> None:
        self._is(storage=False)

    def slow(self, seconds: float) -> None:
        def script(scp: ScriptedSCP, event: Any) -> int:
            time.sleep(seconds)
            return self._keep(scp, event)

        self._is(script)

    def full(self) -> None:
        self._is(self._refuse(0xA700))

    def aborts(self) -> None:
        def script(scp: ScriptedSCP, event: Any) -> int:
            self.refusals += 1
            event.assoc.abort()
            return 0

        self._is(script)

    def _refuse(self, status: int) -> Callable[[ScriptedSCP, Any], int]:
        def script(scp: ScriptedSCP, event: Any) -> int:
            self.refusals += 1
            return status

        return script

    def _keep(self, scp: ScriptedSCP, event: Any) -> int:
        if self.before:
            hook, self.before = self.before, None
            hook()
        uid = str(event.request.AffectedSOPInstanceUID)
        self.stored.setdefault(uid, []).append(event.encoded_dataset(include_meta=False))
        self.studies[uid] = str(event.dataset.StudyInstanceUID)
        scp.stored.append(uid)
        return 0x0000
