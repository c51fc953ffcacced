"""A backfill walks through stored studies: which it takes, how many at once, and where it goes on."""

import pytest
from tests.backfill_walk import CT, Killed, Walk
from tests.builders_bridge import a_candidate, requirement

from gantry.api import BackfillReason, labels
from gantry.bridge import Decided, Level, Problem, RunRefused


def test_each_matching_study_of_the_days_becomes_one_run() -> None:
    walk = Walk()
    for number in range(5):
        walk.study(f"ct{number}", f"2025030{1 + number % 3}")
    walk.study("mr", modality="MR")
    walk.study("too early", "20250228")
    walk.study("too late", "20250304")
    walk.run()
    assert len(walk.host.runs) == 5
    counts = walk.counts
    assert (counts.found, counts.examined, counts.matched, counts.created, counts.known, counts.failed, counts.active) == (6, 6, 5, 5, 0, 0, 0)
    assert (walk.status.state, walk.condition("Complete"), walk.condition("Progressing")) == ("Complete", "True/Complete", "False/Complete")
    assert walk.message("Complete") == "6 studies looked at, 5 Runs made, 0 were analysed already"


def test_its_runs_say_who_made_them_and_how_urgent_they_are() -> None:
    walk = Walk(priority="Urgent")
    walk.study("a")
    walk.run()
    (run,) = walk.host.runs.values()
    assert run["metadata"]["labels"][labels.BACKFILL] == "chest-2025"
    assert (run["spec"]["trigger"], run["spec"]["priority"]) == ("Backfill", "Urgent")


@pytest.mark.parametrize("cap", [1, 3])
def test_never_more_runs_than_the_cap_are_unfinished(cap: int) -> None:
    walk = Walk(maxActive=cap)
    for number in range(20):
        walk.study(f"ct{number}")
    walk.each_sleep = lambda number: walk.finish_one() if number % 7 == 0 else None
    walk.run()
    assert walk.most_active == cap
    assert len(walk.host.runs) == 20


def test_it_is_complete_only_when_its_last_run_is() -> None:
    walk = Walk(maxActive=2)
    walk.study("a")
    walk.study("b")
    seen: list[str] = []

    def later(number: int) -> None:
        seen.append(walk.condition("Progressing"))
        if number > 40:
            walk.finish_one()

    walk.each_sleep = later
    walk.run()
    assert "True/Finishing" in seen
    assert seen.index("True/Finishing") > seen.index("True/Running")
    assert walk.condition("Complete") == "True/Complete"


def test_series_by_series_each_has_a_run_and_the_cap_still_holds() -> None:
    walk = Walk(maxActive=2)
    walk.level = Level.SERIES
    for series in ("1", "2", "3", "4"):
        walk.study("a", series=series)
    walk.study("b")
    walk.each_sleep = lambda number: walk.finish_one() if number % 5 == 0 else None
    walk.run()
    assert sorted(len(run["spec"]["study"]["seriesIDs"]) for run in walk.host.runs.values()) == [1] * 5
    assert walk.most_active == 2
    assert (walk.counts.examined, walk.counts.matched, walk.counts.created) == (2, 2, 5)


def test_further_requirements_narrow_the_pipelines_own() -> None:
    walk = Walk(match=[requirement("StudyDescription", "Matches", "(?i)head")])
    walk.study("chest")
    walk.study("head", tags={"StudyDescription": "CT Head"})
    walk.run()
    assert (walk.counts.matched, walk.counts.examined) == (1, 2)


def test_a_requirement_that_cannot_be_compiled_ends_it_with_the_field() -> None:
    walk = Walk(match=[CT, requirement("StudyDescription", "Matches", "(")])
    walk.study("a")
    walk.run()
    assert (walk.status.state, walk.condition("Failed"), walk.condition("Complete")) == ("Failed", "True/InvalidRequirement", "False/InvalidRequirement")
    assert walk.message("Failed").startswith("spec.match[1]: StudyDescription Matches '('")
    assert walk.host.runs == {}


