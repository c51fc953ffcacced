"""The decisions for a person at a terminal: first whether, then why, then the series.

Everything that comes from images or resources is shown as plain text, never as markup or control characters.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gantry.api.matching import Completeness
from gantry.bridge import age_and_count, age_of, gives_up, is_own
from gantry.orthanc import SeriesResource, StudyResource
from gantry.routing import Decision, Refusal

from .explain import Answer, Explained, shown

_NARROWEST = 140
"""Columns when the output is no terminal."""
_LONGEST = 120
"""Characters of one value that are shown: a description has 64, an expression or a list of values may have thousands."""
YES, NO = Text("✔", style="green"), Text("✘", style="red")


def show_study(explained: Explained, *, patient: bool, console: Console | None = None) -> None:
    """Prints one study's decisions."""
    out = _console(console)
    out.print(_headline(explained, patient=patient))
    if not explained.study.is_stable:
        out.print(Text("  its images are still coming: the bridge decides when Orthanc calls it stable", style="yellow"))
    for answer in explained.answers:
        out.print()
        out.print(_verdict(answer, patient=patient))
        if answer.decision.series:
            out.print(Padding(_series(answer.decision, explained.series, patient=patient), (0, 0, 0, 2)))
        for note in _notes(answer, explained):
            out.print(Text(f"  {note}", style="dim"))
    if explained.doubt:
        out.print(Text(f"whether it was analysed already is not known: {explained.doubt}", style="yellow"))


def show_recent(explained: Sequence[Explained], *, patient: bool, console: Console | None = None) -> None:
    """Prints how many studies each pipeline would have caught, and which."""
    out = _console(console)
    if not explained:
        out.print("Orthanc has no studies.")
        return
    newest, oldest = _came(explained[0].study), _came(explained[-1].study)
    out.print(Text(f"{_count(len(explained), 'study', 'studies')}, the last that came: {oldest} to {newest} UTC", style="bold"))
    out.print()
    out.print(_totals(explained))
    caught = [one for one in explained if one.matched]
    if not caught:
        return
    table = Table("Caught", *(["Patient"] if patient else []), "Came", "Description", "Series", "By", box=None)
    for one in caught:
        by = ", ".join(answer.asked.name for answer in one.answers if answer.decision.matched)
        whose = [Text(plain(one.study.tags.get("PatientName", "")))] if patient else []
        description = Text(plain(one.study.tags.get("StudyDescription", "")))
        table.add_row(Text(one.study.id), *whose, Text(_came(one.study)), description, Text(str(len(one.study.series))), Text(by))
    out.print()
    out.print(table)


def plain(words: str) -> str:
    """One line without control characters, not too long: descriptions are written by whoever sends images."""
    text = "".join(c if c.isprintable() else " " for c in words).strip()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _console(given: Console | None) -> Console:
    out = given or Console(highlight=False)
    if not out.is_terminal:
        out.width = _NARROWEST
    return out


def _headline(explained: Explained, *, patient: bool) -> Text:
    study = explained.study
    instances = sum(len(one.instances) for one in explained.series)
    modalities = "+".join(sorted({one.tags.get("Modality", "").strip() for one in explained.series} - {""}))
    whose = [study.tags.get(name, "") for name in ("PatientName", "PatientID")] if patient else []
    parts = [
        *whose,
        modalities,
        study.tags.get("StudyDescription", ""),
        _date(study.tags.get("StudyDate", "")),
        f"{len(study.series)} series, {_count(instances, 'image', 'images')}",
    ]
    return Text.assemble(("Study ", "bold"), (study.id, "bold"), "  ", " · ".join(filter(None, map(plain, parts))))


def _verdict(answer: Answer, *, patient: bool) -> Text:
    decision = answer.decision
    if decision.matched:
        chosen = sum(one.selected for one in decision.series)
        words = f"  matched: {chosen} of {len(decision.series)} series, class {decision.priority}"
        return Text.assemble(YES, " ", (decision.pipeline, "bold"), words)
    refusal = shown(decision.refusal, patient=patient)
    return Text.assemble(NO, " ", (decision.pipeline, "bold"), "  not matched: ", *(_why(refusal) if refusal else ()))


def _why(refusal: Refusal) -> tuple[str | tuple[str, str], ...]:
    wanted, actual = plain(refusal.wanted), plain(refusal.actual)
    return ((plain(refusal.check), "bold"), ", wanted ", (wanted, "green"), ", is ", (actual, "red"))


