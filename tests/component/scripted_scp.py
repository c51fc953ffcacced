"""A DICOM receiver that does what the test says: pynetdicom's SCP, with a script for each C-STORE and a memory of what it stored."""

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification  # type: ignore[attr-defined]
from tests.component.control_plane import free_port

Script = Callable[["ScriptedSCP", Any], int]


def stores(scp: "ScriptedSCP", event: Any) -> int:
    """As it should be."""
    scp.stored.append(str(event.request.AffectedSOPInstanceUID))
    return 0x0000


def answers(status: int) -> Script:
    """Always this status, nothing is stored."""
    return lambda scp, event: status


def forgets(scp: "ScriptedSCP", event: Any) -> int:
    """Success, and nothing is stored."""
    return 0x0000


def aborts(scp: "ScriptedSCP", event: Any) -> int:
    """In the midst of the object."""
    event.assoc.abort()
    return 0x0000


def full_after(count: int) -> Script:
    """So many objects, then the disk is full."""
    return lambda scp, event: stores(scp, event) if len(scp.stored) < count else 0xA700


def slowly(seconds: float) -> Script:
    """Stores, after a while."""

    def script(scp: "ScriptedSCP", event: Any) -> int:
        time.sleep(seconds)
        return stores(scp, event)

    return script


class ScriptedSCP:
    """`script` may be changed while it runs. `without`: SOP classes it refuses; `syntaxes`: transfer syntaxes it takes. It answers C-FIND of level IMAGE from what it stored."""

    def __init__(self, script: Script, *, storage: bool = True, without: Collection[str] = (), aet: str = "SCRIPTED", called: bool = False, port: int | None = None, syntaxes: Sequence[str] = ()) -> None:
        self.script, self.aet, self.port = script, aet, port or free_port()
        self.stored: list[str] = []
        self.associations = 0
        self._ae = AE(ae_title=aet)
        self._ae.maximum_associations = 100
        self._ae.require_called_aet = called
        self._ae.add_supported_context(Verification)
        self._ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        for context in AllStoragePresentationContexts if storage else ():
            if context.abstract_syntax not in without:
                self._ae.add_supported_context(context.abstract_syntax, syntaxes or None)
        self._server: Any = None

    def start(self) -> None:
        self._server = self._ae.start_server(
            ("127.0.0.1", self.port),
            block=False,
            evt_handlers=[(evt.EVT_C_STORE, self._store), (evt.EVT_C_FIND, self._find), (evt.EVT_ACCEPTED, self._count)],
        )

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _count(self, event: Any) -> None:
        self.associations += 1

    def _store(self, event: Any) -> int:
        return self.script(self, event)

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        for uid in dict.fromkeys(self.stored):
            answer = Dataset()
            answer.QueryRetrieveLevel = "IMAGE"
            answer.StudyInstanceUID, answer.SeriesInstanceUID = event.identifier.StudyInstanceUID, event.identifier.SeriesInstanceUID
            answer.SOPInstanceUID = uid
            yield 0xFF00, answer


@contextlib.contextmanager
def scripted_scp(script: Script = stores, **options: Any) -> Iterator[ScriptedSCP]:
    """Started; ended with the block."""
    scp = ScriptedSCP(script, **options)
    scp.start()
    try:
        yield scp
    finally:
        scp.stop()