class TestKnown:
    """Studies that are analysed already."""

    def test_a_study_with_a_run_is_not_analysed_again(self) -> None:
        walk = Walk()
        walk.study("a")
        walk.run()
        for run in walk.host.runs.values():
            del run["metadata"]["labels"][labels.BACKFILL]  # as the bridge makes them
        walk.statuses.clear()
        walk.run()
        assert len(walk.host.runs) == 1
        assert (walk.counts.created, walk.counts.known) == (0, 1)

    def test_a_study_whose_runs_record_is_gone_is_known_by_its_report(self) -> None:
        walk = Walk()
        study = walk.study("a")
        walk.run()
        (name,) = walk.host.runs
        walk.host.runs.clear()
        walk.statuses.clear()
        walk.fake.images("a", "sr", modality="SR", own=True, tags={"SeriesInstanceUID": f"series of {name}"})
        walk.fake.stable(study)
        walk.run()
        assert walk.host.runs == {}
        assert (walk.counts.created, walk.counts.known) == (0, 1)


class TestKilled:
    """The process ends at any moment; what was written goes on."""

    @pytest.mark.parametrize("moment", range(1, 40, 3))
    def test_goes_on_without_a_second_run_and_counts_each_study_once(self, moment: int) -> None:
        walk = Walk(maxActive=2)
        for number in range(12):
            walk.study(f"ct{number}", f"2025030{1 + number % 3}")

        def kill(number: int) -> None:
            walk.finish_one()
            if number == moment:
                raise Killed

        walk.each_sleep = kill
        walk.run()
        before = walk.host.posts
        walk.run()
        assert len(walk.host.runs) == walk.host.posts == 12, f"{before} before the kill"
        assert (walk.counts.examined, walk.counts.created, walk.counts.known) == (12, 12, 0)
        assert walk.condition("Complete") == "True/Complete"

    def test_killed_between_the_run_and_the_cursor_it_knows_its_own_run(self) -> None:
        walk = Walk()
        walk.study("a")
        walk.status_fault = ConnectionError("the API server is away")

        def kill(number: int) -> None:
            if walk.host.runs:
                raise Killed

        walk.each_sleep = kill
        walk.run()
        assert (len(walk.host.runs), walk.statuses) == (1, [])
        walk.status_fault = None
        walk.each_sleep = lambda number: walk.finish_one()
        walk.run()
        assert walk.host.posts == 1
        assert (walk.counts.created, walk.counts.known) == (1, 0)

    def test_after_a_kill_the_cap_still_counts_the_older_runs(self) -> None:
        walk = Walk(maxActive=2)
        for number in range(6):
            walk.study(f"ct{number}")

        def kill(number: int) -> None:
            if walk.active() == 2:
                raise Killed

        walk.each_sleep = kill
        walk.run()
        walk.each_sleep = lambda number: walk.finish_one() if number % 5 == 0 else None
        walk.run()
        assert walk.most_active == 2
        assert len(walk.host.runs) == 6


class TestDryRun:
    """Counts and does nothing."""

    def test_says_what_would_be_done(self) -> None:
        walk = Walk(dryRun=True)
        for name in ("a", "b", "c"):
            walk.study(name)
        walk.study("mr", modality="MR")
        walk.run()
        assert walk.host.runs == {}
        assert walk.host.posts == 0
        assert (walk.status.state, walk.condition("Complete"), walk.condition("Progressing")) == ("Counted", "True/Counted", "False/Counted")
        assert walk.message("Complete") == (
            "3 of 4 studies would be analysed, 0 that match are analysed already; set spec.dryRun to false to begin"
        )
        assert not walk.host.seen(Decided), "no decision of it is in the metrics"

    def test_begins_from_the_first_day_when_it_ends_being_one(self) -> None:
        walk = Walk(dryRun=True)
        for name in ("a", "b", "c"):
            walk.study(name)
        walk.run()
        counted = walk.counts
        walk.spec = walk.spec.model_copy(update={"dry_run": False})
        walk.run(generation=2)
        assert len(walk.host.runs) == 3
        assert walk.status.estimate == counted
        assert (walk.counts.examined, walk.counts.created) == (3, 3)
        assert walk.status.mode == "Run"
        assert walk.status.observed_generation == 2


