"""`gantry explain` without any cluster: studies in an Orthanc in memory, pipelines in files; KUBECONFIG leads nowhere."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.builders import BRIDGE, PIPELINE, changed
from tests.builders_bridge import requirement
from tests.fake_orthanc import FakeOrthanc, identifier
from tests.unit.cli.conftest import Gantry

from gantry.cli import explain

URL = "http://orthanc.test:8042"
UID, ACCESSION = "1.2.840.113619.2.55.3.1", "ACC-4711"

Write = Callable[..., str]


def a_pipeline(name: str, study: list[dict[str, Any]] | None = None, series: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    raw = changed(changed(PIPELINE, "metadata", {"name": name}), "spec.match.study", study or [])
    return changed(raw, "spec.template.input.series.match", series or [])


CHEST = a_pipeline("chest", [requirement("StudyDescription", "Matches", "(?i)thorax")], [requirement("SliceThickness", "Lte", "2.5")])
HEAD = a_pipeline("head", [requirement("StudyDescription", "Matches", "(?i)head")])


@pytest.fixture
def orthanc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeOrthanc:
    """An Orthanc with one study of a thin and a thick series; no cluster, no credentials in the environment."""
    fake = FakeOrthanc()
    tags = {"StudyDescription": "CT Thorax", "StudyInstanceUID": UID, "AccessionNumber": ACCESSION, "StudyDate": "20260301", "PatientName": "DOE^JANE"}
    fake.images("a", "thin", count=3, study_tags=tags, tags={"SeriesNumber": "2", "SeriesDescription": "Lung 1.0"}, elements={"SliceThickness": "1"})
    fake.arrived("a", series="thick", count=1, tags={"SeriesNumber": "3", "SeriesDescription": "Body 5.0"}, elements={"SliceThickness": "5"})
    monkeypatch.setattr(explain, "_connect", lambda place: fake.client())
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    for name in ("ORTHANC_USERNAME", "ORTHANC_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return fake


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes documents into a file and gives its path."""

    def made(*documents: Any, name: str = "pipelines.yaml") -> str:
        path = tmp_path / name
        path.write_text(yaml.safe_dump_all(documents))
        return str(path)

    return made


