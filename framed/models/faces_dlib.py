"""Faces by dlib: its HOG detector, 68 landmarks and 128 numbers a face; weights of face-recognition-models (CC0)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from framed.errors import BadPhoto, Unavailable
from framed.models import face_look
from framed.models.base import Backend, Context, HostKind

_LOOK_PX = 1080
"""The detector knows faces of 80 pixels and more. At 1080 it found all six faces of a group photo in 0.12 s and none in
17 photos without people; at 720 the faintest of the six had a score of 0, at 1440 the look took 0.2 s."""
_SMALL = 0.12
"""A face smaller than this share of the longer side in the first look: there may be more, too small for it."""
_FINE_UPSAMPLE = 1
LEAST_SCORE = 0.2
"""Under it were patterns of cloth and leaves; the faintest real face of the group photo had 0.44."""
_OVERLAP = 0.4
_CHIP_PX = 150

_EYES = (slice(36, 42), slice(42, 48))
_FIVE = (30, 48, 54)  # tip of the nose, corners of the mouth


class DlibFaces(Backend):
    """`{"paths": [bytes]}` or `{"pixels": [uint8 (H, W, 3)]}` → `{"photos": [{"faces": [face], "problem"}], "vectors":
    float32 (faces of all photos in order, 128), unit}`; a face as `face_look.described` has it. Nothing here tells a
    face's age: `child` is always None."""

    task: ClassVar[str] = "faces"
    name: ClassVar[str] = "dlib"
    host: ClassVar[HostKind] = "cpu"
    model_id: ClassVar[str] = "dlib-resnet-v1"
    memory_mb: ClassVar[int] = 300

    @classmethod
    def available(cls) -> str | None:
        if importlib.util.find_spec("dlib") is None:
            return "The Python package dlib-bin is missing: pip install dlib-bin"
        if _weights() is None:
            return "The Python package face-recognition-models is missing: pip install face-recognition-models"
        return None

    def load(self, options: dict[str, Any], device: str) -> None:
        import dlib

        folder = _weights()
        if folder is None:
            raise Unavailable("The Python package face-recognition-models is missing.")
        self._dlib = dlib
        self._detector = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(str(folder / "shape_predictor_68_face_landmarks.dat"))
        self._recogniser = dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        given: list[Any] = inputs["pixels"] if "pixels" in inputs else inputs["paths"]
        photos: list[dict[str, Any]] = []
        vectors: list[NDArray[np.float32]] = []
        for number, one in enumerate(given):
            context.progress(number / len(given))
            try:
                pixels = face_look.opened(one) if isinstance(one, bytes) else np.ascontiguousarray(one)
            except BadPhoto as error:
                photos.append({"faces": [], "problem": error.message})
                continue
            faces, rows = self._look(pixels, context)
            photos.append({"faces": faces, "problem": None})
            vectors.append(rows)
        return {"photos": photos, "vectors": face_look.unit(np.concatenate([np.zeros((0, 128), np.float32), *vectors]))}

    def _look(self, pixels: face_look.Pixels, context: Context) -> tuple[list[dict[str, Any]], NDArray[np.float32]]:
        faces, rows = [], []
        for box, score in self._detected(pixels):
            context.check()
            rectangle = self._dlib.rectangle(*(round(side) for side in box))
            shape = self._landmarks(pixels, rectangle)
            landmarks = np.array([[part.x, part.y] for part in shape.parts()], np.float32)
            five = np.stack([*(landmarks[eye].mean(axis=0) for eye in _EYES), *(landmarks[i] for i in _FIVE)])
            eyes = float(np.mean([face_look.openness(landmarks[eye]) for eye in _EYES]))
            faces.append(face_look.described(pixels, box, five, score, eyes))
            chip = self._dlib.get_face_chip(pixels, shape, _CHIP_PX)
            rows.append(np.array(self._recogniser.compute_face_descriptor(chip), np.float32))
        return faces, np.stack(rows) if rows else np.zeros((0, 128), np.float32)

    def _detected(self, pixels: face_look.Pixels) -> list[tuple[tuple[float, float, float, float], float]]:
        """Boxes in the pixels of `pixels`. A second, finer look only where the first saw small faces: a group."""
        if min(pixels.shape[:2]) < 20:
            return []
        found = self._at(pixels, _LOOK_PX, 0)
        longer = max(pixels.shape[:2])
        if any(min(box[2] - box[0], box[3] - box[1]) < _SMALL * longer for box, _ in found):
            found = _apart([*found, *self._at(pixels, face_look.PREVIEW_PX, _FINE_UPSAMPLE)])
        return found[: face_look.MOST_FACES]

    def _at(
        self, pixels: face_look.Pixels, longer: int, upsample: int
    ) -> list[tuple[tuple[float, float, float, float], float]]:
        small = face_look.scaled(pixels, longer)
        by = pixels.shape[1] / small.shape[1]
        boxes, scores, _ = self._detector.run(small, upsample, LEAST_SCORE)
        return [
            ((box.left() * by, box.top() * by, box.right() * by, box.bottom() * by), float(score))
            for box, score in zip(boxes, scores, strict=True)
        ]

    def unload(self) -> None:
        del self._detector, self._landmarks, self._recogniser


def _apart(
    found: list[tuple[tuple[float, float, float, float], float]],
) -> list[tuple[tuple[float, float, float, float], float]]:
    """Each face once, by the look that was surer of it."""
    kept: list[tuple[tuple[float, float, float, float], float]] = []
    for box, score in sorted(found, key=lambda face: -face[1]):
        if all(_shared(box, other) < _OVERLAP for other, _ in kept):
            kept.append((box, score))
    return kept


def _shared(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """The part of the smaller box that both cover."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(width, 0.0) * max(height, 0.0) / smaller if smaller > 0 else 0.0


def _weights() -> Path | None:
    """The folder of the weights. Their package is never imported: it wants `pkg_resources`, which is no more."""
    found = importlib.util.find_spec("face_recognition_models")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "models"
    return folder if (folder / "dlib_face_recognition_resnet_model_v1.dat").is_file() else None
