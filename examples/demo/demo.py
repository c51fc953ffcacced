"""`make demo`: a CT study goes to Orthanc by C-STORE, and a structured report arrives in the PACS. Every step is shown with its time.

Expects a running cluster (KUBECONFIG) and built images (build/images.json). Leaves everything running for looking around; the files are
in build/demo/. Run again it sends a new study through the same installation.
"""

import argparse
import contextlib
import json
import math
import re
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from examples.demo.hospital import ROOT, Hospital, HospitalError, condition, finished, run, wait_for
from examples.phantom.make_ct import Options, make_series
from pydicom import Dataset, dcmread
from rich.console import Console
from rich.table import Table

NAMESPACE = "radiology"
PIPELINE = "chest-ct-nodules"
FOLDER = ROOT / "build" / "demo"
KUBECTL = Path(shutil.which("kubectl") or "").parent
LOOK = f"export KUBECONFIG={ROOT / 'build' / 'kubeconfig'} PATH={KUBECTL}:$PATH; kubectl -n {NAMESPACE} get gantry,pods"
console = Console(highlight=False, width=118)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """One line a step: what, and how long it took."""
    begin = time.monotonic()
    if console.is_terminal:
        console.print(f"  …     {what}", end="\r")
    yield
    console.print(f"[green]✔[/] {time.monotonic() - begin:5.1f} s  {what}")


def main() -> int:
    """Exit code 0: the report is in the PACS and names every planted sphere; 1: something is wrong, and said."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, default=1, help="another seed plants other spheres")
    arguments.add_argument("--slices", type=int, default=120)
    chosen = arguments.parse_args()
    hospital = Hospital(NAMESPACE)
    try:
        return demonstrate(hospital, seed=chosen.seed, slices=chosen.slices)
    except HospitalError as error:
        console.print(f"[red]✘[/] {error}", soft_wrap=True)
        console.print(f"  look:  {LOOK}\n  the cluster's logs are in build/cluster/logs/", soft_wrap=True)
        return 1
    finally:
        hospital.close()


def demonstrate(hospital: Hospital, *, seed: int, slices: int) -> int:
    prepare(hospital)
    study, study_uid, truth = plant(seed, slices)
    before = {one["metadata"]["name"] for one in hospital.runs()}
    with step(f"C-STORE of {len(study)} images from CT_1 to Orthanc"):
        hospital.orthanc.send(study)
    sent = time.monotonic()
    analysed = journey(hospital, before)
    reports = collect(hospital, study_uid, sent)
    show_resources(hospital)
    show_journey(analysed)
    show_report(reports)
    return compare(reports, truth)


def prepare(hospital: Hospital) -> None:
    with step(f"namespace {NAMESPACE}: Orthanc and the PACS, two separate DICOM servers"):
        hospital.create_namespace()
        hospital.start_servers()
        hospital.wait_for_servers()
    with step("Gantry by its Helm chart"):
        hospital.install_gantry()
    with step("an OrthancBridge and an InferencePipeline, both Ready"):
        hospital.apply(ROOT / "examples" / "pipelines" / "chest-ct-nodules.yaml")
        hospital.wait_until_ready("obridge/main", f"ipl/{PIPELINE}")


def plant(seed: int, slices: int) -> tuple[list[Path], str, list[dict[str, Any]]]:
    """A phantom's CT in build/demo/study, new UIDs each time; what is in it goes to build/demo/truth.json."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    folder = FOLDER / "study"
    with step(f"a CT of a chest phantom, {slices} slices of 256 x 256, with spheres of known place and size"):
        now = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
        make_series(folder, Options(slices=slices, seed=seed, accession=now[2:]))
        shutil.move(folder / "truth.json", FOLDER / "truth.json")
    files = sorted(folder.glob("*.dcm"))
    truth: list[dict[str, Any]] = json.loads((FOLDER / "truth.json").read_text())["spheres"]
    return files, str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID), truth


def journey(hospital: Hospital, before: set[str]) -> dict[str, Any]:
    """Waits for the study's Run and its end."""

    def new_run() -> dict[str, Any] | None:
        return next((one for one in hospital.runs() if one["metadata"]["name"] not in before), None)

    with step("Orthanc calls the study stable (StableAge 1 s), the bridge makes an InferenceRun"):
        name = wait_for("a Run", new_run, seconds=60, explain=lambda: hospital.kubectl("describe", "obridge,ipl"))["metadata"]["name"]

    def ended() -> dict[str, Any] | None:
        seen = hospital.get("irun", name)
        return seen if finished(seen) else None

    with step(f"{name}: fetch, detect, publish, deliver"):
        done = wait_for("the Run's end", ended, seconds=180, explain=lambda: hospital.kubectl("describe", "irun", name))
    failed = condition(done, "Failed")
    if failed["status"] == "True":
        raise HospitalError(f"the Run failed: {failed['reason']}: {failed['message']}")
    return done


