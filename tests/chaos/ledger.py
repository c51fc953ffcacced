"""Conservation: studies in = decisions = Runs = reports in Orthanc = reports at the PACS, per fingerprint, byte for byte."""

import hashlib
import io
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydicom import dcmread
from tests.chaos.fault import End
from tests.chaos.stream import Study
from tests.chaos.world import World

Object = dict[str, Any]
META = 132
"""Bytes before the file meta information (PS3.10 7.1): preamble and prefix."""


@dataclass
class Account:
    """One study's."""

    study: Study
    end: End
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)


class Ledger:
    """A look at everything there is, at one moment."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.journal.look()
        self.decisions = world.decisions()
        self._found: dict[str, list[str]] = {}

    def works(self, study: Study) -> bool:
        """Whether a Run of it is known to be under way: nobody else need be asked."""
        return any(not _finished(run) for run in self.world.journal.runs.get(study.orthanc_id, ()))

    def end(self, study: Study) -> End:
        """What the study has come to so far. Its Run's state is empty while it is not finished."""
        runs = self.world.journal.runs.get(study.orthanc_id, [])
        states = {(run.get("status") or {}).get("state", "") if _finished(run) else "" for run in runs}
        reasons = {((run.get("status") or {}).get("failure") or {}).get("reason", "") for run in runs}
        words = ("+".join(sorted(states)), "+".join(sorted(filter(None, reasons))))
        return End(*words, runs=len(runs), reports=len(self._reports(study)), delivered=len(self._delivered(study)))

    def account(self, study: Study, allowed: tuple[End, ...]) -> Account:
        """Everything that does not fit what is allowed."""
        end = self.end(study)
        made = Account(study, end)
        runs = self.world.journal.runs.get(study.orthanc_id, [])
        if end not in allowed:
            self._compare(made, end, allowed)
        if len({run["spec"]["study"]["fingerprint"] for run in runs}) < len(runs) and max(one.runs for one in allowed) < 2:
            made.doubled.append("two Runs of one fingerprint")
        for uid in self.world.journal.uids.get(study.orthanc_id, ()):
            if len(self.world.journal.jobs.get(uid, ())) > 1:
                made.doubled.append("a Run has had two Jobs")
        if runs and study.orthanc_id not in self.decisions:
            made.lost.append("no decision is recorded")
        for run in runs:
            if (run.get("status") or {}).get("state") == "Failed" and not run["status"]["failure"].get("message"):
                made.wrong.append("the failure has no words")
        self._same_bytes(made, runs)
        return made

    def _compare(self, made: Account, end: End, allowed: tuple[End, ...]) -> None:
        for what in ("runs", "reports", "delivered"):
            has, wanted = getattr(end, what), [getattr(one, what) for one in allowed]
            if has < min(wanted):
                made.lost.append(f"{what}: {has} of {min(wanted)}")
            if has > max(wanted):
                made.doubled.append(f"{what}: {has} instead of {max(wanted)}")
        if not (made.lost or made.doubled):
            (made.wrong if end.state else made.lost).append(f"ended as {end}, not as {' or '.join(map(str, allowed))}" if end.state else f"never ended: {end}")

    def _reports(self, study: Study) -> list[str]:
        """Orthanc's ids of the study's reports."""
        if study.uid not in self._found:
            query = {"Level": "Instance", "Query": {"StudyInstanceUID": study.uid, "Modality": "SR"}}
            self._found[study.uid] = self._rest("POST", "/tools/find", json=query)
        return self._found[study.uid]

    def _rest(self, method: str, path: str, *, json: Any = None) -> Any:
        """Orthanc closes idle connections by itself, perhaps just now."""
        try:
            return self.world.orthanc.rest(method, path, json=json)
        except httpx.RemoteProtocolError:
            return self.world.orthanc.rest(method, path, json=json)

    def _delivered(self, study: Study) -> list[str]:
        return [uid for uid, of in self.world.pacs.studies.items() if of == study.uid]

    def _same_bytes(self, made: Account, runs: list[Object]) -> None:
        """The report in Orthanc is what the Run says, and the PACS has the same, each time it was sent."""
        files = {}
        for report in self._reports(made.study):
            content = self._rest("GET", f"/instances/{report}/file")
            files[str(dcmread(io.BytesIO(content), stop_before_pixels=True).SOPInstanceUID)] = content
        told = {one["sopInstanceUID"]: one["md5"] for run in runs for one in (run.get("status") or {}).get("results") or ()}
        for uid, content in files.items():
            if uid in told and hashlib.md5(content).hexdigest() != told[uid]:
                made.wrong.append("Orthanc holds other bytes than the Run says")
        for uid in self._delivered(made.study):
            copies = self.world.pacs.stored[uid]
            if len(set(copies)) > 1:
                made.wrong.append("the PACS was sent different bytes under one UID")
            if uid in files and not _same(files[uid], copies[0]):
                made.wrong.append("the PACS holds other bytes than Orthanc")
            if told and uid not in told:
                made.wrong.append("the PACS holds a report no Run tells of")


def _finished(run: Object) -> bool:
    conditions = (run.get("status") or {}).get("conditions") or ()
    return any(one["type"] in ("Complete", "Failed") and one["status"] == "True" for one in conditions)


def _same(file: bytes, dataset: bytes) -> bool:
    """The dataset of a file, behind its meta information, whose first element tells its length (PS3.10 7.1)."""
    length = int.from_bytes(file[META + 8 : META + 12], "little")
    return file[META + 12 + length :] == dataset
