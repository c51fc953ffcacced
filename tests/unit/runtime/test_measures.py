"""Every metric is defined, made with the labels of its definition, and explained."""

import re
from pathlib import Path

import pytest

from gantry.orthanc.calls import call_name
from gantry.runtime import measures
from gantry.runtime.measuregen import page
from gantry.runtime.metrics import Metrics

ROOT = Path(__file__).parents[3]
ROOM = ROOT / "operator" / "gantry" / "runtime"
AFTER_TYPE = {"counter": "_total", "info": "_info"}


def registered() -> dict[str, set[str]]:
    """What `Metrics` makes by itself; gauges that are read when asked are registered by the parts."""
    found = {}
    for collector in Metrics(version="0").registry._collector_to_names:
        suffix = AFTER_TYPE.get(collector._type, "")  # type: ignore[attr-defined]
        found[collector._name + suffix] = set(collector._labelnames)  # type: ignore[attr-defined]
    return found


def test_what_is_made_is_what_is_defined() -> None:
    read_when_asked = {name for file in ("parts.py", "process.py") for name in re.findall(r"measures\.([A-Z_]+)\b[:,]", (ROOM / file).read_text(encoding="utf-8"))}
    made = registered() | {one.name: set(one.labels) for name in read_when_asked if (one := getattr(measures, name))}
    made["gantry_build_info"] = {"version"}
    assert made == {one.name: set(one.labels) for one in measures.ALL}


def test_the_committed_page_is_what_the_definitions_say() -> None:
    assert (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8") == page(), "run `make generate` and commit docs/reference"


@pytest.mark.parametrize("one", measures.ALL, ids=lambda one: one.name)
def test_a_metric_is_named_typed_and_explained(one: measures.Measure) -> None:
    assert re.fullmatch(r"gantry_[a-z_]+", one.name)
    assert one.name.endswith("_total") == (one.kind is measures.Kind.COUNTER)
    assert bool(one.buckets) == (one.kind is measures.Kind.HISTOGRAM)
    assert list(one.buckets) == sorted(one.buckets)
    assert len(one.text) > 8
    assert f"| `{one.name}` | {one.kind} | {', '.join(one.labels)} |" in page()


def test_every_label_says_what_it_holds_and_none_could_hold_an_identifier() -> None:
    """A Run's name, a study, series, instance, patient or node is no label: their number grows without end, or they tell who was examined."""
    used = {label for one in measures.ALL for label in one.labels}
    assert used == set(measures.LABELS)
    assert not used & {"run", "study", "series", "instance", "patient", "accession", "sender", "uid", "name", "message", "node", "pod"}


@pytest.mark.parametrize(
    ("path", "name"),
    {
        "the words of Orthanc's API": ("/changes?since=7", "GET /changes"),
        "an id": ("/studies/b9c08539-26f93bde-c81ab0d7-bffaf2cb-a4d0bdd0/instances", "GET /studies/…/instances"),
        "a UID in a query": ("/dicom-web/series?StudyInstanceUID=1.2.840.1", "GET /dicom-web/series"),
        "a name that people gave": ("/modalities/DOE^JOHN/store", "GET /modalities/…/store"),
        "a path that is none of Orthanc's": ("/DOE/JOHN", "GET /…/…"),
        "numbers of attachments": ("/instances/b9c0/attachments/4601/data", "GET /instances/…/attachments/…/data"),
        "nothing": ("/", "GET /…"),
    }.values(),
    ids=str,
)
def test_a_request_to_orthanc_is_named_without_what_could_identify(path: str, name: str) -> None:
    assert call_name("GET", path) == name
