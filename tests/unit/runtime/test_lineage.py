"""Which Run takes which one's place, in whatever order they are seen, and the reports that are handed on."""

from datetime import timedelta
from typing import Any

import pytest
from tests.builders import changed
from tests.builders_runs import A_BRIDGE, RunBuilder, a_run
from tests.unit.runtime.test_turns import Ward, named

from gantry.kube import NotFound, Unavailable
from gantry.runs import Predecessor, RunView
from gantry.runtime.predecessors import predecessors
from gantry.runtime.records import Key

STUDY = a_run().run["spec"]["study"]["orthancID"]
OLD, NEW = named("old", born=0), named("new", born=60).superseding("old")


def key(name: str) -> Key:
    return Key("run", "default", name)


def successor(ward: Ward, name: str) -> str | None:
    found = ward.store.lineage.successor(key(name))
    return found.name if found else None


@pytest.mark.parametrize("order", [(OLD, NEW), (NEW, OLD)], ids=["the older is seen first", "the newer is seen first"])
def test_the_older_run_ends_and_the_newer_waits_for_that(order: tuple[RunBuilder, ...]) -> None:
    ward = Ward()
    ward.sees(*order)
    assert successor(ward, "old") == "new"
    assert ward.store.lineage.predecessor_ends(key("new"), ward.store.runs[key("new")])
    assert "old" in ward.woken
    ward.woken.clear()
    ward.sees(OLD.finished("Superseded", ago=timedelta(0)))
    assert "new" in ward.woken
    assert not ward.store.lineage.predecessor_ends(key("new"), ward.store.runs[key("new")])


def test_the_newer_is_seen_while_the_older_is_long_known() -> None:
    ward = Ward()
    ward.sees(OLD)
    ward.woken.clear()
    ward.sees(NEW)
    assert "old" in ward.woken


def test_the_newer_run_may_have_finished_by_then() -> None:
    """The operator was away, and finished Runs are read last."""
    ward = Ward()
    ward.sees(OLD)
    ward.woken.clear()
    ward.sees(NEW.finished("Succeeded", ago=timedelta(0)))
    assert (successor(ward, "old"), ward.woken) == ("new", ["old"])


def test_a_newer_run_that_was_deleted_takes_nobodys_place() -> None:
    ward = Ward()
    ward.sees(OLD, NEW)
    ward.goes(NEW)
    assert successor(ward, "old") is None


def test_the_newer_run_need_not_wait_for_one_that_was_deleted() -> None:
    ward = Ward()
    ward.sees(OLD, NEW)
    ward.woken.clear()
    ward.goes(OLD)
    assert "new" in ward.woken
    assert not ward.store.lineage.predecessor_ends(key("new"), ward.store.runs[key("new")])


def test_of_several_the_newest_is_named() -> None:
    ward = Ward()
    ward.sees(OLD, NEW, named("newest", born=90).superseding("old"))
    assert successor(ward, "old") == "newest"


OTHER_STUDY = "99999999-22222222-33333333-44444444-55555555"
MISTAKES = {
    "a Run of another study": RunBuilder(changed(NEW.run, "spec.study.orthancID", OTHER_STUDY)),
    "an older Run": NEW.born(-60),
    "itself": OLD.superseding("old"),
}


