"""Derived names, and receipts that fit into a termination message."""

import hashlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders_runs import RESULT

from gantry.api import RunReason
from gantry.api.run import FindingCounts, Result
from gantry.runs import PublishReceipt, StepEnd, decode_publish, failed, is_result_uid, job_name, result_uid, run_name
from gantry.runs.names import PRODUCT, RESULT_MARK
from gantry.runs.packing import MARK, Unreadable, pack, unpack
from gantry.runs.receipt import room


def test_names_leave_room_for_what_kubernetes_adds() -> None:
    """A pod's name is the Job's with six more characters, and a label holds 63."""
    name = run_name("p" * 63, "a" * 52)
    assert name == "p" * 40 + "-" + "a" * 13
    assert len(job_name(name)) <= 57


def test_a_name_cut_at_a_hyphen_has_no_two() -> None:
    assert run_name("a" * 39 + "-b", "c" * 52) == "a" * 39 + "-" + "c" * 13


def test_a_uid_is_the_same_for_the_same_run_and_other_for_another_installation() -> None:
    uid = result_uid("hospital-a", "ns", "run", "sr")
    assert uid == result_uid("hospital-a", "ns", "run", "sr")
    others = {result_uid("hospital-b", "ns", "run", "sr"), result_uid("hospital-a", "ns", "run", "sr", 1), result_uid("hospital-a", "ns", "run-r1", "sr")}
    assert uid not in others
    assert len(others) == 3
    assert uid.startswith("2.25.")
    assert len(uid) <= 64


def test_a_results_uid_is_known_as_ours_and_nobody_elses() -> None:
    ours = [result_uid(f"hospital-{n}", "ns", f"run-{n}", "sr-series", n) for n in range(200)]
    assert len(set(ours)) == 200
    assert all(map(is_result_uid, ours))
    assert {uuid.UUID(int=int(uid.removeprefix("2.25."))).version for uid in ours} == {8}
    others = [f"2.25.{uuid.uuid4().int}" for _ in range(200)] + [f"2.25.{uuid.uuid5(PRODUCT, str(n)).int}" for n in range(200)]
    assert not any(map(is_result_uid, others))


NOT_OURS = {
    "nothing": "",
    "a scanner's": "1.3.12.2.1107.5.1.4.1",
    "our number under another root": result_uid("a", "b", "c", "d").replace("2.25.", "1.25."),
    "our number with more behind it": result_uid("a", "b", "c", "d") + ".1",
    "our mark in a UUID of version 4": f"2.25.{RESULT_MARK << 96 | 4 << 76 | 0b10 << 62}",
    "no number": "2.25.abc",
    "a number no UUID can be": "2.25." + "9" * 4000,
    "digits of another script": "2.25.٣",
}


@pytest.mark.parametrize("uid", NOT_OURS.values(), ids=NOT_OURS.keys())
def test_what_is_no_result_of_ours(uid: str) -> None:
    assert not is_result_uid(uid)


def test_a_uid_padded_to_even_length_is_still_ours() -> None:
    """PS3.5 9.1 pads by NUL; some servers hand it on."""
    assert is_result_uid(result_uid("a", "b", "c", "d") + "\0")


