"""Faces by InsightFace's buffalo_l: SCRFD finds them, ArcFace (ResNet50) 512 numbers for each, a third net its age."""

from __future__ import annotations

import importlib.util
import os
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from framed.errors import BadPhoto
from framed.models import face_look, weights
from framed.models.base import Backend, Context, HostKind

WEIGHTS = "insightface-buffalo-l"
_NETS = ("det_10g.onnx", "w600k_r50.onnx", "genderage.onnx")
DETECT_PX = 640
"""One size, always: left to itself SCRFD looks twice, and every new shape enlarges the arena on a GPU for good."""
LEAST_SCORE = 0.5
BATCHES = (1, 8, 64)
"""Crops are padded up to one of these, for the same reason."""
_NUMBERS = 512
_CROP_PX = 112
_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where eyes, nose and mouth lie in the pictures that ArcFace was trained on (insightface `face_align`)."""
_AROUND = 1.5
"""The age net saw squares so many times as long as the longer side of the face (insightface `Attribute`)."""
_CHILD, _GROWN = 10.0, 20.0
"""Up to the one age a face is a child's, from the other on it is not. So wide because ages by such nets are years off;
reasoned, not measured: these weights may not be shipped for a test."""


class InsightFaces(Backend):
    """`{"paths": [bytes]}` or `{"pixels": [uint8 (H, W, 3)]}` → `{"photos": [{"faces": [face], "problem"}], "vectors":
    float32 (faces of all photos in order, 512), unit}`; a face as `face_look.described` has it, `child` 0 to 1 by the
    age that the pack's third net gives it (None where an older pack came without that net)."""

    task: ClassVar[str] = "faces"
    name: ClassVar[str] = "insightface"
    host: ClassVar[HostKind] = "model"
    model_id: ClassVar[str] = "arcface-w600k-r50"
    memory_mb: ClassVar[int] = 1200

    @classmethod
    def available(cls) -> str | None:
        for module in ("insightface", "onnxruntime", "cv2"):
            if importlib.util.find_spec(module) is None:
                return f"The Python package {module} is missing: pip install 'framed[insightface]'"
        return weights.missing(WEIGHTS)

    def load(self, options: dict[str, Any], device: str) -> None:
        """Three nets of the five that the pack names; the others find landmarks, for which nothing here asks."""
        from insightface.model_zoo.arcface_onnx import ArcFaceONNX
        from insightface.model_zoo.attribute import Attribute
        from insightface.model_zoo.scrfd import SCRFD

        folder = weights.path(WEIGHTS)
        detector, recogniser, age = (str(folder / name) for name in _NETS)
        self._detector = SCRFD(detector, session=_session(detector, device), static_shape_sessions=False)
        self._detector.prepare(0, input_size=(DETECT_PX, DETECT_PX), det_thresh=LEAST_SCORE)
        self._recogniser = ArcFaceONNX(recogniser, session=_session(recogniser, device))
        self._age: Any = Attribute(age, session=_session(age, device)) if os.path.exists(age) else None

    def run(self, inputs: dict[str, Any], context: Context) -> dict[str, Any]:
        given: list[Any] = inputs["pixels"] if "pixels" in inputs else inputs["paths"]
        photos: list[dict[str, Any]] = []
        crops: list[face_look.Pixels] = []
        around: list[face_look.Pixels] = []
        for number, one in enumerate(given):
            context.progress(0.7 * number / len(given))
            try:
                pixels = face_look.opened(one) if isinstance(one, bytes) else np.ascontiguousarray(one)
            except BadPhoto as error:
                photos.append({"faces": [], "problem": error.message})
                continue
            faces, aligned, wide = self._look(pixels)
            photos.append({"faces": faces, "problem": None})
            crops += aligned
            around += wide
        if self._age is not None:
            every = [face for photo in photos for face in photo["faces"]]
            for face, age in zip(every, self._ages(around, context), strict=True):
                face["child"] = _child(age)
        return {"photos": photos, "vectors": self._embed(crops, context)}

    def _look(
        self, pixels: face_look.Pixels
    ) -> tuple[list[dict[str, Any]], list[face_look.Pixels], list[face_look.Pixels]]:
        """The faces, their crops for the recogniser, and those for the age."""
        if min(pixels.shape[:2]) < 8:
            return [], [], []
        blue_first = np.ascontiguousarray(pixels[:, :, ::-1])
        boxes, points = self._detector.detect(blue_first, max_num=face_look.MOST_FACES)
        faces, crops, around = [], [], []
        for box, five in zip(boxes, points if points is not None else [], strict=True):
            if not (np.isfinite(box).all() and np.isfinite(five).all()):
                continue
            left, top, right, bottom, score = map(float, box)
            faces.append(face_look.described(pixels, (left, top, right, bottom), five.astype(np.float32), score))
            crops.append(_aligned(blue_first, five))
            if self._age is not None:
                around.append(_squared(blue_first, (left, top, right, bottom), self._age.input_size[0]))
        return faces, crops, around

    def _ages(self, crops: list[face_look.Pixels], context: Context) -> list[float | None]:
        """Years; None where the net gave no number."""
        import cv2

        net = self._age
        most = 1 if isinstance(net.input_shape[0], int) else BATCHES[-1]
        found: list[float | None] = []
        while crops:
            context.check()
            now, crops = crops[:most], crops[most:]
            blob = cv2.dnn.blobFromImages(
                _padded(now), 1.0 / net.input_std, net.input_size, (net.input_mean,) * 3, swapRB=True
            )
            answer = np.asarray(net.session.run(net.output_names, {net.input_name: blob})[0], np.float32)
            years = answer.reshape(-1, 3)[: len(now), 2] * 100.0
            found += [float(age) if np.isfinite(age) else None for age in years]
        return found

    def _embed(self, crops: list[face_look.Pixels], context: Context) -> NDArray[np.float32]:
        found = [np.zeros((0, _NUMBERS), np.float32)]
        while crops:
            context.check()
            now, crops = crops[: BATCHES[-1]], crops[BATCHES[-1] :]
            found.append(np.asarray(self._recogniser.get_feat(_padded(now)), np.float32)[: len(now)])
        return face_look.unit(np.concatenate(found))

    def unload(self) -> None:
        del self._detector, self._recogniser, self._age


