"""The audit line says what went where and when, and nothing of whom it is about."""

from tests.builders_runs import NAME, RESULT, a_run, committed, sent, undelivered

from gantry.runs import RunView, plan
from gantry.runtime.audit import delivery_record


def test_it_names_results_and_places() -> None:
    builder = a_run().delivering_to("pacs", "archive").published().delivered(committed(), sent("archive"))
    status = plan(builder.observed()).status
    assert status is not None
    assert delivery_record(RunView.from_object(builder.run), status) == {
        "namespace": "default",
        "run": NAME,
        "pipeline": "chest-ct-nodules",
        "results": [{"kind": "SR", "sopInstanceUID": RESULT.sop_instance_uid, "md5": RESULT.md5}],
        "deliveries": [
            {"destination": "pacs", "state": "Committed", "time": "2026-03-01T12:00:11Z", "attempts": 1, "reason": None},
            {"destination": "archive", "state": "Sent", "time": "2026-03-01T12:00:10Z", "attempts": 1, "reason": None},
        ],
    }


def test_it_tells_what_did_not_arrive() -> None:
    builder = a_run().published().delivered(undelivered("refused"))
    status = plan(builder.observed()).status
    assert status is not None
    record = delivery_record(RunView.from_object(builder.run), status)
    assert record is not None
    assert [one["state"] for one in record["deliveries"]] == ["Failed"]


def test_a_run_without_results_has_no_line() -> None:
    builder = a_run().failed(1)
    status = plan(builder.observed()).status
    assert status is not None
    assert delivery_record(RunView.from_object(builder.run), status) is None


def test_a_shadow_run_has_no_line_for_nothing_of_it_was_delivered() -> None:
    builder = a_run().in_shadow().published()
    status = plan(builder.observed()).status
    assert status is not None
    assert delivery_record(RunView.from_object(builder.run), status) is None
