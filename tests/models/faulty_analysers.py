"""Analysers that do, on the photo with a corner of the colour in question, what real ones do by accident."""

import io
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from framed.models.base import Backend, Context, HostKind
from framed.models.catalogue import Entry

CORNERS = {"red": (230, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 230), "yellow": (230, 230, 20)}
_CORNER_PX = 12
HANGS = 2
"""So often the reader hangs on one photo: the call, and its second try."""


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


def corner(path: bytes) -> str:
    from PIL import Image

    with Image.open(io.BytesIO(Path(path.decode()).read_bytes())) as picture:
        seen = np.array(picture.convert("RGB").crop((0, 0, _CORNER_PX, _CORNER_PX))).mean(axis=(0, 1))
    return min(CORNERS, key=lambda name: float(np.abs(seen - CORNERS[name]).sum()))


class _Faulty(Backend):
    name: ClassVar[str] = "faulty"

    @classmethod
    def available(cls) -> str | None:
        return None

    def load(self, options: dict[str, Any], device: str) -> None:
        return


class FaultyReader(_Faulty):
    """Red: raises. Green: hangs, deaf to cancel. Blue: answers with no lines at all. Yellow: reads."""

    task = "ocr"
    host: ClassVar[HostKind] = "cpu"

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        colour = corner(inputs["path"])
        if colour == "red":
            raise KeyError("a secret of the inside")
        if colour == "green":
            self._hang(Path(inputs["original"].decode()))
        if colour == "blue":
            return {"text": "no lines"}
        return {"lines": [{"text": f"the {colour} sign"}], "looked": 1}

    @staticmethod
    def _hang(photo: Path) -> None:
        before = len(list(photo.parent.glob(".hung-*")))
        if before < HANGS:
            (photo.parent / f".hung-{before}").touch()
            time.sleep(600)


class FaultyJudge(_Faulty):
    """Red: not a number. Green: a score too many. Blue: never fits into memory. More than one photo: does not fit."""

    task = "aesthetics"
    host: ClassVar[HostKind] = "model"

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        colours = [corner(path) for path in inputs["paths"]]
        if len(colours) > 1 or colours == ["blue"]:
            raise OutOfMemoryError("CUDA out of memory")
        scores = [np.nan if colour == "red" else 0.5 for colour in colours]
        scores += [0.5] * (colours == ["green"])
        return {"scores": np.array(scores), "ratings": np.array(scores) * 10}


class QuickTagger(_Faulty):
    """Stands in for the packaged one, whose loading on a busy machine takes longer than a test's calls may."""

    task = "tags"
    host: ClassVar[HostKind] = "model"

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        count = len(inputs["paths"])
        features = np.random.default_rng(count).normal(size=(count, 1280)).astype(np.float16)
        return {"scores": np.full((count, 1000), 0.001, np.float32), "features": features}


class FaultyEye(_Faulty):
    """One face in each photo. Red: whose vector is not a number. Green: its process dies."""

    task = "faces"
    host: ClassVar[HostKind] = "cpu"

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        (path,) = inputs["paths"]
        colour = corner(path)
        if colour == "green":
            import os

            os.abort()
        face = {
            "box": [0.4, 0.4, 0.6, 0.6],
            "points": [[0.5, 0.5]] * 5,
            "score": 2.0,
            "pixels": 80.0,
            "sharpness": 1.0,
            "turned": 0.0,
            "child": None,
            "eyes_open": 0.9,
        }
        vector = np.full((1, 128), np.nan if colour == "red" else 128**-0.5, np.float32)
        return {"photos": [{"faces": [face], "problem": None}], "vectors": vector}


FAULTY = (
    Entry("tags", "efficientnet", "tests.models.faulty_analysers:QuickTagger", "model"),
    Entry("ocr", "faulty", "tests.models.faulty_analysers:FaultyReader", "cpu"),
    Entry("aesthetics", "faulty", "tests.models.faulty_analysers:FaultyJudge", "model"),
    Entry("faces", "faulty", "tests.models.faulty_analysers:FaultyEye", "cpu", "dlib-resnet-v1"),
)
