"""Where results can be sent from an Orthanc, and how a send begins at each kind of place.

It starts sends and mends what Orthanc forgot; when to send and what came of it is `plan.py` and `courier.py`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gantry.api.bridge import ReportClass
from gantry.api.run import Result
from gantry.orthanc import DicomWebServer, Modality, NotFound, Orthanc

ORDER = {"SR": 1, "KO": 2}
"""A report goes after the objects it names, a key object selection after everything; the others keep their order."""
ALL = ("SR", "SEG", "SC", "PDF", "PM", "KO")


class PlaceMissing(Exception):
    """Orthanc does not have the place; the message says what to do."""


@dataclass(frozen=True, slots=True)
class ToModality:
    """By C-STORE."""

    name: str
    """Orthanc's symbolic name of it."""
    node: Modality | None
    """What to put there when Orthanc forgot the name (a restart without DicomModalitiesInDatabase). None: the entry is Orthanc's own."""

    async def begin(self, orthanc: Orthanc, instances: Sequence[str]) -> str:
        """Starts a job and gives its id."""
        try:
            return await orthanc.store(self.name, instances)
        except NotFound:
            if self.node is None:
                if self.name in await orthanc.modalities():
                    raise
                raise PlaceMissing(f"Orthanc has no modality {self.name}; add it to its DicomModalities") from None
        await self.mend(orthanc)
        return await orthanc.store(self.name, instances)

    async def mend(self, orthanc: Orthanc) -> None:
        """Puts the entry again."""
        if self.node is not None:
            await orthanc.put_modality(self.name, self.node)


@dataclass(frozen=True, slots=True)
class ToServer:
    """By STOW-RS."""

    name: str
    server: DicomWebServer

    async def begin(self, orthanc: Orthanc, instances: Sequence[str]) -> str:
        """Starts a job and gives its id. That the plugin does not know the server is said by the job."""
        try:
            return await orthanc.stow(self.name, instances)
        except NotFound:
            if await orthanc.dicom_web() is not None:
                raise
            raise PlaceMissing("Orthanc has no DICOMweb plugin; install it or use another kind of destination") from None

    async def mend(self, orthanc: Orthanc) -> None:
        """Puts the entry again."""
        await orthanc.put_server(self.name, self.server)


@dataclass(frozen=True, slots=True)
class ToPeer:
    """To another Orthanc over HTTP."""

    name: str

    async def begin(self, orthanc: Orthanc, instances: Sequence[str]) -> str:
        """Starts a job and gives its id."""
        try:
            return await orthanc.store_at_peer(self.name, instances)
        except NotFound:
            if self.name in await orthanc.peers():
                raise
            raise PlaceMissing(f"Orthanc has no peer {self.name}; add it to its OrthancPeers") from None

    async def mend(self, orthanc: Orthanc) -> None:
        """The entry is Orthanc's own."""


Place = ToModality | ToServer | ToPeer


@dataclass(frozen=True, slots=True)
class Target:
    """A destination that can be sent to."""

    place: Place
    accept: Collection[str] = ALL
    """Kinds of results it gets."""
    verify: bool = False
    """It is asked for them afterwards."""
    size: int = 8
    """Sends to it at once."""
    interval: timedelta = timedelta(0)
    """From one send to the next, at least."""
    fallback: bool = False
    """It gets Comprehensive SRs when it refuses Comprehensive 3D SR."""
    takes: ReportClass | None = None
    """Which of them, as far as it was asked."""

    def chosen(self, results: Sequence[Result]) -> list[Result]:
        """What goes there, in the order it is sent."""
        return sorted((one for one in results if one.kind in self.accept), key=lambda one: ORDER.get(one.kind, 0))


@dataclass(frozen=True, slots=True)
class Unusable:
    """A destination that cannot be sent to."""

    words: str
    """Why, and what to do."""
    final: str = ""
    """A reason in one word, when that will never change."""
