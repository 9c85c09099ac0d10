"""Text in pictures by PaddleOCR, in an environment of its own, through ONNX Runtime.

PaddleOCR's pins (numpy, opencv-contrib) do not go with what framed needs beside it, so this class runs under another
Python than framed's: it may import what its environment holds (`weight_sets`), and of framed only what wants no more.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from framed.errors import Unavailable
from framed.models import weights
from framed.models.base import HostKind
from framed.models.ocr_scripts import Line
from framed.models.text_look import GLANCE_PX, LIKELY, READ_PX, Part, TextLook
from framed.models.text_turn import Found, Pixels

WEIGHTS = "paddleocr"
OWN = "paddleocr-own"
"""A folder of the owner's beside the weights: its `det` and `rec` take the place of framed's, for Cyrillic or Arabic
writing, say. Each holds `inference.onnx` and `inference.yml`, as PaddlePaddle publishes its models for ONNX."""
PARTS = ("det", "rec")
_FILES = ("inference.onnx", "inference.yml")


class PaddleOcr(TextLook):
    """Its PP-OCRv6 medium has 4.5 times the parameters of the small that RapidOCR has, and knows the same scripts."""

    name: ClassVar[str] = "paddleocr"
    host: ClassVar[HostKind] = "apart"
    model_id: ClassVar[str] = "pp-ocrv6-medium"
    memory_mb: ClassVar[int] = 1000

    @classmethod
    def available(cls) -> str | None:
        return weights.missing(WEIGHTS) or next((why for part in PARTS if (why := _incomplete(_own(part)))), None)

    def load(self, options: dict[str, Any], device: str) -> None:
        home = weights.path(WEIGHTS)
        # It would look for model hubs, and keep its locks in the owner's home.
        os.environ["PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK"] = "True"
        os.environ["PADDLE_PDX_CACHE_HOME"] = str(home / weights.ENVIRONMENT / "cache")
        from paddleocr import PaddleOCR, TextDetection

        super().load(options, device)
        logging.getLogger("paddlex").setLevel(logging.ERROR)
        detection, recognition = (_own(part) if _own(part).exists() else home / part for part in PARTS)
        engine: dict[str, Any] = {
            "device": "cpu",
            "engine": "onnxruntime",
            "engine_config": {
                "intra_op_num_threads": int(os.environ.get("OMP_NUM_THREADS", "1")),
                "inter_op_num_threads": 1,
                # Every photo has another shape: an arena only grows.
                "enable_cpu_mem_arena": False,
            },
        }
        self._reader = PaddleOCR(
            text_detection_model_name=_name(detection),
            text_detection_model_dir=str(detection),
            text_recognition_model_name=_name(recognition),
            text_recognition_model_dir=str(recognition),
            use_doc_orientation_classify=False,
            use_doc_unwarping=False,
            use_textline_orientation=False,
            text_det_limit_side_len=READ_PX,
            text_det_limit_type="max",
            text_det_thresh=0.3,
            text_det_box_thresh=0.5,
            text_det_unclip_ratio=1.6,
            **engine,
        )
        glance = home / "glance"
        self._detector = TextDetection(
            model_name=_name(glance),
            model_dir=str(glance),
            limit_side_len=GLANCE_PX,
            limit_type="max",
            thresh=LIKELY,
            box_thresh=1e-6,  # one pixel is enough; 0 would stand for the default
            **engine,
        )

    def glance(self, bgr: Pixels) -> Sequence[Part]:
        size = bgr.shape[1], bgr.shape[0]
        (seen,) = self._detector.predict(bgr)
        found = [np.asarray(corners) / size for corners in seen["dt_polys"]]
        return [Part(*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()) for corners in found]

    def read(self, bgr: Pixels, side: int) -> Sequence[Found]:
        (found,) = self._reader.predict(bgr, text_det_limit_side_len=side, text_det_limit_type="max")
        return [
            Found(Line(str(text), float(score)), corners, _straightened(bgr, corners))
            for text, score, corners in zip(found["rec_texts"], found["rec_scores"], found["rec_polys"], strict=True)
        ]

    def unload(self) -> None:
        del self._reader, self._detector
        super().unload()


def _straightened(bgr: Pixels, corners: NDArray[np.int16]) -> Pixels:
    """The pixels between four corners, from the upper left clockwise; an upright column of letters is laid down."""
    import cv2

    around = np.asarray(corners, dtype=np.float32)
    width = max(int(np.linalg.norm(around[0] - around[1])), int(np.linalg.norm(around[3] - around[2])), 1)
    height = max(int(np.linalg.norm(around[0] - around[3])), int(np.linalg.norm(around[1] - around[2])), 1)
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    cut_out: Pixels = cv2.warpPerspective(bgr, cv2.getPerspectiveTransform(around, flat), (width, height))
    return np.rot90(cut_out) if height >= 1.5 * width else cut_out


def _own(part: str) -> Path:
    return weights.folder() / OWN / part


def _incomplete(folder: Path) -> str | None:
    """What a folder of the owner's lacks; None where it is whole or not there."""
    if not folder.exists():
        return None
    lacking = [name for name in _FILES if not (folder / name).is_file()]
    return f"{folder} lacks {' and '.join(lacking)}." if lacking else None


def _name(folder: Path) -> str:
    """What a model calls itself; PaddleOCR refuses it under another name."""
    said = (folder / "inference.yml").read_text(encoding="utf-8")
    found = re.search(r"""\bmodel_name["']?:\s*["']?([\w.-]+)""", said)
    if found is None:
        raise Unavailable(f"{folder / 'inference.yml'} does not say which model it is (Global: model_name).")
    return found[1]