def _padded(crops: list[face_look.Pixels]) -> list[face_look.Pixels]:
    size = next(size for size in BATCHES if size >= len(crops))
    return [*crops, *[np.zeros_like(crops[0])] * (size - len(crops))]


def _child(age: float | None) -> float | None:
    """1 a child's face, 0 a grown person's, by its age in years."""
    return None if age is None else round(float(np.clip((_GROWN - age) / (_GROWN - _CHILD), 0.0, 1.0)), 3)


def _aligned(pixels: face_look.Pixels, points: NDArray[np.float32]) -> face_look.Pixels:
    """The face turned and scaled so that its points lie where ArcFace learned them. InsightFace's own way goes through
    a function that scikit-image is about to remove."""
    import cv2

    there = _TEMPLATE - _TEMPLATE.mean(axis=0)
    here = (points - points.mean(axis=0)).astype(np.float64)
    size = float((here**2).sum())
    cos = float((here * there).sum()) / max(
        size, 1e-9
    )  # least squares over turn and scale (Umeyama 1991, in the plane)
    sin = float((here[:, 0] * there[:, 1] - here[:, 1] * there[:, 0]).sum()) / max(size, 1e-9)
    turn = np.array([[cos, -sin], [sin, cos]])
    move = _TEMPLATE.mean(axis=0) - turn @ points.mean(axis=0)
    cut: face_look.Pixels = cv2.warpAffine(pixels, np.column_stack([turn, move]), (_CROP_PX, _CROP_PX))
    return cut


def _squared(pixels: face_look.Pixels, box: tuple[float, float, float, float], side: int) -> face_look.Pixels:
    """The face upright in the middle of a square with its surroundings, as the age net saw faces."""
    import cv2

    left, top, right, bottom = box
    by = side / max((right - left) * _AROUND, (bottom - top) * _AROUND, 1e-6)
    move = [side / 2 - by * (left + right) / 2, side / 2 - by * (top + bottom) / 2]
    turn = np.array([[by, 0.0, move[0]], [0.0, by, move[1]]])
    cut: face_look.Pixels = cv2.warpAffine(pixels, turn, (side, side))
    return cut


def _session(path: str, device: str) -> Any:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.enable_mem_pattern = False
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.startswith("cuda") and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        gpu = {
            "device_id": int(device.partition(":")[2] or 0),
            "arena_extend_strategy": "kSameAsRequested",
            "cudnn_conv_algo_search": "HEURISTIC",
            "gpu_mem_limit": InsightFaces.memory_mb << 20,
        }
        providers.insert(0, ("CUDAExecutionProvider", gpu))
    return onnxruntime.InferenceSession(path, options, providers=providers)
