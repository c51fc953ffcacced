"""The client: what it sends, what it makes of answers, and what it does when there is none."""

import base64
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from tests.fake_orthanc import Clock

from gantry.orthanc import (
    Credentials,
    Modality,
    NotFound,
    Orthanc,
    OrthancError,
    Permanent,
    Refused,
    ServerFault,
    TooSlow,
    Transient,
    Unauthorized,
    Unreachable,
)

STUDY = {"ID": "s", "MainDicomTags": {"StudyDescription": "x"}, "Series": ["a"], "IsStable": True, "LastUpdate": "20260301T120000"}


class Wire:
    """Answers in turn; the last one is repeated."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.clock = Clock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **more: Any) -> Orthanc:
        return Orthanc("http://host:8042/prefix", transport=httpx.MockTransport(self), sleep=self.clock.sleep, **more)


def ok(body: Any) -> httpx.Response:
    return httpx.Response(200, json=body)


async def test_it_asks_for_no_compression_and_sends_its_credentials_below_the_prefix() -> None:
    wire = Wire(ok(STUDY))
    async with wire.client(credentials=Credentials("gantry", "secret")) as orthanc:
        await orthanc.study("s")
    request = wire.requests[0]
    assert request.url.path == "/prefix/studies/s"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["authorization"] == "Basic " + base64.b64encode(b"gantry:secret").decode()


def test_a_password_is_never_shown() -> None:
    assert "secret" not in repr(Credentials("gantry", "secret"))


async def test_an_id_cannot_leave_its_part_of_the_path() -> None:
    wire = Wire(httpx.Response(404))
    async with wire.client() as orthanc:
        with pytest.raises(NotFound):
            await orthanc.study("../system?x")
    assert wire.requests[0].url.raw_path == b"/prefix/studies/..%2Fsystem%3Fx"


BROKEN = httpx.RemoteProtocolError("Server disconnected without sending a response.")


async def test_a_question_is_asked_again_when_the_connection_breaks() -> None:
    """Orthanc closes idle connections after 1 s: a poll that meets the closing one is not an outage."""
    wire = Wire(BROKEN, ok(STUDY))
    async with wire.client() as orthanc:
        assert (await orthanc.study("s")).id == "s"
    assert wire.clock.slept == [0.1]


async def test_a_question_is_asked_three_times_at_most() -> None:
    wire = Wire(httpx.Response(503))
    async with wire.client() as orthanc:
        with pytest.raises(ServerFault):
            await orthanc.study("s")
    assert len(wire.requests) == 3
    assert wire.clock.slept == [0.1, 0.4]


async def test_what_will_never_work_is_asked_once() -> None:
    wire = Wire(httpx.Response(401))
    async with wire.client() as orthanc:
        with pytest.raises(Unauthorized):
            await orthanc.study("s")
    assert len(wire.requests) == 1


async def test_an_upload_is_repeated_because_the_second_one_changes_nothing() -> None:
    stored = {"ID": "i", "ParentStudy": "s", "ParentSeries": "e", "Status": "AlreadyStored"}
    wire = Wire(httpx.ReadError("reset"), httpx.Response(409), ok(stored))
    async with wire.client() as orthanc:
        answer = await orthanc.upload(b"dicom")
    assert (answer.id, answer.status) == ("i", "AlreadyStored")
    assert [one.content for one in wire.requests] == [b"dicom"] * 3


async def test_a_send_is_not_repeated() -> None:
    """Harmless, but twice the load of a slow PACS; the courier decides."""
    wire = Wire(httpx.Response(500))
    async with wire.client() as orthanc:
        with pytest.raises(ServerFault):
            await orthanc.store("pacs", ["i"])
    assert len(wire.requests) == 1


FAULTS: dict[str, tuple[httpx.Response | Exception, type[OrthancError], str]] = {
    "no name or nobody listens": (httpx.ConnectError("All connection attempts failed"), Unreachable, "check the address, DNS and that Orthanc runs"),
    "no connection in time": (httpx.ConnectTimeout(""), TooSlow, "no connection within 5 s"),
    "an answer that breaks off": (httpx.ReadError(""), Unreachable, "ReadError"),
    "no answer in time": (httpx.ReadTimeout(""), TooSlow, "HttpThreadsCount"),
    "wrong credentials": (httpx.Response(401), Unauthorized, "check username and password in the bridge's secret"),
    "a filter denies": (httpx.Response(403), Unauthorized, "denies"),
    "an unknown id": (httpx.Response(404), NotFound, "HTTP 404"),
    "Orthanc's own fault": (httpx.Response(500, json={"Message": "Database error", "Details": "disk full"}), ServerFault, "Database error: disk full"),
    "a proxy's page": (httpx.Response(502, text="<html>Bad gateway</html>"), ServerFault, "HTTP 502"),
    "too many requests": (httpx.Response(429), ServerFault, "HTTP 429"),
    "a redirect": (httpx.Response(302, headers={"location": "/login"}), Refused, "HTTP 302"),
    "a page that is not Orthanc's": (httpx.Response(200, text="<html>"), Refused, "is spec.url the address of Orthanc's REST API?"),
    "JSON that is not a study": (ok(["x"]), Refused, "is spec.url the address of Orthanc's REST API?"),
    "a study without its id": (ok({"MainDicomTags": {}}), Refused, "no ID"),
}


@pytest.mark.parametrize(("answer", "kind", "words"), FAULTS.values(), ids=FAULTS.keys())
async def test_every_fault_has_a_class_and_says_what_to_do(answer: httpx.Response | Exception, kind: type[OrthancError], words: str) -> None:
    async with Wire(answer).client() as orthanc:
        with pytest.raises(kind) as caught:
            await orthanc.study("s")
    assert type(caught.value) is kind
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", [Unreachable, TooSlow, ServerFault])
def test_what_may_pass_is_transient(kind: type[OrthancError]) -> None:
    assert issubclass(kind, Transient)
    assert not issubclass(kind, Permanent)


async def test_a_hanging_server_is_asked_once_because_it_cost_the_whole_time() -> None:
    wire = Wire(httpx.ReadTimeout(""))
    async with wire.client() as orthanc:
        with pytest.raises(TooSlow):
            await orthanc.study("s")
    assert len(wire.requests) == 1


async def test_errors_and_logs_hold_no_identifier_of_a_patient(caplog: pytest.LogCaptureFixture) -> None:
    body = {"Message": "Bad", "Details": "PatientID 12345678 Doe^John study 1.2.840.113619.2.5.1762583153 at 10.0.0.7:11112"}
    with caplog.at_level(logging.WARNING):
        async with Wire(httpx.Response(400, json=body)).client() as orthanc:
            with pytest.raises(Refused) as caught:
                await orthanc.upload(b"x")
    text = str(caught.value) + caplog.text
    assert not any(secret in text for secret in ("12345678", "Doe", "John", "113619"))
    assert "10.0.0.7:11112" in text


async def test_only_a_server_with_extended_changes_is_asked_for_types() -> None:
    wire = Wire(ok({"Changes": [], "Done": True, "Last": 7}))
    async with wire.client() as orthanc:
        await orthanc.changes(since=3)
        await orthanc.changes(since=3, limit=10, types=["NewStudy", "StableStudy"])
    assert dict(wire.requests[0].url.params) == {"since": "3", "limit": "1000"}
    assert wire.requests[1].url.params["type"] == "NewStudy;StableStudy"


SYSTEMS = {
    "1.10.1 has neither capabilities nor an identifier": ({"Version": "1.10.1", "Name": "A"}, ["dicom-web"], None, {"DicomWeb"}),
    "1.13 with SQLite": (
        {"Version": "1.13.0", "Name": "A", "DatabaseServerIdentifier": "x", "Capabilities": {"HasExtendedChanges": True, "HasExtendedFind": True}},
        [], "x", {"ExtendedChanges", "ExtendedFind"},
    ),
    "1.13 with PostgreSQL 5.0": ({"Version": "1.13.0", "Capabilities": {"HasExtendedChanges": False}}, [], None, set()),
}  # fmt: skip


@pytest.mark.parametrize(("system", "plugins", "identity", "features"), SYSTEMS.values(), ids=SYSTEMS.keys())
async def test_the_features_of_a_server_are_found_out(system: dict[str, Any], plugins: list[str], identity: str | None, features: set[str]) -> None:
    async with Wire(ok(system), ok(plugins)).client() as orthanc:
        found = await orthanc.system()
    assert found.database_server_identifier == identity
    assert found.features == features


async def test_a_proxy_that_hides_the_plugins_hides_only_their_features() -> None:
    async with Wire(ok({"Version": "1.12.9"}), httpx.Response(404)).client() as orthanc:
        assert (await orthanc.system()).features == frozenset()


async def test_both_forms_of_a_modality_are_read_and_odd_ones_left_out() -> None:
    entries = {"a": {"AET": "A", "Host": "h", "Port": 104, "AllowEcho": True}, "b": ["B", "h", 105, "Generic"], "c": {"AET": "C"}}
    async with Wire(ok(entries)).client() as orthanc:
        assert await orthanc.modalities() == {"a": Modality("A", "h", 104), "b": Modality("B", "h", 105)}


async def test_an_unknown_job_is_none_and_not_an_error() -> None:
    async with Wire(httpx.Response(404)).client() as orthanc:
        assert await orthanc.job("j") is None


JOB = {"ID": "j", "State": "Failure", "Progress": 0, "ErrorCode": 9, "ErrorDescription": "d", "ErrorDetails": "e", "Content": {"FailedInstancesCount": 0}}


async def test_a_job_is_judged_by_its_state_alone() -> None:
    async with Wire(ok(JOB)).client() as orthanc:
        job = await orthanc.job("j")
    assert job is not None
    assert (job.state, job.error_code, job.error_details) == ("Failure", 9, "e")


async def test_a_job_in_a_state_nobody_knows_is_refused() -> None:
    async with Wire(ok({**JOB, "State": "Dreaming"})).client() as orthanc:
        with pytest.raises(Refused, match="unknown State 'Dreaming'"):
            await orthanc.job("j")


ASKED: dict[str, tuple[Callable[[Orthanc], Awaitable[Any]], Any, Any]] = {
    "md5": (lambda o: o.md5("i"), httpx.Response(200, text="ABCDEF\n"), "abcdef"),
    "the clock of a server without one": (lambda o: o.now(), httpx.Response(404), None),
}


@pytest.mark.parametrize(("ask", "answer", "want"), ASKED.values(), ids=ASKED.keys())
async def test_small_questions(ask: Callable[[Orthanc], Awaitable[Any]], answer: httpx.Response, want: Any) -> None:
    async with Wire(answer).client() as orthanc:
        assert await ask(orthanc) == want


async def test_a_label_is_put_without_a_word_and_only_where_orthanc_has_labels() -> None:
    system = {"Version": "1.12.4", "HasLabels": True, "Capabilities": {}}
    wire = Wire(ok(system), ok([]), httpx.Response(200))
    async with wire.client() as orthanc:
        assert "Labels" in (await orthanc.system()).features
        await orthanc.put_label("i", "gantry-shadow")
    assert (wire.requests[-1].method, wire.requests[-1].url.path) == ("PUT", "/prefix/instances/i/labels/gantry-shadow")