def test_a_study_that_matches_is_told_to_programs_with_every_series(gantry: Gantry, orthanc: FakeOrthanc, write: Write) -> None:
    done = gantry("explain", identifier("a"), "-f", write(CHEST), "--orthanc-url", URL, "-o", "json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    chosen, refused = identifier("a", "thin"), identifier("a", "thick")
    told["decisions"][0]["series"].sort(key=lambda one: not one["selected"])
    assert told == {
        "study": identifier("a"),
        "decisions": [
            {
                "pipeline": "chest", "matched": True, "check": None, "wanted": None, "actual": None, "priority": "Routine",
                "series": [
                    {"id": chosen, "selected": True, "reason": None},
                    {"id": refused, "selected": False, "reason": "SliceThickness Lte: wanted <= 2.5, is 5"},
                ],
            }
        ],
    }  # fmt: skip


def test_a_study_that_does_not_match_says_which_check_wanted_what(gantry: Gantry, orthanc: FakeOrthanc, write: Write) -> None:
    done = gantry("explain", identifier("a"), "-f", write(HEAD), "--orthanc-url", URL, "-o", "json")
    assert done.code == 1
    (decision,) = json.loads(done.out)["decisions"]
    assert decision == {
        "pipeline": "head", "matched": False, "check": "StudyDescription Matches", "wanted": "(?i)head", "actual": "CT Thorax", "priority": None, "series": [],
    }  # fmt: skip


@pytest.mark.parametrize("named", [identifier("a"), UID, ACCESSION], ids=["Orthanc id", "StudyInstanceUID", "accession number"])
def test_a_study_is_found_by_each_of_its_names(gantry: Gantry, orthanc: FakeOrthanc, write: Write, named: str) -> None:
    assert json.loads(gantry("explain", named, "-f", write(CHEST), "--orthanc-url", URL, "-o", "json").out)["study"] == identifier("a")


def test_a_person_reads_what_was_chosen_and_why_the_rest_was_not(gantry: Gantry, orthanc: FakeOrthanc, write: Write) -> None:
    done = gantry("explain", ACCESSION, "-f", write(CHEST, HEAD), "--orthanc-url", URL)
    assert (done.code, done.err) == (0, "")
    lines = [" ".join(line.split()) for line in done.out.splitlines() if line.strip()]
    assert lines == [
        f"Study {identifier('a')} CT · CT Thorax · 2026-03-01 · 2 series, 4 images",
        "✔ chest matched: 1 of 2 series, class Routine",
        "Series Description Images",
        "✔ 2 CT Lung 1.0 3 chosen",
        "✘ 3 CT Body 5.0 1 SliceThickness Lte, wanted <= 2.5, is 5",
        "✘ head not matched: StudyDescription Matches, wanted (?i)head, is CT Thorax",
    ]


def test_a_patient_is_named_only_when_asked_for(gantry: Gantry, orthanc: FakeOrthanc, write: Write) -> None:
    file = write(a_pipeline("named", [requirement("PatientName", "In", "X")]), a_pipeline("number", [requirement("0010,0020", "In", "X")]))
    arguments = ("explain", UID, "-f", file, "--orthanc-url", URL)
    for output in ("text", "json"):
        hidden, shown = gantry(*arguments, "-o", output).out, gantry(*arguments, "-o", output, "--patient").out
        assert "hidden; --patient shows it" in hidden
        assert "DOE" not in hidden
        assert "SECRET-ID" not in hidden
        assert "DOE^JANE" in shown


def test_a_description_cannot_control_the_terminal(gantry: Gantry, orthanc: FakeOrthanc, write: Write) -> None:
    orthanc.arrived("b", study_tags={"StudyDescription": "\x1b[2J[red]boo[/red]\nX"})
    assert "[2J[red]boo[/red] X" in gantry("explain", identifier("b"), "-f", write(HEAD), "--orthanc-url", URL).out


def test_a_study_that_still_arrives_is_said_to_be(gantry: Gantry, orthanc: FakeOrthanc, write: Write) -> None:
    orthanc.images("b")
    assert "its images are still coming" in gantry("explain", identifier("b"), "-f", write(HEAD), "--orthanc-url", URL).out


def test_pipelines_come_from_several_files_and_standard_input(
    gantry: Gantry, orthanc: FakeOrthanc, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(yaml.safe_dump({"kind": "List", "items": [a_pipeline("listed")]})))
    file = write(BRIDGE, CHEST, None)
    told = json.loads(gantry("explain", UID, "-f", "-", "-f", file, "--orthanc-url", URL, "-o", "json").out)
    assert [one["pipeline"] for one in told["decisions"]] == ["listed", "chest"]
    monkeypatch.setattr("sys.stdin", io.StringIO(yaml.safe_dump(HEAD)))
    told = json.loads(gantry("explain", UID, "-f", "-", "-f", file, "-p", "head", "--orthanc-url", URL, "-o", "json").out)
    assert [one["pipeline"] for one in told["decisions"]] == ["head"]


@pytest.mark.parametrize("extended", [True, False], ids=["by ExtendedFind", "by the change log"])
def test_recent_studies_tell_what_a_rule_would_have_caught(gantry: Gantry, orthanc: FakeOrthanc, write: Write, extended: bool) -> None:
    orthanc.extended = extended
    for number in range(4):
        orthanc.clock.pass_by(60)
        orthanc.arrived(f"n{number}", study_tags={"StudyDescription": "MR Head" if number % 2 else "CT Thorax"}, elements={"SliceThickness": "1"})
    orthanc.clock.pass_by(60)
    orthanc.delete(orthanc.arrived("deleted"))
    arguments = ("explain", "--recent", 4, "-f", write(CHEST, HEAD), "--orthanc-url", URL)
    done = gantry(*arguments, "-o", "json")
    assert done.code == 0
    told = json.loads(done.out)
    assert [one["study"] for one in told] == [identifier(f"n{number}") for number in (3, 2, 1, 0)]
    assert [[decision["matched"] for decision in one["decisions"]] for one in told] == [[False, True], [True, False]] * 2
    lines = [" ".join(line.split()) for line in gantry(*arguments).out.splitlines() if line.strip()]
    assert lines[:4] == [
        "4 studies, the last that came: 2026-03-01 12:01 to 2026-03-01 12:04 UTC",
        "Pipeline Caught Refused by",
        "chest 2 StudyDescription Matches 2",
        "head 2 StudyDescription Matches 2",
    ]
    assert lines[5] == f"{identifier('n3')} 2026-03-01 12:04 MR Head 1 head"
    assert gantry("explain", "--recent", 1, "-f", write(CHEST), "--orthanc-url", URL).code == 1


def test_a_long_change_log_is_read_backwards_and_no_further_than_needed(gantry: Gantry, orthanc: FakeOrthanc, write: Write) -> None:
    for number in range(3):
        orthanc.clock.pass_by(60)
        orthanc.arrived(f"n{number}", count=1500)
    orthanc.calls.clear()
    told = json.loads(gantry("explain", "--recent", 2, "-f", write(HEAD), "--orthanc-url", URL, "-o", "json").out)
    assert [one["study"] for one in told] == [identifier("n2"), identifier("n1")]
    assert orthanc.calls.count("GET /changes") == 3


def test_an_orthanc_without_studies_has_nothing_to_tell(gantry: Gantry, orthanc: FakeOrthanc, write: Write) -> None:
    orthanc.delete(identifier("a"))
    assert gantry("explain", "--recent", 5, "-f", write(HEAD), "--orthanc-url", URL) == (1, "Orthanc has no studies.\n", "")
    assert gantry("explain", "--recent", 5, "-f", write(HEAD), "--orthanc-url", URL, "-o", "json") == (1, "[]\n", "")


def test_several_studies_of_an_accession_number_are_for_the_person_to_choose_from(gantry: Gantry, orthanc: FakeOrthanc, write: Write) -> None:
    orthanc.arrived("b", study_tags={"AccessionNumber": ACCESSION, "StudyDescription": "CT Head"})
    done = gantry("explain", ACCESSION, "-f", write(HEAD), "--orthanc-url", URL)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "2 studies have this accession number; give the Orthanc id of one: " in done.err
    assert f"{identifier('b')} (CT Head)" in done.err


WRONG = {
    "a study that is not there": (("unheard-of",), (CHEST,), f"no study with this Orthanc id, StudyInstanceUID or accession number in {URL}; was it sent there, or deleted?"),
    "an Orthanc id that is not there": ((identifier("z"),), (CHEST,), f"no study with this Orthanc id, StudyInstanceUID or accession number in {URL}; was it sent there, or deleted?"),
    "a patient's id names no study": (("SECRET-ID",), (CHEST,), f"no study with this Orthanc id, StudyInstanceUID or accession number in {URL}; was it sent there, or deleted?"),
    "a pipeline that is not in the files": ((UID, "-p", "x"), (CHEST, HEAD), "there is no pipeline x in FILE; there is: chest, head"),
    "a pattern that RE2 refuses": ((UID,), (a_pipeline("p", [requirement("Modality", "Matches", "(?=x)")]),), "FILE: InferencePipeline p: spec.match.study"),
    "a field that does not exist": ((UID,), (changed(CHEST, "spec.match.studies", []),), "FILE: InferencePipeline chest: spec.match.studies: there is no such field; did you mean study?"),
    "a field unlike any": ((UID,), (changed(CHEST, "spec.qqqq", 1),), "FILE: InferencePipeline chest: spec.qqqq: there is no such field; `kubectl explain ipl.spec` names all"),
    "a field that is missing": ((UID,), (changed(CHEST, "spec.bridgeRef", ...),), "FILE: InferencePipeline chest: spec.bridgeRef: is needed"),
    "a number without quotes": ((UID,), (a_pipeline("p", [requirement("SliceThickness", "Lte", 2.5)]),), 'FILE: InferencePipeline p: spec.match.study[0].values[0]: must be text; write "2.5" in quotes'),  # type: ignore[arg-type]
    "an unknown operator": ((UID,), (a_pipeline("p", [requirement("Modality", "Inn", "CT")]),), "FILE: InferencePipeline p: spec.match.study[0].operator: Input should be 'In', "),
    "an operator without values": ((UID,), (a_pipeline("p", [requirement("Modality", "In")]),), "FILE: InferencePipeline p: spec.match.study[0]: Exists and DoesNotExist take no values; every other operator needs values\n"),
    "a duration that is too short": ((UID,), (changed(CHEST, "spec.template.timeout", "1s"),), "FILE: InferencePipeline chest: spec.template.timeout: timeout is 10s or more, is '1s'\n"),
    "min above max": ((UID,), (changed(CHEST, "spec.template.input.series", {"min": 3, "max": 2}),), "FILE: InferencePipeline chest: spec.template.input.series: min must not be larger than max\n"),
    "a sender twice": ((UID,), (changed(CHEST, "spec.match.senders", ["CT_1", "CT_1"]),), "FILE: InferencePipeline chest: spec.match.senders[1]: 'CT_1' is there already\n"),
    "two destinations of a name": ((UID,), (CHEST, changed(BRIDGE, "spec.destinations", BRIDGE["spec"]["destinations"] * 2)), "FILE: OrthancBridge main: spec.destinations[1]: name pacs is there already\n"),
    "an expression that does not compile": ((UID,), (changed(CHEST, "spec.match.expression", "study.instances >"),), "FILE: InferencePipeline chest: spec.match.expression, line 1, column 18: "),
    "two mistakes": ((UID,), (changed(changed(CHEST, "spec.template.timeout", "1s"), "spec.history", {"ttl": "1m"}),), "FILE: InferencePipeline chest: spec.history.ttl: ttl is 1h or more, is '1m' (and 1 more)\n"),
    "another kind": ((UID,), ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}, CHEST), "FILE: Secret s: only InferencePipeline and OrthancBridge can be explained; take it out of the file"),
    "another version": ((UID,), (changed(CHEST, "apiVersion", "v1"),), "FILE: InferencePipeline chest: apiVersion must be gantry.health/v1alpha1, is v1"),
    "no name": ((UID,), (changed(CHEST, "metadata", {}),), "FILE: InferencePipeline without name: give it a metadata.name"),
    "no kind": ((UID,), ({"a": 1},), "FILE: a document without kind; an object begins with apiVersion: gantry.health/v1alpha1 and kind: InferencePipeline"),
    "no pipeline": ((UID,), (BRIDGE,), "FILE: no InferencePipeline in it; give the file of the pipeline that is to be explained"),
    "a name twice": ((UID,), (CHEST, CHEST), "FILE: InferencePipeline chest: the name is taken already by FILE: InferencePipeline chest; give each its own"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "documents", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_one_line_and_exit_code_2(
    gantry: Gantry, orthanc: FakeOrthanc, write: Write, arguments: tuple[str, ...], documents: tuple[Any, ...], message: str
) -> None:
    file = write(*documents)
    done = gantry("explain", *arguments, "-f", file, "--orthanc-url", URL)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"gantry: {message.replace('FILE', file)}")


