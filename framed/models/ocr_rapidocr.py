"""Text in pictures by RapidOCR, with the PP-OCRv6 small weights that its wheel carries (Apache-2.0)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import Any, ClassVar

import structlog

from framed.errors import Unavailable
from framed.models.base import Context, HostKind
from framed.models.ocr_scripts import Line, ScriptReader, read_again, unmixed
from framed.models.text_look import FINE_PX, GLANCE_PX, LIKELY, Pixels, Read, TextLook

log = structlog.get_logger(__name__)


class RapidOcr(TextLook):
    """It reads Latin, Greek, Chinese and Japanese writing; and those of the option `scripts`, names of
    `ocr_scripts.SCRIPTS`, whose weights must be here. What it makes of other scripts it is mostly not `SURE` of, but
    МОСКВА is MOCKBA to it, and Hebrew letters may be Latin ones."""

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
                # Photos are upright; the classifier of lines upside down turned every third line of a printed page.
                "Global.use_cls": False,
                "Global.max_side_len": FINE_PX,
                "Det.limit_type": "max",
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        self._detector: Any = self._reader._load_det_model()
        self._others = _readers(options.get("scripts", []))

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        """With `"scripts"`: those that could be read beside its own, a space between them."""
        return super().run(inputs, context) | {"scripts": " ".join(reader.script for reader in self._others)}

    def likely(self, bgr: Pixels) -> bool:
        self._detector.limit_side_len = GLANCE_PX
        ready = self._detector.get_preprocess()(bgr)
        return ready is not None and bool(self._detector.session(ready).max() >= LIKELY)

    def read(self, bgr: Pixels, side: int) -> Iterable[Read]:
        from rapidocr.utils.process_img import map_boxes_to_original

        self._detector.limit_side_len = side
        small, how = self._reader.preprocess_img(bgr)
        detected, _, read, cut_out = self._reader.run_ocr_steps(small, how)
        if detected.boxes is None or read.txts is None:
            return []
        lines = [Line(unmixed(text), float(score)) for text, score in zip(read.txts, read.scores, strict=True)]
        if self._others:
            lines = read_again(lines, cut_out, self._others)
        corners = map_boxes_to_original(detected.boxes, how, *bgr.shape[:2])
        return [(line.text, line.score, box) for line, box in zip(lines, corners, strict=True)]

    def unload(self) -> None:
        del self._reader, self._detector, self._others


def _readers(scripts: Iterable[str]) -> list[ScriptReader]:
    """One that cannot be had costs its own script and no other."""
    found = []
    for script in scripts:
        try:
            found.append(ScriptReader(script))
        except Unavailable as error:
            log.warning("a script cannot be read", script=script, problem=error.message)
    return found
