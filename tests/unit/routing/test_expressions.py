"""Expressions in CEL: what is refused when a pipeline is applied, and with which words; what is asked of a study; how much time they may take."""

import time

import pytest

from gantry.routing import InvalidExpression, Needs, Refusal, SeriesFacts, StudyFacts
from gantry.routing.cost import LIMIT, UNIT
from gantry.routing.expression import SERIES_SCOPE, STUDY_SCOPE, Expression, compile_expression
from gantry.routing.view import StudyView

MISTAKES = {
    "it ends too early": ("series.tags.Modality ==", "line 1, column 24: Syntax error: mismatched input '<EOF>'"),
    "a variable that is none": ("image.rows > 512", "line 1, column 6: undeclared reference to 'image.rows'; variables here: series, study"),
    "on the second line": ("series.contrast &&\n  nope", "line 2, column 3: undeclared reference to 'nope'"),
    "a field that is none": ("study.instnaces > 3", "line 1, column 6: study has no instnaces; did you mean instances?"),
    "a field of a series in a loop": ("study.series.exists(s, s.kernal == 'B')", "line 1, column 25: series has no kernal; did you mean kernel?"),
    "a field that is none and like none": (
        "series.x == 1",
        "line 1, column 7: series has no x; it has tags, instances, modality, orientation, thickness, contrast, kernel, transferSyntax, sender",
    ),
    "a keyword that is none": (
        "series.tags.StudyDesciption == 'x'",
        "line 1, column 12: DICOM has no keyword StudyDesciption; did you mean StudyDescription?",
    ),
    "a number in upper case": ("study.tags['0008,103E'] == 'x'", "line 1, column 11: write '0008,103e' in lower case: keys of tags are texts"),
    "a sequence": ("has(study.tags.ReferencedStudySequence)", "ReferencedStudySequence is a sequence or binary (VR SQ)"),
    "no truth value but a number": ("study.instances", "line 1, column 1: it gives a number, not true or false; compare it with something"),
    "no truth value but an element": ("study.tags.Modality", "it gives a text (VR CS), not true or false; compare it with something"),
    "no truth value but a sum": ("study.instances + 1", "it gives a value, not true or false"),
    "CEL's own types": ("1 + 'a' == 2", "line 1, column 3: found no matching overload for '_+_' applied to '(int, string)'"),
    "a number compared with a text": ("series.thickness < '2'", "series.thickness is a number: compare it with a number, without quotes"),
    "an element that is a number, with a text": ("series.tags.KVP == '120'", "series.tags.KVP is a number (VR DS): compare it with a number"),
    "a text compared with a number": ("study.tags.PatientAge > 18", "study.tags.PatientAge is a text (VR AS): 18 is none"),
    "a list compared with a text": (
        "series.tags.ImageType == 'ORIGINAL'",
        "series.tags.ImageType is a list, it may have several values: write 'ORIGINAL' in series.tags.ImageType",
    ),
    "a text looked into as a list": ("'CT' in study.tags.StudyDescription", "study.tags.StudyDescription has one value: compare it with =="),
    "a number looked for in a list of texts": ("1 in study.modalities", "study.modalities is a list, each of it a text: 1 is none"),
    "an orientation in lower case": (
        "series.orientation == 'axial'", "series.orientation is one of 'AXIAL', 'CORONAL', 'SAGITTAL', 'OBLIQUE', ''",
    ),
    "a pattern RE2 refuses": (
        "study.tags.StudyDescription.matches('a(?=b)')",
        "line 1, column 37: invalid perl operator: (?=; patterns are RE2 (no lookaround, no backreference)",
    ),
    "a pattern made of an element": (
        "study.tags.StudyDescription.matches(series.tags.Modality)",
        "line 1, column 36: the pattern of matches() must be written out as a text",
    ),
    "a function that makes texts longer": ("study.tags.StudyID.replace('', 'aaaa') == ''", "replace() is not offered to rules; they have bool, charAt"),
    "whole series compared": ("series == study.series[0]", "compare something of a study or series, for example tags.SeriesInstanceUID, not all"),
    "whole series compared in disguise": ("dyn([study, 1][0]) == study.series[?0].orValue(series)", "compare something of a study or series"),
    "a map of whole series": ("{'a': series}['a'] == 1", "a map of whole studies or series is not offered to rules"),
    "a whole series looked for": ("series in study.series", "look for something of a study or series, not for all of it"),
    "loops within loops": (
        "study.series.all(a, study.series.all(b, study.series.all(c, study.series.all(d, study.series.all(e, e.instances > 0)))))",
        "it could take too long even on a study of 16 series; use fewer loops within loops and simpler patterns",
    ),
    "a huge pattern in a loop": (
        "study.series.all(a, study.series.all(b, a.tags.SeriesDescription.matches('^(([0-9]{1,50})x?){1,15}q$')))",
        "it could take too long even on a study of 16 series",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_its_place_and_what_to_write(text: str, message: str) -> None:
    with pytest.raises(InvalidExpression) as told:
        compile_expression("spec.match.expression", text, SERIES_SCOPE)
    assert str(told.value).startswith("spec.match.expression, line ")
    assert message in str(told.value)


def test_a_study_expression_does_not_know_single_series() -> None:
    with pytest.raises(InvalidExpression, match=r"undeclared reference to 'series.contrast'; variables here: study"):
        compile_expression("spec.match.expression", "series.contrast", STUDY_SCOPE)


NEEDS = {
    "a series' element": ("series.tags.Modality == 'CT'", Needs(series=frozenset({"Modality"}))),
    "a study's element": ("study.tags.StudyDescription == 'x'", Needs(study=frozenset({"StudyDescription"}))),
    "an element by number is the same": ("series.tags['0018,0050'] < 2", Needs(series=frozenset({"SliceThickness"}))),
    "a private element": ("""has(series.tags) && series.tags[?'0019,"A",10'].hasValue()""", Needs(series=frozenset({'0019,"A",10'}))),
    "only whether it is there": ("has(series.tags.KVP)", Needs(series=frozenset({"KVP"}))),
    "every series": ("study.series.exists(s, s.tags.KVP > 1)", Needs(series=frozenset({"KVP"}), every=True)),
    "every series, filtered": ("study.series.filter(s, s.contrast).size() > 1", Needs(series=frozenset({"ContrastBolusAgent"}), every=True)),
    "one of them": ("study.series[0].thickness < 2", Needs(series=frozenset({"SliceThickness"}), every=True)),
    "what helpers are made of": (
        "series.orientation == 'AXIAL' && series.thickness < 2 && series.contrast && series.kernel == '' && series.transferSyntax == ''",
        Needs(series=frozenset({"ImageOrientationPatient", "SliceThickness", "ContrastBolusAgent", "ConvolutionKernel", "TransferSyntaxUID"})),
    ),
    "counts need nothing": ("study.instances > 10 && series.instances > 3", Needs()),
    "the sender of a series": ("series.sender == 'CT_ER'", Needs(senders=True)),
    "the senders of the study": ("'CT_ER' in study.senders", Needs(senders=True, every=True)),
    "an element whose name comes from the study": ("series.tags[study.tags.StudyID] == 'x'", Needs(study=frozenset({"StudyID"}), instance=True)),
    "all names of elements": ("series.tags.exists(name, name.startsWith('0019'))", Needs(instance=True)),
    "a whole series": ("[series, 1].exists(s, type(s) == int)", Needs(senders=True, instance=True)),
}


@pytest.mark.parametrize(("text", "needs"), NEEDS.values(), ids=NEEDS.keys())
def test_what_an_expression_needs_is_read_from_it(text: str, needs: Needs) -> None:
    assert compile_expression("f", text, SERIES_SCOPE).needs == needs


def a_study(series: int, text: str = "x") -> StudyFacts:
    tags = {"Modality": "CT", "SeriesDescription": text}
    return StudyFacts("study", tags, tuple(SeriesFacts(f"{number:05}", tags, 1, sender="A") for number in range(series)))


def asked(text: str, study: StudyFacts) -> tuple[Refusal | None, float]:
    expression: Expression = compile_expression("f", text, STUDY_SCOPE)
    view = StudyView(study, expression.needs)
    begin = time.thread_time()
    return expression.refusal(study=view), time.thread_time() - begin


STOPPED = {
    "a loop in a loop in a loop over 2,000 series": "study.series.all(a, study.series.all(b, study.series.all(c, a.instances + b.instances > 0)))",
    "lists of lists": "study.series.map(a, study.series.map(b, b.instances)).size() > 0",
    "a pattern on every one of 2,000 long texts": "study.series.all(s, s.tags.SeriesDescription.matches('^(([0-9]{1,50})x?){1,15}q$') || true)",
    "texts that double": (
        "study.series.map(s, s.tags.SeriesDescription + s.tags.SeriesDescription).map(t, t + t).map(t, t + t).map(t, t + t).exists(t, t.contains('y'))"
    ),
    "lists that double": "study.series.map(s, study.series + study.series + study.series).size() > 0",
}


@pytest.mark.parametrize("text", STOPPED.values(), ids=STOPPED.keys())
def test_what_would_explode_on_a_large_study_is_not_asked(text: str) -> None:
    refusal, seconds = asked(text, a_study(2000, "123456789" * 100))
    assert refusal is not None
    assert refusal.actual == "error: it could take too long on so large a study; use fewer loops within loops and simpler patterns"
    assert seconds < 5  # the figure is the bench's: here only that nothing runs away


DEAR = {
    "a nested loop to the library's bound": ("study.series.all(a, study.series.all(b, a.instances + b.instances > 0))", 100),
    "a list made of a list": ("study.series.map(a, a.instances).size() > 0", 1024),
    "a pattern in a loop": ("study.series.exists(s, s.tags.SeriesDescription.matches('(?i)(thorax|chest)[0-9]+$'))", 256),
    "a huge pattern on one text": ("study.tags.SeriesDescription.matches('^(([0-9]{1,50})x?){1,15}q$') || true", 1),
}


@pytest.mark.parametrize(("text", "series"), DEAR.values(), ids=DEAR.keys())
def test_what_is_asked_ends_within_its_price(text: str, series: int) -> None:
    """Ten times the price: another machine, and other work on this one, must not fail a test. Without a bound the worst took 28 s."""
    _, seconds = asked(text, a_study(series, "1234567890" * 10))
    assert seconds < 10 * LIMIT * UNIT


def test_an_expression_that_fails_says_by_what() -> None:
    refusal, _ = asked("study.series[7].instances > 1", a_study(1))
    assert refusal == Refusal("expression", "study.series[7].instances > 1", "error: Index error: index=7 size=1")


def test_a_failure_in_one_series_does_not_hide_another_that_holds() -> None:
    """CEL's exists is true when one member holds, whatever the others do."""
    study = a_study(2)
    thin = SeriesFacts("thin", {"SliceThickness": "1"}, 1)
    assert asked("study.series.exists(s, s.tags.SliceThickness < 2)", StudyFacts("s", {}, (*study.series, thin)))[0] is None
