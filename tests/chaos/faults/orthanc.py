"""Orthanc: killed at each stage of a study, refusing, hanging, answering by halves, and with a database of yesterday."""

import os
import random
import shutil
import signal
import threading
import time

from tests.chaos.fault import WELL, End, Fault
from tests.chaos.journal import Stage
from tests.chaos.proxy import Asked, Rule, Spoilt
from tests.chaos.stream import Study
from tests.component.waiting import LIMIT


class OrthancKilled(Fault):
    """At a moment of the stream."""

    name = "Orthanc killed before stable"
    stages = (Stage.SENT,)
    lasts = (0.2, 2.0)

    def strike(self, study: Study) -> None:
        self.world.orthanc.kill()
        self.struck += 1

    def heal(self) -> None:
        self.world.orthanc.start()


class OrthancKilledAfterStable(OrthancKilled):
    name = "Orthanc killed after stable"
    stages = (Stage.RUN, Stage.JOB)


class KilledWhenAsked(Fault):
    """At a certain request to it: killed once the request has come, before it is passed on or a moment after."""

    stages = (Stage.SENT,)
    lasts = (0.5, 2.0)

    def wanted(self, asked: Asked) -> bool:
        raise NotImplementedError

    def prepare(self) -> None:
        self._armed, self._down = threading.Event(), threading.Event()
        self.world.orthanc_proxy.observers.append(self._asked)

    def _asked(self, asked: Asked) -> None:
        if self._armed.is_set() and self.wanted(asked):
            self._armed.clear()
            if self.rng.random() < 0.5:
                self._kill()
            else:
                threading.Timer(self.rng.uniform(0.0, 0.03), self._kill).start()

    def _kill(self) -> None:
        self.world.orthanc.kill()
        self.struck += 1
        self._down.set()

    def strike(self, study: Study) -> None:
        self._armed.set()
        self._down.wait(LIMIT)

    def heal(self) -> None:
        self._armed.clear()
        if self._down.is_set():
            self._down.clear()
            self.world.orthanc.start()

    def clean(self) -> None:
        self.world.orthanc_proxy.observers.remove(self._asked)


class KilledDuringFetch(KilledWhenAsked):
    name = "Orthanc killed during fetch"

    def wanted(self, asked: Asked) -> bool:
        return asked.path.endswith("/file") or asked.path.startswith("/dicom-web/studies")


class KilledDuringUpload(KilledWhenAsked):
    name = "Orthanc killed during upload"

    def wanted(self, asked: Asked) -> bool:
        return asked.method == "POST" and asked.path == "/instances"


class KilledDuringForward(Fault):
    """When the PACS has been sent the report and has not answered yet."""

    name = "Orthanc killed during forward"
    stages = (Stage.SENT,)
    lasts = (0.5, 2.0)

    def prepare(self) -> None:
        self._down = threading.Event()

    def _kill(self) -> None:
        self.world.orthanc.kill()
        self.struck += 1
        self._down.set()

    def strike(self, study: Study) -> None:
        self.world.pacs.before = self._kill
        self._down.wait(LIMIT)

    def heal(self) -> None:
        self.world.pacs.before = None
        if self._down.is_set():
            self._down.clear()
            self.world.orthanc.start()


class Spoiling(Fault):
    """A share of the requests to Orthanc goes wrong for a while."""

    share = 0.4
    lasts = (2.0, 5.0)
    stages = (Stage.SENT, Stage.RUN, Stage.JOB, Stage.FETCH, Stage.STEP)

    def spoils(self, asked: Asked) -> Spoilt | None:
        raise NotImplementedError

    def rule(self) -> Rule:
        dice = random.Random(self.rng.random())
        return lambda asked: self.spoils(asked) if dice.random() < self.share else None

    def strike(self, study: Study) -> None:
        self.before = self.world.orthanc_proxy.spoilt
        self.world.orthanc_proxy.rule = self.rule()

    def heal(self) -> None:
        self.world.orthanc_proxy.rule = None
        self.struck += self.world.orthanc_proxy.spoilt - self.before


class Unavailable(Spoiling):
    name = "Orthanc answers 503"

    def spoils(self, asked: Asked) -> Spoilt | None:
        return Spoilt(status=503)


class Unauthorised(Spoiling):
    """Of the operator's requests and of fetch's and publish's: a wrong password is for good, so a Run may fail of it and must say so."""

    name = "Orthanc answers 401"

    def spoils(self, asked: Asked) -> Spoilt | None:
        return Spoilt(status=401)

    def ends(self, study: Study) -> tuple[End, ...]:
        refused = [End("Failed", reason, reports=0, delivered=0) for reason in ("FetchFailed", "UploadFailed")]
        return (*WELL, *refused, End("Failed", "UploadFailed", reports=1, delivered=0))


class HalfBodies(Spoiling):
    name = "Orthanc sends half a body"

    def spoils(self, asked: Asked) -> Spoilt | None:
        return Spoilt(half=True)


class Truncated(Spoiling):
    """A complete answer by its header, with fewer bytes than the instance has."""

    name = "Orthanc sends a truncated instance"

    def spoils(self, asked: Asked) -> Spoilt | None:
        return Spoilt(shorter=True) if asked.path.endswith("/file") or asked.path.startswith("/dicom-web/") else None


class Slow(Spoiling):
    name = "Orthanc slow (up to 4 s)"

    def spoils(self, asked: Asked) -> Spoilt | None:
        return Spoilt(seconds=self.rng.uniform(0.5, 4.0))


class Hanging(Fault):
    """Stopped: connections are taken by the kernel and never answered."""

    name = "Orthanc hangs"
    times = 1
    lasts = (12.0, 15.0)

    def strike(self, study: Study) -> None:
        os.kill(self.world.orthanc.pid, signal.SIGSTOP)
        self.struck += 1

    def heal(self) -> None:
        os.kill(self.world.orthanc.pid, signal.SIGCONT)


class RestoredFromYesterday(Fault):
    """The database is put back to before the first study that the moment has seen finished; studies after it come anew.

    What a study that is no more in Orthanc ends in: its Run stays as it was and its report is at the PACS. One that was under way
    ends as StudyGone, or is through.
    """

    name = "Orthanc's database restored from yesterday"
    stages = (Stage.FINISHED,)
    times = 1
    studies = 6
    lasts = (0.5, 1.5)

    def prepare(self) -> None:
        self.world.orthanc.stop()
        self.kept = self.world.folder / "yesterday"
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.world.orthanc.folder / "db", self.kept)
        self.world.orthanc.start()

    def strike(self, study: Study) -> None:
        self.world.orthanc.kill()
        self.moment = time.monotonic()
        shutil.rmtree(self.world.orthanc.folder / "db")
        shutil.copytree(self.kept, self.world.orthanc.folder / "db")
        self.struck += 1

    def heal(self) -> None:
        self.world.orthanc.start()

    def ends(self, study: Study) -> tuple[End, ...]:
        held = set(self.world.orthanc.rest("GET", "/studies"))
        if study.orthanc_id in held:
            return (*WELL, End(reports=0), *self._gone())
        return (End(reports=0), End(runs=0, state="", reports=0, delivered=0), *self._gone())

    def _gone(self) -> list[End]:
        reasons = ("StudyGone", "FetchFailed", "UploadFailed", "DeliveryFailed", "InputMismatch")
        return [End("Failed", reason, reports=reports, delivered=0) for reason in reasons for reports in (0, 1)]
