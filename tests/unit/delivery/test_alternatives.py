"""Which class of reports a destination gets that may refuse Comprehensive 3D SR: asked once, and never both."""

from dataclasses import replace

import pytest
from tests.fake_orthanc import identifier
from tests.unit.delivery.test_courier import PACS, RESULT

from gantry.api.run import DeliveryStatus, Result
from gantry.delivery import Cargo, Target, ToModality
from gantry.delivery.alternatives import begun, learnt
from gantry.delivery.plan import at_once

SR = RESULT
SEG = RESULT.model_copy(update={"kind": "SEG", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.66.4", "sop_instance_uid": "2.25.3", "orthanc_id": identifier("seg")})
THEIRS = RESULT.model_copy(update={"sop_instance_uid": "2.25.9", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.11", "orthanc_id": identifier("theirs")})
OTHER = RESULT.model_copy(update={"sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.33", "sop_instance_uid": "2.25.4", "orthanc_id": identifier("other")})
ASKED = Target(ToModality("gantry_pacs", PACS), fallback=True)
REFUSED = {"state": "Pending", "attempts": 1, "reason": "SOPClassRefused"}
NEW, SENDING = DeliveryStatus(destination="pacs", state="Pending"), DeliveryStatus(destination="pacs", state="Sending", attempts=1, job_id="1")


def cargo(*results: Result) -> Cargo:
    return Cargo(results or (SR,), (OTHER,), frozenset({SR.sop_instance_uid}))


def uids(chosen: list[Result]) -> list[str]:
    return [one.sop_instance_uid for one in chosen]


def test_reports_sent_alone_and_refused_are_followed_by_their_alternatives_at_once() -> None:
    after, found = learnt(SENDING, SENDING.model_copy(update=REFUSED), cargo(), ASKED)
    assert (after.state, after.reports, after.reason, found) == ("Pending", "ComprehensiveSR", None, "ComprehensiveSR")
    assert at_once(after)
    assert uids(cargo().chosen(ASKED, after)) == [OTHER.sop_instance_uid]


def test_refused_together_with_others_one_report_is_sent_as_a_question() -> None:
    after, found = learnt(SENDING, SENDING.model_copy(update=REFUSED), cargo(SEG, SR), ASKED)
    assert (after.state, after.asks, after.reports, found) == ("Pending", True, None, None)
    assert at_once(after)
    assert uids(cargo(SEG, SR).chosen(ASKED, after)) == [SR.sop_instance_uid]


QUESTION = SENDING.model_copy(update={"asks": True, "attempts": 2, "reason": "SOPClassRefused"})


def test_refused_again_the_question_is_answered_although_twice_the_same_is_final_elsewhere() -> None:
    given_up = QUESTION.model_copy(update={"state": "Failed", "reason": "SOPClassRefused"})
    after, found = learnt(QUESTION, given_up, cargo(SEG, SR), ASKED)
    assert (after.state, after.asks, after.reports, found) == ("Pending", None, "ComprehensiveSR", "ComprehensiveSR")
    assert uids(cargo(SEG, SR).chosen(ASKED, after)) == [SEG.sop_instance_uid, OTHER.sop_instance_uid]


def test_taken_the_question_says_that_another_object_was_refused_which_is_final_when_it_is_refused_again() -> None:
    """The report is there now, so the alternative must not follow."""
    after, found = learnt(QUESTION, QUESTION.model_copy(update={"state": "Sent", "reason": None, "awaits": "Query"}), cargo(SEG, SR), ASKED)
    assert (after.state, after.asks, after.awaits, found) == ("Pending", None, None, "Comprehensive3DSR")
    assert (after.reports, after.reason) == ("Comprehensive3DSR", "SOPClassRefused")
    assert uids(cargo(SEG, SR).chosen(ASKED, after)) == [SEG.sop_instance_uid, SR.sop_instance_uid]
    again = after.model_copy(update={"state": "Failed"})
    assert learnt(after, again, cargo(SEG, SR), ASKED) == (again, None)


def test_other_trouble_with_the_question_is_no_answer() -> None:
    aborted = QUESTION.model_copy(update={"state": "Pending", "reason": "Aborted"})
    after, found = learnt(QUESTION, aborted, cargo(SEG, SR), ASKED)
    assert (after.asks, after.reports, after.reason, found) == (None, None, "Aborted", None)


def test_reports_that_are_taken_settle_it() -> None:
    after, found = learnt(SENDING, SENDING.model_copy(update={"state": "Sent"}), cargo(), ASKED)
    assert (after.state, after.reports, found) == ("Sent", "Comprehensive3DSR", "Comprehensive3DSR")


def test_what_is_known_spares_the_question() -> None:
    known = replace(ASKED, takes="ComprehensiveSR")
    assert uids(cargo().chosen(known, begun(NEW, cargo(), known))) == [OTHER.sop_instance_uid]


def test_a_delivery_that_has_begun_stays_with_its_class_until_its_own_report_is_refused() -> None:
    """A report that was on the way when another Run's was refused may have arrived."""
    aborted = NEW.model_copy(update={"attempts": 1, "reason": "Aborted"})
    known = replace(ASKED, takes="ComprehensiveSR")
    assert begun(aborted, cargo(), known) == aborted
    assert uids(cargo().chosen(known, aborted)) == [SR.sop_instance_uid]


def test_an_applications_own_report_has_no_alternative_and_goes_as_it_is() -> None:
    chosen = cargo(THEIRS, SR).chosen(ASKED, NEW.model_copy(update={"reports": "ComprehensiveSR"}))
    assert uids(chosen) == [THEIRS.sop_instance_uid, OTHER.sop_instance_uid]


@pytest.mark.parametrize(
    ("target", "what"),
    [(Target(ToModality("gantry_pacs", PACS)), cargo()), (ASKED, Cargo((SR,)))],
    ids=["a destination without srFallback", "a Run without alternatives"],
)
def test_without_a_choice_a_refusal_is_a_refusal(target: Target, what: Cargo) -> None:
    refused = SENDING.model_copy(update=REFUSED)
    assert learnt(SENDING, refused, what, target) == (refused, None)
    assert uids(what.chosen(target, refused)) == [SR.sop_instance_uid]
