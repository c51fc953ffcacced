"""Opens DICOM files for `gantry sr`: one report, or what a folder holds of them.

What a report says is `gantry.report`'s; here is what can go wrong with a file, in one line for a person.
"""

from pathlib import Path

from pydicom import Dataset

from gantry.report import NotAReport, Report, read_report
from gantry.report.compare import merged
from gantry.report.reader import TITLES

from .dicom_files import files_below, is_dicom, read_dicom
from .failure import Failure


def report_of(*paths: Path) -> Report:
    """A file, or all SRs of one Run as one report: several files, or folders that hold them among other things. Raises Failure."""
    if len(paths) == 1 and not paths[0].is_dir():
        return reading(paths[0], read_dicom(paths[0]))
    found = [one for path in paths for one in (_in_folder(path) if path.is_dir() else [(path, read_dicom(path))])]
    studies = {str(dataset.get("StudyInstanceUID")) for _, dataset in found}
    where = str(paths[0]) if len(paths) == 1 else "the files"
    if len(studies) > 1:
        raise Failure(f"{where}: reports of {len(studies)} studies; name those of one Run")
    made = {tuple(str(dataset.get(keyword)) for keyword in _OF_A_RUN) for _, dataset in found}
    if len(made) > 1:
        raise Failure(f"{where}: reports of {len(made)} Runs, or of two SOP classes; name those of one Run and one class")
    return merged([reading(path, dataset) for path, dataset in sorted(found, key=_place)])


_OF_A_RUN = ("SOPClassUID", "ContentDate", "ContentTime", "DeviceSerialNumber")
"""The same in every SR of a Run; a Comprehensive SR repeats what the Comprehensive 3D SR says."""


def _in_folder(folder: Path) -> list[tuple[Path, Dataset]]:
    files = [(file, read_dicom(file)) for file in files_below(folder) if is_dicom(file)]
    found = [(file, dataset) for file, dataset in files if is_measurement_report(dataset)]
    if not found:
        raise Failure(f"{folder} holds no measurement report; name a file, or another folder")
    return found


def _place(one: tuple[Path, Dataset]) -> tuple[int, str]:
    """The order in which a Run numbers its reports: the first has the impression."""
    number = str(one[1].get("SeriesNumber") or "")
    return (int(number) if number.isdecimal() else 0), str(one[0])


def is_measurement_report(dataset: Dataset) -> bool:
    """By modality and title."""
    titles = [code.get("CodeValue") for code in dataset.get("ConceptNameCodeSequence") or ()]
    return dataset.get("Modality") == "SR" and not TITLES.isdisjoint(titles)


def reading(path: Path, dataset: Dataset) -> Report:
    """What a dataset that was read from a file says."""
    try:
        return read_report(dataset)
    except NotAReport as fault:
        raise Failure(f"{path} is {fault}") from None
    except Exception as error:  # a value that cannot be decoded may raise anything
        raise Failure(f"{path} is damaged: it cannot be read as a report ({type(error).__name__})") from error
