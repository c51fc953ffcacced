"""The pixels of a key image, for the overview: one frame of one file, decoded when its turn comes.

Everything else that publish knows of the images are their headers (`headers`). It must not keep what it has decoded.
"""

import json
from collections.abc import Callable
from pathlib import Path

from pydicom import Dataset
from pydicom.pixels.utils import pixel_array

from gantry.report.display import NotDisplayable, Picture, shown

from .workspace import Workspace


def shown_from(workspace: Workspace) -> Callable[[Dataset, int | None], Picture]:
    """Gives a frame, counted from 1, of an image of the input as a screen shows it. Raises NotDisplayable."""
    document = json.loads(workspace.study.read_bytes())
    paths: dict[str, Path] = {
        one["sopInstanceUID"]: workspace.input / one["path"] for series in document["series"] for one in series["instances"]
    }

    def show(image: Dataset, frame: int | None) -> Picture:
        path = paths.get(str(image.SOPInstanceUID))
        if path is None or path.suffix == ".json":
            raise NotDisplayable("only its header was fetched")
        return shown(image, frame, lambda: pixel_array(path, index=(frame or 1) - 1))

    return show
