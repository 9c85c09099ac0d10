"""Text in pictures by RapidOCR, with the PP-OCRv6 small weights that its wheel carries (Apache-2.0)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import Any, ClassVar

from framed.models.base import HostKind
from framed.models.text_look import FINE_PX, GLANCE_PX, LIKELY, SURE, Pixels, Read, TextLook


class RapidOcr(TextLook):
    """It reads Latin, Greek, Chinese and Japanese writing; lines in other scripts come out as no lines."""

    name: ClassVar[str] = "rapidocr"
    host: ClassVar[HostKind] = "cpu"
    model_id: ClassVar[str] = "pp-ocrv6-small"
    memory_mb: ClassVar[int] = 300

    @classmethod
    def available(cls) -> str | None:
        for module, package in {
            "rapidocr": "rapidocr",
            "onnxruntime": "onnxruntime",
            "cv2": "opencv-python-headless",
        }.items():
            if importlib.util.find_spec(module) is None:
                return f"The Python package {package} is missing: pip install {package}"
        return None

    def load(self, options: dict[str, Any], device: str) -> None:
        from rapidocr import RapidOCR

        self._reader = RapidOCR(
            params={
                "Global.log_level": "error",
                "Global.text_score": SURE,
                "Global.max_side_len": FINE_PX,
                "Det.limit_type": "max",
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        self._detector: Any = self._reader._load_det_model()

    def likely(self, bgr: Pixels) -> bool:
        self._detector.limit_side_len = GLANCE_PX
        ready = self._detector.get_preprocess()(bgr)
        return ready is not None and bool(self._detector.session(ready).max() >= LIKELY)

    def read(self, bgr: Pixels, side: int) -> Iterable[Read]:
        self._detector.limit_side_len = side
        found = self._reader(bgr)
        if getattr(found, "txts", None) is None or found.boxes is None:
            return []
        return zip(found.txts, found.scores, found.boxes, strict=True)

    def unload(self) -> None:
        del self._reader, self._detector