def noise(number: int) -> str:
    """64 letters that nothing makes shorter than half."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def a_result(number: int) -> Result:
    text = noise(number)
    parts = {"sop_instance_uid": result_uid("a", "b", text, "sr"), "series_instance_uid": result_uid("a", "b", text, "series"), "md5": text[:32]}
    return RESULT.model_copy(update=parts | {"orthanc_id": "-".join(text[start : start + 8] for start in range(0, 40, 8)), "bytes": number * 997})


def test_a_receipt_comes_back_as_it_went() -> None:
    receipt = PublishReceipt(results=(RESULT,), findings=FindingCounts(present=2, absent=1), seconds=1.5)
    assert decode_publish(receipt.encode()) == receipt


@pytest.mark.parametrize("message", [None, "", "Killed", "{", '{"results": 3}'], ids=["missing", "empty", "text", "cut", "other JSON"])
def test_what_is_no_receipt_is_none(message: str | None) -> None:
    assert decode_publish(message) is None


def test_a_long_message_is_cut_and_the_facts_stay() -> None:
    receipt = PublishReceipt(results=(RESULT,) * 8, failure=failed(RunReason.INVALID_FINDINGS, "ü" * 5000, step="detect", exit_code=0))
    text = receipt.encode()
    assert len(text.encode()) <= 4096
    back = decode_publish(text)
    assert back is not None
    assert back.results == receipt.results
    assert back.failure is not None
    assert back.failure.reason == "InvalidFindings"


def test_warnings_give_way_before_facts_do() -> None:
    few = PublishReceipt(warnings=("seg.dcm: Manufacturer: is empty",))
    assert decode_publish(few.encode()) == few
    many = PublishReceipt(results=(RESULT,) * 5, warnings=tuple(f"seg.dcm: {number}: {'ü' * 300}" for number in range(40)))
    back = decode_publish(many.encode())
    assert back is not None
    assert len(many.encode().encode()) <= 4096
    assert back.results == many.results
    assert 1 < len(back.warnings) <= 16
    assert back.warnings[-1] == f"and {41 - len(back.warnings)} more; the log of publish has all"
    assert {len(warning) for warning in back.warnings[:-1]} == {200}


def test_a_full_receipt_keeps_its_results_and_no_warning() -> None:
    receipts = [PublishReceipt(results=tuple(a_result(number) for number in range(count))) for count in range(1, 40)]
    full = next(one for one in reversed(receipts) if len(pack(one.model_dump_json(by_alias=True, exclude_none=True))) <= 1024)
    back = decode_publish(full.model_copy(update={"warnings": tuple(map(noise, range(3)))}).encode(1024))
    assert back is not None
    assert (back.results, back.warnings) == (full.results, ())


@pytest.mark.parametrize(("containers", "bytes_"), [(1, 4096), (3, 2457), (4, 2048), (10, 1024)])
def test_a_receipt_has_the_kubelets_equal_share(containers: int, bytes_: int) -> None:
    """12288 bytes a pod, for two containers too that somebody else puts in. It was 4096 before, whatever the pod: a Run of two steps whose receipt
    had more than 3072 was cut by the kubelet and failed as PublishFailed, with its report in Orthanc and nobody to deliver it."""
    assert room(containers) == bytes_


def test_a_receipt_that_does_not_fit_is_packed_and_one_that_fits_is_plain() -> None:
    receipt = PublishReceipt(results=tuple(map(a_result, range(4))), findings=FindingCounts(present=2, absent=1), seconds=1.5)
    assert receipt.encode().startswith("{")
    packed = receipt.encode(1024)
    assert packed.startswith(MARK)
    assert len(packed) <= 1024
    assert decode_publish(packed) == receipt
    assert all(decode_publish(packed[:length]) is None for length in range(len(packed)))


def test_the_times_of_steps_give_way_before_results_do() -> None:
    steps = tuple(StepEnd(name=noise(n)[:40], start_time="2026-01-01T00:00:00.000Z", seconds=n / 7, code=0, max_rss_bytes=n) for n in range(8))
    receipt = PublishReceipt(results=tuple(map(a_result, range(7))), steps=steps, findings=FindingCounts(present=2, absent=1))
    back = decode_publish(receipt.encode(room(10)))
    assert back is not None
    assert (back.results, back.findings, back.steps) == (receipt.results, receipt.findings, ())


@given(st.text() | st.from_regex(r'\{"a":"(2\.25\.[0-9]{1,45}|[0-9a-f]{32}|([0-9a-f]{8}-){4}[0-9a-f]{8})"\}', fullmatch=True))
def test_what_is_packed_is_unpacked_to_the_letter(words: str) -> None:
    json = "".join(letter for letter in words if letter > "\x1f" and not "\ud800" <= letter <= "\udfff")  # as JSON writes texts
    assert unpack(pack(json)) == json


@pytest.mark.parametrize("text", ["z1:", "z1:!!!", "z1:" + "0" * 50, pack("{}" * 600_000)], ids=["empty", "no base 85", "noise", "more than a megabyte"])
def test_what_cannot_be_unpacked_says_so(text: str) -> None:
    with pytest.raises(Unreadable):
        unpack(text)


def test_facts_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(ValueError, match="does not fit into 1024"):
        PublishReceipt(results=tuple(a_result(number) for number in range(20))).encode(1024)


def test_a_receipt_of_eight_steps_has_room_for_seven_results_of_real_length() -> None:
    """The largest Run the API allows, with UIDs and times as long as they get."""
    result = RESULT.model_copy(update=dict.fromkeys(("sop_instance_uid", "series_instance_uid"), "2.25." + "9" * 39) | {"bytes": 10**9})
    steps = tuple(
        StepEnd(name="s" * 40, start_time="2026-01-01T00:00:00.000Z", seconds=3600.123, code=137, max_rss_bytes=10**11) for _ in range(8)
    )
    receipt = PublishReceipt(results=(result,) * 7, steps=steps, findings=FindingCounts(present=100, absent=100), seconds=100.123)
    text = receipt.encode()
    assert decode_publish(text) == receipt
    assert '"maxRSSBytes":100000000000' in text


def test_a_step_that_was_killed_with_its_container_has_no_code() -> None:
    back = decode_publish(PublishReceipt(steps=(StepEnd(name="detect", start_time="2026-01-01T00:00:00.000Z", seconds=3.0),)).encode())
    assert back is not None
    assert back.steps[0].code is None