class TestTroubles:
    """What fails, and who is told."""

    def test_a_study_on_which_orthanc_fails_is_left_and_counted(self) -> None:
        walk = Walk()
        ids = sorted(walk.study(f"ct{number}") for number in range(4))
        walk.fake.fails(f"/studies/{ids[1]}")
        walk.run()
        assert len(walk.host.runs) == 3
        assert (walk.counts.examined, walk.counts.failed) == (4, 1)
        assert walk.message("Complete").endswith("; 1 left because Orthanc fails on them, see the operator's log")

    def test_an_orthanc_that_is_away_is_waited_for_and_nothing_is_left(self) -> None:
        walk = Walk()
        for number in range(6):
            walk.study(f"ct{number}")
        told: list[str] = []
        away = {"since": 0}

        def outage(number: int) -> None:
            walk.finish_one()
            if len(walk.host.runs) == 3 and not away["since"]:
                walk.fake.down()
                away["since"] = number
            elif away["since"] and number == away["since"] + 20:
                walk.fake.up()
            if walk.fake.faults:
                told.append(walk.condition("Ready"))

        walk.each_sleep = outage
        walk.run()
        assert told[-1] == "False/OrthancAway"
        assert max(walk.pauses) == 30
        assert (walk.counts.created, walk.counts.failed) == (6, 0)
        assert walk.condition("Ready") == "True/Ready"

    def test_refused_credentials_are_waited_for(self) -> None:
        walk = Walk()
        walk.study("a")
        walk.fake.fails("/studies", 401)

        def renew(number: int) -> None:
            walk.finish_one()
            if number == 20:
                assert walk.condition("Ready") == "False/OrthancAway"
                assert "check username and password in the bridge's secret" in walk.message("Ready")
                walk.fake.up()

        walk.each_sleep = renew
        walk.run()
        assert walk.counts.created == 1

    def test_an_api_server_that_is_away_costs_no_study(self) -> None:
        walk = Walk()
        walk.study("a")
        walk.host.fault = ConnectionError("no answer")

        def back(number: int) -> None:
            walk.finish_one()
            if number == 20:
                walk.host.fault = None

        walk.each_sleep = back
        walk.run()
        assert (walk.counts.created, walk.counts.failed) == (1, 0)

    def test_a_run_the_api_server_refuses_is_counted(self) -> None:
        walk = Walk()
        walk.study("a")
        walk.study("b")
        walk.host.fault = RunRefused("exceeded quota")
        walk.run()
        assert (walk.counts.refused, walk.counts.created, walk.condition("Complete")) == (2, 0, "True/Complete")

    def test_a_pipeline_that_is_not_ready_is_waited_for(self) -> None:
        walk = Walk()
        walk.study("a")
        walk.problem = Problem(BackfillReason.PIPELINE_NOT_READY, "pipeline chest-ct-nodules takes no studies (Suspended): spec.suspend is true")

        def back(number: int) -> None:
            walk.finish_one()
            if number == 3:
                assert (walk.status.state, walk.condition("Ready"), walk.condition("Progressing")) == (
                    "Blocked", "False/PipelineNotReady", "False/Blocked")  # fmt: skip
                walk.problem = None

        walk.each_sleep = back
        walk.run()
        assert walk.counts.created == 1

    def test_a_study_deleted_meanwhile_is_passed_over(self) -> None:
        walk = Walk()
        ids = sorted(walk.study(f"ct{number}") for number in range(3))
        walk.each_sleep = lambda number: (walk.finish_one(), walk.fake.studies.pop(ids[2], None))[0]
        walk.run()
        assert (walk.counts.found, walk.counts.examined, walk.counts.created, walk.counts.failed) == (3, 2, 2, 0)

    def test_a_changed_pipeline_counts_from_the_next_study_on(self) -> None:
        walk = Walk(maxActive=1)
        for number in range(6):
            walk.study(f"ct{number}")

        def change(number: int) -> None:
            walk.finish_one()
            if len(walk.host.runs) == 2:
                walk.host.candidates = [a_candidate("chest-ct-nodules", series=[requirement("Modality", "In", "MR")], generation=2)]

        walk.each_sleep = change
        walk.run()
        assert (walk.counts.examined, walk.counts.created) == (6, 2)


class TestLoad:
    """It never floods anybody."""

    def test_a_day_is_read_page_by_page_also_when_orthanc_cuts_its_answers(self) -> None:
        walk = Walk(maxActive=1000)
        for number in range(25):
            walk.study(f"ct{number}")
        walk.fake.find_limit = 10
        walk.run()
        assert (walk.counts.found, walk.counts.created) == (25, 25)

    def test_status_is_written_every_five_seconds_and_not_for_each_study(self) -> None:
        walk = Walk(maxActive=1000)
        for number in range(200):
            walk.study(f"mr{number}", modality="MR")
        began = walk.fake.clock()
        walk.run()
        seconds = (walk.fake.clock() - began).total_seconds()
        assert seconds >= 200 * 0.05, "at most twenty studies a second"
        assert len(walk.statuses) <= 4 + seconds / 5

    def test_no_identifier_is_in_its_status(self) -> None:
        walk = Walk()
        walk.study("a")
        walk.run()
        assert "SECRET" not in walk.status.model_dump_json()