def _series(decision: Decision, series: Sequence[SeriesResource], *, patient: bool) -> Table:
    known = {one.id: one for one in series}
    fits = "chosen" if decision.matched else "fits"
    table = Table("", "Series", "", "Description", "Images", "", box=None, header_style="dim")
    ordered = sorted(decision.series, key=lambda one: (not one.selected, _number(known.get(one.orthanc_id)), one.orthanc_id))
    for one in ordered:
        resource = known.get(one.orthanc_id)
        tags: Mapping[str, str] = resource.tags if resource else {}
        refusal = shown(one.refusal, patient=patient)
        table.add_row(
            YES if one.selected else NO,
            Text(plain(tags.get("SeriesNumber", ""))),
            Text(plain(tags.get("Modality", ""))),
            Text(plain(tags.get("SeriesDescription", "")) or one.orthanc_id),
            Text(str(len(resource.instances)) if resource else ""),
            Text.assemble(*_why(refusal)) if refusal else Text(fits if one.selected else ""),
        )
    return table


def _notes(answer: Answer, explained: Explained) -> list[str]:
    """What the bridge does beyond the decision."""
    spec, matched = answer.asked.spec, answer.decision.matched
    notes = []
    if answer.asked.unready:
        notes.append(f"not Ready, so that a study that matches starts no Run: {plain(answer.asked.unready)}")
    if spec.suspend:
        notes.append("suspended: a study that matches starts no Run")
    if spec.after:
        condition = f" for which {plain(spec.after.when)}" if spec.after.when else ""
        notes.append(f"started by a finished Run of {spec.after.pipeline}{condition}, not by a stable study")
    if matched and spec.match.completeness:
        notes += _completeness(spec.match.completeness, explained)
    own = [run for run in explained.runs if (run["spec"].get("pipelineRef") or {}).get("name") == answer.asked.name]
    for run in sorted(own, key=lambda one: str(one["metadata"].get("creationTimestamp"))):
        state = (run.get("status") or {}).get("state") or "Queued"
        notes.append(f"analysed by Run {run['metadata']['name']} of {run['metadata'].get('creationTimestamp', 'unknown time')}: {state}")
    if own and matched:
        notes.append(f"the same images start no further Run; more images: onLateImages {spec.on_late_images}")
    return notes


def _completeness(rule: Completeness, explained: Explained) -> list[str]:
    """What the bridge waits for, as far as it is known without asking senders."""
    if explained.now is None:
        return []
    age = age_of(explained.study.last_update, explained.now, rule)
    instances = sum(len(one.instances) for one in explained.series if not is_own(one))
    if open_check := age_and_count(rule, age=age, instances=instances):
        words = f"not complete: {open_check.check}, wanted {open_check.wanted}, is {open_check.actual}; "
        return [words + ("not waited for any longer (giveUpAfter)" if gives_up(rule, age) else f"given up {rule.give_up_after} after its last image")]
    return ["the sender is asked how many images the study has, and as many are waited for"] if rule.expected_instances else []


def _totals(explained: Sequence[Explained]) -> Table:
    table = Table("Pipeline", "Caught", "Refused by", box=None)
    caught: Counter[str] = Counter()
    checks: dict[str, Counter[str]] = {}
    for answer in (answer for one in explained for answer in one.answers):
        caught[answer.asked.name] += answer.decision.matched
        refused = checks.setdefault(answer.asked.name, Counter())
        if answer.decision.refusal:
            refused[answer.decision.refusal.check] += 1
    for name, refused in checks.items():
        why = ", ".join(f"{plain(check)} {count}" for check, count in refused.most_common())
        table.add_row(Text(name), Text(str(caught[name]), style="green" if caught[name] else "red"), Text(why))
    return table


def _number(series: SeriesResource | None) -> int:
    text = (series.tags.get("SeriesNumber", "") if series else "").strip()
    return int(text) if text.isdecimal() else 1_000_000


def _date(words: str) -> str:
    return f"{words[:4]}-{words[4:6]}-{words[6:8]}" if len(words) == 8 and words.isdecimal() else words


def _came(study: StudyResource) -> str:
    return f"{study.last_update:%Y-%m-%d %H:%M}" if study.last_update else "unknown time"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