def collect(hospital: Hospital, study_uid: str, sent: float) -> list[Path]:
    """What the PACS has received of this study, in build/demo/pacs."""
    folder = FOLDER / "pacs"
    folder.mkdir(parents=True)
    with step("the report is in the PACS"):
        found = wait_for("a report in the PACS", lambda: hospital.pacs.instances(study_uid, "SR"), seconds=30)
    console.print(f"         [bold]{time.monotonic() - sent:.1f} s from the last C-STORE to the report[/]")
    for number, instance in enumerate(found, 1):
        hospital.pacs.download(instance).save_as(folder / f"sr{number}.dcm", enforce_file_format=True)
    return sorted(folder.glob("*.dcm"))


def show_resources(hospital: Hospital) -> None:
    def counted() -> bool:
        """The pipeline counts its Runs every two seconds."""
        return bool(hospital.get("ipl", PIPELINE).get("status", {}).get("runs", {}).get("active") == 0)

    wait_for("the pipeline's counts", counted, seconds=20)
    console.print("\n[bold]$ kubectl get obridge,ipl,irun[/]")
    console.print(hospital.kubectl("get", "obridge,ipl,irun"), soft_wrap=True)


def show_journey(analysed: dict[str, Any]) -> None:
    status = analysed["status"]
    table = Table("stage", "began", "seconds", title="the journey, as the Run's status has it", title_justify="left")
    for stage in status.get("stages", []):
        table.add_row(stage["name"], stage["startTime"], f"{stage['seconds']:.1f}" if "seconds" in stage else "")
    console.print(table)
    usage = status.get("usage", {})
    gpu = f"{usage.get('gpuSeconds', 0):.1f} s of {usage['gpuResource']} used" if "gpuResource" in usage else "no GPU asked for"
    console.print(f"pod reserved for {usage.get('podSeconds', 0):.1f} s, {gpu}")


def show_report(reports: list[Path]) -> None:
    for path in reports:
        console.print(f"\n[bold]$ .venv/bin/gantry sr show {path.relative_to(ROOT)}[/]")
        console.print(run(str(Path(sys.executable).parent / "gantry"), "sr", "show", str(path)), markup=False)


def compare(reports: list[Path], truth: list[dict[str, Any]]) -> int:
    """Planted beside found, by place. Exit code 1 when one is missing or there is one too many."""
    found = [finding for path in reports for finding in findings(path)]
    columns = ("planted at (mm)", "diameter", "found at (mm)", "diameter", "off by")
    table = Table(*columns, title="\nspheres planted and findings reported", title_justify="left")
    left = list(found)
    missed = 0
    for sphere in truth:
        near = min(left, key=lambda one: math.dist(one[0], sphere["center_mm"]), default=None)
        planted = ", ".join(f"{value:.1f}" for value in sphere["center_mm"])
        if near is None or math.dist(near[0], sphere["center_mm"]) > sphere["diameter_mm"] / 2:
            missed += 1
            table.add_row(planted, f"{sphere['diameter_mm']:.1f}", "[red]missed[/]", "", "")
            continue
        left.remove(near)
        place = ", ".join(f"{value:.1f}" for value in near[0])
        table.add_row(planted, f"{sphere['diameter_mm']:.1f}", place, f"{near[1]:.1f}", f"{math.dist(near[0], sphere['center_mm']):.2f}")
    console.print(table)
    console.print(
        f"sent: {FOLDER / 'study'}\nplanted: {FOLDER / 'truth.json'}\nreceived by the PACS: {FOLDER / 'pacs'}\n"
        f"look around: {LOOK}\nend it: make demo-down",
        soft_wrap=True,
    )
    if missed or left:
        console.print(f"[red]✘[/] {missed} spheres missed, {len(left)} findings where nothing was planted")
        return 1
    return 0


CENTRE = re.compile(r"centre \((-?[\d.]+), (-?[\d.]+), (-?[\d.]+)\) mm")


def findings(path: Path) -> list[tuple[tuple[float, float, float], float]]:
    """Centre (mm, LPS) and diameter (mm) of each finding of a report, read from the DICOM file alone."""
    found = []
    for group in containers(dcmread(path), "125007"):
        items = {item.ConceptNameCodeSequence[0].CodeValue: item for item in group.ContentSequence}
        place = CENTRE.search(items["121106"].TextValue) if "121106" in items else None
        if place and "81827009" in items:
            x, y, z = map(float, place.groups())
            found.append(((x, y, z), float(items["81827009"].MeasuredValueSequence[0].NumericValue)))
    return found


def containers(node: Dataset, code: str) -> Iterator[Dataset]:
    """All content items below `node` whose concept name has this code (125007: Measurement Group)."""
    for item in node.get("ContentSequence", ()):
        if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeValue == code:
            yield item
        yield from containers(item, code)


if __name__ == "__main__":
    sys.exit(main())
