"""Text in pictures by RapidOCR, with the PP-OCRv6 small weights that its wheel carries (Apache-2.0)."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from framed.models.base import HostKind
from framed.models.ocr_scripts import Line
from framed.models.onnx_weights import without_subnormals
from framed.models.text_look import FINE_PX, GLANCE_PX, LIKELY, Part, TextLook
from framed.models.text_turn import Found, Pixels


class RapidOcr(TextLook):
    """It reads Latin, Greek, Chinese and Japanese writing, and that of the option `scripts`. What it makes of other
    scripts it is mostly not `SURE` of, but МОСКВА is MOCKBA to it, and Hebrew letters may be Latin ones."""

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

        super().load(options, device)
        self._reader = RapidOCR(
            params={
                "Global.log_level": "error",
                # Photos are upright; the classifier of lines upside down turned every third line of a printed page.
                "Global.use_cls": False,
                "Global.max_side_len": FINE_PX,
                "Det.limit_type": "max",
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        self._detector: Any = self._reader._load_det_model()
        held = self._detector.session
        held.session = _quick(held.session)

    def glance(self, bgr: Pixels) -> Sequence[Part]:
        import cv2

        self._detector.limit_side_len = GLANCE_PX
        ready = self._detector.get_preprocess()(bgr)
        if ready is None:
            return []
        seen = self._detector.session(ready)[0, 0] >= LIKELY
        height, width = seen.shape
        _, _, stats, _ = cv2.connectedComponentsWithStats(seen.astype(np.uint8))
        # The first component is what is not text.
        return [Part(x / width, y / height, (x + w) / width, (y + h) / height) for x, y, w, h, _ in stats[1:].tolist()]

    def read(self, bgr: Pixels, side: int) -> Sequence[Found]:
        from rapidocr.utils.process_img import map_boxes_to_original

        self._detector.limit_side_len = side
        small, how = self._reader.preprocess_img(bgr)
        detected, _, read, cut_out = self._reader.run_ocr_steps(small, how)
        if detected.boxes is None or read.txts is None:
            return []
        corners = map_boxes_to_original(detected.boxes, how, *bgr.shape[:2])
        return [
            Found(Line(text, float(score)), box, pixels)
            for text, score, box, pixels in zip(read.txts, read.scores, corners, cut_out, strict=True)
        ]

    def reread(self, cut_outs: Sequence[Pixels]) -> Sequence[Line]:
        read = self._reader.recognize_txt(list(cut_outs))
        return [Line(text, float(score)) for text, score in zip(read.txts, read.scores, strict=True)]

    def unload(self) -> None:
        del self._reader, self._detector
        super().unload()


def _quick(session: Any) -> Any:
    """The detector as a session that gives the same answers in a third of the time; the same one where onnxruntime no
    longer says which file it is of."""
    import onnxruntime

    path = getattr(session, "_model_path", None)
    if not path:
        return session
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    model = without_subnormals(Path(path).read_bytes())
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