@pytest.mark.parametrize("newer", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_name_written_by_mistake_ends_nothing(newer: RunBuilder) -> None:
    ward = Ward()
    ward.sees(OLD, newer)
    assert successor(ward, "old") is None
    name = newer.run["metadata"]["name"]
    assert not ward.store.lineage.predecessor_ends(key(name), ward.store.runs[key(name)])


MODES = {
    "of a pipeline that became shadow: the active Run goes on": (OLD, NEW.in_shadow(), None),
    "of a pipeline that became active: the shadow Run ends": (OLD.in_shadow(), NEW, "new"),
    "both in shadow": (OLD.in_shadow(), NEW.in_shadow(), "new"),
}


@pytest.mark.parametrize(("older", "newer", "want"), MODES.values(), ids=MODES.keys())
def test_a_shadow_run_never_takes_the_place_of_an_active_one(older: RunBuilder, newer: RunBuilder, want: str | None) -> None:
    ward = Ward()
    ward.sees(older, newer)
    assert successor(ward, "old") == want
    assert ward.store.lineage.predecessor_ends(key("new"), ward.store.runs[key("new")]) == (want is not None)


def test_two_runs_that_name_each_other_both_go_on() -> None:
    ward = Ward()
    ward.sees(named("a").superseding("b"), named("b").superseding("a"))
    assert [successor(ward, "a"), successor(ward, "b")] == [None, None]


def test_the_runs_of_a_study_are_known_by_pipeline_and_study() -> None:
    ward = Ward()
    ward.sees(NEW, OLD, named("hand").made_by_hand(), RunBuilder(changed(named("x").run, "spec.study.orthancID", OTHER_STUDY)))
    ward.sees(OLD.finished("Succeeded", ago=timedelta(0)))
    found = ward.store.earlier_runs("default", "chest-ct-nodules", STUDY)
    assert [(run.name, run.finished) for run in found] == [("old", True), ("new", False)]
    ward.goes(OLD)
    ward.goes(NEW)
    assert ward.store.earlier_runs("default", "chest-ct-nodules", STUDY) == ()


# ---- the reports that are handed on ----


class Archive:
    """Runs by name; what is not there is gone."""

    def __init__(self, *runs: dict[str, Any], error: Exception | None = None) -> None:
        self.runs, self.error, self.asked = {run["metadata"]["name"]: run for run in runs}, error, list[str]()

    async def get(self, resource: object, namespace: str, name: str) -> dict[str, Any]:
        self.asked.append(name)
        if self.error:
            raise self.error
        if name not in self.runs:
            raise NotFound(name)
        return self.runs[name]


def a_result(kind: str, number: int) -> dict[str, Any]:
    return {"kind": kind, "sopClassUID": f"1.2.{number}", "sopInstanceUID": f"2.25.{number}", "seriesInstanceUID": f"2.25.9{number}"}


def reported(run: RunBuilder, *results: dict[str, Any]) -> dict[str, Any]:
    return {**run.run, "status": {"state": "Succeeded", "results": list(results)}}


NEWEST = RunView.from_object(named("newest", born=90).superseding("new").run)
REPORT = Predecessor(sop_class_uid="1.2.1", sop_instance_uid="2.25.1", series_instance_uid="2.25.91")


async def asked(archive: Archive, run: RunView = NEWEST) -> tuple[Predecessor, ...]:
    return (await predecessors(archive, run)).reports  # type: ignore[arg-type]


async def test_reports_only_are_predecessors() -> None:
    assert await asked(Archive(reported(NEW, a_result("SEG", 2), a_result("SR", 1)))) == (REPORT,)


async def test_a_run_that_never_reported_hands_on_what_it_would_have_replaced() -> None:
    archive = Archive(NEW.run, reported(OLD, a_result("SR", 1)))
    assert await asked(archive) == (REPORT,)
    assert archive.asked == ["new", "old"]


NONE = {
    "the superseded Run was deleted after its history": Archive(),
    "it never reported and took nobody's place": Archive(RunBuilder(changed(NEW.run, "spec.supersedes", ...)).run),
    "it is of another study": Archive(reported(RunBuilder(changed(NEW.run, "spec.study.orthancID", OTHER_STUDY)), a_result("SR", 1))),
    "they name each other": Archive(named("new").superseding("newest").run),
}


@pytest.mark.parametrize("archive", NONE.values(), ids=NONE.keys())
async def test_there_may_be_no_predecessor(archive: Archive) -> None:
    assert await asked(archive) == ()


async def test_a_run_that_supersedes_none_asks_for_nothing() -> None:
    archive = Archive()
    assert await asked(archive, RunView.from_object(OLD.run)) == ()
    assert archive.asked == []


async def test_an_api_server_that_is_away_is_not_a_missing_predecessor() -> None:
    with pytest.raises(Unavailable):
        await asked(Archive(error=Unavailable("no answer")))


async def test_a_shadow_report_is_no_predecessor_of_an_active_one_but_the_one_before_is() -> None:
    archive = Archive(reported(NEW.in_shadow(), a_result("SR", 2)), reported(OLD, a_result("SR", 1)))
    assert await asked(archive) == (REPORT,)


async def test_an_active_report_is_no_predecessor_of_a_shadow_one() -> None:
    shadow = RunView.from_object(named("newest", born=90).superseding("new").in_shadow().run)
    assert await asked(Archive(reported(RunBuilder(changed(NEW.run, "spec.supersedes", ...)), a_result("SR", 1))), shadow) == ()


def newer(ward: Ward, name: str) -> str | None:
    return ward.store.newer_run(key(name), ward.store.runs[key(name)])


def watches_series(ward: Ward) -> None:
    ward.store.observe("orthancbridges", ward.newer(changed(changed(A_BRIDGE, "spec.watch", {"level": "Series"}), "metadata.generation", 2)))


def of_series(builder: RunBuilder, number: int) -> RunBuilder:
    return RunBuilder(changed(builder.run, "spec.study.seriesIDs", ["-".join([f"{number}" * 8] * 5)]))


BESIDE = named("beside", born=60)
NEWER = {
    "a newer one of the pipeline and study, though it names nobody": ((OLD, BESIDE), "beside"),
    "of the same second by name, so that one of two reports": ((OLD, named("zzz")), "zzz"),
    "an older one is none": ((named("before", born=-60), OLD), None),
    "one of another study is none": ((OLD, RunBuilder(changed(BESIDE.run, "spec.study.orthancID", "-".join(["11111111"] * 5)))), None),
    "one of another pipeline is none": ((OLD, RunBuilder(changed(BESIDE.run, "spec.pipelineRef.name", "other"))), None),
    "one in shadow is none: nobody gets its report": ((OLD, BESIDE.in_shadow()), None),
    "of those of one study the newest": ((OLD, BESIDE, named("last", born=90)), "last"),
}


@pytest.mark.parametrize(("runs", "want"), NEWER.values(), ids=NEWER.keys())
def test_which_run_is_newer(runs: tuple[RunBuilder, ...], want: str | None) -> None:
    ward = Ward()
    ward.sees(*runs)
    assert newer(ward, "old") == want


def test_where_series_are_decided_one_by_one_the_newer_run_shares_one() -> None:
    ward = Ward()
    watches_series(ward)
    ward.sees(of_series(OLD, 1), of_series(BESIDE, 2))
    assert newer(ward, "old") is None
    ward.sees(of_series(named("again", born=90), 1))
    assert newer(ward, "old") == "again"


def test_a_run_that_waits_to_report_its_failure_is_woken_by_a_newer_one() -> None:
    ward = Ward()
    failure = {"reason": "InputMismatch", "message": "other images"}
    ward.sees(OLD.with_status({"state": "Running", "failure": failure, "jobRef": {"name": "old-1", "uid": "1"}}))
    ward.woken.clear()
    ward.sees(BESIDE)
    assert "old" in ward.woken


def test_a_run_that_only_reports_its_failure_has_no_place() -> None:
    ward = Ward(limit=1)
    ward.sees(OLD, BESIDE)
    assert ward.held("old") is None
    ward.has_job(OLD)
    assert ward.held("beside")
    failure = {"reason": "InputMismatch", "message": "other images"}
    ward.sees(OLD.with_status({"state": "Running", "failure": failure, "jobRef": {"name": "old-1", "uid": "1"}}))
    assert ward.held("beside") is None
