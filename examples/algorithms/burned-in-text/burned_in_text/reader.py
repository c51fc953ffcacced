"""A picture -> the lines of text on it, by PP-OCRv6 (small) as ONNX models inside the wheel of rapidocr. Nothing is downloaded.

The only module that knows the model. **What was read stays here**: it is counted and forgotten, for it may name the patient.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from rapidocr import RapidOCR

from .places import Line
from .rendering import Picture
from .settings import Settings

CUDA = "CUDAExecutionProvider"
HIGHEST = 0.15
"""Share of the picture's height that a line may have. Rules of tables and whole organs were sometimes read as huge characters; nobody overlooks real
text of that size."""


class Reader:
    """The loaded models. `provider` is what they run on: CUDA where the runtime has it and finds a GPU, else the CPU."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        use_cuda = CUDA in onnxruntime.get_available_providers()
        if use_cuda:
            onnxruntime.preload_dlls()  # CUDA and cuDNN from the wheels beside it
        self._model = RapidOCR(
            params={
                "Global.log_level": "error",
                "Global.use_cls": False,  # upside-down text is found all the same, and what it says does not matter
                "Global.max_side_len": settings.maxSide,
                "Det.limit_side_len": settings.minSide,  # of the shorter side
                "Global.text_score": settings.minConfidence,
                "EngineConfig.onnxruntime.intra_op_num_threads": settings.threads,
                "EngineConfig.onnxruntime.use_cuda": use_cuda,
                # EXHAUSTIVE, rapidocr's own, tries all algorithms again for each new size of a line
                "EngineConfig.onnxruntime.cuda_ep_cfg.cudnn_conv_algo_search": "HEURISTIC",
            }
        )
        self.provider = "CPUExecutionProvider"
        self.read(np.zeros((64, 64, 3), np.uint8))  # loads the detector
        self.provider = self._model.text_det.session.session.get_providers()[0]

    def read(self, picture: Picture) -> tuple[Line, ...]:
        """Lines of at least `minCharacters` letters and digits that are not all the same one."""
        result: Any = self._model(np.ascontiguousarray(picture[:, :, ::-1]))  # BGR, as OpenCV has it
        if result.boxes is None:
            return ()
        rows, columns = picture.shape[:2]
        found = zip(result.boxes, result.txts, result.scores, strict=True)
        lines = [line for corners, text, score in found if (line := self._line(np.asarray(corners), text, float(score), rows, columns))]
        return tuple(lines)

    def _line(self, corners: np.ndarray, text: str, score: float, rows: int, columns: int) -> Line | None:
        letters = [one for one in text if one.isalnum()]
        # Two calliper crosses side by side are read as "XX", the rules of a table as "二1" of half the page's height.
        if len(letters) < self._settings.minCharacters or (len(letters) > 1 and len(set(letters)) == 1):
            return None
        left, top = (float(max(0, one)) for one in corners.min(axis=0))
        right, bottom = (float(min(most, one)) for one, most in zip(corners.max(axis=0), (columns, rows), strict=True))
        if right - left < 1 or bottom - top < 1 or bottom - top > HIGHEST * rows:
            return None
        return Line((left, top, right, bottom), min(1.0, score), len(letters))