TEXTS = {
    "YAML that is none": ("a: b: c", "FILE: line 1, column 5: not YAML: mapping values are not allowed here"),
    "a file that is not there": (None, "FILE cannot be read: No such file or directory"),
    "bytes": (b"\xff\xfe\x00", "FILE is not text in UTF-8"),
}


@pytest.mark.parametrize(("text", "message"), TEXTS.values(), ids=TEXTS.keys())
def test_a_file_that_cannot_be_read_says_where(
    gantry: Gantry, orthanc: FakeOrthanc, tmp_path: Path, text: str | bytes | None, message: str
) -> None:
    file = tmp_path / "file.yaml"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert gantry("explain", UID, "-f", file, "--orthanc-url", URL) == (2, "", f"gantry: {message.replace('FILE', str(file))}\n")


URLS = {
    "credentials in the address": ("http://u:p@orthanc", "--orthanc-url must hold no credentials, other users of this machine would see them; set ORTHANC_USERNAME and ORTHANC_PASSWORD"),
    "no address": ("orthanc:8042", "--orthanc-url 'orthanc:8042' is no address; write for example http://localhost:8042"),
}  # fmt: skip


@pytest.mark.parametrize(("url", "message"), URLS.values(), ids=URLS.keys())
def test_an_address_is_checked_before_anything_is_asked(gantry: Gantry, orthanc: FakeOrthanc, write: Write, url: str, message: str) -> None:
    assert gantry("explain", UID, "-f", write(CHEST), "--orthanc-url", url) == (2, "", f"gantry: {message}\n")
    assert orthanc.calls == []


