"""How results of a shadow pipeline say what they are, to people and to programs that read DICOM alone.

Pure. What Orthanc itself is told (labels, metadata) is `worker`'s. Old results keep their marks when the pipeline becomes active.
"""

from pydicom import DataElement, Dataset

from .verbatim import text, tolerated

PREFIX = "SHADOW"
"""First word of Series Description: what every viewer and archive shows in its list of series."""
STATEMENT = "SHADOW: this analysis is under evaluation. It was not sent to any reader and must not be used for the care of the patient."
"""Of the report's own content, for viewers that show nothing of the series."""


def marked(description: str) -> str:
    """A Series Description with the mark, once."""
    return description if description.startswith(PREFIX) else f"{PREFIX} {description}".strip()[:64]


def mark(dataset: Dataset) -> None:
    """The same for an object that the application made. Only its Series Description changes."""
    with tolerated():
        dataset[0x0008103E] = DataElement(0x0008103E, "LO", marked(text(dataset, "SeriesDescription").replace("\\", "/")))
