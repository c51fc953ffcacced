"""Opens DICOM files for `gantry sr`: one report, or what a folder holds of them.

What a report says is `gantry.report`'s; here is what can go wrong with a file, in one line for a person.
"""

from pathlib import Path

from pydicom import Dataset

from gantry.report import NotAReport, Report, read_report

from .dicom_files import read_dicom
from .failure import Failure


def report_of(path: Path) -> Report:
    """Raises Failure when the file is not a measurement report."""
    return reading(path, read_dicom(path))


def reading(path: Path, dataset: Dataset) -> Report:
    """What a dataset that was read from a file says."""
    try:
        return read_report(dataset)
    except NotAReport as fault:
        raise Failure(f"{path} is {fault}") from None
    except Exception as error:  # a value that cannot be decoded may raise anything
        raise Failure(f"{path} is damaged: it cannot be read as a report ({type(error).__name__})") from error