def test_half_of_the_credentials_is_a_mistake(gantry: Gantry, orthanc: FakeOrthanc, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORTHANC_USERNAME", "me")
    done = gantry("explain", UID, "-f", write(CHEST), "--orthanc-url", URL)
    assert done == (2, "", "gantry: set both ORTHANC_USERNAME and ORTHANC_PASSWORD, or neither\n")


def test_refused_credentials_say_where_to_put_them(gantry: Gantry, orthanc: FakeOrthanc, write: Write) -> None:
    orthanc.fails("/", 401)
    done = gantry("explain", UID, "-f", write(CHEST), "--orthanc-url", URL)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"gantry: {URL} refuses the credentials; set ORTHANC_USERNAME and ORTHANC_PASSWORD (")


def test_without_address_the_cluster_is_needed_and_that_is_said(gantry: Gantry, orthanc: FakeOrthanc, write: Write) -> None:
    done = gantry("explain", UID, "-f", write(CHEST))
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("gantry: no cluster: ")


USAGE = {"neither a study nor recent ones": (), "both": (UID, "--recent", "5"), "no number": ("--recent", "0"), "an unknown format": (UID, "-o", "yaml")}


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE.keys())
def test_wrong_usage_is_exit_code_2(gantry: Gantry, orthanc: FakeOrthanc, arguments: tuple[str, ...]) -> None:
    done = gantry("explain", *arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage: gantry explain" in done.err


def test_a_bridge_of_level_series_decides_each_series_by_itself(gantry: Gantry, orthanc: FakeOrthanc, write: Write) -> None:
    """A study of two series is one Run a series there: `max: 1` refuses it at level Study and takes it at level Series."""
    single = changed(a_pipeline("single"), "spec.template.input.series", {"max": 1})
    arguments = ("explain", UID, "--orthanc-url", URL, "-o", "json", "-f")
    (whole,) = json.loads(gantry(*arguments, write(single)).out)["decisions"]
    assert (whole["matched"], whole["check"], whole["actual"]) == (False, "series chosen", "2")
    (each,) = json.loads(gantry(*arguments, write(single, changed(BRIDGE, "spec.watch", {"level": "Series"}))).out)["decisions"]
    assert each["matched"]
    assert [one["selected"] for one in each["series"]] == [True, True]
    pair = changed(a_pipeline("pair"), "spec.template.input.series", {"min": 2})
    (each,) = json.loads(gantry(*arguments, write(pair, changed(BRIDGE, "spec.watch", {"level": "Series"}))).out)["decisions"]
    assert (each["matched"], each["check"]) == (False, "series chosen")
    assert [one["reason"] for one in each["series"]] == ["series chosen: wanted at least 2, is 1"] * 2


COMPLETENESS: dict[str, tuple[dict[str, Any], float, str]] = {
    "too few images": ({"minInstances": 9}, 60, "not complete: completeness.minInstances, wanted 9, is 4; given up 30m after its last image"),
    "too young": ({"minAge": "5m"}, 60, "not complete: completeness.minAge, wanted 5m, is 60s; given up 30m after its last image"),
    "given up": ({"minInstances": 9}, 7200, "not complete: completeness.minInstances, wanted 9, is 4; not waited for any longer (giveUpAfter)"),
    "the sender knows": ({"expectedInstances": "Sender"}, 60, "the sender is asked how many images the study has, and as many are waited for"),
}


@pytest.mark.parametrize(("rule", "age", "note"), COMPLETENESS.values(), ids=COMPLETENESS.keys())
def test_what_the_bridge_waits_for_is_said(gantry: Gantry, orthanc: FakeOrthanc, write: Write, rule: dict[str, Any], age: float, note: str) -> None:
    orthanc.clock.pass_by(age)
    done = gantry("explain", UID, "-f", write(changed(a_pipeline("p"), "spec.match.completeness", rule)), "--orthanc-url", URL)
    assert done.out.splitlines()[-1] == f"  {note}"


def test_a_pipeline_that_follows_another_says_by_what_it_is_started(gantry: Gantry, orthanc: FakeOrthanc, write: Write) -> None:
    follower = changed(changed(HEAD, "spec.after", {"pipeline": "triage", "when": "findings.size() > 0"}), "spec.suspend", True)
    out = gantry("explain", UID, "-f", write(follower), "--orthanc-url", URL).out
    assert "  suspended: a study that matches starts no Run" in out
    assert "  started by a finished Run of triage for which findings.size() > 0, not by a stable study" in out
